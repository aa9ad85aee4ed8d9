package import JSONScan

/// How one kind of value is written in requests: its schema, and how it is read from JSON and from a parameter's text.
/// Both come from one declaration, so that what is documented is what is checked.
package struct Form<Value: Sendable>: Sendable {
    package typealias ReadJSON = @Sendable (JSONValue, inout InputReading) -> Value?
    package typealias ReadTexts = @Sendable ([String], inout InputReading) -> Value?

    /// As the document shows it.
    package var schema: Schema
    /// Reads JSON; nil with a fault noted where it does not fit.
    package let read: ReadJSON
    /// Reads the values of one parameter, one or more; nil where the kind has no text.
    package let readTexts: ReadTexts?
    /// Writes a value back, for defaults.
    package let json: @Sendable (Value) -> JSONValue
    /// Whether a parameter may be given more than once.
    package let isList: Bool

    package init(
        schema: Schema, isList: Bool = false, json: @escaping @Sendable (Value) -> JSONValue,
        read: @escaping ReadJSON, readTexts: ReadTexts? = nil
    ) {
        self.schema = schema
        self.read = read
        self.readTexts = readTexts
        self.json = json
        self.isList = isList
    }

    /// The same for a value that may be left out or be null.
    package var optional: Form<Value?> {
        let (read, json) = (self.read, self.json)
        let nullable: Form<Value?>.ReadJSON = { value, reading in
            if value.isNull { return .some(.none) }
            guard let result = read(value, &reading) else { return nil }
            return .some(.some(result))
        }
        var texts: Form<Value?>.ReadTexts?
        if let readTexts {
            texts = { values, reading in
                guard let result = readTexts(values, &reading) else { return nil }
                return .some(.some(result))
            }
        }
        return Form<Value?>(
            schema: schema.orNull, isList: isList,
            json: { value in
                guard let value else { return .null }
                return json(value)
            }, read: nullable, readTexts: texts)
    }

    /// The same with one more rule, which notes faults of a value that fits so far.
    package func checked(_ rule: @escaping @Sendable (Value, inout InputReading) -> Void) -> Form<Value> {
        let read = self.read
        var texts: ReadTexts?
        if let readTexts {
            texts = { values, reading in
                let result = readTexts(values, &reading)
                if let result { rule(result, &reading) }
                return result
            }
        }
        let checked: ReadJSON = { value, reading in
            let result = read(value, &reading)
            if let result { rule(result, &reading) }
            return result
        }
        return Form(schema: schema, isList: isList, json: json, read: checked, readTexts: texts)
    }

    /// The same, read as something else that is made of it.
    ///
    /// - Parameters:
    ///   - json: writes a value back, for defaults.
    ///   - convert: called for a value without faults; notes some and gives nil where nothing can be made of it.
    package func converted<Other: Sendable>(
        json: @escaping @Sendable (Other) -> JSONValue = { _ in .object([]) },
        _ convert: @escaping @Sendable (Value, inout InputReading) -> Other?
    ) -> Form<Other> {
        let read = self.read
        var texts: Form<Other>.ReadTexts?
        if let readTexts {
            texts = { values, reading in
                let before = reading.faults.count
                guard let value = readTexts(values, &reading), reading.faults.count == before else { return nil }
                return convert(value, &reading)
            }
        }
        return Form<Other>(
            schema: schema, isList: isList, json: json,
            read: { value, reading in
                let before = reading.faults.count
                guard let value = read(value, &reading), reading.faults.count == before else { return nil }
                return convert(value, &reading)
            }, readTexts: texts)
    }

    /// The same as a parameter whose text is JSON.
    package var asJSONText: Form<Value> {
        let read = self.read
        var text = Schema.string()
        text["contentMediaType"] = .string("application/json")
        text["contentSchema"] = schema.json
        return Form(
            schema: Schema(text.keywords, uses: [schema]), json: json, read: read,
            readTexts: { texts, reading in
                guard let text = texts.first else { return nil }
                do throws(JSONError) {
                    return read(try JSONValue.parse(Array(text.utf8), maxDepth: Self.textDepthMax), &reading)
                } catch {
                    reading.fault("json_invalid", "must be JSON: \(error)", input: .string(text))
                    return nil
                }
            })
    }

    /// Nesting of JSON in a parameter.
    private static var textDepthMax: Int { 16 }

    /// The same under a name of its own among the document's schemas.
    package func named(_ name: String) -> Form<Value> {
        var form = self
        form.schema = schema.named(name)
        return form
    }
}

