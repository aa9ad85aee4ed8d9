import Access
import Bytes
package import HTTPEndpoints
import HTTPServer
import JSONScan
import Retrieval

/// Nothing to read.
struct NoInput: Sendable {
    static let form = InputForm(NoInput())
}

/// A name in a path.
struct FileInput: Sendable {
    var file = ""

    static let form = InputForm(
        FileInput(), [Parameter(.path, "file", \.file, .string(1...64), "A file's name.", example: .string("page.js"))])
}

/// The platform's endpoints, each declared once.
enum Contract {
    static let reading = EndpointAccess.roleOrAnonymous(Role.read.rawValue)

    private static let unavailable: [EndpointReply] = [
        .error(503, "A dependency is not available."), .error(504, "The time limit passed."),
    ]

    private static let generationGone = EndpointReply.error(
        410, "The cursor's generation is not served, or the index's history does not reach back to `as_of`.")
    private static let noMoment = EndpointReply.error(404, "No answer with the id that `as_of` names is kept.")

    static let search = Endpoint(
        .post, "/search", id: "search", tag: "Retrieval", access: reading, summary: "Hybrid search",
        details:
            "Pages follow `next_cursor`: they continue one ranking of one index version, whatever is indexed meanwhile.",
        input: InputForm(
            SearchInput(),
            body: BodyForm(
                \.self, SearchInput.form,
                examples: [
                    ("plain", .object([("query", .string("golden gate")), ("top_k", .integer(3))])),
                    (
                        "filtered",
                        .object([
                            ("query", .string("golden gate")), ("mode", .string("lexical")),
                            (
                                "filters",
                                .object([("wiki", .array([.string("enwiki")])), ("is_bot", .bool(false))])
                            ),
                        ])
                    ),
                    (
                        "like a document, newer ones first",
                        .object([
                            ("mode", .string("like")), ("like", .object([("doc_id", .string("d-1"))])),
                            ("recency", .object([("half_life", .string("6h"))])), ("group_by", .string("title")),
                        ])
                    ),
                ])),
        replies: [
            .json(200, "Hits, best first.", ReplySchemas.search),
            .error(404, "The document that hits are to be like, or the answer that `as_of` names, is not kept."),
            .error(409, "The index version asked for was not reached in time."), generationGone,
        ] + unavailable)

    static let searchBatch = Endpoint(
        .post, "/search/batch", id: "searchBatch", tag: "Retrieval", access: reading, summary: "Up to 50 searches",
        details: "Each search is paid for as if it came alone, and has a reply or an error of its own.",
        input: InputForm(
            BatchInput(),
            body: BodyForm(
                \.self, BatchInput.form,
                examples: [
                    (
                        "two",
                        .object([
                            (
                                "searches",
                                .array([
                                    .object([("query", .string("golden gate"))]),
                                    .object([("query", .string("harbour")), ("top_k", .integer(3))]),
                                ])
                            )
                        ])
                    )
                ])),
        replies: [.json(200, "What became of each, in their order.", ReplySchemas.searchBatch)] + unavailable)

    static let answer = Endpoint(
        .post, "/answer", id: "answer", tag: "Retrieval", access: reading,
        summary: "An answer that quotes and cites, or a refusal",
        details: "With `Accept: text/event-stream` the answer comes word by word.",
        input: InputForm(
            AnswerInput(),
            body: BodyForm(
                \.self, AnswerInput.form,
                examples: [("question", .object([("query", .string("who repainted the golden gate bridge?"))]))])),
        replies: [
            EndpointReply(
                200, "The answer; it is kept under answer_id.",
                [(MediaType.json, ReplySchemas.answer), (MediaType.events, ReplySchemas.answerStream)]),
            noMoment, .error(410, "The index's history does not reach back to `as_of`."),
        ] + unavailable)

    private static let noAnswer = EndpointReply.error(404, "No answer with this id is kept.")

    static let answersGiven = Endpoint(
        .get, "/answers", id: "answers", tag: "Retrieval", access: reading,
        summary: "Answers that were given, newest first",
        details: "Of the caller's tenant, as far as they are kept (`ANSWERS_MAX_ROWS` and the like).",
        input: AnswerListInput.form,
        replies: [.json(200, "A page of answers.", ReplySchemas.answersGiven)] + unavailable)

    static let answerGiven = Endpoint(
        .get, "/answers/{answer_id}", id: "answerGiven", tag: "Retrieval", access: reading,
        summary: "An answer as it was given, with what was said of it", input: AnswerIDInput.form,
        replies: [
            .json(200, "The answer.", ReplySchemas.answerGiven), noAnswer,
            .error(410, "The answer was erased with what it was made of: the message names the erasure."),
        ] + unavailable)

