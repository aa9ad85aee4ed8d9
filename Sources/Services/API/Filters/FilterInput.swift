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
    var must: [AttributeTest]?
    var mustNot: [AttributeTest]?

    static let word = Form<String>.string(1...FilterLimits.charactersMax)
    static let words = Form<[String]>.oneOrMany(of: word, countMax: FilterLimits.valuesMax)
    private static let tests = Form<[AttributeTest]>.list(
        of: AttributeTestInput.form(.recentChanges), countMax: FilterLimits.testsMax
    ).optional

    /// The filters of a body. Null leaves a member out, as everywhere.
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
    ).converted { input, reading in input.filter(&reading) }.named("Filters")

    private func filter(_ reading: inout InputReading) -> Filter? {
        if let from, let to, from >= to {
            reading.fault(
                "range_empty", "must be after from (\(CivilTime.rfc3339(from)))", at: [.name("to")],
                input: .string(CivilTime.rfc3339(to)))
            return nil
        }
        var tests = Self.tests(wikis: wikis, languages: languages, types: types, isBot: isBot)
        tests += must ?? []
        do throws(FilterFault) {
            return try Filter(
                scope: Filter.Scope(collections: collection.map { [$0] }), time: Filter.TimeRange(from: from, to: to),
                must: tests, mustNot: mustNot ?? [])
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
