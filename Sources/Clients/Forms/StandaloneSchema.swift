package import JSONScan

extension Schema {
    /// The schema as a document of its own: what it refers to stands below `$defs`, and its root says what it is.
    package var standalone: JSONValue {
        var root = self
        if let name = root["$ref"]?.string.map(Self.name(ofReference:)),
            let named = components.first(where: { $0.name == name })?.schema
        {
            root = named
            for keyword in keywords where keyword.name != "$ref" { root[keyword.name] = keyword.value }
        }
        var members = (Self.rebased(root.json).object ?? [])
        let definitions = root.components.map { (key: $0.name, value: Self.rebased($0.schema.json)) }
        if !definitions.isEmpty { members.append((key: "$defs", value: .object(definitions))) }
        return .object(members)
    }

    private static func name(ofReference reference: String) -> String {
        String(reference.utf8.split(separator: UInt8(ascii: "/")).last.map { Substring($0) } ?? "")
    }

    /// The same with its references pointing below `$defs`.
    private static func rebased(_ value: JSONValue) -> JSONValue {
        switch value {
        case .array(let list): .array(list.map(rebased))
        case .object(let members):
            .object(
                members.map { key, value in
                    guard key == "$ref", let reference = value.string else { return (key, rebased(value)) }
                    return (key, .string("#/$defs/" + name(ofReference: reference)))
                })
        case .null, .bool, .integer, .double, .string: value
        }
    }
}
