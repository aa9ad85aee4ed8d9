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

    private let connection: LazyConnection
    /// As the database's own user.
    private let upkeep: LazyConnection
    private let interrupt = PostgresInterrupt()
    /// The model of the queries' vectors.
    let model: String
    /// Its number in the index, once it is known.
    private var modelNumber: Int32?
    private var cutter = WordCutter()
    private let ranking: WordRanking
    private let bounds: SearchBounds
    private var graphCandidates: GraphCandidates
    /// Of queries whose filters name none.
    private let languages: [String]

    /// - Parameters:
    ///   - configuration: of a migrated database; the session settings are added to it.
    ///   - model: name of the model that embeds the queries; empty where none does.
    ///   - ef: candidates that the graph's search keeps, 1 to 1,000 (`hnsw.ef_search`); nil: by the number of passages.
    ///   - ranking: how the word arm weighs.
    ///   - languages: ISO codes of the languages that queries are taken to be in where filters name none.
    ///   - bounds: of the rows that one search reads.
    package init(
        configuration: PostgresConfiguration, model: String = "", ef: Int? = nil,
        ranking: WordRanking = WordRanking(),
        languages: [String] = [StemLanguages.undetermined], bounds: SearchBounds = SearchBounds()
    ) {
        self.bounds = bounds
        graphCandidates = GraphCandidates(configured: ef)
        self.ranking = ranking
        self.languages = languages
        var configuration = configuration
        configuration.sessionSettings += Self.sessionSettings(ef: graphCandidates.ofSession)
        configuration.interrupt = interrupt
        upkeep = LazyConnection(configuration)
        configuration.role = Self.readerRole
        connection = LazyConnection(configuration)
        self.model = model
    }

    /// Cancels the statement that runs; the connection is kept where the server ends it soon.
    package var interruption: Interruption? {
        Interruption(request: { [interrupt] in interrupt.request() }, clear: { [interrupt] in interrupt.clear() })
    }

    /// Both arms in one statement, hence one snapshot and one round trip. An automatic search whose vector arm found fewer
    /// candidates than asked for, because of the filters, is done again with an exact one, in a snapshot of its own.
    ///
    /// - Throws: ``ModelMismatch`` where the generation's vectors are not of the queries' model, ``IndexVersionGone`` where the
    ///   index version asked for is older than the history.
    package func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet {
        let wantsLexical = query.lexicalLimit > 0
        if let page = query.page { return try self.page(page, of: query, timeoutMilliseconds: timeoutMilliseconds) }
        let words = try lookup(of: query, timeoutMilliseconds: timeoutMilliseconds)
        let asksDocuments = query.documentLimit != nil
        var query = query
        // What is not meant may be among the first ones: all are looked at.
        if !words.phrases.isEmpty {
            query.documentLimit = nil
            // Its place is known when the others have gone.
            query.options.scoreMin = nil
        }
        let values = SearchValues(query: query, words: words)
        let wantsVector = query.vector != nil && query.vectorLimit > 0
        let number = wantsVector ? try findModel(timeoutMilliseconds: timeoutMilliseconds) : nil
        // An index without vectors of this model has another's, or none at all.
        let arm: CandidateQuery.VectorScan? = wantsVector && number != nil ? query.vectorScan : nil
        let search = Search(
            store: self, values: values, model: number ?? 0, wantsVector: wantsVector, wantsLexical: wantsLexical)
        var found = try search.candidates(arm, timeoutMilliseconds)
        if asksDocuments && query.documentLimit == nil {
            found.candidates = ReciprocalRankFusion.documents(of: found.candidates, weights: query.fusion)
        }
        return found
    }

    /// Passages of a ranking that was found before, as far as they are still seen then.
    private func page(
        _ page: [RankedPassage], of query: CandidateQuery, timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        var query = query
        query.documentLimit = page.count
        let words =
            query.counted == nil ? WordLookup() : try lookup(of: query, timeoutMilliseconds: timeoutMilliseconds)
        let values = SearchValues(query: query, words: words)
        let search = Search(store: self, values: values, model: 0, wantsVector: false, wantsLexical: false)
        var found = try search.withinLimit(nil, timeoutMilliseconds)
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
        let syntax = QuerySyntax(query.text, fields: CandidateQuery.fields)
        let languages = query.languages ?? StemLanguages.ofQuery(filter: query.filter.languages, usual: languages)
        let asked = try cutter.get().query(syntax, languages: languages)
        var expansions: [[String]] = []
        let tenant = query.filter.scope.tenant
        for prefix in (asked.prefixes + asked.excludedPrefixes).prefix(WordLookup.prefixesMax) {
            expansions.append(
                try run(ExpandPrefix(tenant: tenant.text, prefix: prefix.prefix), for: tenant, timeoutMilliseconds))
        }
        return WordLookup(asked, expansions: expansions, ranking: ranking)
    }

    /// The number of the queries' model; nil where the index has none of its vectors.
    func findModel(timeoutMilliseconds: Int) throws -> Int32? {
        if let modelNumber { return modelNumber }
        modelNumber = try connection.run(FindModel(model: model), timeoutMilliseconds: timeoutMilliseconds).first?
            .number
        return modelNumber
    }

    /// One search with its values.
    private struct Search {
        let store: SearchStore
        let values: SearchValues
        let model: Int32
        let wantsVector: Bool
        let wantsLexical: Bool

        private func parts(_ vector: SearchSQL.VectorArm?, _ bounds: SearchBounds) -> SearchSQL.Parts {
            let isPage = values.query.page != nil
            let isCounted = values.query.counted != nil
            return SearchSQL.Parts(
                vector: vector, lexical: wantsLexical, filters: filters, isDemanding: values.words.demanded.count > 0,
                isPage: isPage, isRanked: !isPage && !values.query.options.isPlain,
                isExcluding: !isPage && values.query.excludedDocument != nil,
                isNarrow: values.isNarrow && vector != .exact && (!isPage || isCounted), isCounted: isCounted,
                bounds: bounds)
        }

        private var filters: SearchSQL.Filters {
            values.filter.hasTests ? .tested : values.filter.isEmpty ? .none : .plain
        }

        /// - Parameter scan: nil leaves the vector arm out.
        func candidates(_ scan: CandidateQuery.VectorScan?, _ timeoutMilliseconds: Int) throws -> CandidateSet {
            guard let scan else { return try withinLimit(nil, timeoutMilliseconds) }
            if scan == .exact { return try exact(timeoutMilliseconds, instead: nil) }
            var found = try withinLimit(.approximate, timeoutMilliseconds)
            let wanted = min(values.query.vectorLimit, SearchSQL.armLimit)
            guard found.isGenerationServed, found.vectorCount < wanted, !found.isVectorExact else { return found }
            found.isVectorBounded = values.isNarrow && found.vectorCount >= values.query.vectorEnough
            if scan == .automatic { return try exact(timeoutMilliseconds, instead: found) }
            found.isVectorArmShort = true
            return found
        }

        func run(
            _ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int, exactlyWithin bound: Int? = nil,
            endsWithin limit: Int? = nil, _ bounds: SearchBounds? = nil
        ) throws -> CandidateSet {
            var batch = PostgresBatch()
            batch.add(ActForTenant(tenant: values.query.filter.scope.tenant))
            if vector == .approximate {
                let ef = try candidatesKept(timeoutMilliseconds)
                if ef != store.graphCandidates.ofSession { batch.add(KeepCandidates(ef: ef)) }
            }
            if let bound {
                batch.add(PlanWithValues(isByValues: vector == .exact, statementMilliseconds: bound))
            }
            if let limit { batch.add(BoundStatements(milliseconds: limit)) }
            let slot = batch.add(
                SearchStatement(parts: parts(vector, bounds ?? store.bounds), model: model, values: values))
            let rows = try store.connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
                results throws(PostgresError) in try results.rows(slot)
            }
            return try set(rows, vector)
        }

        /// A quarter more where filters leave some of them out.
        private func candidatesKept(_ timeoutMilliseconds: Int) throws(IndexError) -> Int {
            if let ef = values.query.ef { return ef }
            let tenant = values.query.filter.scope.tenant
            let usual = try store.graphCandidates.usual(of: tenant) { () throws(IndexError) in
                try store.run(CountShownPassages(tenant: tenant), for: tenant, timeoutMilliseconds).first ?? nil
            }
            return filters == .none ? usual : min(usual + usual / 4, SearchLimits.efMax)
        }

        /// - Parameter known: what the graph led to, which is taken where it is enough and very many passages may pass.
        private func exact(_ timeoutMilliseconds: Int, instead known: CandidateSet?) throws -> CandidateSet {
            let deadline = SystemClock.monotonicNanoseconds() + Int64(max(1, timeoutMilliseconds)) * 1_000_000
            return try ending(within: timeoutMilliseconds) { bound, limit in
                if values.isNarrow {
                    let found = try run(.approximate, limit, exactlyWithin: bound, store.bounds.widened)
                    if found.isVectorExact || !found.isGenerationServed { return found }
                    if let known, known.isVectorBounded { return known }
                    if values.query.isGraphEnough { throw SearchBoundReached(milliseconds: 0) }
                }
                let left = Int((deadline - SystemClock.monotonicNanoseconds()) / 1_000_000)
                guard left > 0 else { throw SearchBoundReached(milliseconds: bound) }
                return try run(.exact, left + SearchStore.exactMarginMilliseconds, exactlyWithin: left)
            }
        }

        /// Ended by the server where the limit is a client's own.
        func withinLimit(
            _ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int
        ) throws -> CandidateSet {
            guard values.query.hasShortLimit else { return try run(vector, timeoutMilliseconds) }
            return try ending(within: timeoutMilliseconds) { bound, limit in try run(vector, limit, endsWithin: bound) }
        }

        private func ending(
            within timeoutMilliseconds: Int, _ run: (_ bound: Int, _ limit: Int) throws -> CandidateSet
        ) throws -> CandidateSet {
            let bound = max(1, timeoutMilliseconds)
            do {
                // The server's limit is to come first: the connection then stays as it is.
                return try run(bound, bound + SearchStore.exactMarginMilliseconds)
            } catch let error as IndexError {
                guard error.underlying?.isStatementCancelled == true || error.underlying?.kind == .timeout else {
                    throw error
                }
                throw SearchBoundReached(milliseconds: bound)
            }
        }

        private func set(_ rows: [SearchRow], _ vector: SearchSQL.VectorArm?) throws -> CandidateSet {
            guard let first = rows.first else {
                return CandidateSet(candidates: [], generation: 0, indexVersion: 0, isGenerationServed: false)
            }
            if wantsVector, first.model > 0, first.model != model {
                throw ModelMismatch(generation: first.generation, queryModel: store.model)
            }
            if let wanted = values.query.indexVersion, wanted < first.oldestVersion {
                throw IndexVersionGone(version: wanted, oldest: first.oldestVersion)
            }
            // What is behind the fetched ones; one that should be among them and is not was not to be seen.
            let fetched = rows.lastIndex { $0.candidate != nil }.map { $0 + 1 } ?? 0
            var set = CandidateSet(
                candidates: try store.meant(rows.compactMap(\.candidate), values.words), generation: first.generation,
                indexVersion: first.indexVersion, vectorCount: Int(first.vectorCount),
                isLexicalBounded: first.isLexicalBounded || values.words.isCut,
                areWordsComplete: first.areWordsComplete)
            set.isVectorExact = first.isVectorExact || vector == .exact
            set.counts = first.counts
            if let limit = values.query.documentLimit {
                set.rest = rows.dropFirst(max(fetched, limit)).compactMap(\.place)
            }
            return set
        }
    }

    /// Those with the query's phrases; what an arm leaves takes the places of what goes.
    func meant(_ candidates: [Candidate], _ words: WordLookup) throws(IndexError) -> [Candidate] {
        guard !words.phrases.isEmpty else { return candidates }
        let analyzer = try cutter.get()
        var left = candidates.filter { words.allows(title: $0.title, text: $0.text, analyzer) }
        for arm in [\Candidate.vector, \Candidate.lexical] {
            let found = left.indices.filter { left[$0][keyPath: arm] != nil }
                .sorted { (left[$0][keyPath: arm]?.rank ?? 0) < (left[$1][keyPath: arm]?.rank ?? 0) }
            for (place, index) in found.enumerated() { left[index][keyPath: arm]?.rank = place + 1 }
        }
        return left
    }

    private static let exactMarginMilliseconds = 500

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
    func run<S: PostgresStatement>(
        _ statement: S, for tenant: TenantID, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> [S.Row] {
        var batch = PostgresBatch()
        batch.add(ActForTenant(tenant: tenant))
        let slot = batch.add(statement)
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
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

    /// See ``RetrievalStore``.
    package func tidyAnswers(
        _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws -> Int64 {
        // All tenants' answers are within the same bounds, and no policy shows all of them.
        try AnswerTidying.step(
            upkeep, bounds, nowMilliseconds: nowMilliseconds, timeoutMilliseconds: timeoutMilliseconds)
    }
}