    static let answerFeedback = Endpoint(
        .post, "/answers/{answer_id}/feedback", id: "answerFeedback", tag: "Retrieval", access: reading,
        summary: "Says whether an answer is good",
        details: "Kept with the answer. What a key says again takes the place of what it said before; callers without "
            + "a key are one.",
        input: FeedbackInput.form,
        replies: [
            .json(200, "It is kept.", ReplySchemas.answerFeedback), noAnswer,
            .error(409, "As many keys have spoken of the answer as are kept."),
        ] + unavailable)

    static let recent = Endpoint(
        .get, "/events/recent", id: "recentEvents", tag: "Events", access: reading,
        summary: "Events that became searchable last, newest first", input: EventsInput.form,
        replies: [.json(200, "Events.", ReplySchemas.recent), generationGone] + unavailable)

    static let stream = Endpoint(
        .get, "/stream", id: "streamEvents", tag: "Events", access: reading,
        summary: "Events as they become searchable",
        details: "Server-sent events; `curl -N` shows them.", input: StreamInput.form,
        replies: [EndpointReply(200, "Events.", [(MediaType.events, ReplySchemas.stream)])] + unavailable)

    static let trace = Endpoint(
        .get, "/trace/{doc_id}", id: "trace", tag: "Events", access: reading,
        summary: "From a document back to its raw event",
        input: TraceInput.form,
        replies: [
            .json(200, "The trace.", ReplySchemas.trace), .error(404, "No such document."), expired,
        ] + unavailable)

    static let answerTrace = Endpoint(
        .get, "/answers/{answer_id}/trace", id: "answerTrace", tag: "Retrieval", access: reading,
        summary: "From an answer's sentences back to the raw events",
        details: "By what was kept with the answer, whatever the index shows now.", input: AnswerIDInput.form,
        replies: [.json(200, "The trace.", ReplySchemas.answerTrace), noAnswer, expired] + unavailable)

    static let impact = Endpoint(
        .get, "/impact", id: "impact", tag: "Events", access: reading,
        summary: "From an event to all that came of it",
        details:
            "By record (`topic`, `partition`, `offset`), by `event_id`, by page (`collection`, `title`, perhaps `wiki`) or by "
            + "`user`: the documents in every generation, the answers that were made of them, and how many replies this server "
            + "keeps that show them.",
        input: ImpactInput.form,
        replies: [
            .json(200, "What came of it.", ReplySchemas.impact),
            .error(404, "Nothing that is in the index or among the kept answers came of it."),
        ] + unavailable)

    private static let expired = EndpointReply.error(
        410,
        "The raw event is gone: the message names what retention gave up, when and by which rule, or the erasure that took it."
    )

    static let health = Endpoint(
        .get, "/health", id: "health", tag: "Operation", access: .probe, summary: "Every dependency with its state",
        input: NoInput.form,
        replies: [
            .json(200, "Searches can be served.", ReplySchemas.health),
            .json(503, "Something that searches need has failed.", ReplySchemas.health),
        ])

    static let ready = Endpoint(
        .get, "/ready", id: "ready", tag: "Operation", access: .probe, summary: "Whether this process should be asked",
        input: NoInput.form,
        replies: [
            .json(200, "Ready.", ReplySchemas.ready),
            .json(
                503, "A dependency has failed, or the index is stale, or nobody knows how far it is behind.",
                ReplySchemas.ready),
        ])

    static let live = Endpoint(
        .get, "/live", id: "live", tag: "Operation", access: .probe, summary: "Whether the process answers",
        input: NoInput.form,
        replies: [.json(200, "It does.", ReplySchemas.live)])

    static let status = Endpoint(
        .get, "/pipeline/status", id: "pipelineStatus", tag: "Operation", access: reading,
        summary: "Every stage with its rate, lag and latency", input: NoInput.form,
        replies: [.json(200, "The stages that this process knows of.", ReplySchemas.status)])

    static let sources = Endpoint(
        .get, "/sources", id: "sources", tag: "Operation", access: reading,
        summary: "Each declared source with its state, position, lag and rate", input: NoInput.form,
        replies: [.json(200, "Those of the caller's tenant.", ReplySchemas.sources)])

    static let history = Endpoint(
        .get, "/history", id: "history", tag: "Operation", access: reading,
        summary: "The main figures over the last hour",
        details:
            "A point every `HISTORY_STEP_SEC`, 360 at most, since this process started. Where there are other tenants than the "
            + "caller's, for administrators of the platform.",
        input: NoInput.form, replies: [.json(200, "The points, oldest first.", ReplySchemas.history)])

    static let metrics = Endpoint(
        .get, "/metrics", id: "metrics", tag: "Operation", access: reading, summary: "Prometheus text, format 0.0.4",
        details: "Where there are other tenants than the caller's, for administrators of the platform.",
        input: NoInput.form, replies: [EndpointReply(200, "Metrics.", [("text/plain", .string())])])

