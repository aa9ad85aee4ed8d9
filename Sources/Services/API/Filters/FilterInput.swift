import Bytes
import Forms
import JSONScan
import Records
import Retrieval

/// `filters` of a request: the general form, and the names of the attributes of recent changes.
struct FilterInput: Sendable {
    var wikis: [String]?
    var languages: [String]?
    var types: [String]?
    var isBot: Bool?
    /// Milliseconds since 1970.
    var from: Int64?
    var to: Int64?
    var collection: String?
    var must: [AttributeTestInput]?
    var mustNot: [AttributeTestInput]?

    static let word = Form<String>.string(1...FilterLimits.charactersMax)
    static let words = Form<[String]>.oneOrMany(of: word, countMax: FilterLimits.valuesMax)
    private static let tests = Form<[AttributeTestInput]>.list(
        of: AttributeTestInput.form, countMax: FilterLimits.testsMax
    ).optional

    /// The filters of a body. Null leaves a member out, as everywhere. ``filter(_:in:_:)`` makes of them what they mean.
    static let form = Form<FilterInput>.object(
        FilterInput(),
        [
            Field("wiki", \.wikis, words.optional, "Database names such as `enwiki`; a list names alternatives."),
            Field("lang", \.languages, words.optional, "Language codes such as `en`."),
            Field("type", \.types, words.optional, "Event types such as `edit`, `new`."),
            Field("is_bot", \.isBot, Form<Bool>.bool.optional, "Only bots, or only people."),
            Field("from", \.from, Form<Int64>.time.optional, "Event time at or after."),
            Field("to", \.to, Form<Int64>.time.optional, "Event time before; after `from`."),
            Field("collection", \.collection, word.optional, "One collection."),
            Field("must", \.must, tests, "Documents pass all of these tests."),
            Field("must_not", \.mustNot, tests, "Documents pass none of these tests."),
        ], "Which documents may be returned; both arms apply all of it."
    ).named("Filters")

    /// What is asked; nil with faults noted where it cannot be asked.
    ///
    /// - Parameters:
    ///   - declared: what the attributes of tests are.
    ///   - outer: the one collection that the request asks, as far as it says so elsewhere.
    func filter(
        _ declared: DeclaredAttributes, in outer: String?, _ reading: inout InputReading
    ) -> Filter? {
        if let from, let to, from >= to {
            reading.fault(
                "range_empty", "must be after from (\(CivilTime.rfc3339(from)))", at: [.name("to")],
                input: .string(CivilTime.rfc3339(to)))
            return nil
        }
        var tests = Self.tests(wikis: wikis, languages: languages, types: types, isBot: isBot)
        let faults = reading.faults.count
        let named = (collection ?? outer).map { [$0] } ?? must?.compactMap(\.collections).first
        func read(_ name: String, _ inputs: [AttributeTestInput]?) -> [AttributeTest] {
            reading.at(.name(name)) { reading in
                (inputs ?? []).enumerated().compactMap { index, input in
                    reading.at(.index(index)) { input.test(declared, in: named, &$0) }
                }
            }
        }
        tests += read("must", must)
        let excluded = read("must_not", mustNot)
        guard reading.faults.count == faults else { return nil }
        do throws(FilterFault) {
            return try Filter(
                scope: Filter.Scope(tenant: declared.tenant, collections: collection.map { [$0] }),
                time: Filter.TimeRange(from: from, to: to), must: tests, mustNot: excluded)
        } catch {
            reading.fault(error.type, error.message)
            return nil
        }
    }

    /// What the names of recent changes mean; an empty list leaves nothing out.
    static func tests(
        wikis: [String]?, languages: [String]?, types: [String]?, isBot: Bool?
    ) -> [AttributeTest] {
        let lists: [(AttributeName, [String]?)] = [(.wiki, wikis), (.lang, languages), (.type, types)]
        var tests: [AttributeTest] = lists.compactMap { name, values in
            guard let values, !values.isEmpty else { return nil }
            return .texts(name, values)
        }
        if let isBot { tests.append(.equals(.isBot, .bool(isBot))) }
        return tests
    }
}
