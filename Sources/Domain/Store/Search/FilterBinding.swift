import Bytes
import Postgres
import Records
import Retrieval

/// Where the tables of today keep attributes: five in columns, where they are of the column's type; all others, and those in
/// all other cases, in `attributes`.
enum AttributeColumns {
    struct Column {
        let name: AttributeName
        /// The attribute of a row `d` as `jsonb`; null where the row has none. The time is in milliseconds.
        let json: String
        let type: AttributeType
    }

    /// What every document has.
    static let common = [
        Column(
            name: .collection, json: "to_jsonb((SELECT c.name FROM collections c WHERE c.id = d.collection_id))",
            type: .string),
        Column(name: .lang, json: "to_jsonb(d.lang)", type: .string),
        Column(name: .eventTime, json: "to_jsonb(floor(extract(epoch FROM d.event_time) * 1000))", type: .time),
    ]

    /// The five, which ``SearchSQL/columns`` has, too.
    static let own = [
        Column(name: .wiki, json: "to_jsonb(d.wiki)", type: .string),
        Column(name: .type, json: "to_jsonb(d.type)", type: .string),
        Column(name: .namespace, json: "to_jsonb(d.namespace)", type: .integer),
        Column(name: .user, json: "to_jsonb(d.user_name)", type: .string),
        Column(name: .isBot, json: "to_jsonb(d.is_bot)", type: .bool),
    ]

    /// Whether a value of a test can be one of the attribute's. Times of attributes are texts; that of the event is a number.
    static func canHold(_ value: AttributeValue, _ name: AttributeName) -> Bool {
        guard name == .eventTime else { return true }
        if case .time = value { return true }
        return false
    }
}

extension SearchSQL {
    /// The attribute of that name of a row `d` as `jsonb`; null where it has none.
    static func attribute(_ name: String) -> String {
        let cases =
            AttributeColumns.common.map { "WHEN '\($0.name)' THEN \($0.json)" }
            + AttributeColumns.own.map { "WHEN '\($0.name)' THEN coalesce(\($0.json), d.attributes -> '\($0.name)')" }
        return "CASE \(name) \(cases.joined(separator: " ")) ELSE d.attributes -> \(name) END"
    }

    /// The tests that have no parameter of their own, as one condition on `d`.
    ///
    /// They come as one list, so that a statement serves whatever is asked. `OFFSET 0` keeps the planner from joining them
    /// with the documents in an order of its own: they are asked of the rows that the statement's own way finds.
    static func tests(_ parameter: String) -> String {
        """
        NOT EXISTS (
            SELECT FROM jsonb_to_recordset(\(parameter)) AS t(
                must boolean, attribute text, absent boolean, one_of jsonb, least jsonb, below jsonb, is_time boolean)
            CROSS JOIN LATERAL (
                SELECT CASE WHEN jsonb_typeof(a.value) IN ('string', 'number', 'boolean') THEN a.value END AS value
                FROM (SELECT \(attribute("t.attribute")) AS value) a OFFSET 0
            ) v
            WHERE t.must <> coalesce(
                CASE WHEN t.absent THEN v.value IS NULL
                    WHEN t.one_of IS NOT NULL THEN t.one_of @> v.value
                    WHEN t.is_time THEN jsonb_typeof(v.value) = 'string'
                        AND v.value #>> '{}' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$'
                        AND (t.least IS NULL OR (v.value #>> '{}') COLLATE "C" >= t.least #>> '{}')
                        AND (t.below IS NULL OR (v.value #>> '{}') COLLATE "C" < t.below #>> '{}')
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

    /// Whether every document passes.
    var isEmpty: Bool {
        texts.isEmpty && isBot == nil && time.from == nil && time.to == nil && collection == nil && tests.isEmpty
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
        let texts = values.compactMap { value -> String? in
            switch value {
            case .string(let text): text
            // In its form among attributes.
            case .time(let milliseconds): CivilTime.rfc3339(milliseconds)
            case .integer, .number, .bool: nil
            }
        }
        // What is no text is no language; but where a collection's `wiki` or `type` is none, it is not in the column.
        guard texts.count == values.count || test.attribute == .lang else { return false }
        self.texts[test.attribute] = texts
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
            members(values.filter { AttributeColumns.canHold($0, test.attribute) }, of: test.attribute)
        case .between(let from, let to):
            let ends = [from, to].compactMap(\.self)
            guard ends.allSatisfy({ AttributeColumns.canHold($0, test.attribute) }) else {
                members([], of: test.attribute)
                break
            }
            if test.attribute != .eventTime, case .time? = ends.first {
                key("is_time")
                bool(true)
            }
            for (name, end) in [("least", from), ("below", to)] {
                guard let end else { continue }
                key(dynamic: name)
                member(end, of: test.attribute)
            }
        }
        endObject()
    }

    private mutating func members(_ values: [AttributeValue], of attribute: AttributeName) {
        key("one_of")
        beginArray()
        for value in values { member(value, of: attribute) }
        endArray()
    }

    private mutating func member(_ value: AttributeValue, of attribute: AttributeName) {
        switch value {
        case .string(let text): string(IndexText.clean(text))
        case .integer(let number): integer(number)
        case .time(let milliseconds) where attribute == .eventTime: integer(milliseconds)
        case .time(let milliseconds): string(CivilTime.rfc3339(milliseconds))
        case .number(let number): double(number)
        case .bool(let flag): bool(flag)
        }
    }
}
