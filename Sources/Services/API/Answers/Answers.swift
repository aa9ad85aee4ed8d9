import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval
import Text

/// `POST /answer`: answers that quote what a search found.
struct Answers: Sendable {
    let scope: TenantScope
    /// Whether it is served.
    let isEnabled: Bool
    /// See ``SearchAPIConfiguration/isStaleAnswerRefused``.
    let isStaleRefused: Bool
    /// Finds what is quoted.
    let search: Search
    let stores: StoreLanes
    /// Keeps the number of stored answers within bounds.
    let keeper: AnswerKeeper
    /// Nil where embedding is switched off.
    let embedder: QueryEmbedder?
    let freshness: @Sendable (TenantID) -> Freshness
    let access: AccessGuard
    let turns: RequestTurns
    /// One for each answer that is being made: searches find lanes, processors and the embedder however many are asked for.
    let places: Places
    let metrics: APIMetrics

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.answer,
            stream: { input, request, type, writer in
                let input = try input.checked(scope.declared(for: request), nowMilliseconds: search.clock())
                if type == MediaType.events {
                    try await stream(input, request, to: writer)
                } else {
                    var response = try await answer(input, request)
                    Compression.apply(to: &response, for: request)
                    writer.respond(response)
                }
            })
    }

    /// `POST /answer` as JSON.
    private func answer(_ input: AnswerRequest, _ request: HTTPRequest) async throws -> HTTPResponse {
        .fresh(try await inTurn(input, request).reply(withText: true))
    }

    /// `POST /answer` as server-sent events: a `token` per word, then `citations`, then `done`. Ends early when the
    /// client leaves, which cancels the task.
    private func stream(
        _ input: AnswerRequest, _ request: HTTPRequest, to writer: HTTPStreamWriter
    ) async throws {
        let made = try await inTurn(input, request)
        writer.start(headers: EventFrame.headers)
        for sentence in made.answer.sentences {
            for word in AnswerTokens.split(sentence.text + " ") {
                var token = JSONWriter()
                token.beginObject()
                token.key("text")
                token.string(word)
                token.endObject()
                try await writer.write(EventFrame.bytes(event: "token", data: token.bytes))
            }
        }
        var citations = JSONWriter(capacity: 2_048)
        citations.beginObject()
        try made.writeText(to: &citations)
        citations.endObject()
        try await writer.write(EventFrame.bytes(event: "citations", data: citations.bytes))
        try await writer.write(EventFrame.bytes(event: "done", data: try made.reply(withText: false)))
    }

    private func inTurn(_ input: AnswerRequest, _ request: HTTPRequest) async throws -> MadeAnswer {
        try await turns.run(.answer, request) { deadline in
            try await places.run(deadline: deadline) { try await kept(input, request, deadline: deadline) }
        }
    }

    /// Finds and keeps an answer.
    private func kept(
        _ request: AnswerRequest, _ http: HTTPRequest, deadline: Deadline
    ) async throws -> MadeAnswer {
        guard isEnabled else {
            throw APIError.unavailable("answering", "it is switched off (ANSWER_ENABLED)")
        }
        let tenant = request.search.filter.scope.tenant
        if isStaleRefused { try refuseStaleAnswer(tenant) }
        let start = SystemClock.monotonicNanoseconds()
        var result = try await search.find(request.search, deadline: deadline)
        result.ranking = ExtractiveAnswerer.reading(result.ranking, count: request.search.topK)
        let sentences = try await embeddedSentences(
            of: Array(result.ranking.prefix(request.search.topK)), result: result, deadline: deadline)
        let answer = ExtractiveAnswerer.answer(
            question: request.search.query, hits: result.ranking, sentences: sentences, maxTokens: request.maxTokens)
        if answer.isRefused { metrics.refusals.increment() }
        let made = MadeAnswer(
            id: Self.newAnswerID(), request: request, answer: answer, result: result,
            latencyNanoseconds: SystemClock.monotonicNanoseconds() - start,
            snippets: try search.snippets(for: request.search))
        var answered = StoredAnswer(
            id: made.id, tenant: tenant, question: request.search.asked,
            createdAtMilliseconds: SystemClock.epochMilliseconds(),
            generation: result.generation, indexVersion: result.indexVersion, isRefused: answer.isRefused,
            requestJSON: Self.json(of: request), replyJSON: try made.reply(withText: true),
            retrievedJSON: Self.retrieved(result), isAnonymous: !access.hasKey(http)
        ).bounded()
        answered.documents = Self.documents(of: answer, looked: result.ranking.prefix(request.search.topK))
        let stored = answered
        // An answer that could not be kept cannot be traced: then there is no answer.
        do {
            try await stores.run(deadline: deadline) { store, timeout in
                try store.save(stored, timeoutMilliseconds: timeout)
            }
        } catch {
            // It may be kept all the same, where the client left or the reply of the database did not come.
            await keeper.kept(bytes: stored.bytes)
            throw error
        }
        await keeper.kept(bytes: stored.bytes)
        return made
    }

    /// - Throws: ``APIError`` with 503 while the index is stale, or nobody knows whether it is.
    private func refuseStaleAnswer(_ tenant: TenantID) throws {
        let freshness = self.freshness(tenant)
        guard freshness.state == .stale || freshness.state == .unknown else { return }
        throw APIError(
            status: 503, type: "index_\(freshness.state.rawValue)",
            message:
                "the index is \(freshness.state.rawValue): \(freshness.reason); answers are given from a fresh one "
                + "only (ANSWER_REQUIRES_FRESH)")
    }

    /// The hits' sentences with their cosines to the question; without any where there are no vectors.
    private func embeddedSentences(
        of hits: [Hit], result: SearchResult, deadline: Deadline
    ) async throws -> [SourceSentence] {
        var sentences = ExtractiveAnswerer.sentences(of: hits)
        guard let question = result.vector, let embedder else { return sentences }
        let missing = sentences.indices.filter { sentences[$0].cosine == nil }
        let start = SystemClock.monotonicNanoseconds()
        // Waiting for other answers counts, too; there are few at once.
        defer { WorkMeter.current?.add(nanoseconds: SystemClock.monotonicNanoseconds() - start) }
        let vectors = try await embedder.vectors(
            ofSentences: missing.map { sentences[$0].text }, deadline: deadline)
        for (index, vector) in zip(missing, vectors) {
            sentences[index].cosine = Self.dot(question, vector)
        }
        return sentences
    }

    /// Cosine of two L2-normalised vectors.
    private static func dot(_ left: [Float], _ right: [Float]) -> Double {
        var sum: Float = 0
        for (a, b) in zip(left, right) { sum += a * b }
        return Double(sum)
    }

    /// What the answer was made of: the documents whose sentences were looked at, and those that it cites.
    private static func documents(of answer: Answer, looked: some Sequence<Hit>) -> [StoredAnswer.Source] {
        var cited: [StoredAnswer.Source: Bool] = [:]
        func add(_ hit: Hit, isCited: Bool) {
            let key = StoredAnswer.Source(
                collection: hit.candidate.collection, docID: hit.candidate.docID, isCited: false)
            cited[key] = isCited || cited[key] == true
        }
        for hit in looked { add(hit, isCited: false) }
        for citation in answer.citations { add(citation.hit, isCited: true) }
        return cited.map {
            StoredAnswer.Source(collection: $0.key.collection, docID: $0.key.docID, isCited: $0.value)
        }
    }

    private static func newAnswerID() -> String {
        var generator = SystemRandomNumberGenerator()
        var id = Array("ans_".utf8)
        for _ in 0..<2 {
            let word = generator.next()
            Hex.append((0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }, to: &id)
        }
        return String(decoding: id, as: UTF8.self)
    }

    private static func json(of request: AnswerRequest) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("query")
        writer.string(request.search.asked)
        writer.interpreted(request.search.interpretation)
        writer.key("top_k")
        writer.integer(request.search.topK)
        writer.key("mode")
        writer.string(request.search.mode.rawValue)
        writer.key("filters")
        writer.raw(request.search.filter.asked)
        writer.key("max_tokens")
        writer.integer(request.maxTokens)
        writer.endObject()
        return writer.bytes
    }

    private static func retrieved(_ result: SearchResult) -> [UInt8] {
        var writer = JSONWriter(capacity: 8_192)
        writer.beginArray()
        for hit in result.ranking {
            writer.beginObject()
            writer.key("doc_id")
            writer.string(hit.candidate.docID)
            writer.key("collection")
            writer.string(hit.candidate.collection)
            writer.key("version")
            writer.integer(hit.candidate.version)
            writer.key("passage")
            writer.integer(hit.candidate.passage)
            writer.key("scores")
            writer.scores(hit)
            writer.endObject()
        }
        writer.endArray()
        return writer.bytes
    }
}

