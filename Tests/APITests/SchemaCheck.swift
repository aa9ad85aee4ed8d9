import JSONScan

/// Holds values against schemas of a document.
enum SchemaCheck {
    /// Where `value` differs from `schema`: the part of JSON Schema that the document uses for replies.
    static func misfits(
        _ value: JSONValue, _ schema: JSONValue, in document: JSONValue, at path: String
    ) -> [String] {
        if let name = schema["$ref"]?.string?.split(separator: "/").last {
            guard let target = document["components"]?["schemas"]?[String(name)] else { return ["\(path): no \(name)"] }
            return misfits(value, target, in: document, at: path)
        }
        if let choices = schema["oneOf"]?.array ?? schema["anyOf"]?.array {
            let fits = choices.contains { misfits(value, $0, in: document, at: path).isEmpty }
            return fits ? [] : ["\(path): fits no choice"]
        }
        if let choices = schema["enum"]?.array {
            return choices.contains(value) ? [] : ["\(path): \(value) is no choice"]
        }
        let types = schema["type"]?.array?.compactMap(\.string) ?? schema["type"]?.string.map { [$0] } ?? []
        guard types.isEmpty || types.contains(where: { isA($0, value) }) else { return ["\(path): not \(types)"] }
        if let elements = value.array, let item = schema["items"] {
            return elements.enumerated().flatMap { place, element in
                misfits(element, item, in: document, at: "\(path)[\(place)]")
            }
        }
        guard let members = value.object, let properties = schema["properties"]?.object else { return [] }
        var result: [String] = []
        for (key, member) in members {
            if let property = properties.last(where: { $0.key == key })?.value {
                result += misfits(member, property, in: document, at: "\(path).\(key)")
            } else if schema["additionalProperties"]?.bool != true {
                result.append("\(path).\(key) is not documented")
            }
        }
        let present = Set(members.map(\.key))
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] where !present.contains(name) {
            result.append("\(path).\(name) is missing")
        }
        return result
    }

    private static func isA(_ type: String, _ value: JSONValue) -> Bool {
        switch type {
        case "string": value.string != nil
        case "integer": value.integer != nil
        case "number": value.double != nil
        case "boolean": value.bool != nil
        case "array": value.array != nil
        case "object": value.object != nil
        case "null": value.isNull
        default: false
        }
    }
}
