import Answering
import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval
import Text

/// `POST /answer`: answers from what a search found, by quoting it or by a model, each sentence checked against what it
/// cites.
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
    /// Who answers.
    var chain: AnswerChain
    /// For the check of citations.
    let analyzers: TextAnalyzers
    let freshness: @Sendable (TenantID) -> Freshness
    let access: AccessGuard
    let turns: RequestTurns
    /// One for each answer that is being made: searches find lanes, processors and the embedder however many are asked for.
    let places: Places
    let metrics: APIMetrics
    /// Keeps answers for those who ask the same; nil where none are kept.
    let caches: ReplyCaches?
    /// Counts who is given an answer again.
    let hits: AnswerHits

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.answer,
            stream: { input, request, type, writer in
                let deadline = turns.deadline
                try await metrics.answers.observe(writer) {
                    let input = try await asked(input, request, deadline: deadline)
                    if type == MediaType.events {
                        return try await stream(input, request, deadline: deadline, to: writer)
                    }
                    let made = try await inTurn(input, request, deadline: deadline) { _ in }
                    var response = HTTPResponse.fresh(try made.reply(withText: true))
                    Compression.apply(to: &response, for: request)
                    writer.respond(response)
                    return AnswerOutcome(made)
                }
            })
    }

    /// What was asked, of now or of the moment that it names.
    func asked(_ input: AnswerInput, _ request: HTTPRequest, deadline: Deadline) async throws -> AnswerRequest {
        let declared = try scope.declared(for: request)
        let past = try await search.moment(input.search.asOf, declared.tenant, request, deadline: deadline)
        return try input.checked(declared, nowMilliseconds: search.clock(), past: past)
    }

    /// `POST /answer` as server-sent events: a `token` per word, then `citations`, then `done`. Ends early when the
    /// client leaves, which cancels the task.
    ///
    /// What a model writes is sent sentence by sentence, each once it is checked; a fault after the first is an `error` at
    /// the end. Quotes are sent when all are found and kept. `done` of a refusal says what was missing, so that nobody has to ask
    /// again for that.
    private func stream(
        _ input: AnswerRequest, _ request: HTTPRequest, deadline: Deadline, to writer: HTTPStreamWriter
    ) async throws -> AnswerOutcome {
        let isLive = !chain.models.isEmpty
        let made: MadeAnswer
        do {
            made = try await inTurn(input, request, deadline: deadline) { output in
                guard isLive else { return }
                if !writer.isStarted { writer.start(headers: EventFrame.headers) }
                switch output {
                case .begin: try await writer.write(EventFrame.heartbeat)
                case .sentence(let sentence): try await Self.write(sentence, to: writer)
                case .draft(let text): try await Self.write("draft", text, to: writer)
                }
            }
        } catch  where writer.isStarted && !(error is CancellationError) && !writer.isClosed {
            try await Self.writeFault(error, to: writer)
            return .broken
        }
        if !writer.isStarted { writer.start(headers: EventFrame.headers) }
        if !isLive || made.answer.isRefused || made.cached != nil {
            for sentence in made.answer.sentences { try await Self.write(sentence, to: writer) }
        }
        var citations = JSONWriter(capacity: 2_048)
        citations.beginObject()
        try made.writeText(to: &citations)
        citations.endObject()
        try await writer.write(EventFrame.bytes(event: "citations", data: citations.bytes))
        try await writer.write(EventFrame.bytes(event: "done", data: try made.reply(withText: false)))
        return AnswerOutcome(made)
    }

    private static func write(_ sentence: AnswerSentence, to writer: HTTPStreamWriter) async throws {
        for word in AnswerTokens.split(sentence.text + " ") { try await write("token", word, to: writer) }
    }

    private static func write(_ event: String, _ text: String, to writer: HTTPStreamWriter) async throws {
        var data = JSONWriter()
        data.beginObject()
        data.string("text", text)
        data.endObject()
        try await writer.write(EventFrame.bytes(event: event, data: data.bytes))
    }

    /// What would have been the status, where it is too late for one.
    private static func writeFault(_ error: any Error, to writer: HTTPStreamWriter) async throws {
        var data = JSONWriter()
        data.beginObject()
        data.string("type", (error as? APIError)?.type ?? "unavailable")
        data.string("message", (error as? APIError)?.message ?? "the answer could not be finished or kept; ask again")
        data.endObject()
        try await writer.write(EventFrame.bytes(event: "error", data: data.bytes))
    }

    /// Finds and keeps an answer in its caller's turn; `output` takes what may be sent of it before that.
    ///
    /// - Parameter deadline: of the whole request; nil where its time begins here.
    func inTurn(
        _ input: AnswerRequest, _ request: HTTPRequest, deadline: Deadline? = nil,
        _ output: @escaping @Sendable (AnswerOutput) async throws -> Void
    ) async throws -> MadeAnswer {
        try refuseWhereOff(input)
        let key = key(of: input, request)
        if let known = known(key, input) { return known }
        let deadline = deadline ?? turns.deadline
        return try await turns.run(.answer, request, deadline: deadline) {
            guard let caches else { return try await made(input, request, deadline, output) }
            return try await caches.run(key, isAnswer: true, deadline: deadline) {
                known(key, input)
            } work: {
                if let adopted = await adopted(key, input) { return (adopted, true) }
                if let alike = try await similar(key, input, request, deadline: deadline) { return (alike, false) }
                let made = try await made(input, request, deadline, output)
                let isKept = try keep(made, for: key)
                if isKept { note(made, for: key, request) }
                return (made, isKept)
            }
        }
    }

    /// Makes an answer, in a place where it needs one for all of it.
    private func made(
        _ input: AnswerRequest, _ request: HTTPRequest, _ deadline: Deadline,
        _ output: @escaping @Sendable (AnswerOutput) async throws -> Void
    ) async throws -> MadeAnswer {
        guard chain.models.isEmpty else { return try await kept(input, request, deadline: deadline, output) }
        return try await places.run(deadline: deadline) {
            try await kept(input, request, deadline: deadline, output)
        }
    }

    private func refuseWhereOff(_ input: AnswerRequest) throws {
        guard isEnabled else {
            throw APIError.unavailable("answering", "it is switched off (ANSWER_ENABLED)")
        }
        if isStaleRefused { try refuseStaleAnswer(input.search.filter.scope.tenant) }
    }

    /// Runs what this machine works for an answer: in one of the places, of which an answer without models has one for all
    /// of it.
    private func inPlace<T: Sendable>(
        _ deadline: Deadline, _ body: @Sendable () async throws -> T
    ) async throws -> T {
        if chain.models.isEmpty { return try await body() }
        return try await places.run(deadline: deadline) { try await body() }
    }

    /// Finds and keeps an answer.
    private func kept(
        _ request: AnswerRequest, _ http: HTTPRequest, deadline: Deadline,
        _ output: @escaping @Sendable (AnswerOutput) async throws -> Void
    ) async throws -> MadeAnswer {
        let tenant = request.search.filter.scope.tenant
        let start = SystemClock.monotonicNanoseconds()
        var found = try await inPlace(deadline) {
            try await search.find(request.search, deadline: deadline, isKept: true)
        }
        let ordered = ExtractiveAnswerer.order(
            found.ranking, question: request.search.query, count: request.search.topK)
        found.ranking = ordered.hits
        let result = found
        let (answer, use) = try await chain.answer(
            work(request, result, related: ordered.relatedCount, deadline: deadline, output))
        let made = MadeAnswer(
            id: Self.newAnswerID(), request: request, answer: answer, use: use, result: result,
            latencyNanoseconds: SystemClock.monotonicNanoseconds() - start,
            snippets: try search.snippets(for: request.search))
        try await keep(made, tenant, isAnonymous: !access.hasKey(http), deadline: deadline)
        return made
    }

    /// What would be said of a result; nothing of it is kept.
    func tried(
        _ request: AnswerRequest, _ result: SearchResult, deadline: Deadline
    ) async throws -> GoldenDifference.Said {
        try refuseWhereOff(request)
        var found = result
        let ordered = ExtractiveAnswerer.order(
            found.ranking, question: request.search.query, count: request.search.topK)
        found.ranking = ordered.hits
        let (answer, _) = try await chain.answer(
            work(request, found, related: ordered.relatedCount, deadline: deadline) { _ in })
        return GoldenDifference.Said(isRefused: answer.isRefused, sentences: answer.sentences.map(\.text))
    }

    private func work(
        _ request: AnswerRequest, _ result: SearchResult, related: Int, deadline: Deadline,
        _ output: @escaping @Sendable (AnswerOutput) async throws -> Void
    ) -> AnswerChain.Work {
        let cosines: CitationCheck.Cosines? = embedder.flatMap { embedder in
            guard result.vector != nil else { return nil }
            return { text, others in
                let vectors = try await embedder.vectors(
                    ofSentences: [text] + others, by: result.vectorModel, deadline: deadline)
                return vectors.dropFirst().map { Self.dot(vectors[0], $0) }
            }
        }
        let (analyzers, model) = (self.analyzers, result.vectorModel ?? embedder?.modelName)
        return AnswerChain.Work(
            question: request.search.query, ranking: result.ranking,
            readCount: min(request.search.topK, result.ranking.count), relatedCount: related,
            tokensMax: request.maxTokens, wantsDrafts: request.wantsDrafts, deadline: deadline,
            check: { CitationCheck(passages: $0, analyzers: analyzers, model: model, cosines: cosines) },
            quoting: {
                let hits = Array(result.ranking.prefix(request.search.topK))
                return QuotingAnswerer(
                    sentences: try await inPlace(deadline) {
                        try await embeddedSentences(
                            of: hits, asked: request.search.query, result: result, deadline: deadline)
                    })
            }, output: output)
    }

    /// An answer that could not be kept cannot be traced: then there is no answer.
    private func keep(_ made: MadeAnswer, _ tenant: TenantID, isAnonymous: Bool, deadline: Deadline) async throws {
        let (request, result) = (made.request, made.result)
        var answered = StoredAnswer(
            id: made.id, tenant: tenant, question: request.search.asked,
            createdAtMilliseconds: SystemClock.epochMilliseconds(),
            generation: result.generation, indexVersion: result.indexVersion, isRefused: made.answer.isRefused,
            requestJSON: Self.json(of: request), replyJSON: try made.reply(withText: true),
            retrievedJSON: Self.retrieved(result), isAnonymous: isAnonymous)
        answered.basisJSON =
            AnswerBasis(
                referenceMilliseconds: request.search.referenceMilliseconds
                    ?? request.search.past?.referenceMilliseconds,
                statistics: result.statistics
            ).json
        answered.documents = Self.documents(of: made.answer, looked: result.ranking.prefix(request.search.topK))
        let stored = answered.bounded()
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
    }

    /// Registers what is known of the models, for `/health`.
    func registerChecks(in registry: HealthRegistry) {
        for model in chain.models {
            registry.register(model.name, isRequired: false) { model.health }
        }
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

    /// The hits' sentences, those that words do not decide on with their cosines to the question; without any where there are no
    /// vectors.
    private func embeddedSentences(
        of hits: [Hit], asked: String, result: SearchResult, deadline: Deadline
    ) async throws -> [SourceSentence] {
        let sentences = ExtractiveAnswerer.sentences(of: hits)
        guard let vector = result.vector, let embedder else { return sentences }
        let start = SystemClock.monotonicNanoseconds()
        // Waiting for other answers counts, too; there are few at once.
        defer { WorkMeter.current?.add(nanoseconds: SystemClock.monotonicNanoseconds() - start) }
        return try await ExtractiveAnswerer.compared(sentences, question: asked, vector: vector, hits: hits) {
            try await embedder.vectors(ofSentences: $0, by: result.vectorModel, deadline: deadline)
        }
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