/// An answer and how it came about.
private struct MadeAnswer {
    let id: String
    let request: AnswerRequest
    let answer: Answer
    let result: SearchResult
    let latencyNanoseconds: Int64
    let snippets: Snippets

    /// - Parameter withText: whether sentences and citations are in it.
    func reply(withText: Bool) throws -> [UInt8] {
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.key("answer_id")
        writer.string(id)
        if withText { try writeText(to: &writer) }
        writer.key("refused")
        writer.bool(answer.isRefused)
        writer.indexState(result)
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: latencyNanoseconds)
        writer.missingArms(of: result)
        writer.interpreted(request.search.interpretation)
        writer.reranking(result.reranking)
        writer.key("debug")
        if request.isDebug { writer.debug(answer, result: result) } else { writer.null() }
        writer.endObject()
        return writer.bytes
    }

    func writeText(to writer: inout JSONWriter) throws {
        writer.key("sentences")
        writer.beginArray()
        for sentence in answer.sentences { writer.sentence(sentence) }
        writer.endArray()
        writer.key("citations")
        writer.beginArray()
        for citation in answer.citations {
            writer.beginObject()
            writer.key("n")
            writer.integer(citation.number)
            try writer.hitMembers(citation.hit, snippets)
            writer.endObject()
        }
        writer.endArray()
    }
}

