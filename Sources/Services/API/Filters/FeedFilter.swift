import Bytes
import Forms
import HTTPEndpoints
import JSONScan
import Records
import Retrieval

/// Which events `GET /events/recent` and `GET /stream` show.
struct FeedFilter: Sendable {
    let filter: Filter
    /// What the text must hold, in lower case.
    let words: [UInt8]?

    /// Whether nothing is left out.
    var takesAll: Bool { filter.takesAll && words == nil }

    func takes(_ event: TopicEvent) -> Bool {
        // The text last, since it costs the most.
        filter.matches(event.attributes) && (words.map(event.text.holds) ?? true)
    }

    /// Whether a step may be shown: a record that was only received tells some of its attributes, and only those are
    /// compared.
    func takes(_ step: StageStep) -> Bool {
        if let event = step.event { return takes(event) }
        return filter.mayMatch(step.attributes)
    }

    func takes(_ document: Candidate) -> Bool {
        filter.matches(document) && (words.map(FoldedText(document.text).holds) ?? true)
    }

    /// What the index narrows by, and what is left to be compared with each document that it gave. Its statement has no
    /// parameter for a namespace, which every row tells.
    var split: (index: Filter, rest: FeedFilter) {
        let (index, others) = filter.split { test in
            if case .oneOf = test.condition { test.attribute == .namespace } else { false }
        }
        return (index, FeedFilter(filter: others, words: words))
    }
}

/// The parameters that `GET /events/recent` and `GET /stream` have in common.
struct FeedInput: Sendable {
    var wikis: [String] = []
    var languages: [String] = []
    var types: [String] = []
    var namespaces: [Int] = []
    var isBot: Bool?
    var collection: String?
    var text: String?
    /// The general form.
    var filter: FilterInput?

    /// Numbers of namespaces; MediaWiki's go from -2 to some thousands.
    private static let namespaceRange = -1_000_000...1_000_000
    private static let textCharactersMax = 200
    private static let words = Form<[String]>.list(of: FilterInput.word, countMax: FilterLimits.valuesMax)

    /// The parameters, of a request that keeps the values there.
    static func parameters<Root: Sendable>(
        wikis: any WritableKeyPath<Root, [String]> & Sendable,
        languages: any WritableKeyPath<Root, [String]> & Sendable,
        types: any WritableKeyPath<Root, [String]> & Sendable, namespaces: any WritableKeyPath<Root, [Int]> & Sendable,
        isBot: any WritableKeyPath<Root, Bool?> & Sendable, collection: any WritableKeyPath<Root, String?> & Sendable,
        text: any WritableKeyPath<Root, String?> & Sendable, filter: any WritableKeyPath<Root, FilterInput?> & Sendable
    ) -> [Parameter<Root>] {
        [
            Parameter(.query, "wiki", wikis, words, "Database names such as `enwiki`, with commas."),
            Parameter(.query, "lang", languages, words, "Language codes, with commas."),
            Parameter(.query, "type", types, words, "Event types, with commas."),
            Parameter(
                .query, "namespace", namespaces,
                Form<[Int]>.list(of: .integer(namespaceRange), countMax: FilterLimits.valuesMax),
                "Numbers of namespaces, with commas."),
            Parameter(.query, "is_bot", isBot, Form<Bool>.bool.optional, "Only bots, or only people."),
            Parameter(.query, "collection", collection, FilterInput.word.optional, "One collection."),
            Parameter(
                .query, "text", text, Form<String>.string(1...textCharactersMax).optional,
                "Only events whose text holds this, whatever the case."),
            Parameter(
                .query, "filter", filter, FilterInput.form.asJSONText.optional,
                "`filters` of `POST /search`, as JSON; events pass it and the other parameters."),
        ]
    }

    /// - Parameters:
    ///   - declared: what the attributes of tests are, and whose documents are asked for.
    ///   - formerIsBot: `is_bot` by its former name.
    /// - Throws: 422 where a test cannot be asked, or all of it together is too much.
    func checked(_ declared: DeclaredAttributes, formerIsBot: Bool? = nil) throws(EndpointError) -> FeedFilter {
        var reading = InputReading()
        var general: Filter? = .all(of: declared.tenant)
        if let filter {
            general = reading.at(.name("query")) { reading in
                reading.at(.name("filter")) { filter.filter(declared, in: collection, &$0) }
            }
        }
        guard let general, reading.faults.isEmpty else { throw .invalid(reading.faults) }
        var tests = FilterInput.tests(
            wikis: wikis, languages: languages, types: types, isBot: isBot ?? formerIsBot)
        if !namespaces.isEmpty {
            tests.append(AttributeTest(.namespace, .oneOf(namespaces.map { .integer(Int64($0)) })))
        }
        if let collection { tests.append(.equals(.collection, .string(collection))) }
        do throws(FilterFault) {
            return FeedFilter(filter: try general.adding(must: tests), words: text.map(FoldedText.fold))
        } catch {
            throw .invalid([
                InputFault(
                    type: error.type, location: [.name("query"), .name("filter")],
                    message: "together with the other parameters, \(error.message)")
            ])
        }
    }
}
