import Bytes
import Concurrency
import Embeddings
package import Records
package import Store

extension DocumentIndexer {
    /// Documents per index transaction.
    private static let batchDocumentsMax = 256

    /// Embeds and writes Gold lines that a replay made, in transactions of at most 256 documents. While some are written the
    /// next ones are prepared; a text that is new in both is embedded once. Where others write the transactions are small, and it
    /// rests behind each.
    ///
    /// - Parameter lines: with their source offsets.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int {
        try await checkMaker(of: generation)
        var embedded = 0
        var range = turn(0, lines.count, atMost: Self.batchDocumentsMax)
        var prepared = try await prepare(lines[range], generation, source)
        while !range.isEmpty {
            let next = turn(range.upperBound, lines.count, atMost: Self.batchDocumentsMax)
            let writing = prepared
            async let following = prepare(lines[next], generation, source, beside: writing)
            let began = SystemClock.monotonicNanoseconds()
            let written = try await write(writing, moving: [], goldPositions: [], origin: .replay)
            embedded += written.embedded
            try await rest(
                behind: written.indexVersion, first: written.firstIndexVersion, documents: range.count, since: began)
            prepared = try await following
            range = next
        }
        return embedded
    }

    /// Documents without vectors would be taken for complete.
    ///
    /// - Throws: `IndexError` of kind `generationBehind` where a generation's vectors are of some model and nothing is embedded here.
    private func checkMaker(of generation: Int64) async throws {
        guard embedders.usualName.isEmpty else { return }
        let names = try await look { try $0.models(timeoutMilliseconds: Self.timeoutMilliseconds) }
        guard let name = names[generation], !name.isEmpty else { return }
        throw IndexError(
            .generationBehind,
            "nothing is embedded here, and the vectors of generation \(generation) are of model \(name)",
            hint: "set EMBED_ENABLED=true, and resume")
    }

    /// Shows a child what its parent shows of lines that are the same but for their lineage, some hundreds in each transaction:
    /// nothing of them is looked up, cut or embedded. Rests where others write.
    ///
    /// - Parameter lines: of the child, with their source offsets, each of another record.
    /// - Returns: the offsets that are dealt with; of the others the parent's index shows something else.
    package func share(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
    ) async throws -> Set<Int64> {
        let model = try await makers(of: [generation])[generation]?.modelName ?? ""
        var shared: Set<Int64> = []
        var range = 0..<0
        while range.upperBound < lines.count {
            range = turn(range.upperBound, lines.count, atMost: SharedDocuments.documentsMax)
            let batch = lines[range]
            let documents = try await lookupLane.run {
                try batch.map { entry in
                    try entry.line.withUnsafeBytes { line in
                        let fields = try GoldLine.Fields(line)
                        return SharedDocuments.Document(
                            offset: entry.offset, contentHash: try fields.text(.contentHash),
                            lineage: try fields.lineage())
                    }
                }
            }
            let began = SystemClock.monotonicNanoseconds()
            let found = try await writeLane.run { [self] in
                try writer.withLock { writer in
                    try writer.share(
                        SharedDocuments(child: generation, parent: parent, source: source, documents: documents),
                        model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
                }
            }
            shared.formUnion(found.offsets)
            try await rest(behind: found.indexVersion, documents: batch.count, since: began)
        }
        return shared
    }

    /// Which lines are the next transaction's; none behind the last.
    private func turn(_ start: Int, _ count: Int, atMost most: Int) -> Range<Int> {
        let documents = pace.withLock { $0.documents(atMost: most, at: SystemClock.monotonicNanoseconds()) }
        return start..<min(start + documents, count)
    }

    /// Leaves room for others who write, if there are any.
    private func rest(behind version: Int64, first: Int64? = nil, documents: Int, since began: Int64) async throws {
        let now = SystemClock.monotonicNanoseconds()
        let rest = pace.withLock {
            $0.rest(behind: version, first: first, taking: now - began, documents: documents, at: now)
        }
        if rest > 0 { try await Task.sleep(nanoseconds: UInt64(rest)) }
    }

    /// Embeds and writes Gold lines of a lake in one index transaction, which moves the checkpoint.
    ///
    /// - Parameters:
    ///   - lines: with their source offsets, some hundreds at most; none where no record of a stretch became a document.
    ///   - move: from the checkpoint as it stands to what lies behind the lines.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove
    ) async throws -> Int {
        let prepared = try await prepare(try Self.pending(lines[...], move.generation, move.source))
        return try await write(prepared, moving: [move], goldPositions: [], origin: .replay).embedded
    }

    /// Embeds Gold lines, then takes what stands in their place out of the index and writes them, in one index transaction.
    ///
    /// - Parameters:
    ///   - lines: with their source offsets, of no more passages than a transaction takes.
    ///   - hiding: of their generation.
    /// - Returns: how many texts were embedded.
    package func replace(
        lines: [(offset: Int64, line: [UInt8])], hiding: AuditHiding, source: TopicPartition
    ) async throws -> Int {
        let pending = try Self.pending(lines[...], hiding.generation, source)
        // Damaged contents look as if they could be shared until they are hidden.
        let prepared = try await prepare(pending, isTrusting: hiding.damaged.isEmpty)
        return try await write(prepared, moving: [], goldPositions: [], hiding: hiding, origin: .replay).embedded
    }

    private static func pending(
        _ lines: ArraySlice<(offset: Int64, line: [UInt8])>, _ generation: Int64, _ source: TopicPartition
    ) throws -> [PendingDocument] {
        try lines.map { entry in
            PendingDocument(
                generation: generation, source: source, sourceOffset: entry.offset,
                document: try entry.line.withUnsafeBytes { try GoldLine.decode($0) }, line: entry.line)
        }
    }

    private func prepare(
        _ batch: ArraySlice<(offset: Int64, line: [UInt8])>, _ generation: Int64, _ source: TopicPartition,
        beside other: Prepared = Prepared()
    ) async throws -> Prepared {
        guard !batch.isEmpty else { return Prepared() }
        let pending = try await lookupLane.run { try Self.pending(batch, generation, source) }
        return try await prepare(pending, beside: other)
    }

    /// The inputs of Gold lines that have no vector yet, each once: what ``index(lines:generation:source:)`` would embed.
    ///
    /// - Parameter lines: with their source offsets.
    package func inputsToEmbed(
        lines: [(offset: Int64, line: [UInt8])], source: TopicPartition
    ) async throws -> Set<VectorInput> {
        var missing: Set<VectorInput> = []
        for start in stride(from: 0, to: lines.count, by: Self.batchDocumentsMax) {
            let batch = lines[start..<min(start + Self.batchDocumentsMax, lines.count)]
            let pending = try await lookupLane.run { try Self.pending(batch, 0, source) }
            missing.formUnion(try await inputsToEmbed(pending))
        }
        return missing
    }

    /// The inputs of documents that have no vector in the index.
    private func inputsToEmbed(_ documents: [PendingDocument]) async throws -> Set<VectorInput> {
        guard !documents.isEmpty, let embedder = try embedders.usual() else { return [] }
        let (gold, model) = (documents.map(\.document), embedder.modelName)
        let known = try await look { lookups in
            try lookups.known(gold, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
        }
        var passages = DocumentPassages()
        var inputs: Set<VectorInput> = []
        for (place, document) in gold.enumerated() where !known.contains(place) {
            for hash in try embedder.inputHashes(of: try passages.of(document).map(\.text)) {
                inputs.insert(VectorInput(tenant: document.tenant, hash: hash))
            }
        }
        return try await missing(inputs, model)
    }

    /// Those of some inputs that have no vector of a model.
    func missing(_ inputs: Set<VectorInput>, _ model: String) async throws -> Set<VectorInput> {
        let all = Array(inputs)
        let held = try await look { lookups in
            try lookups.embedded(all, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
        }
        return inputs.subtracting(held)
    }
}
