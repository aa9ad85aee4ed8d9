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

extension Form where Value == SearchCursor {
    /// A `next_cursor` of `POST /search`.
    static var searchCursor: Form<SearchCursor> {
        Form(
            schema: .string(pattern: "^[A-Za-z0-9_-]+$"), json: { .string($0.text) },
            read: { value, reading in
                if let text = value.string, let cursor = SearchCursor(text: text) { return cursor }
                reading.fault("cursor_invalid", "is not a next_cursor of this API", input: value)
                return nil
            })
    }
}

/// The body of `POST /search`.
struct SearchInput: Sendable {
    var query = ""
    var topK = SearchLimits.topKDefault
    var mode = SearchMode.hybrid
    var filter: FilterInput?
    var collection: String?
    var cursor: SearchCursor?
    var interprets = true
    var counting = CountingInput()

    static let queryForm = Form<String>.string(1...SearchLimits.queryCharactersMax, notBlank: true)

    /// The members that a search and a question share.
    static func fields<Root>(
        query: any WritableKeyPath<Root, String> & Sendable, topK: any WritableKeyPath<Root, Int> & Sendable,
        mode: any WritableKeyPath<Root, SearchMode> & Sendable,
        filter: any WritableKeyPath<Root, FilterInput?> & Sendable,
        collection: any WritableKeyPath<Root, String?> & Sendable,
        interprets: any WritableKeyPath<Root, Bool> & Sendable
    ) -> [Field<Root>] {
        [
            Field("query", query, queryForm, "What to look for.", example: .string("golden gate"), isRequired: true),
            Field("top_k", topK, .integer(1...SearchLimits.topKMax), "Hits per page."),
            Field("mode", mode, .choice, "Both arms, or one."),
            Field("filters", filter, FilterInput.form.optional),
            Field("collection", collection, FilterInput.word.optional, "The same as `filters.collection`."),
            Field(
                "interpret", interprets, .bool,
                "Whether words of the query that name a time, a wiki, a language, a user or a page become filters, as "
                    + "`interpreted` of the reply then says."),
        ]
    }

    /// What the attributes of tests are follows from who asks: ``checked(_:nowMilliseconds:)``.
    static let form = Form<SearchInput>.object(
        SearchInput(),
        fields(
            query: \.query, topK: \.topK, mode: \.mode, filter: \.filter, collection: \.collection,
            interprets: \.interprets)
            + [
                Field(
                    "cursor", \.cursor, Form<SearchCursor>.searchCursor.optional,
                    "`next_cursor` of the page before; repeat query, mode and filters as they were.")
            ] + CountingInput.fields
    ).named("SearchRequest")

    /// What was asked, of the documents of the tenant that declares.
    ///
    /// - Parameter nowMilliseconds: when it was asked, since 1970: what "the last hour" of the question is.
    /// - Throws: 422 where the filters cannot be asked, `collection` is named twice, and differs, or the cursor is of another search.
    func checked(_ declared: DeclaredAttributes, nowMilliseconds: Int64) throws(EndpointError) -> SearchRequest {
        var reading = InputReading()
        let request = reading.at(.name("body")) { reading -> SearchRequest? in
            guard var request = self.request(declared, &reading) else { return nil }
            if interprets { request = request.interpreted(declared, nowMilliseconds: nowMilliseconds) }
            if let cursor = request.cursor, cursor.fingerprint != request.fingerprint {
                reading.fault(
                    "cursor_mismatch",
                    "continues a search with another query, mode or filters; repeat them as they were",
                    at: [.name("cursor")], input: .string(cursor.text))
            }
            return request
        }
        guard let request, reading.faults.isEmpty else { throw .invalid(reading.faults) }
        return request
    }

    /// What was asked; nil with faults noted where the filters cannot be asked, or `collection` is named twice, and differs.
    private func request(_ declared: DeclaredAttributes, _ reading: inout InputReading) -> SearchRequest? {
        var whole = Filter.all(of: declared.tenant)
        if let filter {
            let read = reading.at(.name("filters")) { filter.filter(declared, in: collection, &$0) }
            guard let read else { return nil }
            whole = read
        }
        if let collection {
            guard whole.scope.collections.map({ $0 == [collection] }) ?? true else {
                reading.fault("value_error", "differs from filters.collection", at: [.name("collection")])
                return nil
            }
            do throws(FilterFault) {
                whole = try whole.adding(must: [.equals(.collection, .string(collection))])
            } catch {
                reading.fault(error.type, error.message, at: [.name("filters")])
                return nil
            }
        }
        var request = SearchRequest(query: query, topK: topK, mode: mode, filter: whole, cursor: cursor)
        guard counting.apply(to: &request, declared, &reading) else { return nil }
        return request
    }
}

/// The body of `POST /answer`.
struct AnswerInput: Sendable {
    var search = SearchInput()
    var maxTokens = SearchLimits.answerTokensDefault
    var isDebug = false

    static let form = Form<AnswerInput>.object(
        AnswerInput(),
        SearchInput.fields(
            query: \.search.query, topK: \.search.topK, mode: \.search.mode, filter: \.search.filter,
            collection: \.search.collection, interprets: \.search.interprets)
            + [
                Field(
                    "max_tokens", \.maxTokens, .integer(1...SearchLimits.answerTokensMax),
                    "Bound of the answer's length."),
                Field("debug", \.isDebug, .bool, "Whether `debug` of the reply is filled."),
            ]
    ).named("AnswerRequest")

    /// - Throws: as ``SearchInput/checked(_:nowMilliseconds:)``.
    func checked(_ declared: DeclaredAttributes, nowMilliseconds: Int64) throws(EndpointError) -> AnswerRequest {
        AnswerRequest(
            search: try search.checked(declared, nowMilliseconds: nowMilliseconds), maxTokens: maxTokens,
            isDebug: isDebug)
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
