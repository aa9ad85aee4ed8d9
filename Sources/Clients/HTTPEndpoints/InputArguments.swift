package import Forms
package import JSONScan

/// The same input as one JSON object, for callers that come by no HTTP request of their own, such as the tools of a language
/// model: what is documented and checked is the declaration of the endpoint.
extension InputForm {
    /// The schema of that object: the body's, or one with a member for each parameter.
    package var argumentsSchema: Schema {
        if let body { return body.schema }
        return .object(
            parameters.map { parameter in
                Schema.Property(
                    parameter.name, parameter.schema(initial), parameter.help, isRequired: parameter.isRequired)
            })
    }

    /// Reads and checks everything. Parameters may be written as JSON writes them, or as the text that a query has.
    ///
    /// - Throws: 422 with all faults at once, whose places begin with `arguments`.
    package func read(arguments: JSONValue) throws(EndpointError) -> Root {
        var root = initial
        var reading = InputReading()
        reading.at(.name("arguments")) { reading in
            if let body { return body.take(arguments, &root, &reading) }
            takeParameters(arguments, &root, &reading)
        }
        guard reading.faults.isEmpty else { throw .invalid(reading.faults) }
        return root
    }

    private func takeParameters(_ arguments: JSONValue, _ root: inout Root, _ reading: inout InputReading) {
        guard case .object(let members) = arguments else {
            return reading.fault("object_type", "must be an object", input: arguments)
        }
        var seen: Set<String> = []
        for (name, value) in members {
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                let known = parameters.map(\.name).sorted().joined(separator: ", ")
                reading.fault("extra_forbidden", "is not known; known are \(known)", at: [.cut(name)], input: value)
                continue
            }
            let texts = Self.texts(of: value)
            guard !texts.isEmpty else { continue }
            reading.at(.name(name)) { reading in
                if !seen.insert(name).inserted || texts.count > 1 && !parameter.isList {
                    return reading.fault("duplicate", "takes one value", input: value)
                }
                parameter.take(texts, &root, &reading)
            }
        }
        for parameter in parameters where parameter.isRequired && !seen.contains(parameter.name) {
            reading.fault("missing", "is required", at: [.name(parameter.name)])
        }
    }

    /// The values as a query would have them; none of null, which leaves the parameter out.
    private static func texts(of value: JSONValue) -> [String] {
        switch value {
        case .null: []
        case .string(let text): [text]
        case .array(let list): list.flatMap(texts)
        case .bool, .integer, .double, .object: [value.text]
        }
    }
}
