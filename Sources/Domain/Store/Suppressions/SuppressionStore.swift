package import Postgres
package import Records

/// The suppressions that the index applies. What is written here came by the topic or the lake's log, any number of times.
///
/// Confined to one thread, and blocking, as its connection is; it acts as the database's own user.
package final class SuppressionStore {
    private let connection: LazyConnection

    /// Suppressions of one page at most.
    package static let pageMax = 1_000
    /// Documents of one index transaction at most: writers wait for so many.
    static let documentsPerStep: Int32 = 2_000

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Applies an entry; one that was applied before changes nothing. What comes in falls under it from the first transaction
    /// on, which keeps the position, too; what is there follows ``documentsPerStep`` at a time, and other writes get their turn in
    /// between. ``finish(isStopped:timeoutMilliseconds:)`` resumes it after an interruption.
    ///
    /// - Parameters:
    ///   - topic: where it was read, and the offset behind it, kept for the next start.
    ///   - isStopped: asked between steps.
    ///   - timeoutMilliseconds: of each step.
    /// - Returns: how many documents were taken out or brought back; nil where it was known.
    @discardableResult
    package func apply(
        _ entry: SuppressionEntry, reached topic: (name: String, nextOffset: Int64)? = nil,
        isStopped: () -> Bool = { false }, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64? {
        guard let number = try begin(entry, reached: topic, timeoutMilliseconds: timeoutMilliseconds) else {
            return nil
        }
        return try finish(number, isStopped, timeoutMilliseconds)
    }

    /// Resumes what was interrupted, in this process or another.
    ///
    /// - Returns: how many documents were taken out or brought back.
    @discardableResult
    package func finish(
        isStopped: () -> Bool = { false }, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        var changed: Int64 = 0
        for number in try connection.run(ListUnfinishedSuppressions(), timeoutMilliseconds: timeoutMilliseconds) {
            changed += try finish(number, isStopped, timeoutMilliseconds)
        }
        return changed
    }

    private func finish(
        _ number: Int64, _ isStopped: () -> Bool, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        var changed: Int64 = 0
        while !isStopped() {
            let step = ContinueSuppression(number: number, limit: Self.documentsPerStep)
            guard let more = try connection.run(step, timeoutMilliseconds: timeoutMilliseconds).first ?? nil else {
                break
            }
            changed += more
        }
        return changed
    }

    /// Its number: the first of its transactions.
    func begin(
        _ entry: SuppressionEntry, reached topic: (name: String, nextOffset: Int64)? = nil, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64? {
        var batch = PostgresBatch()
        let number: (PostgresResults) throws(PostgresError) -> Int64?
        switch entry {
        case .suppress(let suppression):
            let slot = batch.add(ApplySuppression(suppression: suppression))
            number = { results throws(PostgresError) in try results.rows(slot).first ?? nil }
        case .lift(let id, let tenant, let reason, let by, let at):
            let slot = batch.add(
                LiftSuppression(id: id, tenant: tenant, reason: reason, by: by, atMilliseconds: at))
            number = { results throws(PostgresError) in try results.rows(slot).first ?? nil }
        }
        if let topic { batch.add(KeepSuppressionPosition(topic: topic.name, nextOffset: topic.nextOffset)) }
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds, number)
    }

    /// Passes over what cannot be read.
    package func keep(position next: Int64, of topic: String, timeoutMilliseconds: Int) throws(IndexError) {
        _ = try connection.run(
            KeepSuppressionPosition(topic: topic, nextOffset: next), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The next offset of the suppressions' topic; nil where nothing was read yet.
    package func position(of topic: String, timeoutMilliseconds: Int) throws(IndexError) -> Int64? {
        try connection.run(ReadSuppressionPosition(topic: topic), timeoutMilliseconds: timeoutMilliseconds).first
    }

    /// A tenant's suppressions, lifted ones too, the newest first.
    ///
    /// - Parameters:
    ///   - before: only those with a lower number.
    ///   - limit: ``pageMax`` at most.
    package func list(
        of tenant: TenantID, before: Int64 = .max, limit: Int = SuppressionStore.pageMax, timeoutMilliseconds: Int
    ) throws(IndexError) -> [SuppressionRecord] {
        let statement = ListSuppressions(
            tenant: tenant, before: before, limit: Int64(max(0, min(limit, Self.pageMax))))
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).compactMap { $0 }
    }

    /// A tenant's suppression; nil where there is none of that id.
    package func find(
        _ id: String, of tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> SuppressionRecord? {
        try connection.run(FindSuppression(id: id, tenant: tenant), timeoutMilliseconds: timeoutMilliseconds).first
            ?? nil
    }

    /// A number that is another one whenever something was suppressed or lifted.
    package func state(timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        try connection.run(ReadSuppressionState(), timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }

    /// What is in force, by tenant, with the records that are erased.
    package func inForce(timeoutMilliseconds: Int) throws(IndexError) -> [TenantID: SuppressionSet] {
        let records = try connection.run(ListSuppressionsInForce(), timeoutMilliseconds: timeoutMilliseconds)
            .compactMap { $0?.suppression }
        let erased = Dictionary(
            grouping: try connection.run(ListErasedRecords(), timeoutMilliseconds: timeoutMilliseconds), by: \.tenant)
        let targets = Dictionary(grouping: records, by: \.tenant)
        return Dictionary(
            uniqueKeysWithValues: Set(targets.keys).union(erased.keys).map { tenant in
                let ranges = Dictionary(grouping: erased[tenant] ?? [], by: \.source).mapValues { $0.map(\.range) }
                return (tenant, SuppressionSet((targets[tenant] ?? []).map(\.target), erased: ranges))
            })
    }
}
