import Bytes
import Forms
import JSONScan
import Records
import Retrieval

/// A test as a request has it: an attribute, and one of `one_of`, `equals`, `between`, `absent`.
struct AttributeTestInput: Sendable {
    var attribute = ""
    var oneOf: [JSONValue]?
    var equals: JSONValue?
    var between: Ends?
    var absent: Bool?

    struct Ends: Sendable {
        var from: JSONValue?
        var to: JSONValue?

        static let form = Form<Ends>.object(
            Ends(),
            [
                Field("from", \.from, AttributeTestInput.value.optional, "At or above; a number, or a time."),
                Field("to", \.to, AttributeTestInput.value.optional, "Below; above `from`."),
            ])
    }

    /// A text, a number or a truth; what it must be is the attribute's to say.
    static let value = Form<JSONValue>(
        schema: .anyOf([Form<String>.string(0...FilterLimits.charactersMax).schema, .number(), .bool()]), json: { $0 },
        read: { value, reading in
            switch value {
            case .string(let text):
                let faults = reading.faults.count
                if text.unicodeScalars.count > FilterLimits.charactersMax {
                    reading.fault(
                        "string_too_long", "must have at most \(FilterLimits.charactersMax) characters", input: value)
                }
                if text.utf8.contains(0) {
                    reading.fault("string_pattern_mismatch", "must not contain U+0000", input: value)
                }
                return reading.faults.count == faults ? value : nil
            case .integer, .double, .bool: return value
            case .null, .array, .object:
                reading.fault("scalar_type", "must be a text, a number, true or false", input: value)
                return nil
            }
        })

    /// What the values must be depends on the attribute, and is checked by ``test(_:in:_:)``.
    static let form = Form<AttributeTestInput>.object(
        AttributeTestInput(),
        [
            Field(
                "attribute", \.attribute, .string(1...AttributeName.bytesMax),
                "Such as `wiki`, `namespace`, `event_time`.", example: .string("namespace"), isRequired: true),
            Field(
                "one_of", \.oneOf,
                Form<[JSONValue]>.list(of: value, countMax: FilterLimits.valuesMax).optional,
                "It has one of these values."),
            Field("equals", \.equals, value.optional, "It has this value."),
            Field("between", \.between, Ends.form.optional, "It is from `from` on and below `to`."),
            Field("absent", \.absent, Form<Bool>.bool.optional, "True: the document does not have it."),
        ], "One test of one attribute: one of `one_of`, `equals`, `between`, `absent`."
    ).named("AttributeTest")

    /// The collections that a test of `collection` leaves; nil where it is no such test.
    var collections: [String]? {
        guard attribute == AttributeName.collection.text else { return nil }
        return (oneOf ?? equals.map { [$0] })?.compactMap(\.string)
    }

    /// What is asked; nil with faults noted where it cannot be asked.
    ///
    /// - Parameters:
    ///   - declared: what the attributes are.
    ///   - scope: the collections that are asked; nil for all.
    func test(
        _ declared: DeclaredAttributes, in scope: [String]?, _ reading: inout InputReading
    ) -> AttributeTest? {
        guard let name = AttributeName(attribute) else {
            reading.fault(
                "attribute_name", "must be \(AttributeName.grammar)", at: [.name("attribute")],
                input: .string(attribute))
            return nil
        }
        let declarations = declared.declarations(of: name, in: scope)
        guard !declarations.isEmpty else {
            reading.fault(
                "attribute_unknown", "is an attribute that no collection asked for declares", at: [.name("attribute")],
                input: .string(attribute))
            return nil
        }
        let types = declarations.filter(\.isFilterable).map(\.type)
        guard !types.isEmpty else {
            reading.fault(
                "attribute_not_filterable", "cannot be filtered by, as its collection declares",
                at: [.name("attribute")],
                input: .string(attribute))
            return nil
        }
        let given = [oneOf != nil, equals != nil, between != nil, absent != nil].count { $0 }
        guard given == 1 else {
            reading.fault(
                given == 0 ? "missing" : "test_ambiguous",
                "must have one of one_of, equals, between and absent, has \(given)", input: .string(attribute))
            return nil
        }
        guard let condition = condition(as: types, &reading) else { return nil }
        do throws(FilterFault) {
            let test = try AttributeTest(name, condition).normal()
            if test.isNever {
                reading.fault(
                    "range_empty", "must be above from", at: [.name("between"), .name("to")], input: between?.to)
                return nil
            }
            return test
        } catch {
            reading.fault(error.type, error.message, input: .string(attribute))
            return nil
        }
    }