/// A pattern that documents say as a regular expression and code checks without one.
package struct TextPattern: Sendable {
    /// ECMA 262, for the schema.
    let regex: String
    let message: String
    let matches: @Sendable (String) -> Bool

    package init(_ regex: String, _ message: String, _ matches: @escaping @Sendable (String) -> Bool) {
        self.regex = regex
        self.message = message
        self.matches = matches
    }

    /// No U+0000, which PostgreSQL's text cannot hold.
    package static let withoutNUL = TextPattern("^[^\\u0000]*$", "must not contain U+0000") { text in
        !text.utf8.contains(0)
    }
}

extension Form where Value == String {
    /// A text of so many characters (Unicode scalars).
    package static func string(
        _ length: ClosedRange<Int> = 0...65_536, pattern: TextPattern? = .withoutNUL, notBlank: Bool = false
    ) -> Form<String> {
        var schema = Schema.string()
        if length.lowerBound > 0 { schema["minLength"] = .integer(Int64(length.lowerBound)) }
        schema["maxLength"] = .integer(Int64(length.upperBound))
        if notBlank {
            schema["pattern"] = .string("^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")
        } else if let pattern {
            schema["pattern"] = .string(pattern.regex)
        }
        let check: @Sendable (String, inout InputReading) -> String? = { text, reading in
            // A scalar takes at most four bytes: most texts need no counting.
            let bytes = text.utf8.count
            if bytes > length.upperBound || bytes < length.lowerBound * 4 {
                let count = text.unicodeScalars.count
                if count > length.upperBound {
                    reading.fault(
                        "string_too_long", "must have at most \(length.upperBound) characters, has \(count)",
                        input: .string(text))
                } else if count < length.lowerBound {
                    reading.fault(
                        "string_too_short", "must have at least \(length.lowerBound) characters, has \(count)",
                        input: .string(text))
                    return nil
                }
            }
            if notBlank, !text.unicodeScalars.contains(where: { !$0.properties.isWhitespace }) {
                reading.fault("string_too_short", "must hold at least one character", input: .string(text))
                return nil
            }
            if let pattern, !pattern.matches(text) {
                reading.fault("string_pattern_mismatch", pattern.message, input: .string(text))
            }
            return text
        }
        return Form(
            schema: schema, json: JSONValue.string,
            read: { value, reading in
                guard case .string(let text) = value else {
                    reading.fault("string_type", "must be a string", input: value)
                    return nil
                }
                return check(text, &reading)
            }, readTexts: { texts, reading in texts.first.flatMap { check($0, &reading) } })
    }
}

extension Form where Value == Int {
    /// A whole number within bounds.
    package static func integer(_ range: ClosedRange<Int>) -> Form<Int> {
        var schema = Schema.integer()
        schema["minimum"] = .integer(Int64(range.lowerBound))
        if range.upperBound != .max { schema["maximum"] = .integer(Int64(range.upperBound)) }
        let bound: @Sendable (Double, JSONValue, inout InputReading) -> Void = { number, value, reading in
            if number < Double(range.lowerBound) {
                reading.fault("greater_than_equal", "must be at least \(range.lowerBound)", input: value)
            } else {
                reading.fault("less_than_equal", "must be at most \(range.upperBound)", input: value)
            }
        }
        let check: @Sendable (JSONValue, inout InputReading) -> Int? = { value, reading in
            switch value {
            case .integer(let number):
                if range.contains(Int(number)) { return Int(number) }
                bound(Double(number), value, &reading)
                return nil
            // JSON has one kind of number: 10.0 is whole too.
            case .double(let number) where number == number.rounded():
                if let whole = Int(exactly: number), range.contains(whole) { return whole }
                bound(number, value, &reading)
                return nil
            default:
                reading.fault("int_type", "must be a whole number", input: value)
                return nil
            }
        }
        return Form(
            schema: schema, json: { .integer(Int64($0)) }, read: check,
            readTexts: { texts, reading in
                guard let text = texts.first else { return nil }
                if let number = Int64(text) { return check(.integer(number), &reading) }
                // More digits than 64 bits hold.
                let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
                if digits.count >= 19, digits.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) {
                    bound(text.hasPrefix("-") ? -.infinity : .infinity, .string(text), &reading)
                } else {
                    reading.fault("int_parsing", "must be a whole number", input: .string(text))
                }
                return nil
            })
    }
}

