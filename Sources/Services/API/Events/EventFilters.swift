import Forms
import HTTPEndpoints
import Retrieval

/// Which events `GET /events/recent` and `GET /stream` show: the same filters by the same names.
struct EventFilters: Sendable {
    /// Those that the index narrows by.
    var index = SearchFilters()
    var namespaces: [Int] = []
    var text: String?

    /// Numbers of namespaces; MediaWiki's go from -2 to some thousands.
    private static let namespaceRange = -1_000_000...1_000_000
    private static let textCharactersMax = 200
    private static let words = Form<[String]>.list(of: SearchFilters.word, countMax: SearchLimits.filterValuesMax)

    /// The parameters, of a request that keeps the values there.
    static func parameters<Root: Sendable>(
        wikis: any WritableKeyPath<Root, [String]> & Sendable,
        languages: any WritableKeyPath<Root, [String]> & Sendable,
        types: any WritableKeyPath<Root, [String]> & Sendable, namespaces: any WritableKeyPath<Root, [Int]> & Sendable,
        isBot: any WritableKeyPath<Root, Bool?> & Sendable, collection: any WritableKeyPath<Root, String?> & Sendable,
        text: any WritableKeyPath<Root, String?> & Sendable
    ) -> [Parameter<Root>] {
        [
            Parameter(.query, "wiki", wikis, words, "Database names such as `enwiki`, with commas."),
            Parameter(.query, "lang", languages, words, "Language codes, with commas."),
            Parameter(.query, "type", types, words, "Event types, with commas."),
            Parameter(
                .query, "namespace", namespaces,
                Form<[Int]>.list(of: .integer(namespaceRange), countMax: SearchLimits.filterValuesMax),
                "Numbers of namespaces, with commas."),
            Parameter(.query, "is_bot", isBot, Form<Bool>.bool.optional, "Only bots, or only people."),
            Parameter(.query, "collection", collection, SearchFilters.word.optional, "One collection."),
            Parameter(
                .query, "text", text, Form<String>.string(1...textCharactersMax).optional,
                "Only events whose text holds this, whatever the case."),
        ]
    }
}
