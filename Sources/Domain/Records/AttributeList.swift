package import Bytes

/// Attributes of one document by their names. There are few, so they are looked through one by one.
package struct AttributeList: Sendable, Equatable {
    /// In order, so that equal lists are equal.
    private var names: [AttributeName] = []
    private var values: [AttributeValue] = []

    package init(_ attributes: [AttributeName: AttributeValue] = [:]) {
        for (name, value) in attributes { set(name, value) }
    }

    /// Gives an attribute a value, in place of the one that it has.
    package mutating func set(_ name: AttributeName, _ value: AttributeValue) {
        let place = names.firstIndex { $0 >= name } ?? names.count
        if place < names.count, names[place] == name {
            values[place] = value
        } else {
            names.insert(name, at: place)
            values.insert(value, at: place)
        }
    }

    /// The value of an attribute; nil where the document does not have it.
    package func value(of attribute: AttributeName) -> AttributeValue? {
        for place in names.indices where names[place] == attribute { return values[place] }
        return nil
    }

    /// Whether there are none.
    package var isEmpty: Bool { names.isEmpty }

    /// Calls `body` with each, in the order of their names.
    package func forEach(_ body: (AttributeName, AttributeValue) -> Void) {
        for place in names.indices { body(names[place], values[place]) }
    }
}

// MARK: JSON

extension AttributeValue {
    /// What a member of a line says: a text, a number or a truth; nil for all else. Lines do not tell times from texts, which
    /// is why an ``AttributeValue/string(_:)`` in a time's canonical form compares with times.
    package init?(_ member: JSONSlice) {
        switch member.kind {
        case .string:
            guard let text = member.string else { return nil }
            self = .string(text)
        case .number:
            if let number = member.integer {
                self = .integer(number)
            } else if let number = Double(String(decoding: member.bytes, as: UTF8.self)), number.isFinite {
                self = .number(number)
            } else {
                return nil
            }
        case .bool:
            guard let flag = member.bool else { return nil }
            self = .bool(flag)
        case .absent, .null, .array, .object: return nil
        }
    }

    /// Appends it as lines and replies have it: times as RFC 3339, numbers in one text for one value.
    package func append(to writer: inout JSONWriter) {
        switch self {
        case .string(let text): writer.string(text)
        case .integer(let number): writer.integer(number)
        case .number(let number): writer.raw(Array(CanonicalNumber.text(number).utf8))
        case .bool(let flag): writer.bool(flag)
        case .time(let milliseconds): writer.string(CivilTime.rfc3339(milliseconds))
        }
    }
}

extension AttributeList {
    /// Reads an object such as a line's `attributes`. What is null is absent, and so is what no attribute can be called.
    ///
    /// - Throws: ``RecordFormatError`` where it is no object, or a member is an array or an object.
    package init(_ object: JSONSlice, of record: String) throws(RecordFormatError) {
        self.init()
        if object.kind == .absent || object.kind == .null { return }
        guard object.kind == .object else {
            throw RecordFormatError(record, field: "attributes", reason: "is not an object")
        }
        var found = self
        var odd: String?
        object.forEachMember { name, member in
            guard member.kind != .null, let text = name.string else { return }
            guard let value = AttributeValue(member) else {
                odd = text
                return
            }
            if let name = AttributeName(text) { found.set(name, value) }
        }
        if let odd {
            throw RecordFormatError(
                record, field: "attributes.\(odd)", reason: "is not a text, a number, true or false")
        }
        self = found
    }

    /// Reads one complete JSON object, such as from an index.
    ///
    /// - Throws: as for a member.
    package init(json: UnsafeRawBufferPointer) throws(RecordFormatError) {
        self.init()
        var found = self
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: json) { name, member in
                guard let name = name.string.flatMap({ AttributeName($0) }), let value = AttributeValue(member) else {
                    return
                }
                found.set(name, value)
            }
        } catch {
            throw RecordFormatError("attributes", field: "line", reason: "is not a JSON object: \(error.description)")
        }
        self = found
    }

    /// Appends it as one JSON object, in the order of names.
    package func append(to writer: inout JSONWriter) {
        writer.beginObject()
        for place in names.indices {
            writer.key(dynamic: names[place].text)
            values[place].append(to: &writer)
        }
        writer.endObject()
    }
}
