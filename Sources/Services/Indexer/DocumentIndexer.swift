import Bytes
import Concurrency
package import Embeddings
package import Postgres
package import Records
import Retrieval
package import Store
import Synchronization
package import Telemetry

/// Embeds what has no vector yet and writes documents with their checkpoints; shared by the indexer and by replays.
///
/// Vectors belong to what the model sees: what was embedded once is not embedded again, and of a content that is there nothing is
/// even looked at.
package final class DocumentIndexer: Sendable {
    /// What one call came to.
    package struct Outcome: Sendable, Equatable {
        package var indexVersion: Int64 = 0
        /// Passages that became visible by it.
        package var passagesAdded = 0
        /// Passages embedded by it.
        package var embedded = 0
        /// Passages that share a vector which was there.
        package var reused = 0
        /// Vectors that were linked into their graph, since too many waited.
        package var linked = 0
        /// What Postgres refused.
        package var refusedDocuments: [RefusedDocument] = []

        /// Documents that Postgres refused.
        package var refused: Int { refusedDocuments.count }

        /// Whether it is one of those that Postgres refused.
        func hasRefused(_ document: PendingDocument) -> Bool {
            refusedDocuments.contains {
                $0.sourceOffset == document.sourceOffset && $0.generation == document.generation
                    && $0.source == document.source
            }
        }
    }

    /// Documents with their passages and, where new, their vectors.
    package struct Prepared: Sendable {
        /// What it was made from, should it have to be made again.
        fileprivate var pending: [PendingDocument] = []
        /// In the order given.
        package var documents: [IndexedDocument] = []
        /// Inputs embedded for it.
        package var embedded = 0
        /// Passages that share a vector.
        package var reused = 0
        /// When all its vectors were there, milliseconds since 1970; nil where none was made for it.
        fileprivate var embeddedAtMilliseconds: Int64?

        package init() {}

        fileprivate init(pending: [PendingDocument]) { self.pending = pending }

        /// Gives vectors to the passages of their inputs.
        fileprivate mutating func give(_ vectors: [VectorInput: [Float]]) {
            for index in documents.indices {
                let tenant = documents[index].document.tenant
                for number in documents[index].passages.indices {
                    let input = VectorInput(tenant: tenant, hash: documents[index].passages[number].inputHash)
                    if let vector = vectors[input] { documents[index].passages[number].embedding = vector }
                }
            }
        }

        /// The vectors that it brings.
        fileprivate var vectors: [VectorInput: [Float]] {
            var vectors: [VectorInput: [Float]] = [:]
            for document in documents {
                for passage in document.passages {
                    guard let vector = passage.embedding else { continue }
                    vectors[VectorInput(tenant: document.document.tenant, hash: passage.inputHash)] = vector
                }
            }
            return vectors
        }

        /// Leaves documents with an input that the embedder refuses to the word arm.
        fileprivate mutating func leaveToWords(_ refused: Set<VectorInput>) {
            guard !refused.isEmpty else { return }
            for index in documents.indices {
                let tenant = documents[index].document.tenant
                let hasRefused = documents[index].passages.contains {
                    refused.contains(VectorInput(tenant: tenant, hash: $0.inputHash))
                }
                guard hasRefused else { continue }
                documents[index].model = ""
                for number in documents[index].passages.indices {
                    documents[index].passages[number].embedding = nil
                    documents[index].passages[number].inputHash = ""
                }
            }
        }
    }

    /// Limit of one lookup or one transaction.
    static let timeoutMilliseconds = 60_000
    /// Limit of a transaction that deletes all below a version: some 25 µs for each document that it hides, and there may be
    /// millions.
    static let truncationTimeoutMilliseconds = 1_800_000
    /// Passages of one transaction, but for a document that has more: a small fraction of that limit.
    package static let transactionPassagesMax = 5_000

    let embedder: (any TextEmbedder)?
    private let logger: Logger?
    private let refusalReports = Mutex(ReportLimiter())
    let lookupLane: Lane
    let writeLane: Lane
    private let lookups: Mutex<IndexWriter>
    let writer: Mutex<IndexWriter>
    private let priority: EmbeddingPriority
    /// Of a replay's writes.
    let pace = Mutex(WritePace())

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - embedder: nil indexes words only.
    ///   - graph: of the tables that are made for its model, and how many vectors may wait for it.
    ///   - priority: of what is embedded. A replay's also lets the thread stand back that prepares documents; not the one that
    ///     writes, for whom others wait.
    ///   - logger: told of documents that Postgres refuses.
    package init(
        configuration: PostgresConfiguration, embedder: (any TextEmbedder)?, graph: VectorGraph = VectorGraph(),
        priority: EmbeddingPriority = .batch, logger: Logger? = nil
    ) {
        self.embedder = embedder
        self.priority = priority
        self.logger = logger
        lookupLane = Lane(name: "index-lookup", niceness: priority == .replay ? 5 : 0)
        writeLane = Lane(name: "index-write")
        lookups = Mutex(IndexWriter(configuration: configuration))
        writer = Mutex(IndexWriter(configuration: configuration, graph: graph))
    }

    /// Name that vectors are stored under; empty without an embedder.
    package var modelName: String { embedder?.modelName ?? "" }

    /// Looks up, embeds and writes some documents of a replay, some hundreds at most.
    package func index(_ documents: [PendingDocument]) async throws -> Outcome {
        let prepared = try await prepare(documents)
        return try await write(prepared, moving: [], goldPositions: [], origin: .replay)
    }

    /// Embeds those passages of documents that have no vector yet.
    package func prepare(_ documents: [PendingDocument]) async throws -> Prepared {
        try await prepare(documents, isTrusting: true)
    }

    /// - Parameter other: what is being written meanwhile, whose vectors are taken from there.
    func prepare(_ documents: [PendingDocument], beside other: Prepared) async throws -> Prepared {
        try await prepare(documents, isTrusting: true, beside: other.vectors)
    }

    /// - Parameters:
    ///   - isTrusting: whether what the index has is used; not after it turned out to have gone.
    ///   - vectors: that are there besides.
    func prepare(
        _ documents: [PendingDocument], isTrusting: Bool, beside vectors: [VectorInput: [Float]] = [:]
    ) async throws -> Prepared {
        var prepared = Prepared(pending: documents)
        let model = modelName
        let gold = documents.map(\.document)
        let known =
            isTrusting && !documents.isEmpty
            ? try await look { lookups in
                try lookups.known(gold, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
            } : []
        var passages = DocumentPassages()
        for (place, pending) in documents.enumerated() {
            let isKnown = known.contains(place)
            if isKnown, pending.document.operation == .put {
                prepared.reused += max(1, pending.document.passages.count)
            }
            prepared.documents.append(
                IndexedDocument(
                    generation: pending.generation, document: pending.document, source: pending.source,
                    sourceOffset: pending.sourceOffset, model: model,
                    passages: isKnown ? [] : try passages.of(pending.document), line: pending.line))
        }
        if let embedder {
            try await fill(&prepared, embedder, isTrusting: isTrusting, beside: vectors)
            if prepared.embedded > 0 { prepared.embeddedAtMilliseconds = SystemClock.epochMilliseconds() }
        }
        guard prepared.documents.contains(where: { !$0.passages.isEmpty }) else { return prepared }
        // Here, while another batch may be written: the writer has enough to do.
        let documents = prepared.documents
        prepared.documents = try await look { lookups in
            var documents = documents
            try lookups.cut(&documents)
            return documents
        }
        return prepared
    }

    func look<R: Sendable>(_ body: @escaping @Sendable (IndexWriter) throws -> R) async throws -> R {
        try await lookupLane.run { [self] in try lookups.withLock { lookups in try body(lookups) } }
    }

    /// Writes prepared documents and moves checkpoints in one transaction; where the documents are very long, in several,
    /// of which the last moves the checkpoints.
    ///
    /// - Parameters:
    ///   - refused: documents that were refused on their way here, to be kept aside.
    ///   - hiding: what is taken out in the first transaction, before anything is written.
    ///   - origin: whether the index is newer for it.
    package func write(
        _ prepared: Prepared, moving moves: [CheckpointMove],
        goldPositions: [(gold: TopicPartition, nextOffset: Int64)], refused: [RefusedDocument] = [],
        hiding: AuditHiding? = nil, origin: IndexOrigin
    ) async throws -> Outcome {
        var prepared = prepared
        var isTrusting = true
        while true {
            do {
                var outcome = Outcome(embedded: prepared.embedded, reused: prepared.reused)
                let (parts, embeddedAt) = (Self.parts(prepared.documents), prepared.embeddedAtMilliseconds)
                for (number, documents) in parts.enumerated() {
                    let isLast = number == parts.count - 1
                    let truncates = documents.contains { $0.document.operation == .deleteBelow }
                    let limit = truncates ? Self.truncationTimeoutMilliseconds : Self.timeoutMilliseconds
                    let (linked, result) = try await writeLane.run { [self] in
                        try writer.withLock { writer in
                            (
                                try writer.makeRoom(for: documents, timeoutMilliseconds: Self.timeoutMilliseconds),
                                try writer.write(
                                    documents, moving: isLast ? moves : [], goldPositions: isLast ? goldPositions : [],
                                    refused: isLast ? refused : [], hiding: number == 0 ? hiding : nil, origin: origin,
                                    embeddedAtMilliseconds: embeddedAt, timeoutMilliseconds: limit)
                            )
                        }
                    }
                    outcome.linked += Int(linked)
                    outcome.indexVersion = result.indexVersion
                    outcome.passagesAdded += result.passagesAdded
                    outcome.refusedDocuments += result.refused
                    report(result.refused)
                    report(documents, result.documentsHidden)
                }
                report(refused)
                return outcome
            } catch let error as IndexError where error.kind == .vectorGone && isTrusting {
                // What was to be shared has been removed meanwhile: embed all of it.
                prepared = try await prepare(prepared.pending, isTrusting: false)
                isTrusting = false
            }
        }
    }

    /// Documents in their order, cut so that the passages of each part fit a transaction; one part at least.
    package static func parts(_ documents: [IndexedDocument]) -> [[IndexedDocument]] {
        var parts: [[IndexedDocument]] = [[]]
        var passages = 0
        for document in documents {
            // A deletion is a statement, too.
            let count = max(1, document.passages.count)
            if passages > 0, passages + count > transactionPassagesMax {
                parts.append([])
                passages = 0
            }
            parts[parts.count - 1].append(document)
            passages += count
        }
        return parts
    }

    /// Much may have gone at once, and nothing else tells of it.
    private func report(_ documents: [IndexedDocument], _ hidden: Int) {
        guard let logger else { return }
        for deletion in documents where deletion.document.operation == .deleteBelow {
            logger.info(
                "a source deleted all of its documents below a version",
                [
                    "generation": "\(deletion.generation)", "topic_partition": "\(deletion.source)",
                    "offset": "\(deletion.sourceOffset)", "version": "\(deletion.document.version)",
                    // Of all in the transaction: usually one.
                    "documents": "\(hidden)",
                ])
        }
    }

    private func report(_ refused: [RefusedDocument]) {
        guard let logger else { return }
        for document in refused {
            guard let count = refusalReports.withLock({ $0.admit() }) else { continue }
            logger.error(
                "a document was refused and is left out of the index; `medallion dlq ls --index` lists all such",
                [
                    "generation": "\(document.generation)", "topic_partition": "\(document.source)",
                    "offset": "\(document.sourceOffset)", "code": document.code, "why": document.reason,
                    "documents": "\(count)",
                ])
        }
    }

    /// All checkpoints and Gold positions, for a start.
    func state() async throws -> (checkpoints: [IndexCheckpoint], goldPositions: [TopicPartition: Int64]) {
        try await lookupLane.run { [self] in
            try lookups.withLock { lookups in
                (
                    try lookups.checkpoints(timeoutMilliseconds: Self.timeoutMilliseconds),
                    try lookups.goldPositions(timeoutMilliseconds: Self.timeoutMilliseconds)
                )
            }
        }
    }

    /// Holds a document that lies below its checkpoint against what the index has of its source offset.
    ///
    /// - Throws: ``IndexerError`` of kind `otherTopic` where it was made from another record.
    func checkSameTopic(_ document: PendingDocument) async throws {
        guard let found = document.document.lineage.parents.first?.bronzeSHA256 else { return }
        let held = try await lookupLane.run { [self] in
            try lookups.withLock { lookups in
                try lookups.bronzeHash(
                    generation: document.generation, source: document.source, offset: document.sourceOffset,
                    timeoutMilliseconds: Self.timeoutMilliseconds)
            }
        }
        guard let held, held != found else { return }
        throw IndexerError(
            .otherTopic,
            "the index was made from another topic: offset \(document.sourceOffset) of \(document.source) has the SHA-256 "
                + "\(found), but the index holds \(held) of it",
            hint: "the source topic was made anew: index it into an empty database (POSTGRES_DSN, or PGDATA_DIR)")
    }

    /// The largest number of a vector's column, whose numbers have 16 bits.
    private static let vectorNumberMax: Float = 65_504

    /// Postgres would refuse the document for a vector that the column cannot hold, though it is the embedder that is wrong.
    ///
    /// - Throws: ``IndexerError`` of kind `embedder`.
    private static func check(_ vector: [Float], of embedder: any TextEmbedder) throws(IndexerError) {
        let hint = "look at the model: MODEL_DIR, EMBED_DIMS; nothing is indexed until it is right"
        guard vector.count == embedder.dimensions else {
            throw IndexerError(
                .embedder,
                "the embedder gave a vector of \(vector.count) numbers, its model has \(embedder.dimensions)",
                hint: hint)
        }
        // False for what is no number, too.
        guard vector.allSatisfy({ $0.magnitude <= vectorNumberMax }) else {
            throw IndexerError(
                .embedder, "the embedder gave a vector with a number that is none, or too large", hint: hint)
        }
    }

    /// Gives all passages of each input that has no vector yet its vector: the write may be cut into transactions, each of which must
    /// bring what its own passages share. The array of numbers is one for all of them.
    private func fill(
        _ prepared: inout Prepared, _ embedder: any TextEmbedder, isTrusting: Bool,
        beside others: [VectorInput: [Float]]
    ) async throws {
        var texts: [VectorInput: String] = [:]
        var inputs: [VectorInput] = []
        let passages = prepared.documents.map { $0.passages.map(\.text) }
        let hashes = try await lookupLane.run { try passages.map { try embedder.inputHashes(of: $0) } }
        for (index, document) in prepared.documents.enumerated() {
            for (number, hash) in hashes[index].enumerated() {
                prepared.documents[index].passages[number].inputHash = hash
                let input = VectorInput(tenant: document.document.tenant, hash: hash)
                if texts[input] != nil {
                    prepared.reused += 1
                } else {
                    texts[input] = document.passages[number].text
                    inputs.append(input)
                }
            }
        }
        guard !inputs.isEmpty else { return }
        let (model, all) = (embedder.modelName, inputs)
        let known =
            isTrusting
            ? try await look { lookups in
                try lookups.embedded(all, model: model, timeoutMilliseconds: Self.timeoutMilliseconds)
            } : []
        prepared.reused += known.count
        // Whichever of the two is written first: the other finds the vector there.
        let shared = others.filter { texts[$0.key] != nil && !known.contains($0.key) }
        prepared.reused += shared.count
        prepared.give(shared)
        let wanted = inputs.filter { !known.contains($0) && shared[$0] == nil }
        guard !wanted.isEmpty else { return }
        let vectors = try await embedder.embed(wanted.compactMap { texts[$0] }, priority: priority)
        guard vectors.count == wanted.count else {
            throw IndexerError(.embedder, "\(vectors.count) vectors for \(wanted.count) texts")
        }
        let given = zip(wanted, vectors).filter { !embedder.mayRefuseTexts || !$1.isEmpty }
        for (_, vector) in given { try Self.check(vector, of: embedder) }
        prepared.give(Dictionary(given.map { ($0, $1) }) { first, _ in first })
        prepared.leaveToWords(Set(wanted).subtracting(given.map { $0.0 }))
        prepared.embedded = given.count
    }
}
