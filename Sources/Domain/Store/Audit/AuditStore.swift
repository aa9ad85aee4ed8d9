package import Postgres
package import Records

/// What a generation shows of a Gold line's document.
package struct AuditedKey: Sendable {
    package struct Shown: Sendable {
        package var documentID: Int64
        package var version: Int64
        package var source: TopicPartition
        package var offset: Int64
        package var contentHash: String
        package var title: String
        /// The number of the model of its vectors; 0 for none.
        package var model: Int32
    }
    /// Nil where it shows nothing.
    package var shown: Shown?
    /// Whether it was told to delete that version, or all below a later one.
    package var isDeleted: Bool
    /// Whether Postgres refused the line.
    package var isRefused: Bool
}

/// A row that a generation shows; its names are empty where its content is gone.
package struct AuditedRow: Sendable {
    package var documentID: Int64
    package var offset: Int64
    package var docID: String
    package var collection: String
    package var tenant: String
}

/// A passage as the index has it.
package struct AuditedPassage: Sendable {
    package var documentID: Int64
    package var number: Int32
    package var hash: String
    package var text: String
    package var vectorID: Int64?
    package var hasWords: Bool
}

/// A vector as the index has it.
package struct AuditedVector: Sendable {
    package var id: Int64
    package var inputHash: String
    package var norm: Double
    /// Nil where they were not asked for.
    package var numbers: [Float]?
}

/// What an audit looks at.
package struct AuditedGeneration: Sendable {
    package var generation: Int64
    /// The number of its vectors' model; 0 for none.
    package var model: Int32
    package var modelName: String
    package var passages: Int64
}

/// How much of the index nothing refers to.
package struct IndexOrphans: Sendable, Equatable {
    package var documents: Int64
    package var passages: Int64
    package var words: Int64
    package var postings: Int64
    package var vectors: Int64 = 0

    package init(documents: Int64 = 0, passages: Int64 = 0, words: Int64 = 0, postings: Int64 = 0) {
        self.documents = documents
        self.passages = passages
        self.words = words
        self.postings = postings
    }

    /// All of them.
    package var sum: Int64 { documents + passages + words + postings + vectors }
}

