import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval
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
    /// What is to be said of the arms.
    var notes: RankingNotes
    /// Whether its first hits are in the order of a service; nil where none was asked.
    var reranking: Reranking?
    /// How fresh the index was when it was searched.
    var freshness: Freshness
    /// What was to be counted.
    var counts: SearchCounts?
}

/// `POST /search`, and the ranking that answers are made of.
struct Search: Sendable {
    let scope: TenantScope
    let stores: StoreLanes
    let filteredStores: StoreLanes
    /// Nil where embedding is switched off.
    let embedder: QueryEmbedder?
    /// Puts the first hits of hybrid searches into another order; nil where none is declared.
    let reranker: Reranker?
    /// See ``SearchAPIConfiguration/exactMillisecondsMax``.
    let exactMillisecondsMax: Int
    /// See ``SearchAPIConfiguration/exactWaitMillisecondsMax``.
    let exactWaitMillisecondsMax: Int
    let freshness: @Sendable (TenantID) -> Freshness
    /// Milliseconds since 1970: what "the last hour" of a question is.
    let clock: @Sendable () -> Int64
    /// Lent to those who cut texts into words.
    let analyzers: TextAnalyzers
    let turns: RequestTurns
    let metrics: APIMetrics
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.search, async: { input, request in try await search(input, request) })
    }

    /// `POST /search`
    private func search(_ input: SearchInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let input = try input.checked(scope.declared(for: request), nowMilliseconds: clock())
        return try await turns.run(input.isCostly ? .filtered : .search, request) { deadline in
            try await search(input, deadline: deadline)
        }
    }

    private func search(_ request: SearchRequest, deadline: Deadline) async throws -> HTTPResponse {
        let start = SystemClock.monotonicNanoseconds()
        let offset = request.cursor?.offset ?? 0
        let result: SearchResult
        if let cursor = request.cursor {
            result = try await self.page(request, cursor, deadline: deadline)
        } else {
            result = try await find(request, documentLimit: request.topK, deadline: deadline)
        }
        let documents = ReciprocalRankFusion.bestPassagePerDocument(result.ranking)
        let page = documents.prefix(request.topK)
        let rest = documents.dropFirst(request.topK).map(\.candidate.place) + result.rest
        var next: SearchCursor?
        if !rest.isEmpty {
            next = SearchCursor(
                generation: result.generation, indexVersion: result.indexVersion, offset: offset + page.count,
                fingerprint: request.fingerprint, notes: result.notes,
                referenceMilliseconds: request.referenceMilliseconds, rest: rest)
        }
        var writer = JSONWriter(capacity: 1_024 * (page.count + 1))
        writer.beginObject()
        writer.key("hits")
        writer.beginArray()
        let snippets = try snippets(for: request)
        for hit in page { try writer.hit(hit, snippets) }
        writer.endArray()
        writer.indexState(result)
        writer.key("source")
        writer.string("index")
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: SystemClock.monotonicNanoseconds() - start)
        writer.key("next_cursor")
        writer.optional(next?.text)
        writer.missingArms(of: result)
        writer.interpreted(request.interpretation)
        writer.reranking(result.reranking)
        writer.counts(result.counts, of: request)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// The next page of a ranking that was found before.
    private func page(
        _ request: SearchRequest, _ cursor: SearchCursor, deadline: Deadline
    ) async throws -> SearchResult {
        let freshness = self.freshness(request.filter.scope.tenant)
        var query = CandidateQuery(
            text: request.counted == nil ? "" : request.query, vector: nil, filter: request.filter, vectorLimit: 0,
            lexicalLimit: 0, generation: cursor.generation, indexVersion: cursor.indexVersion)
        query.counted = request.counted
        let places = Array(cursor.rest.prefix(request.topK))
        query.page = places
        let asked = query
        let lanes = request.counted == nil ? stores : filteredStores
        let set = try await lanes.run(deadline: deadline) { store, timeout in
            try store.candidates(for: asked, timeoutMilliseconds: timeout)
        }
        guard set.isGenerationServed else { throw APIError.notServed(generation: cursor.generation) }
        return SearchResult(
            // The order of the first page, whether fused or from a reranking service.
            ranking: set.candidates.map(ReciprocalRankFusion.hit), rest: Array(cursor.rest.dropFirst(places.count)),
            generation: set.generation, indexVersion: set.indexVersion, vector: nil, notes: cursor.notes,
            reranking: cursor.notes.contains(.reranked) ? .done : nil, freshness: freshness, counts: set.counts)
    }

    /// The fused ranking of a request.
    ///
    /// - Parameter documentLimit: documents that are fetched of it, each with its best passage; nil for all passages.
    func find(
        _ request: SearchRequest, documentLimit: Int? = nil, deadline: Deadline
    ) async throws -> SearchResult {
        metrics.count(request.interpretation)
        var notes: RankingNotes = []
        var vector: [Float]?
        if request.mode != .lexical {
            do {
                // Operators and what is excluded are nothing that a model should see.
                let syntax = QuerySyntax(request.query, fields: CandidateQuery.fields)
                vector = try await queryVector(syntax.plainText, deadline: deadline)
            } catch  where request.mode == .hybrid && !deadline.hasPassed && !(error is CancellationError) {
                // Half an answer that says so is better than none.
                notes.insert(.vectorMissing)
                metrics.degraded.increment()
                logger.warning("searching without vectors", ["error": "\(error)"])
            }
        }
        var query = CandidateQuery(
            text: request.query, vector: vector, filter: request.filter,
            vectorLimit: vector == nil ? 0 : SearchLimits.candidatesPerArm,
            lexicalLimit: request.mode == .vector ? 0 : SearchLimits.candidatesPerArm,
            documentLimit: documentLimit.map { max($0, reranker?.configuration.hitsMax ?? 0) })
        query.options(of: request)
        let asked = query
        let freshness = self.freshness(request.filter.scope.tenant)
        let start = SystemClock.monotonicNanoseconds()
        let found = try await candidates(for: asked, deadline: deadline)
        metrics.candidateSeconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        guard found.set.isGenerationServed else { throw APIError.notServed(generation: nil) }
        if !found.isComplete { notes.insert(.vectorIncomplete) }
        if !found.set.areWordsComplete { notes.insert(.lexicalIncomplete) }
        if found.set.isLexicalBounded { notes.insert(.lexicalBounded) }
        if found.set.isVectorBounded { notes.insert(.vectorBounded) }
        let ranked = try await reranked(
            ReciprocalRankFusion.fuse(found.set.candidates), request, deadline: deadline)
        if ranked.reranking == .done { notes.insert(.reranked) }
        return SearchResult(
            ranking: ranked.hits, rest: found.set.rest,
            generation: found.set.generation, indexVersion: found.set.indexVersion, vector: vector, notes: notes,
            reranking: ranked.reranking, freshness: freshness, counts: found.set.counts)
    }

    /// What shows the words of a query in the texts that were found.
    func snippets(for request: SearchRequest) throws(TextError) -> Snippets {
        try Snippets(
            query: QuerySyntax(request.query, fields: CandidateQuery.fields),
            languages: StemLanguages.ofQuery(filter: request.filter.languages, usual: [StemLanguages.undetermined]),
            analyzers: analyzers)
    }

    private func queryVector(_ text: String, deadline: Deadline) async throws -> [Float] {
        guard let embedder else {
            throw APIError.unavailable("the vector arm", "embedding is switched off (EMBED_ENABLED)")
        }
        let start = SystemClock.monotonicNanoseconds()
        let vector = try await embedder.vector(of: text, deadline: deadline)
        metrics.embedSeconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        return vector
    }
}

