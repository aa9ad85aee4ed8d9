import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval

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

/// `mode` of a search: the arms that are asked, or a document that hits are to be like.
enum AskedMode: String, Sendable, CaseIterable {
    case hybrid
    case vector
    case lexical
    /// Both arms, with what a document says in place of a query.
    case like

    /// The arms that are asked.
    var arms: SearchMode {
        switch self {
        case .hybrid, .like: .hybrid
        case .vector: .vector
        case .lexical: .lexical
        }
    }

    /// The modes of questions, which have words.
    static let ofQuestions = Form<SearchMode>.choice.converted(json: { .string($0.rawValue) }) { mode, _ in
        AskedMode(rawValue: mode.rawValue)
    }
}

/// The body of `POST /search`.
struct SearchInput: Sendable {
    /// Empty where none is given, which only `like` allows.
    var query = ""
    var topK = SearchLimits.topKDefault
    var mode = AskedMode.hybrid
    var filter: FilterInput?
    var collection: String?
    var cursor: SearchCursor?
    var interprets = true
    var like: LikeInput?
    var options = SearchOptionsInput()
    var counting = CountingInput()
    var isExplained = false
    var timeoutMilliseconds: Int?
    var indexVersionMin: Int?
    var asOf: AsOf?

    static let queryForm = Form<String>.string(1...SearchLimits.queryCharactersMax, notBlank: true)
    /// Shorter ones would be over before anything could be found.
    static let timeoutMillisecondsMin = 50
    private static let timeoutMillisecondsMax = 600_000

    /// The members that a search and a question share.
    ///
    /// - Parameter modes: what `mode` may say.
    static func fields<Root>(
        query: any WritableKeyPath<Root, String> & Sendable, topK: any WritableKeyPath<Root, Int> & Sendable,
        mode: any WritableKeyPath<Root, AskedMode> & Sendable, modes: Form<AskedMode>,
        filter: any WritableKeyPath<Root, FilterInput?> & Sendable,
        collection: any WritableKeyPath<Root, String?> & Sendable,
        interprets: any WritableKeyPath<Root, Bool> & Sendable, isQueryRequired: Bool
    ) -> [Field<Root>] {
        // What is left out is no default that anybody could send.
        let text = queryForm.converted(json: { $0.isEmpty ? .null : .string($0) }) { text, _ in text }
        return [
            Field(
                "query", query, text, "What to look for.", example: .string("golden gate"), isRequired: isQueryRequired),
            Field("top_k", topK, .integer(1...SearchLimits.topKMax), "Hits per page."),
            Field("mode", mode, modes, "Both arms, or one."),
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
            query: \.query, topK: \.topK, mode: \.mode, modes: .choice, filter: \.filter, collection: \.collection,
            interprets: \.interprets, isQueryRequired: false)
            + [
                Field(
                    "cursor", \.cursor, Form<SearchCursor>.searchCursor.optional,
                    "`next_cursor` of the page before; repeat query, mode, filters and options as they were."),
                Field(
                    "like", \.like, LikeInput.form.optional,
                    "With mode `like`, in place of `query`: the document, or the passage, that hits are to be like."),
            ] + rankingFields + runningFields + CountingInput.fields
    ).checked { input, reading in
        // Reported together with all other faults; a query that is there but wrong has been reported already.
        guard input.query.isEmpty, input.mode != .like, input.like == nil,
            !reading.faults.contains(where: { $0.location.last == .name("query") })
        else { return }
        reading.fault("missing", "is required, unless mode is like", at: [.name("query")])
    }.named("SearchRequest")

    private static let rankingFields: [Field<SearchInput>] = [
        Field(
            "weights", \.options.weights, ArmWeights.form.optional,
            "What a place in each arm's ranking counts when both are fused; what is left out counts as the server is set."
        ),
        Field(
            "recency", \.options.recency, RecencyPrior.form.optional, "What newer documents get on top of their score."),
        Field(
            "source_weights", \.options.sourceWeights, Form<[String: Double]>.sourceWeights.optional,
            "By collection, what its documents' scores are multiplied by; for others their source's reputation, or 1."),
        Field(
            "reputation", \.options.countsReputation, .bool,
            "Whether the `reputation` that sources declare counts where `source_weights` says nothing."),
        Field(
            "min_score", \.options.scoreMin, Form<Double>.number(0...SearchOptionsInput.scoreMax).optional,
            "Hits whose `scores.fused` is less are left out."),
        Field(
            "sort", \.options.order, .choice,
            "`time`: the newest first, among what the arms found and `min_score` leaves."),
        Field(
            "group_by", \.options.grouping, Form<String>.string(1...AttributeName.bytesMax).optional,
            "`title`, or an attribute: the first hit of each group, with how many others were found.",
            example: .string("title")),
        Field("explain", \.isExplained, .bool, "Whether hits say what their scores are made of."),
    ]

