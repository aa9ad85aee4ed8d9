package import JSONScan

/// A JSON Schema (2020-12, as OpenAPI 3.1 uses it) with the named schemas that it refers to.
package struct Schema: Sendable {
    /// Keywords in the order in which they are shown.
    package var keywords: [(name: String, value: JSONValue)]
    /// What `$ref`s below it mean, each name once.
    package private(set) var components: [(name: String, schema: Schema)]

    package init(_ keywords: [(name: String, value: JSONValue)], uses components: [Schema] = []) {
        self.keywords = keywords
        self.components = []
        for schema in components { merge(schema) }
    }

    private mutating func merge(_ other: Schema) {
        for component in other.components where !components.contains(where: { $0.name == component.name }) {
            components.append(component)
        }
    }

    /// As JSON.
    package var json: JSONValue { .object(keywords.map { (key: $0.name, value: $0.value) }) }

    /// The value of a keyword; setting one that is not there appends it.
    package subscript(_ name: String) -> JSONValue? {
        get { keywords.last { $0.name == name }?.value }
        set {
            if let place = keywords.firstIndex(where: { $0.name == name }) {
                if let newValue { keywords[place].value = newValue } else { keywords.remove(at: place) }
            } else if let newValue {
                keywords.append((name: name, value: newValue))
            }
        }
    }

    /// The same with a description, if it is not empty. Beside a `$ref`, where 3.1 allows it too.
    package func described(_ text: String) -> Schema {
        guard !text.isEmpty else { return self }
        var schema = self
        schema["description"] = .string(text)
        return schema
    }

    /// A reference to this schema as a component of that name.
    package func named(_ name: String) -> Schema {
        var reference = Schema([(name: "$ref", value: .string("#/components/schemas/\(name)"))], uses: [self])
        reference.components.append((name: name, schema: self))
        return reference
    }

    /// The same, or null.
    package var orNull: Schema {
        if let type = self["type"]?.string {
            var schema = self
            schema["type"] = .array([.string(type), .string("null")])
            if let choices = self["enum"]?.array { schema["enum"] = .array(choices + [.null]) }
            return schema
        }
        return .anyOf([self, Schema([(name: "type", value: .string("null"))])])
    }

    // MARK: Kinds

    /// Any JSON value.
    package static func anything(_ text: String = "") -> Schema { Schema([]).described(text) }

    /// A text.
    package static func string(_ text: String = "", format: String? = nil, pattern: String? = nil) -> Schema {
        var schema = Schema([(name: "type", value: .string("string"))])
        if let format { schema["format"] = .string(format) }
        if let pattern { schema["pattern"] = .string(pattern) }
        return schema.described(text)
    }

    /// A time of RFC 3339.
    package static func time(_ text: String = "") -> Schema { .string(text, format: "date-time") }

    /// A whole number.
    package static func integer(_ text: String = "") -> Schema {
        Schema([(name: "type", value: .string("integer"))]).described(text)
    }

    /// A number.
    package static func number(_ text: String = "") -> Schema {
        Schema([(name: "type", value: .string("number"))]).described(text)
    }

    /// True or false.
    package static func bool(_ text: String = "") -> Schema {
        Schema([(name: "type", value: .string("boolean"))]).described(text)
    }

    /// One of some words.
    package static func choice(_ words: [String], _ text: String = "") -> Schema {
        Schema([
            (name: "type", value: .string("string")), (name: "enum", value: .array(words.map(JSONValue.string))),
        ]).described(text)
    }

    /// A list.
    package static func array(of element: Schema, _ text: String = "") -> Schema {
        Schema([(name: "type", value: .string("array")), (name: "items", value: element.json)], uses: [element])
            .described(text)
    }

    /// Any of several.
    package static func anyOf(_ schemas: [Schema]) -> Schema {
        Schema([(name: "anyOf", value: .array(schemas.map(\.json)))], uses: schemas)
    }

    /// An object whose members all have the schema `value`.
    package static func map(of value: Schema, _ text: String = "") -> Schema {
        Schema(
            [(name: "type", value: .string("object")), (name: "additionalProperties", value: value.json)],
            uses: [value]
        ).described(text)
    }

    /// An object without further rules.
    package static func anyObject(_ text: String = "") -> Schema {
        Schema([(name: "type", value: .string("object"))]).described(text)
    }

    /// A member of an object.
    package struct Property: Sendable {
        let name: String
        let schema: Schema
        /// Whether every object has it.
        package var isRequired: Bool

        package init(_ name: String, _ schema: Schema, _ text: String = "", isRequired: Bool = true) {
            self.name = name
            self.schema = schema.described(text)
            self.isRequired = isRequired
        }
    }

    /// An object with these members and no others.
    package static func object(_ properties: [Property], _ text: String = "") -> Schema {
        var schema = Schema(
            [
                (name: "type", value: .string("object")),
                (name: "properties", value: .object(properties.map { (key: $0.name, value: $0.schema.json) })),
            ], uses: properties.map(\.schema))
        let required = properties.filter(\.isRequired).map { JSONValue.string($0.name) }
        if !required.isEmpty { schema["required"] = .array(required) }
        schema["additionalProperties"] = .bool(false)
        return schema.described(text)
    }
}
