import Bytes
import Forms
import HTTPEndpoints
import JSONScan
import Retrieval

/// A question as asked.
struct AnswerRequest: Sendable {
    var search = SearchRequest(query: "")
    var maxTokens = SearchLimits.answerTokensDefault
    var isDebug = false
    var wantsDrafts = false
}

/// What `GET /events/recent` reads.
struct EventsInput: Sendable {
    var limit = Events.recentDefault
    var after: Int?
    var cursor: RecentCursor?
    var feed = FeedInput()
}

/// What `GET /trace/{doc_id}` reads.
struct TraceInput: Sendable {
    var docID = ""
    var collection: String?
    var generation: Int?
}

extension Form where Value == Int64 {
    /// What is wrong with a text that is no time.
    static var timeMessage: String { "must be a time with zone as in RFC 3339, such as 2026-11-21T06:00:00Z" }

    /// A time with zone of RFC 3339, as milliseconds since 1970.
    static var time: Form<Int64> {
        Form(
            schema: .time(), json: { .string(CivilTime.rfc3339($0)) },
            read: { value, reading in
                if let text = value.string, let time = CivilTime.epochMilliseconds(text) { return time }
                reading.fault("datetime_parsing", timeMessage, input: value)
                return nil
            },
            readTexts: { texts, reading in
                if let text = texts.first, let time = CivilTime.epochMilliseconds(text) { return time }
                reading.fault("datetime_parsing", timeMessage, input: texts.first.map(JSONValue.string))
                return nil
            })
    }
}

/// The body of `POST /answer`.
struct AnswerInput: Sendable {
    var search = SearchInput()
    var maxTokens = SearchLimits.answerTokensDefault
    var isDebug = false
    var wantsDrafts = false

    static let form = Form<AnswerInput>.object(
        AnswerInput(),
        SearchInput.fields(
            query: \.search.query, topK: \.search.topK, mode: \.search.mode, modes: AskedMode.ofQuestions,
            filter: \.search.filter, collection: \.search.collection, interprets: \.search.interprets,
            isQueryRequired: true)
            + [
                Field(
                    "max_tokens", \.maxTokens, .integer(1...SearchLimits.answerTokensMax),
                    "Bound of the answer's length."),
                Field("debug", \.isDebug, .bool, "Whether `debug` of the reply is filled."),
                Field(
                    "draft", \.wantsDrafts, .bool,
                    "Whether a stream also has what a model writes as it comes, in `draft` events: unchecked, to be replaced by "
                        + "the sentences that follow."),
                SearchInput.asOfField(\.search.asOf),
            ]
    ).named("AnswerRequest")

    /// - Throws: as ``SearchInput/checked(_:nowMilliseconds:past:)``.
    func checked(
        _ declared: DeclaredAttributes, nowMilliseconds: Int64, past: PastMoment? = nil
    ) throws(EndpointError) -> AnswerRequest {
        AnswerRequest(
            search: try search.checked(declared, nowMilliseconds: nowMilliseconds, past: past), maxTokens: maxTokens,
            isDebug: isDebug, wantsDrafts: wantsDrafts)
    }
}

extension EventsInput {
    /// What `GET /events/recent` reads.
    static let form = InputForm(
        EventsInput(),
        [
            Parameter(.query, "limit", \.limit, .integer(1...Events.recentMax), "Events per page."),
            Parameter(
                .query, "after", \.after, Form<Int>.integer(0...Int.max).optional,
                "Only those of later index versions: `index_version` of an earlier reply."),
            Parameter(
                .query, "cursor", \.cursor, Form<RecentCursor>.recentCursor.optional,
                "`next_cursor` of an earlier reply: goes on to older events."),
        ]
            + FeedInput.parameters(
                wikis: \.feed.wikis, languages: \.feed.languages, types: \.feed.types, namespaces: \.feed.namespaces,
                isBot: \.feed.isBot, collection: \.feed.collection, text: \.feed.text, filter: \.feed.filter))
}

extension TraceInput {
    /// What `GET /trace/{doc_id}` reads.
    static let form = InputForm(
        TraceInput(),
        [
            Parameter(
                .path, "doc_id", \.docID, .string(1...FilterLimits.charactersMax), "A document's id."),
            Parameter(
                .query, "collection", \.collection, FilterInput.word.optional,
                "The document's collection; needed where several have a document of that id."),
            Parameter(
                .query, "generation", \.generation, Form<Int>.integer(0...Int.max).optional,
                "The generation to look in; the active one if left out."),
        ])
}
