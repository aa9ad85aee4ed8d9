package import Bytes
package import Postgres
package import Records
package import Retrieval

/// One passage of a document with where it came from; what a trace starts at.
package struct TraceRow: Sendable, Equatable {
    package var generation: Int64
    /// The newest index version when it was read.
    package var indexVersion: Int64
    package var version: Int64
    package var logicVersion: String
    package var lineageJSON: [UInt8]
    package var sourceTopic: String
    package var sourcePartition: Int32
    package var sourceOffset: Int64
    /// The index version that made it visible.
    package var fromVersion: Int64
    package var passage: Int32
    package var text: String
    package var textHash: String
    package var contentHash: String
    /// Empty where nothing was embedded.
    package var model: String
    package var hasVector: Bool
    package var tenant: String
    package var collection: String
}

/// Reads the index for the API.
///
/// Confined to one thread, and blocking, as its connection is; it connects when first used and again after a failure.
package final class SearchStore: RetrievalStore {
    /// Settings of a search session. Plans are kept whatever the values, which saves planning (about 1 ms). Sorts and
    /// sequential scans are off, so that the only way to the nearest vectors is the index: the planner cannot know how
    /// few of the optional filters are in use, and would rather sort what it takes for a handful of rows.
    package static let sessionSettings: [(name: String, value: String)] = [
        ("hnsw.ef_search", "100"), ("hnsw.iterative_scan", "relaxed_order"), ("hnsw.max_scan_tuples", "4000"),
        ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_sort", "off"),
        ("jit", "off"),
    ]

    private let connection: LazyConnection
    private let interrupt = PostgresInterrupt()

    /// - Parameter configuration: of a migrated database; the session settings are added to it.
    package init(configuration: PostgresConfiguration) {
        var configuration = configuration
        configuration.sessionSettings += Self.sessionSettings
        configuration.interrupt = interrupt
        connection = LazyConnection(configuration)
    }

    /// Cancels the statement that runs; the connection is kept where the server ends it soon.
    package var interruption: Interruption? {
        Interruption(request: { [interrupt] in interrupt.request() }, clear: { [interrupt] in interrupt.clear() })
    }

    /// Both arms in one statement, hence one snapshot and one round trip. An automatic search whose vector arm found fewer
    /// candidates than asked for, because of the filters, is done again with an exact one, in a snapshot of its own.
    package func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet {
        let values = SearchValues(query: query)
        let wantsVector = query.vector != nil && query.vectorLimit > 0
        let wantsLexical = query.lexicalLimit > 0
        guard wantsVector else {
            return try search(LexicalSearch.self, TestedLexicalSearch.self, values, timeoutMilliseconds)
        }
        if query.vectorScan == .exact {
            return try exact(values, withLexical: wantsLexical, timeoutMilliseconds: timeoutMilliseconds)
        }
        var found =
            wantsLexical
            ? try search(HybridSearch.self, TestedHybridSearch.self, values, timeoutMilliseconds)
            : try search(VectorSearch.self, TestedVectorSearch.self, values, timeoutMilliseconds)
        let nearest = found.candidates.count { $0.vector != nil }
        guard found.isGenerationServed, nearest < min(query.vectorLimit, SearchSQL.armLimit) else { return found }
        guard query.vectorScan == .automatic else {
            found.isVectorArmShort = true
            return found
        }
        return try exact(values, withLexical: wantsLexical, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// See ``RetrievalStore``; at most ``RecentDocuments/limitMax`` documents out of ``RecentDocuments/rowsMax`` rows.
    package func recent(_ query: RecentQuery, timeoutMilliseconds: Int) throws -> RecentPage {
        let filter = FilterBinding(query.filter)
        let rows =
            filter.hasTests
            ? try connection.run(
                TestedRecentDocuments(query: query, filter: filter), timeoutMilliseconds: timeoutMilliseconds)
            : try connection.run(
                RecentDocuments(query: query, filter: filter), timeoutMilliseconds: timeoutMilliseconds)
        return RecentDocuments.page(of: rows, for: query)
    }

    /// The active generation and the newest index version.
    package func status(timeoutMilliseconds: Int) throws -> IndexStatus {
        guard let row = try connection.run(ReadIndexStatus(), timeoutMilliseconds: timeoutMilliseconds).first else {
            throw IndexError(.schema, "there is no active generation", hint: "run `medallion migrate`")
        }
        return IndexStatus(
            generation: row.generation, indexVersion: row.indexVersion,
            indexedAtMilliseconds: row.indexedAtMilliseconds,
            serverVersion: try connection.get(timeoutMilliseconds: timeoutMilliseconds).serverVersion)
    }

    /// The server's process that serves the connection.
    func backendProcessID(timeoutMilliseconds: Int) throws(IndexError) -> Int32 {
        try connection.get(timeoutMilliseconds: timeoutMilliseconds).backendProcessID
    }

    /// The active generation and the next source offsets that its index has reached, of all sources' topics.
    package func reached(
        timeoutMilliseconds: Int
    ) throws -> (generation: Int64, nextOffsets: [TopicPartition: Int64]) {
        let rows = try connection.run(ReadReached(), timeoutMilliseconds: timeoutMilliseconds)
        guard let generation = rows.first?.generation else {
            throw IndexError(.schema, "there is no active generation", hint: "run `medallion migrate`")
        }
        var offsets: [TopicPartition: Int64] = [:]
        for case (_, let place?, let next) in rows { offsets[place] = next }
        return (generation, offsets)
    }

    /// Keeps an answer; a second one with the same id is an error (a unique violation).
    package func save(_ answer: StoredAnswer, timeoutMilliseconds: Int) throws {
        _ = try connection.run(SaveAnswer(answer: answer), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// See ``RetrievalStore``.
    package func tidyAnswers(
        _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws -> Int64 {
        try AnswerTidying.step(
            connection, bounds, nowMilliseconds: nowMilliseconds, timeoutMilliseconds: timeoutMilliseconds)
    }

    /// The tenant's answer of that id, or nil.
    package func answer(
        id: String, tenant: TenantID = .standard, timeoutMilliseconds: Int
    ) throws(IndexError) -> StoredAnswer? {
        try connection.run(ReadAnswer(id: id, tenant: tenant), timeoutMilliseconds: timeoutMilliseconds).first
    }

    /// The passages of a document in a generation (nil: the active one), by number; empty where it is not there.
    ///
    /// - Parameters:
    ///   - collection: nil for all, each of which may have a document of that id: theirs then come one behind the other.
    ///   - tenant: whose documents are looked at.
    package func document(
        id: String, collection: String? = nil, tenant: TenantID = .standard, generation: Int64? = nil,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> [TraceRow] {
        // Postgres' text cannot hold U+0000, so no document has such an id.
        guard !id.utf8.contains(0) else { return [] }
        return try connection.run(
            ReadDocument(docID: id, collection: collection, generation: generation),
            timeoutMilliseconds: timeoutMilliseconds
        ).filter { $0.tenant == tenant.text }
    }

    private func exact(
        _ values: SearchValues, withLexical: Bool, timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        let bound = max(1, timeoutMilliseconds)
        do throws(IndexError) {
            return withLexical
                ? try exact(ExactHybridSearch.self, TestedExactHybridSearch.self, values, bound)
                : try exact(ExactVectorSearch.self, TestedExactVectorSearch.self, values, bound)
        } catch {
            guard error.underlying?.isStatementCancelled == true || error.underlying?.kind == .timeout else {
                throw error
            }
            throw SearchBoundReached(milliseconds: bound)
        }
    }

    /// In a transaction of its own, whose statements have at most `bound` milliseconds each.
    private func exact<Plain: SearchStatement, Tested: SearchStatement>(
        _ plain: Plain.Type, _ tested: Tested.Type, _ values: SearchValues, _ bound: Int
    ) throws(IndexError) -> CandidateSet {
        values.filter.hasTests
            ? try planned(Tested(values: values), bound) : try planned(Plain(values: values), bound)
    }

    private func planned(_ statement: some SearchStatement, _ bound: Int) throws(IndexError) -> CandidateSet {
        var batch = PostgresBatch()
        batch.add(PlanWithValues(statementMilliseconds: bound))
        let slot = batch.add(statement)
        // The server's limit is to come first: the connection then stays as it is.
        let patience = bound + Self.exactMarginMilliseconds
        return try connection.run(batch, timeoutMilliseconds: patience) {
            results throws(PostgresError) in set(try results.rows(slot))
        }
    }

    private static let exactMarginMilliseconds = 500

    /// The plain statement, whose parameters are enough for most filters, or the one with tests.
    private func search<Plain: SearchStatement, Tested: SearchStatement>(
        _ plain: Plain.Type, _ tested: Tested.Type, _ values: SearchValues, _ timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        values.filter.hasTests
            ? set(try connection.run(Tested(values: values), timeoutMilliseconds: timeoutMilliseconds))
            : set(try connection.run(Plain(values: values), timeoutMilliseconds: timeoutMilliseconds))
    }

    private func set(_ rows: [SearchRow]) -> CandidateSet {
        CandidateSet(
            candidates: rows.compactMap(\.candidate), generation: rows.first?.generation ?? 0,
            indexVersion: rows.first?.indexVersion ?? 0, isGenerationServed: !rows.isEmpty)
    }
}