    private func condition(as types: [AttributeType], _ reading: inout InputReading) -> AttributeTest.Condition? {
        if let oneOf {
            guard !oneOf.isEmpty else {
                reading.fault("too_short", "must hold at least one value", at: [.name("one_of")])
                return nil
            }
            let faults = reading.faults.count
            let values = oneOf.enumerated().flatMap { index, value in
                Self.values(value, as: types, at: [.name("one_of"), .index(index)], &reading)
            }
            return reading.faults.count == faults ? .oneOf(values) : nil
        }
        if let equals {
            let values = Self.values(equals, as: types, at: [.name("equals")], &reading)
            return values.isEmpty ? nil : .oneOf(values)
        }
        if let between { return Self.condition(between, as: types, &reading) }
        guard absent == true else {
            reading.fault(
                "absent_false", "must be true; put the test under must_not for documents that have it",
                at: [.name("absent")], input: .bool(false))
            return nil
        }
        return .absent
    }

    private static func condition(
        _ ends: Ends, as types: [AttributeType], _ reading: inout InputReading
    ) -> AttributeTest.Condition? {
        var found: [String: AttributeValue] = [:]
        for (name, end) in [("from", ends.from), ("to", ends.to)] {
            guard let end else { continue }
            let place: [InputStep] = [.name("between"), .name(name)]
            let values = values(end, as: types, at: place, &reading)
            guard let first = values.first else { return nil }
            guard let value = values.first(where: { [.integer, .number, .time].contains($0.type) }) else {
                reading.fault(
                    "between_type", "must be a number or a time, is a \(first.type == .bool ? "truth" : "text")",
                    at: place, input: end)
                return nil
            }
            found[name] = value
        }
        return .between(from: found["from"], to: found["to"])
    }

    /// What a value means for an attribute of those types, of which there are several where collections declare it differently:
    /// it then passes for whichever it can be of. None, with a fault noted, where it can be of none.
    private static func values(
        _ value: JSONValue, as types: [AttributeType], at place: [InputStep], _ reading: inout InputReading
    ) -> [AttributeValue] {
        let found = types.compactMap { Self.value(value, as: $0) }
        guard found.isEmpty else { return found }
        let (type, message) = types.count == 1 ? Self.fault(types[0]) : ("attribute_type", Self.message(types))
        reading.fault(type, message, at: place, input: value)
        return []
    }

    private static func value(_ value: JSONValue, as type: AttributeType) -> AttributeValue? {
        switch type {
        case .string: value.string.map(AttributeValue.string)
        case .bool: value.bool.map(AttributeValue.bool)
        case .number: value.double.map(AttributeValue.number)
        case .integer: (value.integer ?? value.double.flatMap { Int64(exactly: $0) }).map(AttributeValue.integer)
        case .time: value.string.flatMap { CivilTime.epochMilliseconds($0) }.map(AttributeValue.time)
        }
    }

    private static func fault(_ type: AttributeType) -> (type: String, message: String) {
        switch type {
        case .string: ("string_type", "must be a string")
        case .bool: ("bool_type", "must be true or false")
        case .number: ("float_type", "must be a number")
        case .integer: ("int_type", "must be a whole number")
        case .time: ("datetime_parsing", Form<Int64>.timeMessage)
        }
    }

    private static func message(_ types: [AttributeType]) -> String {
        "must be one of: \(types.map(\.rawValue).joined(separator: ", ")), as the collections declare it"
    }
}
