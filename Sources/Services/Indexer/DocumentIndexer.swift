package import Bytes
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
        /// That of the first transaction, where it took several.
        package var firstIndexVersion: Int64?
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

    /// Limit of one lookup or one transaction.
    static let timeoutMilliseconds = 60_000
    /// Limit of a transaction that deletes all below a version: some 25 µs for each document that it hides, and there may be
    /// millions.
    static let truncationTimeoutMilliseconds = 1_800_000
    /// Passages of one transaction, but for a document that has more: a small fraction of that limit.
    package static let transactionPassagesMax = 5_000

    let embedders: any EmbedderSource
    /// Names of the models of generations, as far as they are fixed: empty for one that was pruned.
    let models = Mutex<[Int64: String]>([:])
    private let logger: Logger?
    private let refusalReports = Mutex(ReportLimiter())
    let lookupLane: Lane
    let writeLane: Lane
    private let lookups: Mutex<IndexWriter>
    let writer: Mutex<IndexWriter>
    let priority: EmbeddingPriority
    /// Of a replay's writes.
    let pace = Mutex(WritePace())
    /// Of the writing lane.
    let change: Mutex<VectorChange>

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - embedders: of the generations' vectors; nothing is embedded where the usual one is none.
    ///   - graph: of the tables that are made for their models, and how many vectors may wait for it.
    ///   - priority: of what is embedded.
    ///   - standing: how far the thread stands back that prepares documents; not the one that writes, for whom others wait.
    ///   - logger: told of documents that Postgres refuses.
    package init(
        configuration: PostgresConfiguration, embedders: any EmbedderSource, graph: VectorGraph = VectorGraph(),
        priority: EmbeddingPriority = .batch, standing: ThreadPriority = .ordinary, logger: Logger? = nil
    ) {
        self.embedders = embedders
        self.priority = priority
        self.logger = logger
        lookupLane = Lane(name: "index-lookup", priority: standing)
        writeLane = Lane(name: "index-write")
        lookups = Mutex(IndexWriter(configuration: configuration))
        writer = Mutex(IndexWriter(configuration: configuration, graph: graph))
        change = Mutex(VectorChange(configuration: configuration, graph: graph))
    }

    /// The same with one embedder for all generations.
    ///
    /// - Parameter embedder: nil indexes words only.
    package convenience init(
        configuration: PostgresConfiguration, embedder: (any TextEmbedder)?, graph: VectorGraph = VectorGraph(),
        priority: EmbeddingPriority = .batch, logger: Logger? = nil
    ) {
        self.init(
            configuration: configuration, embedders: OneEmbedder(embedder), graph: graph, priority: priority,
            logger: logger)
    }

    /// Name that vectors of a generation are stored under that has none yet; empty where nothing is embedded.
    package var modelName: String { embedders.usualName }

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
                    if outcome.firstIndexVersion == nil, result.indexVersion > 0 {
                        outcome.firstIndexVersion = result.indexVersion
                    }
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
}
