import Bytes
import Postgres
import Records
import Retrieval

/// Where the tables of today keep attributes: those of recent changes in columns, all others in `attributes`.
enum AttributeColumns {
    struct Column {
        let name: AttributeName
        /// The attribute of a row `p` as `jsonb`; times are milliseconds.
        let json: String
        let type: AttributeType
    }

    static let all = [
        Column(name: .collection, json: "to_jsonb(p.collection)", type: .string),
        Column(name: .wiki, json: "to_jsonb(p.wiki)", type: .string),
        Column(name: .lang, json: "to_jsonb(p.lang)", type: .string),
        Column(name: .type, json: "to_jsonb(p.type)", type: .string),
        Column(name: .namespace, json: "to_jsonb(p.namespace)", type: .integer),
        Column(name: .user, json: "to_jsonb(p.user_name)", type: .string),
        Column(name: .isBot, json: "to_jsonb(p.is_bot)", type: .bool),
        Column(name: .eventTime, json: "to_jsonb(floor(extract(epoch FROM p.event_time) * 1000))", type: .time),
    ]

    /// Whether a value of a test can be one of the attribute's. JSON has no times, so that only columns hold some.
    static func canHold(_ value: AttributeValue, _ name: AttributeName) -> Bool {
        let isTime = if case .time = value { true } else { false }
        return isTime == (all.first { $0.name == name }?.type == .time)
    }
}

extension SearchSQL {
    /// The tests that have no parameter of their own, as one condition on `p`.
    ///
    /// They come as one list, so that a statement serves whatever is asked. `OFFSET 0` keeps the planner from joining them
    /// with the passages in an order of its own: they are asked of the rows that the statement's own way finds.
    static func tests(_ parameter: String) -> String {
        let columns = AttributeColumns.all.map { "WHEN '\($0.name)' THEN \($0.json)" }.joined(separator: " ")
        return """
            NOT EXISTS (
                SELECT FROM jsonb_to_recordset(\(parameter)) AS t(
                    must boolean, attribute text, absent boolean, one_of jsonb, least jsonb, below jsonb)
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN jsonb_typeof(a.value) IN ('string', 'number', 'boolean') THEN a.value END AS value
                    FROM (SELECT CASE t.attribute \(columns) ELSE p.attributes -> t.attribute END AS value) a OFFSET 0
                ) v
                WHERE t.must <> coalesce(
                    CASE WHEN t.absent THEN v.value IS NULL
                        WHEN t.one_of IS NOT NULL THEN t.one_of @> v.value
                        ELSE jsonb_typeof(v.value) = 'number' AND (t.least IS NULL OR v.value >= t.least)
                            AND (t.below IS NULL OR v.value < t.below) END, false)
                OFFSET 0)
            """
    }
}

/// A filter as the statements take it: seven values that have parameters of their own, and the tests that have none.
struct FilterBinding: Sendable {
    private var texts: [AttributeName: [String]] = [:]
    private var isBot: Bool?
    private let time: Filter.TimeRange
    private var collection: String?
    private var tests: [(test: AttributeTest, isMust: Bool)]

    private static let lists: [AttributeName] = [.wiki, .lang, .type]

    init(_ filter: Filter) {
        time = filter.time
        tests = filter.mustNot.map { ($0, false) }
        if let collections = filter.scope.collections {
            if collections.count == 1 {
                collection = collections[0]
            } else {
                tests.append((.texts(.collection, collections), true))
            }
        }
        for test in filter.must where !take(test) { tests.append((test, true)) }
    }

    /// Whether a statement with a parameter for tests is needed.
    var hasTests: Bool { !tests.isEmpty }

    /// Keeps a test that has a parameter of its own; the normal form has one such test of an attribute at most.
    private mutating func take(_ test: AttributeTest) -> Bool {
        guard case .oneOf(let values) = test.condition else { return false }
        if test.attribute == .isBot, values.count == 1, case .bool(let flag) = values[0] {
            isBot = flag
            return true
        }
        guard Self.lists.contains(test.attribute) else { return false }
        // What is no text is none of them.
        texts[test.attribute] = values.compactMap { if case .string(let text) = $0 { text } else { nil } }
        return true
    }

    /// Appends the seven values of ``SearchSQL/filters``.
    func bind(into parameters: inout PostgresParameters) {
        for name in Self.lists {
            if let values = texts[name] {
                parameters.append(values.map { IndexText.clean($0) })
            } else {
                parameters.appendNull()
            }
        }
        parameters.append(isBot)
        parameters.append(timestampMilliseconds: time.from)
        parameters.append(timestampMilliseconds: time.to)
        parameters.append(collection.map { IndexText.clean($0) })
    }

    /// Appends the value of ``SearchSQL/tests(_:)``.
    func bindTests(into parameters: inout PostgresParameters) {
        var writer = JSONWriter()
        writer.beginArray()
        for (test, isMust) in tests { writer.test(test, isMust: isMust) }
        writer.endArray()
        parameters.append(jsonb: writer.bytes)
    }
}

extension JSONWriter {
    fileprivate mutating func test(_ test: AttributeTest, isMust: Bool) {
        beginObject()
        key("must")
        bool(isMust)
        key("attribute")
        string(test.attribute.text)
        switch test.condition {
        case .absent:
            key("absent")
            bool(true)
        case .oneOf(let values):
            members(values.filter { AttributeColumns.canHold($0, test.attribute) })
        case .between(let from, let to):
            if [from, to].compactMap(\.self).allSatisfy({ AttributeColumns.canHold($0, test.attribute) }) {
                for (name, end) in [("least", from), ("below", to)] {
                    guard let end else { continue }
                    key(dynamic: name)
                    member(end)
                }
            } else {
                members([])
            }
        }
        endObject()
    }

    private mutating func members(_ values: [AttributeValue]) {
        key("one_of")
        beginArray()
        for value in values { member(value) }
        endArray()
    }

    private mutating func member(_ value: AttributeValue) {
        switch value {
        case .string(let text): string(IndexText.clean(text))
        case .integer(let number), .time(let number): integer(number)
        case .number(let number): double(number)
        case .bool(let flag): bool(flag)
        }
    }
}