/// Reads an index to compare it with a lake, and takes out of it what should not be there.
///
/// Confined to one thread, and blocking, as its connection is.
package final class AuditStore {
    private let connection: LazyConnection
    private let timeoutMilliseconds: Int

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - timeoutMilliseconds: of each statement.
    package init(configuration: PostgresConfiguration, timeoutMilliseconds: Int = 600_000) {
        connection = LazyConnection(configuration)
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    /// The generation asked for, or the active one; nil where there is none, or it was pruned.
    package func generation(_ wanted: Int64?) throws(IndexError) -> AuditedGeneration? {
        try connection.run(
            ReadAuditedGeneration(generation: wanted), timeoutMilliseconds: timeoutMilliseconds
        ).first
    }

    /// What is shown of the documents of some lines, in their order.
    package func keys(
        _ generation: Int64, _ source: TopicPartition, of lines: [(offset: Int64, document: GoldDocument)]
    ) throws(IndexError) -> [AuditedKey] {
        guard !lines.isEmpty else { return [] }
        return try connection.run(
            ReadAuditedKeys(generation: generation, source: source, lines: lines),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// What is shown of a range of source offsets.
    package func rows(
        _ generation: Int64, _ source: TopicPartition, in range: OffsetRange
    ) throws(IndexError) -> [AuditedRow] {
        try connection.run(
            ReadAuditedRows(generation: generation, source: source, range: range),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The passages of some contents, by number.
    package func passages(of documents: [Int64]) throws(IndexError) -> [Int64: [AuditedPassage]] {
        guard !documents.isEmpty else { return [:] }
        let rows = try connection.run(
            ReadAuditedPassages(documents: documents), timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(grouping: rows, by: \.documentID)
    }

    /// Some vectors of a model, by number.
    ///
    /// - Parameter sampled: those whose numbers are read, too.
    package func vectors(
        _ vectors: [Int64], model: Int32, sampled: [Int64]
    ) throws(IndexError) -> [Int64: AuditedVector] {
        guard !vectors.isEmpty, model > 0 else { return [:] }
        let rows = try connection.run(
            ReadAuditedVectors(model: model, vectors: vectors, sampled: sampled),
            timeoutMilliseconds: timeoutMilliseconds)
        return Dictionary(rows.map { ($0.id, $0) }) { first, _ in first }
    }

    /// What nothing refers to, of all generations.
    package func orphans(model: Int32) throws(IndexError) -> IndexOrphans {
        guard var orphans = try connection.run(CountOrphans(), timeoutMilliseconds: timeoutMilliseconds).first else {
            return IndexOrphans()
        }
        if model > 0 {
            orphans.vectors =
                try connection.run(CountOrphanVectors(model: model), timeoutMilliseconds: timeoutMilliseconds).first
                ?? 0
        }
        return orphans
    }

    /// Hides documents in an index transaction.
    package func hide(_ hiding: AuditHiding) throws(IndexError) {
        var batch = PostgresBatch()
        batch.add(BeginIndexTransaction(origin: .replay, generations: [hiding.generation]))
        batch.add(HideAudited(hiding: hiding))
        try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { _ throws(PostgresError) in () }
    }

    /// Where the generation shows documents that have one of some vectors, 10,000 at most.
    package func places(
        _ generation: Int64, ofVectors vectors: [Int64], model: Int32
    ) throws(IndexError) -> [AuditedPlace] {
        guard !vectors.isEmpty else { return [] }
        return try connection.run(
            ReadVectorPlaces(generation: generation, model: model, vectors: vectors),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// How many rows a finished generation shows of what neither its checkpoints nor some ranges of the lake cover.
    package func rowsOutside(
        _ ranges: [(source: TopicPartition, range: OffsetRange)], generation: Int64
    ) throws(IndexError) -> Int64 {
        try connection.run(
            CountRowsOutside(generation: generation, ranges: ranges), timeoutMilliseconds: timeoutMilliseconds
        ).first ?? 0
    }

    private static let orphansMax: Int64 = 1_000_000
    private static let orphansStep = 1_000

    /// Removes what nothing refers to, of each kind a million at most: looked for while others write, removed in index transactions of
    /// a thousand, each of which looks again.
    package func removeOrphans(model: Int32) throws(IndexError) {
        for kind in OrphanKind.allCases where kind != .vectors || model > 0 {
            let orphans = try connection.run(
                ReadOrphans(kind: kind, model: model, limit: Self.orphansMax), timeoutMilliseconds: timeoutMilliseconds)
            for start in stride(from: 0, to: orphans.count, by: Self.orphansStep) {
                let step = orphans[start..<min(start + Self.orphansStep, orphans.count)]
                var batch = PostgresBatch()
                batch.add(BeginIndexTransaction(origin: .replay, generations: []))
                batch.add(RemoveOrphans(kind: kind, model: model, orphans: step))
                try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { _ throws(PostgresError) in () }
            }
        }
    }

    /// Keeps what an audit came to, in place of the one before of that generation.
    package func save(
        _ generation: Int64, documents: Int64, drift: Int64, reportJSON: [UInt8]
    ) throws(IndexError) {
        _ = try connection.run(
            SaveAudit(generation: generation, documents: documents, drift: drift, reportJSON: reportJSON),
            timeoutMilliseconds: timeoutMilliseconds)
    }
}

extension IndexUpkeep {
    /// What the last audit of the active generation came to; nil where there was none.
    package func lastAudit(
        timeoutMilliseconds: Int
    ) throws(IndexError) -> (drift: Int64, finishedAtMilliseconds: Int64)? {
        try connection.run(ReadAudit(), timeoutMilliseconds: timeoutMilliseconds).first
    }
}
