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

    /// - Parameter declared: what the tests' attributes are.
    static func form(_ declared: DeclaredAttributes) -> Form<AttributeTest> {
        Form<AttributeTestInput>.object(
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
        ).converted { input, reading in input.test(declared, &reading) }.named("AttributeTest")
    }

    private func test(_ declared: DeclaredAttributes, _ reading: inout InputReading) -> AttributeTest? {
        guard let name = AttributeName(attribute) else {
            reading.fault(
                "attribute_name", "must be \(AttributeName.grammar)", at: [.name("attribute")],
                input: .string(attribute))
            return nil
        }
        let declaration = declared.declarations[name]
        guard declaration?.isFilterable ?? true else {
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
        guard let condition = condition(as: declaration?.type, &reading) else { return nil }
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

    private func condition(as type: AttributeType?, _ reading: inout InputReading) -> AttributeTest.Condition? {
        if let oneOf {
            guard !oneOf.isEmpty else {
                reading.fault("too_short", "must hold at least one value", at: [.name("one_of")])
                return nil
            }
            var values: [AttributeValue] = []
            for (index, value) in oneOf.enumerated() {
                guard let value = Self.value(value, as: type, at: [.name("one_of"), .index(index)], &reading) else {
                    continue
                }
                values.append(value)
            }
            return values.count == oneOf.count ? .oneOf(values) : nil
        }
        if let equals {
            return Self.value(equals, as: type, at: [.name("equals")], &reading).map { .oneOf([$0]) }
        }
        if let between { return Self.condition(between, as: type, &reading) }
        guard absent == true else {
            reading.fault(
                "absent_false", "must be true; put the test under must_not for documents that have it",
                at: [.name("absent")], input: .bool(false))
            return nil
        }
        return .absent
    }

    private static func condition(
        _ ends: Ends, as type: AttributeType?, _ reading: inout InputReading
    ) -> AttributeTest.Condition? {
        var found: [String: AttributeValue] = [:]
        for (name, end) in [("from", ends.from), ("to", ends.to)] {
            guard let end else { continue }
            let place: [InputStep] = [.name("between"), .name(name)]
            guard let value = value(end, as: type, at: place, &reading) else { return nil }
            if case .string = value {
                reading.fault("between_type", "must be a number or a time, is a text", at: place, input: end)
                return nil
            }
            if case .bool = value {
                reading.fault("between_type", "must be a number or a time, is a truth", at: place, input: end)
                return nil
            }
            found[name] = value
        }
        return .between(from: found["from"], to: found["to"])
    }

    /// What a value means for an attribute of that type; of an attribute that nobody declared, what it looks like.
    private static func value(
        _ value: JSONValue, as type: AttributeType?, at place: [InputStep], _ reading: inout InputReading
    ) -> AttributeValue? {
        let meant: (value: AttributeValue?, fault: String, message: String)
        switch type {
        case nil: meant = (guess(value), "scalar_type", "must be a text, a number, true or false")
        case .string: meant = (value.string.map(AttributeValue.string), "string_type", "must be a string")
        case .bool: meant = (value.bool.map(AttributeValue.bool), "bool_type", "must be true or false")
        case .number: meant = (value.double.map(AttributeValue.number), "float_type", "must be a number")
        case .integer:
            let whole = value.integer ?? value.double.flatMap { Int64(exactly: $0) }
            meant = (whole.map(AttributeValue.integer), "int_type", "must be a whole number")
        case .time:
            let time = value.string.flatMap { CivilTime.epochMilliseconds($0) }
            meant = (time.map(AttributeValue.time), "datetime_parsing", Form<Int64>.timeMessage)
        }
        guard let found = meant.value else {
            reading.fault(meant.fault, meant.message, at: place, input: value)
            return nil
        }
        return found
    }

    private static func guess(_ value: JSONValue) -> AttributeValue? {
        switch value {
        case .string(let text): .string(text)
        case .integer(let number): .integer(number)
        case .double(let number): .number(number)
        case .bool(let flag): .bool(flag)
        case .null, .array, .object: nil
        }
    }
}