    private static let runningFields: [Field<SearchInput>] = [
        Field(
            "timeout_ms", \.timeoutMilliseconds,
            Form<Int>.integer(timeoutMillisecondsMin...timeoutMillisecondsMax).optional,
            "How long the search may take, where that is less than the server's own limit: then there is what was found, or 504."
        ),
        Field(
            "min_index_version", \.indexVersionMin, Form<Int>.integer(0...Int.max).optional,
            "Waits until this index version is visible; 409 where it does not come in time."),
        asOfField(\.asOf),
    ]

    /// What was asked, of the documents of the tenant that declares.
    ///
    /// - Parameters:
    ///   - nowMilliseconds: when it was asked, since 1970: what "the last hour" of the question is, and how old an event.
    ///   - past: the moment that ``asOf`` names.
    /// - Throws: 422 where the filters or options cannot be asked, `collection` is named twice, and differs, or the cursor is of
    ///   another search.
    func checked(
        _ declared: DeclaredAttributes, nowMilliseconds: Int64, past: PastMoment? = nil
    ) throws(EndpointError) -> SearchRequest {
        var reading = InputReading()
        let request = reading.at(.name("body")) { reading -> SearchRequest? in
            checked(declared, nowMilliseconds: past?.referenceMilliseconds ?? nowMilliseconds, past, &reading)
        }
        guard let request, reading.faults.isEmpty else { throw .invalid(reading.faults) }
        return request
    }

    private func checked(
        _ declared: DeclaredAttributes, nowMilliseconds: Int64, _ past: PastMoment?, _ reading: inout InputReading
    ) -> SearchRequest? {
        checkMode(&reading)
        checkAsOf(&reading)
        options.checkWeights(mode.arms, &reading)
        guard var request = self.request(declared, &reading)?.takingFields(declared) else { return nil }
        request.past = past
        if interprets, request.like == nil {
            request = request.interpreted(declared, nowMilliseconds: nowMilliseconds)
        }
        if request.options.recency != nil {
            request.referenceMilliseconds = cursor?.referenceMilliseconds ?? nowMilliseconds
        }
        guard let cursor else { return request }
        if cursor.fingerprint != request.fingerprint {
            reading.fault(
                "cursor_mismatch",
                "continues a search with another query, mode, filters or options; repeat them as they were",
                at: [.name("cursor")], input: .string(cursor.text))
        } else if let least = request.indexVersionMin, cursor.indexVersion < least {
            reading.fault(
                "cursor_older",
                "is later than the cursor's pages, which are of index version \(cursor.indexVersion); begin again without it",
                at: [.name("min_index_version")], input: .integer(least))
        }
        return request
    }

    private func checkMode(_ reading: inout InputReading) {
        guard mode == .like else {
            if like != nil {
                reading.fault("like_unused", "is read where mode is like alone", at: [.name("like")])
            }
            return
        }
        if like == nil { reading.fault("missing", "is required where mode is like", at: [.name("like")]) }
        if !query.isEmpty {
            reading.fault(
                "query_unused", "is not read where mode is like: leave it out", at: [.name("query")],
                input: .string(query))
        }
    }

    /// What was asked; nil with faults noted where it cannot be asked, or `collection` is named twice, and differs.
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
        guard let options = options.options(declared, in: whole.scope.collections, &reading) else { return nil }
        var request = SearchRequest(query: query, topK: topK, mode: mode.arms, filter: whole, cursor: cursor)
        guard counting.apply(to: &request, declared, &reading) else { return nil }
        request.weights = self.options.weights
        request.options = options
        request.like = like?.target(of: declared.tenant)
        request.isExplained = isExplained
        request.timeoutMilliseconds = timeoutMilliseconds
        request.indexVersionMin = indexVersionMin.map { Int64($0) }
        return request
    }
}

/// `like` of a search.
struct LikeInput: Sendable {
    var docID = ""
    var collection: String?
    var passage: Int?

    static let form = Form<LikeInput>.object(
        LikeInput(),
        [
            Field(
                "doc_id", \.docID, .string(1...FilterLimits.charactersMax), "The document's id, as hits have it.",
                isRequired: true),
            Field(
                "collection", \.collection, FilterInput.word.optional,
                "The document's collection; needed where several have a document of that id."),
            Field(
                "passage", \.passage, Form<Int>.integer(0...Int(Int32.max)).optional,
                "The number of one passage; the whole document if left out."),
        ]
    ).named("Like")

    func target(of tenant: TenantID) -> LikeTarget {
        LikeTarget(tenant: tenant, docID: docID, collection: collection, passage: passage.map { Int32($0) })
    }
}
