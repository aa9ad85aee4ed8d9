package import JSONScan

/// One member of an object in a request and where its value goes.
package struct Field<Root: Sendable>: Sendable {
    let name: String
    let isRequired: Bool
    let take: @Sendable (JSONValue, inout Root, inout InputReading) -> Void
    /// The schema, with the default that `initial` holds.
    let schema: @Sendable (_ initial: Root) -> Schema

    /// - Parameters:
    ///   - path: where the value goes; what it holds at first is the default.
    ///   - help: a sentence, for the document.
    ///   - example: a value, for the document.
    package init<Value>(
        _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ form: Form<Value>, _ help: String = "",
        example: JSONValue? = nil, isRequired: Bool = false
    ) {
        self.name = name
        self.isRequired = isRequired
        take = { value, root, reading in
            if let value = form.read(value, &reading) { root[keyPath: path] = value }
        }
        schema = { initial in
            form.schema.documented(
                help, example: example,
                default: isRequired ? nil : form.json(initial[keyPath: path]))
        }
    }
}

extension Schema {
    /// The same with what a document says beside it.
    package func documented(_ help: String, example: JSONValue?, default initial: JSONValue?) -> Schema {
        var schema = described(help)
        if let initial, !initial.isNull, initial != .array([]), initial != .object([]) { schema["default"] = initial }
        if let example { schema["examples"] = .array([example]) }
        return schema
    }
}

extension Form {
    /// An object with these members and no others.
    ///
    /// - Parameters:
    ///   - initial: what members that are left out leave.
    ///   - check: a rule over several members; called when each member fits.
    package static func object(
        _ initial: Value, _ fields: [Field<Value>], _ help: String = "",
        check: (@Sendable (Value, inout InputReading) -> Void)? = nil
    ) -> Form<Value> {
        let schema = Schema.object(
            fields.map { Schema.Property($0.name, $0.schema(initial), isRequired: $0.isRequired) }, help)
        let places = Dictionary(uniqueKeysWithValues: fields.enumerated().map { ($0.element.name, $0.offset) })
        let known = fields.map(\.name).sorted().joined(separator: ", ")
        // A bit per member: which were seen, and which must be.
        precondition(fields.count <= 64, "an object form has at most 64 fields")
        let required = fields.indices.reduce(0 as UInt64) { fields[$1].isRequired ? $0 | 1 << $1 : $0 }
        let (names, takes) = (fields.map(\.name), fields.map(\.take))
        return Form(
            schema: schema, json: { _ in .object([]) },
            read: { value, reading in
                guard case .object(let members) = value else {
                    reading.fault("object_type", "must be an object", input: value)
                    return nil
                }
                var result = initial
                var seen: UInt64 = 0
                let before = reading.faults.count
                for (key, member) in members {
                    guard let place = places[key] else {
                        reading.fault(
                            "extra_forbidden", "is not known; known are \(known)", at: [.cut(key)], input: member)
                        continue
                    }
                    if seen & 1 << place != 0 {
                        reading.fault("duplicate", "is given twice", at: [.name(key)], input: member)
                        continue
                    }
                    seen |= 1 << place
                    reading.at(.name(key)) { takes[place](member, &result, &$0) }
                }
                if seen & required != required {
                    for place in names.indices where required & ~seen & 1 << place != 0 {
                        reading.fault("missing", "is required", at: [.name(names[place])])
                    }
                }
                if reading.faults.count == before { check?(result, &reading) }
                return result
            })
    }
}

extension InputStep {
    /// A name that a client made up, short enough to be repeated.
    package static func cut(_ name: String) -> InputStep {
        .name(name.utf8.count <= 60 ? name : String(name.prefix(60)) + "…")
    }
}