/// The pieces in which an answer is streamed.
enum AnswerTokens {
    /// Words with the white space behind them; joined they are the text again.
    static func split(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        for character in text {
            word.append(character)
            if character.isWhitespace {
                words.append(word)
                word = ""
            }
        }
        if !word.isEmpty { words.append(word) }
        return words
    }
}

extension JSONWriter {
    fileprivate mutating func sentence(_ sentence: AnswerSentence) {
        beginObject()
        key("text")
        string(sentence.text)
        key("citations")
        beginArray()
        for number in sentence.citations { integer(number) }
        endArray()
        endObject()
    }

    fileprivate mutating func debug(_ answer: Answer, result: SearchResult) {
        let thresholds = AnswerThresholds()
        beginObject()
        key("arms")
        beginObject()
        key("vector")
        integer(result.ranking.count { $0.candidate.vector != nil })
        key("lexical")
        integer(result.ranking.count { $0.candidate.lexical != nil })
        key("fused")
        integer(result.ranking.count)
        endObject()
        key("support")
        beginObject()
        key("sentences_considered")
        integer(answer.support.considered)
        key("sentences_supported")
        integer(answer.support.supported)
        key("best_score")
        optional(answer.support.bestScore)
        key("best_cosine")
        optional(answer.support.bestCosine)
        key("best_coverage")
        optional(answer.support.bestCoverage)
        key("question_words")
        beginArray()
        for word in answer.support.questionWords { string(word) }
        endArray()
        endObject()
        key("thresholds")
        beginObject()
        key("cosine_alone")
        double(thresholds.cosineAlone)
        key("cosine_beside")
        double(thresholds.cosineBeside)
        key("coverage_beside")
        double(thresholds.coverageBeside)
        key("coverage_alone")
        double(thresholds.coverageAlone)
        key("relative_to_best")
        double(thresholds.relativeToBest)
        endObject()
        endObject()
    }
}
