import CSimdjson

/// A JSON document as a tree, for API bodies, configuration and the lake's log lines; not for hot paths.
package indirect enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    /// Members in their order; names may repeat, and ``subscript(_:)`` takes the last.
    case object([(key: String, value: JSONValue)])

    /// Parses one document.
    ///
    /// - Parameter maxDepth: nesting that is still accepted.
    package static func parse(_ bytes: [UInt8], maxDepth: Int = 32) throws(JSONError) -> JSONValue {
        do {
            return try bytes.withUnsafeBytes { buffer in try parse(buffer, maxDepth: maxDepth) }
        } catch let error as JSONError {
            throw error
        } catch {
            throw JSONError(status: Int32(CSJ_OUT_OF_MEMORY))
        }
    }

    /// Parses one document from lent bytes.
    package static func parse(_ bytes: UnsafeRawBufferPointer, maxDepth: Int = 32) throws(JSONError) -> JSONValue {
        guard let parser = csj_parser_new(maxDepth, max(bytes.count, 1)) else {
            throw JSONError(status: Int32(CSJ_OUT_OF_MEMORY))
        }
        defer { csj_parser_free(parser) }
        var nodes: UnsafePointer<csj_value>?
        var count = 0
        let status = csj_parse_tree(
            parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &nodes, &count)
        guard status == CSJ_OK else { throw JSONError(status: status) }
        var walker = TreeWalker(nodes: UnsafeBufferPointer(start: nodes, count: count))
        return walker.next()
    }

    package static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let first), .bool(let second)): first == second
        case (.integer(let first), .integer(let second)): first == second
        case (.double(let first), .double(let second)): first == second
        case (.string(let first), .string(let second)): first == second
        case (.array(let first), .array(let second)): first == second
        case (.object(let first), .object(let second)):
            first.count == second.count
                && zip(first, second).allSatisfy { $0.key == $1.key && $0.value == $1.value }
        default: false
        }
    }

    /// The member of an object; nil for other kinds and names that are not there.
    package subscript(_ key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.key == key }?.value
    }

    /// The value of a string; nil for other kinds.
    package var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The value of an integer; nil for other kinds, doubles too.
    package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    /// The value of a double or an integer.
    package var double: Double? {
        switch self {
        case .double(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }

    /// The value of a bool; nil for other kinds.
    package var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements of an array; nil for other kinds.
    package var array: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members of an object, in order; nil for other kinds.
    package var object: [(key: String, value: JSONValue)]? {
        if case .object(let value) = self { value } else { nil }
    }

    /// Whether it is `null`.
    package var isNull: Bool { self == .null }
}

/// Turns the flat preorder list of the parser into a tree; its depth is bounded by the parser's.
private struct TreeWalker {
    let nodes: UnsafeBufferPointer<csj_value>
    var position = 0

    mutating func next() -> JSONValue {
        guard position < nodes.count else { return .null }
        let field = JSONField(value: nodes[position])
        let length = Int(nodes[position].length)
        position += 1
        switch field.kind {
        case .absent, .null: return .null
        case .bool: return .bool(field.integer != 0)
        case .integer: return .integer(field.integer)
        case .unsigned: return .double(Double(UInt64(bitPattern: field.integer)))
        case .double: return .double(field.double)
        case .string: return .string(String(decoding: field.text, as: UTF8.self))
        case .array:
            var elements: [JSONValue] = []
            elements.reserveCapacity(length)
            for _ in 0..<length { elements.append(next()) }
            return .array(elements)
        case .object:
            var members: [(key: String, value: JSONValue)] = []
            members.reserveCapacity(length)
            for _ in 0..<length {
                let key = next().string ?? ""
                members.append((key, next()))
            }
            return .object(members)
        }
    }
}
