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
    var limit = SearchAPI.recentDefault
    var after: Int?
    var cursor: RecentCursor?
    var filters = EventFilters()
}

/// What `GET /trace/{doc_id}` reads.
struct TraceInput: Sendable {
    var docID = ""
    var generation: Int?
}

extension SearchFilters {
    static let word = Form<String>.string(1...SearchLimits.filterCharactersMax)
    static let words = Form<[String]>.oneOrMany(of: word, countMax: SearchLimits.filterValuesMax)

    /// The filters of a body. Null leaves a member out, as everywhere.
    static let form = Form<SearchFilters>.object(
        SearchFilters(),
        [
            Field("wiki", \.wikiChoice, words.optional, "Database names such as `enwiki`; a list names alternatives."),
            Field("lang", \.languageChoice, words.optional, "Language codes such as `en`."),
            Field("type", \.typeChoice, words.optional, "Event types such as `edit`, `new`."),
            Field("is_bot", \.isBot, Form<Bool>.bool.optional, "Only bots, or only people."),
            Field("from", \.fromMilliseconds, Form<Int64>.time.optional, "Event time at or after."),
            Field("to", \.toMilliseconds, Form<Int64>.time.optional, "Event time before; after `from`."),
            Field("collection", \.collection, word.optional, "One collection."),
        ], "Which documents may be returned; both arms apply all of it."
    ) { filters, reading in
        guard let from = filters.fromMilliseconds, let to = filters.toMilliseconds, from >= to else { return }
        reading.fault(
            "range_empty", "must be after from (\(CivilTime.rfc3339(from)))", at: [.name("to")],
            input: .string(CivilTime.rfc3339(to)))
    }.named("Filters")

    // Absent and null are the empty list, which does not filter.
    private var wikiChoice: [String]? {
        get { wikis.isEmpty ? nil : wikis }
        set { wikis = newValue ?? [] }
    }
    private var languageChoice: [String]? {
        get { languages.isEmpty ? nil : languages }
        set { languages = newValue ?? [] }
    }
    private var typeChoice: [String]? {
        get { types.isEmpty ? nil : types }
        set { types = newValue ?? [] }
    }
}

extension Form where Value == Int64 {
    /// A time with zone of RFC 3339, as milliseconds since 1970.
    static var time: Form<Int64> {
        let message = "must be a time with zone as in RFC 3339, such as 2026-11-21T06:00:00Z"
        return Form(
            schema: .time(), json: { .string(CivilTime.rfc3339($0)) },
            read: { value, reading in
                if let text = value.string, let time = CivilTime.epochMilliseconds(text) { return time }
                reading.fault("datetime_parsing", message, input: value)
                return nil
            },
            readTexts: { texts, reading in
                if let text = texts.first, let time = CivilTime.epochMilliseconds(text) { return time }
                reading.fault("datetime_parsing", message, input: texts.first.map(JSONValue.string))
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

extension SearchRequest {
    static let queryForm = Form<String>.string(1...SearchLimits.queryCharactersMax, notBlank: true)

    /// The members that a search and a question share.
    static func fields<Root>(
        query: any WritableKeyPath<Root, String> & Sendable, topK: any WritableKeyPath<Root, Int> & Sendable,
        mode: any WritableKeyPath<Root, SearchMode> & Sendable,
        filters: any WritableKeyPath<Root, SearchFilters?> & Sendable,
        collection: any WritableKeyPath<Root, String?> & Sendable
    ) -> [Field<Root>] {
        [
            Field("query", query, queryForm, "What to look for.", example: .string("golden gate"), isRequired: true),
            Field("top_k", topK, .integer(1...SearchLimits.topKMax), "Hits per page."),
            Field("mode", mode, .choice, "Both arms, or one."),
            Field("filters", filters, SearchFilters.form.optional),
            Field("collection", collection, SearchFilters.word.optional, "The same as `filters.collection`."),
        ]
    }

    /// The body of `POST /search`.
    static let form = Form<SearchRequest>.object(
        SearchRequest(query: ""),
        fields(
            query: \.query, topK: \.topK, mode: \.mode, filters: \.givenFilters, collection: \.givenCollection)
            + [
                Field(
                    "cursor", \.cursor, Form<SearchCursor>.searchCursor.optional,
                    "`next_cursor` of the page before; repeat query, mode and filters as they were.")
            ]
    ) { request, reading in
        request.checkCollection(&reading)
        guard let cursor = request.cursor, cursor.fingerprint != request.fingerprint else { return }
        reading.fault(
            "cursor_mismatch", "continues a search with another query, mode or filters; repeat them as they were",
            at: [.name("cursor")], input: .string(cursor.text))
    }.named("SearchRequest")

    var givenFilters: SearchFilters? {
        get { nil }
        set {
            let collection = filters.collection
            filters = newValue ?? SearchFilters()
            merge(collection)
        }
    }

    var givenCollection: String? {
        get { nil }
        set { merge(newValue) }
    }

    /// Two names that differ leave both, joined by U+0000, which no name has; ``checkCollection(_:)`` finds it.
    private mutating func merge(_ collection: String?) {
        guard let collection else { return }
        if let known = filters.collection, known != collection {
            filters.collection = known + "\0" + collection
        } else {
            filters.collection = collection
        }
    }

    func checkCollection(_ reading: inout InputReading) {
        guard let collection = filters.collection, collection.utf8.contains(0) else { return }
        reading.fault("value_error", "differs from filters.collection", at: [.name("collection")])
    }
}

extension AnswerRequest {
    /// The body of `POST /answer`.
    static let form = Form<AnswerRequest>.object(
        AnswerRequest(),
        SearchRequest.fields(
            query: \.search.query, topK: \.search.topK, mode: \.search.mode,
            filters: \.search.givenFilters, collection: \.search.givenCollection)
            + [
                Field(
                    "max_tokens", \.maxTokens, .integer(1...SearchLimits.answerTokensMax),
                    "Bound of the answer's length."),
                Field("debug", \.isDebug, .bool, "Whether `debug` of the reply is filled."),
            ]
    ) { request, reading in
        request.search.checkCollection(&reading)
    }.named("AnswerRequest")
}

extension EventsInput {
    /// What `GET /events/recent` reads.
    static let form = InputForm(
        EventsInput(),
        [
            Parameter(.query, "limit", \.limit, .integer(1...SearchAPI.recentMax), "Events per page."),
            Parameter(
                .query, "after", \.after, Form<Int>.integer(0...Int.max).optional,
                "Only those of later index versions: `index_version` of an earlier reply."),
            Parameter(
                .query, "cursor", \.cursor, Form<RecentCursor>.recentCursor.optional,
                "`next_cursor` of an earlier reply: goes on to older events."),
        ]
            + EventFilters.parameters(
                wikis: \.filters.index.wikis, languages: \.filters.index.languages, types: \.filters.index.types,
                namespaces: \.filters.namespaces, isBot: \.filters.index.isBot,
                collection: \.filters.index.collection, text: \.filters.text))
}

extension TraceInput {
    /// What `GET /trace/{doc_id}` reads.
    static let form = InputForm(
        TraceInput(),
        [
            Parameter(
                .path, "doc_id", \.docID, .string(1...SearchLimits.filterCharactersMax), "A document's id."),
            Parameter(
                .query, "generation", \.generation, Form<Int>.integer(0...Int.max).optional,
                "The generation to look in; the active one if left out."),
        ])
}
