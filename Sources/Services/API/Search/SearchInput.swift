import Forms
import HTTPEndpoints
import JSONScan
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

/// The body of `POST /search`.
struct SearchInput: Sendable {
    var query = ""
    var topK = SearchLimits.topKDefault
    var mode = SearchMode.hybrid
    var filter: FilterInput?
    var collection: String?
    var cursor: SearchCursor?
    var interprets = true
    var weights: ArmWeights?

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
                    "`next_cursor` of the page before; repeat query, mode, filters and weights as they were."),
                Field(
                    "weights", \.weights, ArmWeights.form.optional,
                    "What a place in each arm's ranking counts when both are fused; what is left out counts as the server is "
                        + "set."),
            ]
    ).named("SearchRequest")

    /// What was asked, of the documents of the tenant that declares.
    ///
    /// - Parameter nowMilliseconds: when it was asked, since 1970: what "the last hour" of the question is.
    /// - Throws: 422 where the filters cannot be asked, `collection` is named twice, and differs, or the cursor is of another search.
    func checked(_ declared: DeclaredAttributes, nowMilliseconds: Int64) throws(EndpointError) -> SearchRequest {
        var reading = InputReading()
        let request = reading.at(.name("body")) { reading -> SearchRequest? in
            guard var request = self.request(declared, &reading) else { return nil }
            checkWeights(&reading)
            if interprets { request = request.interpreted(declared, nowMilliseconds: nowMilliseconds) }
            if let cursor = request.cursor, cursor.fingerprint != request.fingerprint {
                reading.fault(
                    "cursor_mismatch",
                    "continues a search with another query, mode, filters or weights; repeat them as they were",
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
        request.weights = weights
        return request
    }

    /// An arm that counts nothing is left out; one must be left.
    private func checkWeights(_ reading: inout InputReading) {
        let asked = [(SearchMode.vector, weights?.vector), (.lexical, weights?.lexical)]
        guard asked.allSatisfy({ arm, weight in weight == 0 || (mode != .hybrid && mode != arm) }) else { return }
        reading.fault(
            "weights_empty", "must leave an arm of the mode \(mode.rawValue) a weight above 0", at: [.name("weights")])
    }
}

extension ArmWeights {
    /// Of an arm; far more than anybody needs.
    static let weightMax = 100.0

    /// As a request gives them.
    static let form = Form<ArmWeights>.object(
        ArmWeights(),
        [
            Field(
                "vector", \.vector, Form<Double>.number(0...weightMax).optional,
                "Of the vector arm; 0 leaves it out."),
            Field(
                "lexical", \.lexical, Form<Double>.number(0...weightMax).optional,
                "Of the word arm; 0 leaves it out."),
        ]
    ).named("ArmWeights")
}
