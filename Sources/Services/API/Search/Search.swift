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
    /// All of the fused ranking, passages of one document each on their own.
    var ranking: [Hit]
    var generation: Int64
    var indexVersion: Int64
    /// The query's vector; nil where the vector arm did not run.
    var vector: [Float]?
    /// How the vector arm's part was found.
    var vectorPart: VectorPart
    /// Arms that were asked for but could not run.
    var missingArms: [String]
    /// Arms that had no time to look at everything.
    var incompleteArms: [String]
    /// How fresh the index was when it was searched.
    var freshness: Freshness
}

/// `POST /search`, and the ranking that answers are made of.
struct Search: Sendable {
    let scope: TenantScope
    let stores: StoreLanes
    let filteredStores: StoreLanes
    /// Nil where embedding is switched off.
    let embedder: QueryEmbedder?
    /// See ``SearchAPIConfiguration/exactMillisecondsMax``.
    let exactMillisecondsMax: Int
    /// See ``SearchAPIConfiguration/exactWaitMillisecondsMax``.
    let exactWaitMillisecondsMax: Int
    let freshness: @Sendable (TenantID) -> Freshness
    let analyzers: TextAnalyzers
    let turns: RequestTurns
    let metrics: APIMetrics
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.search, async: { input, request in try await search(input, request) })
    }

    /// `POST /search`
    private func search(_ input: SearchInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let input = try input.checked(scope.declared(for: request))
        return try await turns.run(input.filter.takesAll ? .search : .filtered, request) { deadline in
            try await search(input, deadline: deadline)
        }
    }

    private func search(_ request: SearchRequest, deadline: Deadline) async throws -> HTTPResponse {
        let start = SystemClock.monotonicNanoseconds()
        // One more than the page holds tells whether another follows.
        let wanted = (request.cursor?.offset ?? 0) + request.topK + 1
        let result = try await find(request, documentLimit: wanted, deadline: deadline)
        let documents = ReciprocalRankFusion.bestPassagePerDocument(result.ranking)
        let offset = min(request.cursor?.offset ?? 0, documents.count)
        let page = documents[offset..<min(offset + request.topK, documents.count)]
        var next: SearchCursor?
        if page.endIndex < documents.count {
            next = SearchCursor(
                generation: result.generation, indexVersion: result.indexVersion, offset: page.endIndex,
                fingerprint: request.fingerprint, vectorPart: result.vectorPart)
        }
        var writer = JSONWriter(capacity: 1_024 * (page.count + 1))
        writer.beginObject()
        writer.key("hits")
        writer.beginArray()
        let snippets = try snippets(for: request.query)
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
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// The fused ranking of a request. A further page is found as the first one was, or not at all.
    ///
    /// - Parameter documentLimit: documents that are wanted of it, each with its best passage; nil for all passages.
    func find(
        _ request: SearchRequest, documentLimit: Int? = nil, deadline: Deadline
    ) async throws -> SearchResult {
        let part = request.cursor?.vectorPart
        var missing: [String] = []
        var vector: [Float]?
        if part == .absent {
            if request.mode != .lexical { missing.append("vector") }
        } else if request.mode != .lexical {
            do {
                vector = try await queryVector(request.query, deadline: deadline)
            } catch
                where request.mode == .hybrid && part == nil && !deadline.hasPassed && !(error is CancellationError)
            {
                // Half an answer that says so is better than none.
                missing.append("vector")
                metrics.degraded.increment()
                logger.warning("searching without vectors", ["error": "\(error)"])
            }
        }
        let query = CandidateQuery(
            text: request.query, vector: vector, filter: request.filter,
            vectorLimit: vector == nil ? 0 : SearchLimits.candidatesPerArm,
            lexicalLimit: request.mode == .vector ? 0 : SearchLimits.candidatesPerArm,
            generation: request.cursor?.generation, indexVersion: request.cursor?.indexVersion,
            documentLimit: documentLimit)
        let freshness = self.freshness(request.filter.scope.tenant)
        let start = SystemClock.monotonicNanoseconds()
        let found = try await candidates(for: query, continuing: part, deadline: deadline)
        metrics.candidateSeconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        guard found.set.isGenerationServed else { throw APIError.notServed(generation: request.cursor?.generation) }
        return SearchResult(
            ranking: ReciprocalRankFusion.fuse(found.set.candidates), generation: found.set.generation,
            indexVersion: found.set.indexVersion, vector: vector, vectorPart: found.vectorPart, missingArms: missing,
            incompleteArms: found.isComplete ? [] : ["vector"], freshness: freshness)
    }

    /// What shows the words of a query in the texts that were found.
    func snippets(for query: String) throws(TextError) -> Snippets {
        try Snippets(
            query: QuerySyntax(query, fields: []), languages: [StemLanguages.undetermined], analyzers: analyzers)
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
        for (name, arms) in [("missing_arms", result.missingArms), ("incomplete_arms", result.incompleteArms)]
        where !arms.isEmpty {
            key(dynamic: name)
            beginArray()
            for arm in arms { string(arm) }
            endArray()
        }
    }
}