extension JSONWriter {
    mutating func hit(_ hit: Hit, _ snippets: Snippets) throws(TextError) {
        beginObject()
        try hitMembers(hit, snippets)
        endObject()
    }

    /// The members of a hit, which a citation has too.
    mutating func hitMembers(_ hit: Hit, _ snippets: Snippets) throws(TextError) {
        let candidate = hit.candidate
        identity(of: candidate)
        key("snippet")
        string(try snippets.snippet(of: candidate.text))
        key("event_time")
        time(candidate.eventTimeMilliseconds)
        key("scores")
        scores(hit)
        filterColumns(of: candidate)
        if let copies = candidate.copies {
            key("copies")
            integer(copies)
        }
        key("lineage")
        raw(candidate.lineageJSON)
    }

    mutating func identity(of candidate: Candidate) {
        key("doc_id")
        string(candidate.docID)
        key("version")
        integer(candidate.version)
        key("passage")
        integer(candidate.passage)
        key("title")
        string(candidate.title)
        key("url")
        string(candidate.url)
    }

    mutating func scores(_ hit: Hit) {
        beginObject()
        key("vector")
        optional(hit.candidate.vector?.score)
        key("lexical")
        optional(hit.candidate.lexical?.score)
        key("fused")
        double(hit.fusedScore)
        endObject()
    }

    /// What filters look at, so that a reader sees why a hit passed them. Documents of recent changes have some of their
    /// attributes as members, too, as they had from the beginning.
    mutating func filterColumns(of candidate: Candidate) {
        let change = candidate.recentChange
        key("collection")
        string(candidate.collection)
        if let change {
            key("wiki")
            string(change.wiki)
        }
        key("lang")
        string(candidate.language)
        if let change {
            key("type")
            string(change.type)
            key("user")
            string(change.user)
            key("is_bot")
            bool(change.isBot)
        }
        key("attributes")
        candidate.attributes.append(to: &self)
    }

    mutating func indexState(_ result: SearchResult) {
        key("generation")
        integer(result.generation)
        key("index_version")
        integer(result.indexVersion)
        freshness(result.freshness)
    }

    /// The arms that could not run or did not end; nothing where there are none.
    mutating func missingArms(of result: SearchResult) {
        let notes = result.notes
        let members: [(name: String, arms: [(RankingNotes, String)])] = [
            ("missing_arms", [(.vectorMissing, "vector")]),
            ("incomplete_arms", [(.vectorIncomplete, "vector"), (.lexicalIncomplete, "lexical")]),
            ("bounded_arms", [(.vectorBounded, "vector"), (.lexicalBounded, "lexical")]),
        ]
        for (name, all) in members {
            let arms = all.filter { notes.contains($0.0) }.map(\.1)
            guard !arms.isEmpty else { continue }
            key(dynamic: name)
            beginArray()
            for arm in arms { string(arm) }
            endArray()
        }
    }
}