extension Form where Value == Bool {
    /// True or false.
    package static var bool: Form<Bool> {
        Form(
            schema: .bool(), json: JSONValue.bool,
            read: { value, reading in
                if case .bool(let flag) = value { return flag }
                reading.fault("bool_type", "must be true or false", input: value)
                return nil
            },
            readTexts: { texts, reading in
                switch texts.first {
                case "true", "1": return true
                case "false", "0": return false
                case let text:
                    reading.fault("bool_parsing", "must be true or false", input: text.map(JSONValue.string))
                    return nil
                }
            })
    }
}

extension Form where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    /// One of an enumeration's words.
    package static var choice: Form<Value> {
        let words = Value.allCases.map(\.rawValue)
        let check: @Sendable (String, inout InputReading) -> Value? = { text, reading in
            if let value = Value(rawValue: text) { return value }
            reading.fault("enum", "must be one of \(words.joined(separator: ", "))", input: .string(text))
            return nil
        }
        return Form(
            schema: .choice(words), json: { .string($0.rawValue) },
            read: { value, reading in
                guard case .string(let text) = value else {
                    reading.fault("enum", "must be one of \(words.joined(separator: ", "))", input: value)
                    return nil
                }
                return check(text, &reading)
            }, readTexts: { texts, reading in texts.first.flatMap { check($0, &reading) } })
    }
}

extension Form {
    /// A list of so many elements; as a parameter, given several times or once with commas.
    package static func list<Element>(
        of element: Form<Element>, countMax: Int
    ) -> Form<[Element]> where Value == [Element] {
        var schema = Schema.array(of: element.schema)
        schema["maxItems"] = .integer(Int64(countMax))
        let isShort: @Sendable (Int, inout InputReading) -> Bool = { count, reading in
            if count > countMax {
                reading.fault("too_long", "must hold at most \(countMax) values, has \(count)")
                return false
            }
            return true
        }
        return Form<[Element]>(
            schema: schema, isList: true, json: { .array($0.map(element.json)) },
            read: { value, reading in
                guard case .array(let values) = value else {
                    reading.fault("list_type", "must be a list", input: value)
                    return nil
                }
                guard isShort(values.count, &reading) else { return nil }
                var elements: [Element] = []
                elements.reserveCapacity(values.count)
                for index in values.indices {
                    let element = reading.at(.index(index)) { element.read(values[index], &$0) }
                    if let element { elements.append(element) }
                }
                return elements
            },
            readTexts: { texts, reading in
                let parts = texts.flatMap { text in
                    text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map {
                        String(Substring($0))
                    }
                }
                guard isShort(parts.count, &reading) else { return nil }
                return parts.enumerated().compactMap { index, part in
                    guard parts.count > 1 else { return element.readTexts?([part], &reading) }
                    return reading.at(.index(index)) { element.readTexts?([part], &$0) }
                }
            })
    }

    /// One value, or a list of them; read as a list.
    package static func oneOrMany<Element>(
        of element: Form<Element>, countMax: Int
    ) -> Form<[Element]> where Value == [Element] {
        let list = Form<[Element]>.list(of: element, countMax: countMax)
        return Form<[Element]>(
            schema: .anyOf([element.schema, list.schema]), isList: true, json: list.json,
            read: { value, reading in
                if case .array = value { return list.read(value, &reading) }
                return element.read(value, &reading).map { [$0] }
            }, readTexts: list.readTexts)
    }
}
