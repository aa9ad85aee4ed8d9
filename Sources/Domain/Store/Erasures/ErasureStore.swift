package import Postgres
package import Records

/// Where a name stands in the index beside the documents that it names.
package struct IndexMention: Sendable, Equatable {
    /// `answers`, `documents`, `golden_queries` or `suppressions`; `matches`: documents that are erased.
    package let kind: String
    package let count: Int64
    /// The id or name of one of them.
    package let example: String

    package init(kind: String, count: Int64, example: String) {
        self.kind = kind
        self.count = count
        self.example = example
    }
}

/// What keeps the write-ahead log of a database.
package struct WALBounds: Sendable, Equatable {
    /// The longest time between two checkpoints, in milliseconds.
    package let checkpointMilliseconds: Int64
    /// Whether it is archived.
    package let isArchived: Bool
    /// Replication slots, which hold what their readers have not read.
    package let slots: Int64

    package init(checkpointMilliseconds: Int64, isArchived: Bool, slots: Int64) {
        self.checkpointMilliseconds = checkpointMilliseconds
        self.isArchived = isArchived
        self.slots = slots
    }
}

/// The erasures that the index applies. What is written here came by the lake's log, any number of times.
///
/// Confined to one thread, and blocking, as its connection is; it acts as the database's own user.
package final class ErasureStore {
    private let connection: LazyConnection

    /// Documents that one index transaction looks through at most; writers wait for what it takes out of them.
    static let documentsPerStep: Int32 = 5_000
    /// The tables in which erased rows lay.
    package static let tables = [
        "documents", "passages", "visibility", "words", "answers", "answer_documents", "answer_feedback",
        "refused_documents", "suppressed_documents",
    ]

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// The erasures that the index knows, by id, and whether each is done.
    package func known(timeoutMilliseconds: Int) throws(IndexError) -> [String: Bool] {
        Dictionary(
            try connection.run(ListErasures(), timeoutMilliseconds: timeoutMilliseconds).map { ($0.id, $0.isDone) },
            uniquingKeysWith: { $1 })
    }

    /// Keeps out what comes in of an erasure's records from now on, and takes nothing out yet; one that is known changes nothing.
    ///
    /// - Parameters: as ``apply(_:_:lookedTo:isStopped:timeoutMilliseconds:)`` has them.
    package func putInForce(
        _ erasure: Erasure, _ records: [(source: TopicPartition, range: OffsetRange)],
        lookedTo: [TopicPartition: Int64], timeoutMilliseconds: Int
    ) throws(IndexError) {
        _ = try connection.run(
            ApplyErasure(erasure: erasure, records: records, lookedTo: lookedTo),
            timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Applies an erasure, or resumes it; one that is done changes nothing. What comes in of its records is kept out from the first
    /// transaction on; what is there follows in steps, and other writes get their turn in between.
    ///
    /// - Parameters:
    ///   - records: the Bronze records that are erased.
    ///   - lookedTo: of each topic partition the offset below which it was looked through: what has the name goes up to there.
    ///   - isStopped: asked between steps.
    ///   - timeoutMilliseconds: of each step.
    /// - Returns: how many documents were taken out now.
    @discardableResult
    package func apply(
        _ erasure: Erasure, _ records: [(source: TopicPartition, range: OffsetRange)],
        lookedTo: [TopicPartition: Int64], isStopped: () -> Bool = { false }, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        try putInForce(erasure, records, lookedTo: lookedTo, timeoutMilliseconds: timeoutMilliseconds)
        var removed: Int64 = 0
        while !isStopped() {
            let step = ContinueErasure(id: erasure.id, limit: Self.documentsPerStep)
            guard let more = try connection.run(step, timeoutMilliseconds: timeoutMilliseconds).first ?? nil else {
                break
            }
            removed += more
        }
        return removed
    }

    /// Removes what came in of erased records since; all of it, in steps.
    ///
    /// - Returns: how many rows.
    @discardableResult
    package func removeErased(timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        var removed: Int64 = 0
        while true {
            let step = RemoveErased(limit: Self.documentsPerStep)
            let more = try connection.run(step, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
            if more == 0 { return removed }
            removed += more
        }
    }

    /// Removes stored answers of an erasure's tenant that mention a name: it stands in a text of theirs as words of its own.
    ///
    /// - Returns: how many.
    @discardableResult
    package func eraseMentions(_ id: String, of name: String, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        let statement = EraseMentions(id: id, pattern: NamePattern.postgres(name))
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }

    /// Where a name stands; reads all texts of the tenant.
    package func mentions(
        of name: String, texts: [String], _ target: ErasureTarget, tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> [IndexMention] {
        let statement = CountMentions(tenant: tenant, texts: texts, name: name, target: target)
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Gives the room of removed rows back to their tables, so that it is used again soon, and has the planner's statistics, which keep
    /// frequent values, forget what they had.
    package func vacuum(timeoutMilliseconds: Int) throws(IndexError) {
        for table in Self.tables + ["postings", "passage_terms"] {
            let connection = try connection.get(timeoutMilliseconds: timeoutMilliseconds)
            do throws(PostgresError) {
                _ = try connection.script(
                    "VACUUM (ANALYZE) \(table)", operation: "vacuum", timeoutMilliseconds: timeoutMilliseconds)
            } catch {
                throw IndexError(error)
            }
        }
    }

    /// How long the database's write-ahead log keeps what was written.
    package func walBounds(timeoutMilliseconds: Int) throws(IndexError) -> WALBounds {
        try connection.run(ReadWALBounds(), timeoutMilliseconds: timeoutMilliseconds).first
            ?? WALBounds(checkpointMilliseconds: 0, isArchived: false, slots: 0)
    }

    /// How far the indexer has read a topic partition of a Gold topic; nil where it has read nothing of it.
    package func goldReached(_ place: TopicPartition, timeoutMilliseconds: Int) throws(IndexError) -> Int64? {
        try connection.run(ReadGoldReached(place: place), timeoutMilliseconds: timeoutMilliseconds).first
    }
}
