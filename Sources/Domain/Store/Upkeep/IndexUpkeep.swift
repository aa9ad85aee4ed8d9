package import Postgres
package import Records

/// How long the index keeps what is not shown any more, and what it shows.
package struct IndexRetention: Sendable, Equatable {
    /// Age of documents of a collection beyond which they go.
    package struct Expiry: Sendable, Equatable {
        package var tenant: TenantID
        package var collection: CollectionName
        /// By the time of the event.
        package var days: Int

        package init(tenant: TenantID, collection: CollectionName, days: Int) {
            self.tenant = tenant
            self.collection = collection
            self.days = days
        }
    }

    /// How far back index versions can be read.
    package var historyHours: Int
    package var expiries: [Expiry]

    package init(historyHours: Int = 24, expiries: [Expiry] = []) {
        self.historyHours = historyHours
        self.expiries = expiries
    }
}

/// What keeps the index small and quick beside its work: removing what is retired, giving room back, and the graphs over the
/// vectors.
///
/// Confined to one thread, and blocking, as its connection is; it connects when first used and again after a failure.
package final class IndexUpkeep {
    let connection: LazyConnection
    private var cutter = WordCutter()

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Rows that one step removes. It holds the lock of index transactions meanwhile: the longer, the more words they have.
    package static let stepRows: Int32 = 2_000
    /// A table is vacuumed where so large a share of its rows is dead, beyond a number that is not worth the work.
    static let deadShare = 0.2, deadRowsMin: Int64 = 5_000

    /// One step of removing what nobody can ask for any more: what pruned generations showed, what ended before the history,
    /// contents and vectors that nobody refers to.
    ///
    /// - Returns: rows removed; 0 when nothing is left to do.
    package func removeRetired(
        _ retention: IndexRetention, rows: Int32 = stepRows, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        let statement = RemoveRetired(historyHours: retention.historyHours, rows: rows)
        return try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }

    /// Gives the room of vectors back at once, with their graphs, where all generations of their model were pruned and upkeep has
    /// removed their contents.
    ///
    /// - Returns: the models' names.
    package func emptyVectors(timeoutMilliseconds: Int) throws(IndexError) -> [String] {
        var models: [String] = []
        while let model = try connection.run(EmptyVectors(), timeoutMilliseconds: timeoutMilliseconds).first ?? nil {
            models.append(model)
        }
        return models
    }

    /// One step of removing documents that are too old.
    ///
    /// - Returns: contents removed; 0 when nothing is left to do.
    package func removeExpired(
        _ retention: IndexRetention, nowMilliseconds: Int64, rows: Int32 = stepRows, timeoutMilliseconds: Int
    ) throws(IndexError) -> Int64 {
        for expiry in retention.expiries where expiry.days > 0 {
            let before = nowMilliseconds - Int64(expiry.days) * 86_400_000
            let statement = RemoveExpired(
                tenant: expiry.tenant, collection: expiry.collection, beforeMilliseconds: before, rows: rows)
            let removed = try connection.run(statement, timeoutMilliseconds: timeoutMilliseconds).first ?? 0
            if removed > 0 { return removed }
        }
        return 0
    }

    /// Gives the room of dead rows back to their tables, where it is much. Searches and writes go on meanwhile.
    ///
    /// - Returns: the tables.
    @discardableResult
    package func vacuum(timeoutMilliseconds: Int) throws(IndexError) -> [String] {
        let tables = try connection.run(
            FindDeadRows(share: Self.deadShare, rowsMin: Self.deadRowsMin), timeoutMilliseconds: timeoutMilliseconds)
        for table in tables {
            try connection.script(
                "VACUUM (ANALYZE) \(table)", operation: "vacuum", timeoutMilliseconds: timeoutMilliseconds)
        }
        return tables
    }

    /// Tells the planner of tables that have more than doubled since it last looked: plans made for an empty table are kept until
    /// then, and the server's own look comes a minute later.
    ///
    /// - Returns: the tables.
    @discardableResult
    package func analyzeGrown(timeoutMilliseconds: Int) throws(IndexError) -> [String] {
        let tables = try connection.run(FindGrownTables(), timeoutMilliseconds: timeoutMilliseconds)
        for table in tables {
            try connection.script("ANALYZE \(table)", operation: "analyze", timeoutMilliseconds: timeoutMilliseconds)
        }
        return tables
    }

    /// One step of bringing the numbers of passages that have a word up to date, by which the word arm weighs.
    ///
    /// - Returns: how many documents were counted; 0 when nothing is left to do.
    @discardableResult
    package func countWords(timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        try connection.run(CountWords(), timeoutMilliseconds: timeoutMilliseconds).first ?? 0
    }

    /// One step of joining what small batches wrote of a word: searches read one long row sooner than many short ones. Looks at the
    /// newest passages alone; where more came, as in large batches, rows are long already.
    ///
    /// - Parameter passage: the number of the newest passage that the step before looked at; 0 for the first step.
    /// - Returns: the number for the next step.
    package func joinPostings(after passage: Int64, timeoutMilliseconds: Int) throws(IndexError) -> Int64 {
        try connection.run(JoinPostings(after: passage), timeoutMilliseconds: timeoutMilliseconds).first ?? passage
    }

    /// One step of giving passages their words that lack them, or have them by another way of cutting, the newest first.
    ///
    /// - Parameter cursor: nil for the first step.
    /// - Returns: the cursor of the next step; nil when nothing is left to do.
    package func cutWords(_ cursor: WordCursor?, timeoutMilliseconds: Int) throws(IndexError) -> WordCursor? {
        let beginning =
            cursor == nil
            ? try connection.run(BeginCutting(), timeoutMilliseconds: timeoutMilliseconds).first : cursor
        guard let cursor = beginning, cursor.below > 0 else { return nil }
        let rows = try connection.run(ListUncutPassages(cursor: cursor), timeoutMilliseconds: timeoutMilliseconds)
        guard let last = rows.last else {
            _ = try connection.run(EndCutting(), timeoutMilliseconds: timeoutMilliseconds)
            return nil
        }
        let analyzer = try cutter.get()
        for (tenant, passages) in Dictionary(grouping: rows, by: \.tenant).sorted(by: { $0.key < $1.key }) {
            var batch = PostgresBatch()
            batch.add(LockIndex())
            // They come newest first.
            let ascending = passages.sorted { $0.id < $1.id }
            batch.add(
                ReplaceWords(
                    tenant: tenant, passages: ascending.map(\.id),
                    words: PassageWords(ascending.lazy.map { analyzer.terms(of: $0) })))
            try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) { _ throws(PostgresError) in () }
        }
        return WordCursor(below: last.id)
    }

    /// Builds the graphs that are wanted beside those that are there, and drops these once the new ones can be used: searches
    /// and writes go on meanwhile. One process at a time does so.
    ///
    /// - Parameter timeoutMilliseconds: for each graph; a million vectors take minutes.
    /// - Returns: the names of the indexes built.
    @discardableResult
    package func buildGraphs(_ graph: VectorGraph, timeoutMilliseconds: Int) throws(IndexError) -> [String] {
        let turn = try connection.run(TryLockGraphs(), timeoutMilliseconds: timeoutMilliseconds)
        guard turn.first == true else { return [] }
        var built: [String] = []
        let outcome: Result<Void, IndexError>
        do throws(IndexError) {
            for part in try connection.run(ListGraphs(), timeoutMilliseconds: timeoutMilliseconds) {
                if let name = try buildGraph(graph, of: part, timeoutMilliseconds) { built.append(name) }
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        // The lock is the session's: it goes with the connection, should this fail.
        _ = try? connection.run(UnlockGraphs(), timeoutMilliseconds: 10_000)
        try outcome.get()
        return built
    }

    private func buildGraph(
        _ graph: VectorGraph, of part: ListGraphs.Row, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> String? {
        let wanted = part.indexes.first { $0.isUsable && $0.m == graph.m && $0.efConstruction == graph.efConstruction }
        let others = part.indexes.filter { $0 != wanted }
        let name = "\(part.table)_hnsw_\(graph.m)_\(graph.efConstruction)"
        if wanted == nil {
            // A build that was interrupted leaves an index that is never used but has the name.
            try connection.script(
                "DROP INDEX CONCURRENTLY IF EXISTS \(name)", operation: "drop graph",
                timeoutMilliseconds: timeoutMilliseconds)
            try connection.script(
                "CREATE INDEX CONCURRENTLY \(name) ON \(part.table) USING hnsw (embedding halfvec_cosine_ops) "
                    + "WITH (m = \(graph.m), ef_construction = \(graph.efConstruction))", operation: "build graph",
                timeoutMilliseconds: timeoutMilliseconds)
        }
        for other in others where other.name != name {
            try connection.script(
                "DROP INDEX CONCURRENTLY IF EXISTS \(other.name)", operation: "drop graph",
                timeoutMilliseconds: timeoutMilliseconds)
        }
        return wanted == nil ? name : nil
    }
}