    static let document = Endpoint(
        .get, "/openapi.json", id: "openapi", tag: "Page", summary: "This document", input: NoInput.form,
        replies: [.json(200, "OpenAPI 3.1.", .anyObject())])

    static let docs = Endpoint(
        .get, "/docs", id: "docs", tag: "Page", summary: "This document as a page", input: NoInput.form,
        replies: [EndpointReply(200, "HTML.", [("text/html", .string())]), EndpointReply(304, "It did not change.")])

    static let page = Endpoint(
        .get, "/", id: "page", tag: "Page", summary: "The page", input: NoInput.form,
        replies: [EndpointReply(200, "HTML.", [("text/html", .string())]), EndpointReply(304, "It did not change.")])

    static let pageFile = Endpoint(
        .get, "/page/{file}", id: "pageFile", tag: "Page", summary: "A file of the page", input: FileInput.form,
        replies: [
            EndpointReply(
                200, "JavaScript or CSS.", [("text/javascript", .string()), ("text/css", .string())]),
            EndpointReply(304, "It did not change."), .error(404, "No such file."),
        ])
}

extension SearchAPI {
    /// All endpoints with their handlers, in the order of the document.
    package func endpoints() -> EndpointSet {
        var set = EndpointSet()
        search.endpoints(in: &set)
        answers.endpoints(in: &set)
        chat.endpoints(in: &set)
        mcp.endpoints(in: &set)
        given.endpoints(in: &set)
        suppressions.endpoints(in: &set)
        sourceRequests.endpoints(in: &set)
        intake.endpoints(in: &set)
        documents.endpoints(in: &set)
        documentReads.endpoints(in: &set)
        events.endpoints(in: &set)
        stream.endpoints(in: &set)
        traces.endpoints(in: &set)
        impacts.endpoints(in: &set)
        operation.endpoints(in: &set)
        keys.endpoints(in: &set)
        operators.endpoints(in: &set)
        golden.endpoints(in: &set)
        page.endpoints(in: &set)
        set.surroundings = surroundings()
        var complete = set
        complete.add(Contract.document, inline: { _, _ in HTTPResponse.fresh([]) })
        let file = PageFile(Array(Self.openAPI(of: complete).json.text.utf8), MediaType.json)
        set.add(Contract.document, inline: { _, request in file.response(to: request) })
        return set
    }

    /// The document that `/openapi.json` serves.
    package static func openAPI(of set: EndpointSet) -> OpenAPIDocument {
        OpenAPIDocument(
            set,
            info: .init(
                title: "Medallion", version: Product.version,
                description: "Search, answers and traces over a stream that keeps its index fresh. Every error has one "
                    + "shape (Error). Times are RFC 3339 in UTC."),
            securitySchemes: [
                (
                    "bearer",
                    .object([
                        ("type", .string("http")), ("scheme", .string("bearer")),
                        (
                            "description",
                            .string("`Authorization: Bearer` with a key that `medallion keys create` made.")
                        ),
                    ])
                ),
                (
                    "header",
                    .object([
                        ("type", .string("apiKey")), ("in", .string("header")), ("name", .string("X-API-Key")),
                        ("description", .string("The same key in a header of its own.")),
                    ])
                ),
            ],
            others: [
                Contract.ingest.id: (
                    "signature",
                    .object([
                        ("type", .string("apiKey")), ("in", .string("header")),
                        ("name", .string(WebhookSignature.header)),
                        (
                            "description",
                            .string(
                                "Of sources with a secret, in the place of a key; docs/sources.md says what is signed.")
                        ),
                    ])
                )
            ])
    }

    private func surroundings() -> EndpointSurroundings {
        var surroundings = EndpointSurroundings()
        surroundings.admit = { [access, intake] request, endpoint in
            // Senders of signed documents have no key; what they sign is verified once it is there.
            if endpoint.id == Contract.ingest.id, try intake.admitSigned(request) {
                return try access.share(request, endpoint.access, .unasked)
            }
            let standing = try access.admit(request, endpoint.access)
            return try access.share(request, endpoint.access, standing)
        }
        surroundings.admitUnmatched = { [access] request in try access.admit(request, .open) }
        surroundings.replies = AccessGuard.replies
        surroundings.parameters = AccessGuard.tenantParameter
        surroundings.reply = { [faults] error, request, endpoint in
            faults.reply(to: error, endpoint.path, request)
        }
        surroundings.shape = { error, request in
            ErrorShape(path: request.path).response(error, requestID: request.id)
        }
        // Counted by the server's own hook, which sees every reply.
        surroundings.finish = { request, _, response in Compression.apply(to: &response, for: request) }
        return surroundings
    }
}
