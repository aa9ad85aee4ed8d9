import Bytes
import Records
import Testing

@testable import Retrieval

@Suite struct FilterTests {
    private let size = AttributeName("size")
    private static let document = AttributeList([
        .wiki: .string("enwiki"), .namespace: .integer(4), .isBot: .bool(false), .collection: .string("changes"),
        .eventTime: .time(1_000),
    ])

    private func passes(
        collections: [String]? = nil, from: Int64? = nil, to: Int64? = nil, must: [AttributeTest] = [],
        mustNot: [AttributeTest] = []
    ) throws -> Bool {
        try Filter(
            scope: Filter.Scope(collections: collections), time: Filter.TimeRange(from: from, to: to), must: must,
            mustNot: mustNot
        ).matches(Self.document)
    }

    @Test func everyConditionHasItsMeaning() throws {
        let size = try #require(size)
        #expect(Filter.all.matches(Self.document) && Filter.all.takesAll)
        #expect(try passes(must: [.texts(.wiki, ["dewiki", "enwiki"])]))
        #expect(try !passes(must: [.texts(.wiki, ["dewiki"])]))
        #expect(try !passes(must: [.texts(.wiki, [])]), "none of no values")
        #expect(try !passes(mustNot: [.texts(.wiki, ["enwiki"])]))
        #expect(try !passes(must: [.equals(.namespace, .string("4"))]), "a text is no number")
        #expect(try passes(must: [.equals(.namespace, .number(4.0))]), "a number is a number")
        #expect(try passes(must: [.equals(.isBot, .bool(false))]))
        // From 4 on and below 5.
        #expect(try passes(must: [AttributeTest(.namespace, .between(from: .integer(4), to: .number(4.5)))]))
        #expect(try !passes(must: [AttributeTest(.namespace, .between(from: nil, to: .integer(4)))]))
        #expect(try !passes(must: [AttributeTest(.namespace, .between(from: .time(0), to: nil))]))
        #expect(try !passes(must: [AttributeTest(.namespace, .absent)]))
        // What it does not have is none of any values, and passes what must not be.
        #expect(try passes(must: [AttributeTest(size, .absent)]))
        #expect(try !passes(must: [AttributeTest(size, .between(from: .integer(0), to: nil))]))
        #expect(try passes(mustNot: [.equals(size, .integer(0))]))
        #expect(try passes(collections: ["changes", "other"]))
        #expect(try !passes(collections: ["other"]))
        #expect(try passes(from: 1_000, to: 1_001))
        #expect(try !passes(from: 1_001))
        #expect(try !passes(to: 1_000))
        let empty = AttributeList()
        #expect(!(try Filter(time: Filter.TimeRange(from: 0))).matches(empty))
        #expect(!(try Filter(scope: Filter.Scope(collections: ["changes"]))).matches(empty))
    }

    /// `é` in one character and in two are one text to Swift, and two to the database.
    @Test func textsCompareByTheirBytes() throws {
        let (one, two) = ("\u{E9}", "e\u{301}")
        let filter = try Filter(must: [.texts(.user, [one])])
        #expect(filter.matches(AttributeList([.user: .string(one)])))
        #expect(!filter.matches(AttributeList([.user: .string(two)])))
        #expect(try Filter(must: [.texts(.user, [two])]) != filter)
        #expect(try Filter(must: [.texts(.user, [one, two])]) == Filter(must: [.texts(.user, [two, one])]))
    }

    /// Of a record that tells little, only what it tells is compared.
    @Test func whatIsUnknownMayMatch() throws {
        let some = AttributeList([.wiki: .string("enwiki")])
        #expect(try Filter(must: [.texts(.wiki, ["enwiki"]), .texts(.lang, ["en"])]).mayMatch(some))
        #expect(try !Filter(must: [.texts(.wiki, ["dewiki"]), .texts(.lang, ["en"])]).mayMatch(some))
        #expect(try !Filter(mustNot: [.texts(.wiki, ["enwiki"])]).mayMatch(some))
        #expect(try Filter(mustNot: [.texts(.lang, ["en"])]).mayMatch(some))
        #expect(try Filter(scope: Filter.Scope(collections: ["x"]), time: Filter.TimeRange(from: 5)).mayMatch(some))
        let placed = AttributeList([.collection: .string("y"), .eventTime: .time(4)])
        #expect(try !Filter(scope: Filter.Scope(collections: ["x"])).mayMatch(placed))
        #expect(try !Filter(time: Filter.TimeRange(from: 5)).mayMatch(placed))
    }

    // MARK: Normal form

