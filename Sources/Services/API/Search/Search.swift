import Arms
import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval
import Store
import Telemetry
import Text

/// What a search found.
struct SearchResult: Sendable {
    /// The fused ranking as far as it was fetched, passages of one document each on their own.
    var ranking: [Hit]
    /// What follows in it.
    var rest: [RankedPassage]
    var generation: Int64
    var indexVersion: Int64
    /// The query's vector; nil where the vector arm did not run.
    var vector: [Float]?
    /// How its scores come about.
    var formula: Ranking
    /// What hits are like; nil where they are not to be like a document, or it is gone.
    var likeness: Likeness?
    /// What is to be said of the arms.
    var notes: RankingNotes
    /// Whether its first hits are in the order of a service; nil where none was asked.
    var reranking: Reranking?
    /// How fresh the index was when it was searched.
    var freshness: Freshness
    /// What was to be counted.
    var counts: SearchCounts?
    /// How old what was searched is, where the database cannot be reached.
    var ageMilliseconds: Int64?
    /// By what words were weighed, where an answer is made of it.
    var statistics: WordStatistics?
    /// By what it can be checked later; nil where it is not kept.
    var watched: WatchedResult?
    /// Which model the vector is of; nil where there is none.
    var vectorModel: String?
}

/// `POST /search`, and the ranking that answers are made of.
struct Search: Sendable {
    let scope: TenantScope
    let stores: StoreLanes
    let filteredStores: StoreLanes
    /// What is searched in memory; nil where nothing is.
    let arms: SharedArms?
    /// Searches there on the thread that asks; nil where nothing is.
    let armsReader: ArmsReader?
    /// Nil where embedding is switched off.
    let embedder: QueryEmbedder?
    /// Puts the first hits of hybrid searches into another order; nil where none is declared.
    let reranker: Reranker?
    /// How the arms' rankings become one, where requests do not say.
    let fusion: FusionWeights
    /// Keeps replies; nil where none are kept.
    let caches: ReplyCaches?
    /// Repeats some searches exactly.
    let recall: RecallWatch
    /// See ``SearchAPIConfiguration/exactMillisecondsMax``.
    let exactMillisecondsMax: Int
    /// See ``SearchAPIConfiguration/exactWaitMillisecondsMax``.
    let exactWaitMillisecondsMax: Int
    let freshness: @Sendable (TenantID) -> Freshness
    /// Milliseconds since 1970: what "the last hour" of a question is.
    let clock: @Sendable () -> Int64
    /// Lent to those who cut texts into words.
    let analyzers: TextAnalyzers
    /// ISO 639 codes of the languages that queries are taken to be in where filters name none.
    let languages: [String]
    /// Lets requests wait for an index version.
    let versions: IndexVersionWatch
    let faults: FaultReplies
    let turns: RequestTurns
    let metrics: APIMetrics
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.search, async: { input, request in try await search(input, request) })
        set.add(Contract.searchBatch, async: { input, request in try await batch(input, request) })
    }

    /// `POST /search`
    private func search(_ input: SearchInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let stages = StageTimes()
        let limit = Deadline(milliseconds: turns.limitMilliseconds)
        var response = HTTPResponse.fresh(
            try await reply(to: input, scope.declared(for: request), request, limit, stages))
        response.headers.add("Server-Timing", stages.header)
        return response
    }

    /// One search, alone or of a batch: checked, in its caller's turn, within its time.
    func reply(
        to input: SearchInput, _ declared: DeclaredAttributes, _ request: HTTPRequest, _ limit: Deadline,
        _ stages: StageTimes
    ) async throws -> [UInt8] {
        let start = StageTimes.now()
        let past = try await moment(input.asOf, declared.tenant, request, deadline: limit)
        let asked = try input.checked(declared, nowMilliseconds: clock(), past: past)
        stages.add(.interpret, since: start)
        let key = caches.flatMap {
            ReplyKey(asked, settings: $0.settings, role: turns.access.roleName(of: request), request)
        }
        if let known = known(key, asked, since: start, stages) { return known }
        let own = asked.timeoutMilliseconds.map { Deadline(milliseconds: min($0, limit.leftMilliseconds)) }
        let deadline = own ?? limit
        do {
            if let version = asked.indexVersionMin, version > arms?.version(of: asked.filter.scope.tenant) ?? -1 {
                let begun = StageTimes.now()
                defer { stages.add(.visible, since: begun) }
                try await versions.wait(for: version, by: turns.access.origin(of: request), deadline: deadline)
            }
            let begun = StageTimes.now()
            return try await turns.run(asked.isCostly ? .filtered : .search, request, deadline: deadline) {
                stages.add(.turn, since: begun)
                guard let caches else { return try await search(asked, nil, deadline: deadline, stages).value }
                return try await caches.run(key, isAnswer: false, deadline: deadline) {
                    known(key, asked, since: start, stages)
                } work: {
                    if let adopted = await adopted(key, asked, since: start) { return (adopted, true) }
                    return try await search(asked, key, deadline: deadline, stages)
                }
            }
        } catch  where own?.hasPassed == true && Self.isOfTime(error) {
            logger.warning("a search did not end within its timeout_ms", ["error": "\(error)"])
            throw APIError(
                status: 504, type: "timeout",
                message:
                    "the search took longer than the \(deadline.limitMilliseconds) ms that it may take (timeout_ms)")
        }
    }

    /// Whether an error may come of too little time; others have names of their own.
    private static func isOfTime(_ error: any Error) -> Bool {
        !(error is APIError || error is CancellationError || error is ModelMismatch || error is IndexVersionGone)
    }

    /// A reply that is kept and still holds.
    private func known(
        _ key: ReplyKey?, _ request: SearchRequest, since start: Int64, _ stages: StageTimes
    ) -> [UInt8]? {
        guard let caches, let key, key.mayRead,
            let known = caches.searches.value(for: key.text, versionMin: request.indexVersionMin)
        else { return nil }
        var rendered = known.value
        rendered.result.freshness = freshness(request.filter.scope.tenant)
        let begun = StageTimes.now()
        defer { stages.add(.render, since: begun) }
        return body(of: rendered, request, since: start, known.use)
    }

    /// - Returns: the reply, and whether it is kept for others.
    private func search(
        _ request: SearchRequest, _ key: ReplyKey?, deadline: Deadline, _ stages: StageTimes
    ) async throws -> (value: [UInt8], isKept: Bool) {
        let start = SystemClock.monotonicNanoseconds()
        let offset = request.cursor?.offset ?? 0
        let result: SearchResult
        if let cursor = request.cursor {
            result = try await self.page(request, cursor, deadline: deadline, stages)
        } else {
            result = try await find(
                request, documentLimit: request.topK, deadline: deadline, stages: stages,
                isKept: key?.mayKeep ?? false)
        }
        let rendering = StageTimes.now()
        defer { stages.add(.render, since: rendering) }
        let page = result.ranking.prefix(request.topK)
        let rest = result.ranking.dropFirst(request.topK).map(\.place) + result.rest
        var next: SearchCursor?
        if !rest.isEmpty {
            next = SearchCursor(
                generation: result.generation, indexVersion: result.indexVersion, offset: offset + page.count,
                fingerprint: request.fingerprint, notes: result.notes,
                referenceMilliseconds: request.referenceMilliseconds, rest: rest)
        }
        var writer = JSONWriter(capacity: 1_024 * (page.count + 1))
        writer.beginArray()
        let snippets = try snippets(for: request, like: result.likeness)
        let formula = request.isExplained ? result.formula : nil
        for hit in page { try writer.hit(hit, snippets, of: request, explainedBy: formula) }
        writer.endArray()
        let rendered = RenderedSearch(hits: writer.bytes, result: result.bare, nextCursor: next?.text)
        let isKept = key.map { keep(rendered, of: result, $0, request.filter.scope.tenant) } ?? false
        return (body(of: rendered, request, since: start, nil), isKept)
    }

    func body(
        of rendered: RenderedSearch, _ request: SearchRequest, since start: Int64, _ use: CachedUse?
    ) -> [UInt8] {
        let result = rendered.result
        var writer = JSONWriter(capacity: rendered.bytes + 1_024)
        writer.beginObject()
        writer.key("hits")
        writer.raw(rendered.hits)
        writer.indexState(result)
        writer.asOf(request.past)
        writer.key("source")
        writer.string(use == nil ? "index" : "cache")
        writer.cached(use)
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: SystemClock.monotonicNanoseconds() - start)
        writer.key("next_cursor")
        writer.optional(rendered.nextCursor)
        writer.missingArms(of: result)
        writer.interpreted(request.interpretation)
        writer.reranking(result.reranking)
        writer.counts(result.counts, of: request)
        writer.endObject()
        return writer.bytes
    }

    /// The next page of a ranking that was found before.
    private func page(
        _ request: SearchRequest, _ cursor: SearchCursor, deadline: Deadline, _ stages: StageTimes
    ) async throws -> SearchResult {
        let freshness = self.freshness(request.filter.scope.tenant)
        var query = CandidateQuery(
            text: request.counted == nil ? "" : request.query, vector: nil, filter: request.filter, vectorLimit: 0,
            lexicalLimit: 0, generation: cursor.generation, indexVersion: cursor.indexVersion)
        query.counted = request.counted
        let places = Array(cursor.rest.prefix(request.topK))
        let formula = formula(of: request)
        query.page = places
        query.hasShortLimit = request.timeoutMilliseconds != nil
        let asked = query
        // Without vectors, of whichever model they are.
        let like = request.like.map { target in
            var target = target
            target.vectorModel = ""
            return target
        }
        let lanes = request.counted == nil ? stores : filteredStores
        let start = StageTimes.now()
        let (set, likeness) = try await lanes.run(deadline: deadline) { store, timeout in
            // For its words, which snippets show and counts are of; it may be gone meanwhile.
            let read = try like.map { try store.likenesses(of: $0, timeoutMilliseconds: timeout) } ?? []
            let likeness = read.count == 1 ? read.first : nil
            var asked = asked
            if let likeness, asked.counted != nil {
                (asked.text, asked.languages) = (likeness.text, likeness.languages)
                asked.excludedDocument = likeness.documentID
            }
            return (try store.candidates(for: asked, timeoutMilliseconds: timeout), likeness)
        }
        stages.add(.search, since: start)
        guard set.isGenerationServed else { throw APIError.notServed(generation: cursor.generation) }
        return SearchResult(
            // The order of the first page, whether fused or from a reranking service.
            ranking: set.candidates.map(formula.hit), rest: Array(cursor.rest.dropFirst(places.count)),
            generation: set.generation, indexVersion: set.indexVersion, vector: nil, formula: formula,
            likeness: likeness, notes: cursor.notes,
            reranking: cursor.notes.contains(.reranked) ? .done : nil, freshness: freshness,
            counts: set.counts)
    }

    /// How the scores of a request's hits come about.
    func formula(of request: SearchRequest) -> Ranking {
        Ranking(
            weights: fusion.changed(by: request.weights), options: request.options,
            referenceMilliseconds: request.referenceMilliseconds ?? 0)
    }

    /// - Parameter model: by which the query is embedded; nil: that of the generation that was served last.
    /// - Throws: ``ModelMismatch`` where another generation is served, or asked for, whose vectors are of another model.
    func find(
        _ request: SearchRequest, by model: String?, documentLimit: Int?, deadline: Deadline, stages: StageTimes,
        isKept: Bool
    ) async throws -> SearchResult {
        var notes: RankingNotes = []
        let formula = formula(of: request)
        // What counts nothing is not looked for.
        let asksVectors = request.mode != .lexical && formula.weights.vector > 0
        let asksWords = request.mode != .vector && formula.weights.lexical > 0
        var query = query(of: request, documentLimit: documentLimit, vector: nil)
        var likeness: Likeness?
        if var target = request.like {
            target.vectorModel = model ?? embedder?.modelName
            let read = try await self.likeness(of: target, deadline: deadline, stages: stages)
            likeness = read
            query.take(read)
            if asksVectors, query.vector == nil { notes.insert(.vectorMissing) }
        } else if asksVectors {
            let found = try await vector(of: request, by: model, orWords: asksWords, deadline: deadline, stages)
            (query.vector, query.vectorModel) = (found?.numbers, found?.model)
            if query.vector == nil { notes.insert(.vectorMissing) }
        }
        if !asksVectors || query.vector == nil { (query.vector, query.vectorLimit) = (nil, 0) }
        query.options(of: request)
        let asked = query
        let freshness = self.freshness(request.filter.scope.tenant)
        let start = SystemClock.monotonicNanoseconds()
        let found = try await candidates(for: asked, deadline: deadline)
        metrics.candidateSeconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        stages.add(.search, since: start)
        guard found.set.isGenerationServed else { throw APIError.notServed(candidate: request.generation) }
        if !found.isComplete { notes.insert(.vectorIncomplete) }
        if !found.set.areWordsComplete { notes.insert(.lexicalIncomplete) }
        if found.set.isLexicalBounded { notes.insert(.lexicalBounded) }
        if found.set.isVectorBounded || found.set.isWaitingCut { notes.insert(.vectorBounded) }
        let hits = formula.hits(found.set.candidates)
        let ranked = try await reranked(
            documentLimit == nil ? hits : formula.documents(hits), request, deadline: deadline, stages)
        if ranked.reranking == .done { notes.insert(.reranked) }
        var result = SearchResult(
            ranking: ranked.hits, rest: found.set.rest,
            generation: found.set.generation, indexVersion: found.set.indexVersion, vector: query.vector,
            formula: formula, likeness: likeness, notes: notes, reranking: ranked.reranking, freshness: freshness,
            counts: found.set.counts, ageMilliseconds: found.set.ageMilliseconds, statistics: found.set.statistics)
        result.vectorModel = query.vector == nil ? nil : query.vectorModel
        if isKept, request.past == nil, let caches {
            let shown = shown(of: result, request, isAnswer: documentLimit == nil)
            result.watched = caches.watch(query, found.set, shown, searchedAt: start)
        }
        return result
    }

    /// What the index is asked for a request.
    ///
    /// - Parameter vector: of the query; nil where it is not known, or the vector arm is not asked.
    func query(of request: SearchRequest, documentLimit: Int?, vector: [Float]?) -> CandidateQuery {
        let formula = formula(of: request)
        var query = CandidateQuery(
            text: request.query, vector: vector, filter: request.filter,
            documentLimit: documentLimit.map { max($0, reranker?.configuration.hitsMax ?? 0) })
        query.fusion = formula.weights
        (query.generation, query.readsCandidate) = (request.generation, request.generation != nil)
        query.options = formula.options
        query.referenceMilliseconds = formula.referenceMilliseconds
        query.hasShortLimit = request.timeoutMilliseconds != nil
        query.indexVersionMin = request.indexVersionMin
        query.wantsStatistics = documentLimit == nil
        if let past = request.past { query.read(asOf: past) }
        if request.mode == .vector || formula.weights.lexical <= 0 { query.lexicalLimit = 0 }
        return query
    }

    /// What of a result is shown, or read for an answer.
    private func shown(of result: SearchResult, _ request: SearchRequest, isAnswer: Bool) -> ResultProbe.Shown {
        if isAnswer {
            let read = ExtractiveAnswerer.order(result.ranking, question: request.query, count: request.topK)
            var shown = ResultProbe.Shown(page: read.hits.prefix(request.topK), wanted: request.topK)
            shown.depth = ExtractiveAnswerer.armDepth
            // What has to do with the question is read first, wherever it is found.
            if read.relatedCount < request.topK { shown.isShort = true }
            return shown
        }
        // A service may have chosen the page among more.
        let chosen = max(request.topK, reranker?.configuration.hitsMax ?? 0)
        return ResultProbe.Shown(page: result.ranking.prefix(chosen), wanted: chosen)
    }

    /// What shows the words of a query in the texts that were found.
    ///
    /// - Parameter likeness: the document whose words are shown in place of a query's.
    func snippets(for request: SearchRequest, like likeness: Likeness? = nil) throws(TextError) -> Snippets {
        try Snippets(
            query: QuerySyntax(likeness?.text ?? request.query, fields: CandidateQuery.fields),
            languages: likeness?.languages
                ?? StemLanguages.ofQuery(filter: request.filter.languages, usual: languages),
            analyzers: analyzers)
    }
}
