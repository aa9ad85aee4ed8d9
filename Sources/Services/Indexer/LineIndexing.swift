import Embeddings
package import Records
package import Store

extension DocumentIndexer {
    /// Documents per index transaction.
    private static let batchDocumentsMax = 256

    /// Embeds and writes Gold lines that a replay made, in transactions of at most 256 documents. While some are written the
    /// next ones are prepared; a text that is new in both is embedded once.
    ///
    /// - Parameter lines: with their source offsets.
    /// - Returns: how many texts were embedded.
    package func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int {
        var embedded = 0
        var start = 0
        var prepared = try await prepare(lines, from: start, generation, source)
        while start < lines.count {
            start += Self.batchDocumentsMax
            let next = start
            let writing = prepared
            async let following = prepare(lines, from: next, generation, source, beside: writing)
            embedded += try await write(writing, moving: [], goldPositions: [], origin: .replay).embedded
            prepared = try await following
        }
        return embedded
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

    /// Prepares the batch that begins with a line; nothing behind the last one.
    private func prepare(
        _ lines: [(offset: Int64, line: [UInt8])], from start: Int, _ generation: Int64, _ source: TopicPartition,
        beside other: Prepared = Prepared()
    ) async throws -> Prepared {
        guard start < lines.count else { return Prepared() }
        let batch = lines[start..<min(start + Self.batchDocumentsMax, lines.count)]
        return try await prepare(try Self.pending(batch, generation, source), beside: other)
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
            missing.formUnion(try await inputsToEmbed(try Self.pending(batch, 0, source)))
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