    @Test func equalMeaningsHaveOneEncoding() throws {
        func same(_ left: Filter, _ right: Filter, _ line: Int = #line) {
            #expect(left.encoding == right.encoding, "line \(line): \(left) and \(right)")
        }
        same(try Filter(must: [.texts(.wiki, ["b", "a", "b"])]), try Filter(must: [.texts(.wiki, ["a", "b"])]))
        same(
            try Filter(must: [.texts(.wiki, ["a", "b"]), .texts(.wiki, ["c", "b"])]),
            try Filter(must: [.equals(.wiki, .string("b"))]))
        same(
            try Filter(mustNot: [.texts(.wiki, ["a"]), .texts(.wiki, ["b"])]),
            try Filter(mustNot: [.texts(.wiki, ["b", "a"])]))
        same(
            try Filter(must: [.equals(.namespace, .number(5))]), try Filter(must: [.equals(.namespace, .integer(5))]))
        same(
            try Filter(must: [.equals(.collection, .string("c"))]),
            try Filter(scope: Filter.Scope(collections: ["c", "c"])))
        same(
            try Filter(must: [AttributeTest(.eventTime, .between(from: .time(5), to: .time(9)))]),
            try Filter(time: Filter.TimeRange(from: 5, to: 9)))
        same(
            try Filter(must: [
                AttributeTest(.namespace, .between(from: .integer(1), to: .integer(9))),
                AttributeTest(.namespace, .between(from: .integer(3), to: nil)),
            ]), try Filter(must: [AttributeTest(.namespace, .between(from: .integer(3), to: .integer(9)))]))
        // Nothing keeps nothing out, and nothing passes what nothing passes.
        same(try Filter(mustNot: [.texts(.wiki, [])]), .all)
        same(
            try Filter(must: [.texts(.wiki, ["a"]), .texts(.wiki, ["b"]), AttributeTest(.wiki, .absent)]),
            try Filter(must: [.texts(.wiki, [])]))
        let whole = try Filter(
            scope: Filter.Scope(collections: ["c"]), time: Filter.TimeRange(from: 0, to: 1_000),
            must: [.texts(.wiki, ["b", "a"]), AttributeTest(.namespace, .between(from: .number(0.5), to: nil))],
            mustNot: [AttributeTest(.user, .absent), .equals(.isBot, .bool(true))])
        #expect(
            whole.description
                == #"{"from":"1970-01-01T00:00:00.000Z","to":"1970-01-01T00:00:01.000Z","must":["#
                + #"{"attribute":"collection","one_of":["c"]},{"attribute":"namespace","between":{"from":0.5}},"#
                + #"{"attribute":"wiki","one_of":["a","b"]}],"#
                + #""must_not":[{"attribute":"is_bot","one_of":[true]},{"attribute":"user","absent":true}]}"#)
    }

    /// Whatever the order, and however often something is said, the encoding is the same, and so is what passes.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func theOrderDoesNotMatter(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let tests = (0..<Int.random(in: 0...6, using: &random)).map { _ in RandomFilters.test(&random) }
        let others = (0..<Int.random(in: 0...4, using: &random)).map { _ in RandomFilters.test(&random) }
        let filter = try Filter(must: tests, mustNot: others)
        for _ in 0..<5 {
            let extra = tests.isEmpty ? [] : [tests[Int.random(in: 0..<tests.count, using: &random)]]
            let shuffled = (tests + extra).shuffled(using: &random).map { RandomFilters.shuffled($0, &random) }
            let twin = try Filter(must: shuffled, mustNot: (others + others).shuffled(using: &random))
            #expect(twin.encoding == filter.encoding, "\(twin) and \(filter)")
        }
        // Filters in two steps are the filter in one; what was normal stays as it is.
        let half = tests.count / 2
        let stepwise = try Filter(must: Array(tests[..<half]), mustNot: others).adding(must: Array(tests[half...]))
        #expect(stepwise == filter)
        #expect(
            try Filter(scope: filter.scope, time: filter.time, must: filter.must, mustNot: filter.mustNot) == filter)
        let (rest, part) = filter.split { $0.attribute == .wiki }
        for _ in 0..<50 {
            let document = RandomFilters.document(&random)
            let plain =
                tests.allSatisfy { $0.holdsPlainly(document) } && !others.contains { $0.holdsPlainly(document) }
            #expect(filter.matches(document) == plain, "\(filter) and \(document)")
            #expect((rest.matches(document) && part.matches(document)) == plain)
            if plain { #expect(filter.mayMatch(document)) }
        }
    }

    // MARK: Bounds

    @Test func boundsAreHeld() throws {
        func fault(_ make: () throws -> Filter) -> String? {
            #expect(throws: FilterFault.self) { try make() }?.type
        }
        let many = (0..<17).map { AttributeTest.texts(.wiki, ["w\($0)"]) }
        #expect(fault { try Filter(must: many, mustNot: many) } == "too_long")
        #expect(try Filter(must: Array(many.prefix(16)), mustNot: Array(many.prefix(16))).mustNot.count == 1)
        let words = (0...100).map(String.init)
        #expect(fault { try Filter(must: [.texts(.wiki, words)]) } == "too_long")
        let long = (0..<100).map { String(repeating: "\u{1F600}", count: 250) + "\($0)" }
        let names = ["a", "b", "c", "d"].compactMap { AttributeName($0) }
        #expect(try Filter(must: names.prefix(3).map { .texts($0, long) }).must.count == 3)
        #expect(fault { try Filter(must: names.map { .texts($0, long) }) } == "too_long")
        for bad in [Double.nan, .infinity, 1e300] {
            #expect(fault { try Filter(must: [.equals(.namespace, .number(bad))]) } == "number_range")
        }
        #expect(fault { try Filter(must: [.equals(.namespace, .integer(.max))]) } == "number_range")
        #expect(fault { try Filter(time: Filter.TimeRange(from: .min)) } == "datetime_range")
        #expect(
            fault { try Filter(must: [AttributeTest(.wiki, .between(from: .string("a"), to: nil))]) } == "between_type")
        #expect(
            fault { try Filter(must: [AttributeTest(.wiki, .between(from: .integer(1), to: .time(2)))]) }
                == "between_type")
        #expect(fault { try Filter(must: [AttributeTest(.wiki, .between(from: nil, to: nil))]) } == "between_open")
        // Tests that were put together count as one afterwards.
        let much = try Filter(mustNot: [.texts(.wiki, long), .texts(.wiki, words.dropLast())])
        #expect(try much.adding(must: [.texts(.wiki, ["x"])]).mustNot.map(\.encoding) == much.mustNot.map(\.encoding))
    }
}

