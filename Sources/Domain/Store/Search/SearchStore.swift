package import Bytes
package import Postgres
package import Records
package import Retrieval
import Text

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
    package var title: String
    package var url: String
    package var times: IndexedTimes
}

/// The times of a document that the index knows, in milliseconds since 1970; nil where a time is not known.
package struct IndexedTimes: Sendable, Equatable {
    /// The event's own.
    package var eventMilliseconds: Int64?
    /// When the vectors of its index transaction were there.
    package var embeddedMilliseconds: Int64?
    /// When its index transaction ran.
    package var indexedMilliseconds: Int64?
    /// When that transaction's commit had returned.
    package var searchableMilliseconds: Int64?

    package init(
        eventMilliseconds: Int64? = nil, embeddedMilliseconds: Int64? = nil, indexedMilliseconds: Int64? = nil,
        searchableMilliseconds: Int64? = nil
    ) {
        self.eventMilliseconds = eventMilliseconds
        self.embeddedMilliseconds = embeddedMilliseconds
        self.indexedMilliseconds = indexedMilliseconds
        self.searchableMilliseconds = searchableMilliseconds
    }
}

/// Reads the index for the API.
///
/// Confined to one thread, and blocking, as its connection is; it connects when first used and again after a failure. Where the
/// database has the role, it acts as ``readerRole``, which owns nothing and is shown one tenant's rows at a time.
package final class SearchStore: RetrievalStore {
    /// The role that policies bind.
    package static let readerRole = "medallion_reader"

    /// Settings of a search session. Plans are kept whatever the values, which saves planning (about 1 ms). Sorts and
    /// sequential scans are off, so that the only way to the nearest vectors is the index: the planner cannot know how
    /// few of the optional filters are in use, and would rather sort what it takes for a handful of rows.
    ///
    /// - Parameter ef: candidates that the graph's search keeps, 1 to 1,000.
    package static func sessionSettings(ef: Int = 800) -> [(name: String, value: String)] {
        [
            ("hnsw.ef_search", "\(max(1, min(ef, 1_000)))"), ("hnsw.iterative_scan", "relaxed_order"),
            ("hnsw.max_scan_tuples", "4000"), ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"),
            ("enable_sort", "off"), ("jit", "off"),
        ]
    }

    /// Settings of a session that fills and follows arms in memory, which looks no vectors up. It may sort: rows of a few documents,
    /// asked for in the order of their numbers, would else be found by walking over all documents in that order.
    static let feedSettings: [(name: String, value: String)] = [
        ("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off"),
    ]

    let connection: LazyConnection
    /// As the database's own user.
    private let upkeep: LazyConnection
    private let interrupt = PostgresInterrupt()
    /// The model of vectors of which queries do not say it.
    let model: String
    /// Numbers of models in the index, as far as they are known.
    private var modelNumbers: [String: Int32] = [:]
    var cutter = WordCutter()
    private let ranking: WordRanking
    let bounds: SearchBounds
    var graphCandidates: GraphCandidates
    /// Of queries whose filters name none.
    private let languages: [String]

    /// - Parameters:
    ///   - configuration: of a migrated database; the session settings are added to it.
    ///   - model: name of the model of vectors of which queries do not say it; empty where none embeds them.
    ///   - ef: candidates that the graph's search keeps, 1 to 1,000 (`hnsw.ef_search`); nil: by the number of passages.
    ///   - ranking: how the word arm weighs.
    ///   - languages: ISO codes of the languages that queries are taken to be in where filters name none.
    ///   - bounds: of the rows that one search reads.
    ///   - role: what it acts as where the database has it.
    package init(
        configuration: PostgresConfiguration, model: String = "", ef: Int? = nil,
        ranking: WordRanking = WordRanking(),
        languages: [String] = [StemLanguages.undetermined], bounds: SearchBounds = SearchBounds(),
        role: String = SearchStore.readerRole
    ) {
        self.bounds = bounds
        graphCandidates = GraphCandidates(configured: ef)
        self.ranking = ranking
        self.languages = languages
        var configuration = configuration
        configuration.sessionSettings += Self.sessionSettings(ef: graphCandidates.ofSession)
        configuration.interrupt = interrupt
        upkeep = LazyConnection(configuration)
        configuration.role = role
        connection = LazyConnection(configuration)
        self.model = model
    }

    /// Cancels the statement that runs; the connection is kept where the server ends it soon.
    package var interruption: Interruption? {
        Interruption(
            request: { [interrupt] in interrupt.request() }, clear: { [interrupt] in interrupt.clear() },
            isRequested: { [interrupt] in interrupt.isRequested })
    }

    /// Both arms in one statement, hence one snapshot and one round trip. An automatic search whose vector arm found fewer
    /// candidates than asked for, because of the filters, is done again with an exact one, in a snapshot of its own.
    ///
    /// - Throws: ``ModelMismatch`` where the generation's vectors are not of the queries' model, ``IndexVersionGone`` where the
    ///   index version asked for is older than the history.
    package func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(max(1, timeoutMilliseconds)) * 1_000_000
        let wantsLexical = query.lexicalLimit > 0
        if let page = query.page { return try self.page(page, of: query, timeoutMilliseconds: timeoutMilliseconds) }
        let words = try lookup(of: query, timeoutMilliseconds: timeoutMilliseconds)
        let asked = query
        var query = query
        // What is not meant may be among the first ones: all are looked at.
        if !words.phrases.isEmpty {
            (query.documentLimit, query.counted) = (nil, nil)
            // Its place is known when the others have gone.
            query.options.scoreMin = nil
        }
        let values = SearchValues(query: query, words: words)
        let wantsVector = query.vector != nil && query.vectorLimit > 0
        let asksOf = query.vectorModel ?? model
        let number = wantsVector ? try number(of: asksOf, timeoutMilliseconds: timeoutMilliseconds) : nil
        // An index without vectors of this model has another's, or none at all.
        let arm: CandidateQuery.VectorScan? = wantsVector && number != nil ? query.vectorScan : nil
        let search = IndexSearch(
            store: self, values: values, model: number ?? 0, modelName: asksOf, wantsVector: wantsVector,
            wantsLexical: wantsLexical)
        var found = try search.candidates(arm, timeoutMilliseconds)
        guard !words.phrases.isEmpty else { return found }
        let wanted = asked.documentLimit ?? SearchLimits.topKDefault
        found = try lookingFurther(search, arm, found, wanted: wanted, deadline: deadline)
        found.counts = try phraseCounts(asked, words, as: found, deadline: deadline)
        if asked.documentLimit != nil {
            found.candidates = ReciprocalRankFusion.documents(of: found.candidates, weights: query.fusion)
        }
        return found
    }

    /// Passages of a ranking that was found before, as far as they are still seen then.
    private func page(
        _ page: [RankedPassage], of query: CandidateQuery, timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(max(1, timeoutMilliseconds)) * 1_000_000
        let asked = query
        var query = query
        query.documentLimit = page.count
        let words =
            query.counted == nil ? WordLookup() : try lookup(of: query, timeoutMilliseconds: timeoutMilliseconds)
        let hasPhrases = !words.phrases.isEmpty
        if hasPhrases { query.counted = nil }
        let values = SearchValues(query: query, words: hasPhrases ? WordLookup() : words)
        let search = IndexSearch(
            store: self, values: values, model: 0, modelName: "", wantsVector: false, wantsLexical: false)
        var found = try search.withinLimit(nil, timeoutMilliseconds)
        if hasPhrases { found.counts = try phraseCounts(asked, words, as: found, deadline: deadline) }
        let places = Dictionary(page.map { ($0.passageID, $0) }) { first, _ in first }
        for index in found.candidates.indices {
            let place = places[found.candidates[index].passageID]
            (found.candidates[index].vector, found.candidates[index].lexical) = (place?.vector, place?.lexical)
            found.candidates[index].others = place?.others
        }
        found.rest = []
        return found
    }

    func lookup(
        of query: CandidateQuery, timeoutMilliseconds: Int
    ) throws(IndexError) -> WordLookup {
        let tenant = query.filter.scope.tenant
        return try lookup(of: query) { prefix throws(IndexError) in
            try run(ExpandPrefix(tenant: tenant.text, prefix: prefix), for: tenant, timeoutMilliseconds)
        }
    }

    /// The words of a query.
    ///
    /// - Parameter expand: the words that begin in some way, as ``ExpandPrefix`` finds them.
    func lookup(
        of query: CandidateQuery, expand: (String) throws(IndexError) -> [String]
    ) throws(IndexError) -> WordLookup {
        try WordLookup(of: query, by: cutter.get(), usual: languages, ranking: ranking, expand: expand)
    }

    /// The number of a model; nil where the index has none of its vectors.
    func number(of model: String, timeoutMilliseconds: Int) throws(IndexError) -> Int32? {
        if let known = modelNumbers[model] { return known }
        let found = try connection.run(FindModel(model: model), timeoutMilliseconds: timeoutMilliseconds).first?.number
        modelNumbers[model] = found
        return found
    }

    /// That a generation's vectors are of another model than a query's.
    func mismatch(_ generation: Int64, _ number: Int32, asked model: String, timeoutMilliseconds: Int) throws
        -> ModelMismatch
    {
        let name = try connection.run(ReadModelName(number: number), timeoutMilliseconds: timeoutMilliseconds).first
        return ModelMismatch(generation: generation, queryModel: model, model: name ?? "")
    }

    static let exactMarginMilliseconds = 500

    /// See ``RetrievalStore``; at most ``RecentDocuments/limitMax`` documents out of ``RecentDocuments/rowsMax`` rows.
    package func recent(_ query: RecentQuery, timeoutMilliseconds: Int) throws -> RecentPage {
        let filter = FilterBinding(query.filter)
        let tenant = query.filter.scope.tenant
        let rows =
            filter.hasTests
            ? try run(TestedRecentDocuments(query: query, filter: filter), for: tenant, timeoutMilliseconds)
            : try run(RecentDocuments(query: query, filter: filter), for: tenant, timeoutMilliseconds)
        return RecentDocuments.page(of: rows, for: query)
    }

    /// Runs a statement that is shown one tenant's rows.
    ///
    /// - Parameter asOwner: whether the database's own user asks, whom no policy binds: the statement names the tenant itself.
    func run<S: PostgresStatement>(
        _ statement: S, for tenant: TenantID, asOwner: Bool = false, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> [S.Row] {
        var batch = PostgresBatch()
        batch.add(ActForTenant(tenant: tenant))
        let slot = batch.add(statement)
        return try (asOwner ? upkeep : connection).run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot)
        }
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

    /// The active generation, the next source offsets that its index has reached, of all sources' topics, and when the last
    /// transaction of the indexer began, in milliseconds since 1970.
    package func reached(
        timeoutMilliseconds: Int
    ) throws -> (generation: Int64, nextOffsets: [TopicPartition: Int64], indexedAtMilliseconds: Int64?) {
        let rows = try connection.run(ReadReached(), timeoutMilliseconds: timeoutMilliseconds)
        guard let first = rows.first else {
            throw IndexError(.schema, "there is no active generation", hint: "run `medallion migrate`")
        }
        var offsets: [TopicPartition: Int64] = [:]
        for row in rows {
            if let place = row.place { offsets[place] = row.nextOffset }
        }
        return (first.generation, offsets, first.indexedAtMilliseconds)
    }

    /// See ``RetrievalStore``.
    package func tidyAnswers(
        _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws -> Int64 {
        // All tenants' answers are within the same bounds, and no policy shows all of them.
        try AnswerTidying.step(
            upkeep, bounds, nowMilliseconds: nowMilliseconds, timeoutMilliseconds: timeoutMilliseconds)
    }
}