/// Filters and documents that often have to do with each other.
private enum RandomFilters {
    static let names = [.wiki, .namespace, .isBot] + ["size", "other"].compactMap { AttributeName($0) }

    static func value(_ random: inout SeededGenerator) -> AttributeValue {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: .string(["", "a", "b", "\u{E9}", "e\u{301}"][Int.random(in: 0..<5, using: &random)])
        case 1, 2: .integer(Int64.random(in: -2...4, using: &random))
        case 3: .number(Double(Int.random(in: -4...8, using: &random)) / 2)
        case 4: .time(Int64.random(in: -2...4, using: &random))
        default: .bool(Bool.random(using: &random))
        }
    }

    static func test(_ random: inout SeededGenerator) -> AttributeTest {
        let name = names[Int.random(in: 0..<names.count, using: &random)]
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return AttributeTest(name, .absent)
        case 1, 2, 3:
            let from = Double(Int.random(in: -6...6, using: &random)) / 2
            let to = Double(Int.random(in: -6...9, using: &random)) / 2
            return switch Int.random(in: 0..<4, using: &random) {
            case 0: AttributeTest(name, .between(from: .number(from), to: nil))
            case 1: AttributeTest(name, .between(from: nil, to: .number(to)))
            case 2: AttributeTest(name, .between(from: .time(Int64(from)), to: .time(Int64(to))))
            default: AttributeTest(name, .between(from: .number(from), to: .number(to)))
            }
        default:
            return AttributeTest(name, .oneOf((0..<Int.random(in: 1...4, using: &random)).map { _ in value(&random) }))
        }
    }

    static func shuffled(_ test: AttributeTest, _ random: inout SeededGenerator) -> AttributeTest {
        guard case .oneOf(let values) = test.condition else { return test }
        return AttributeTest(test.attribute, .oneOf((values + values.prefix(1)).shuffled(using: &random)))
    }

    static func document(_ random: inout SeededGenerator) -> AttributeList {
        var document = AttributeList()
        for name in names where Bool.random(using: &random) { document.set(name, value(&random)) }
        return document
    }
}

extension AttributeTest {
    /// The meaning, said once more.
    fileprivate func holdsPlainly(_ document: AttributeList) -> Bool {
        func numeric(_ value: AttributeValue?) -> Double? {
            switch value {
            case .integer(let number): Double(number)
            case .number(let number): number
            default: nil
            }
        }
        func time(_ value: AttributeValue?) -> Int64? { if case .time(let time)? = value { time } else { nil } }
        let value = document.value(of: attribute)
        switch condition {
        case .absent: return value == nil
        case .oneOf(let values):
            return values.contains { one in
                if case .string(let left) = one, case .string(let right)? = value {
                    return Array(left.utf8) == Array(right.utf8)
                }
                if let left = numeric(one), let right = numeric(value) { return left == right }
                return one == value
            }
        case .between(let from, let to):
            if let number = numeric(value) {
                guard time(from) == nil, time(to) == nil else { return false }
                let (least, below) = (numeric(from) ?? -.infinity, numeric(to) ?? .infinity)
                return number >= least && number < below
            }
            guard let moment = time(value), time(from) != nil || time(to) != nil else { return false }
            return moment >= time(from) ?? .min && moment < time(to) ?? .max
        }
    }
}
