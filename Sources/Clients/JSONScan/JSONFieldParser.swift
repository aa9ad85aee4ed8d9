package import CSimdjson

/// Why a document was not accepted.
package struct JSONError: Error, CustomStringConvertible, Equatable {
    /// The kinds that callers tell apart.
    package enum Kind: Sendable, Equatable {
        /// The bytes are not UTF-8.
        case invalidUTF8
        /// Deeper than the parser's limit.
        case tooDeep
        /// Larger than the parser's limit.
        case tooLarge
        /// Valid JSON, but no object.
        case notAnObject
        /// Anything else against RFC 8259, and numbers that no double or 64-bit integer holds.
        case invalid
        /// No memory for the parser's buffers.
        case outOfMemory
    }

    /// The kind, for callers to tell apart.
    package let kind: Kind
    /// simdjson's words.
    package let description: String

    init(status: Int32) {
        description = csj_status_message(status).map { String(cString: $0) } ?? "status \(status)"
        kind =
            switch status {
            case Int32(CSJ_NOT_AN_OBJECT): .notAnObject
            case Int32(CSJ_OUT_OF_MEMORY): .outOfMemory
            case Int32(CSJ_TOO_LARGE): .tooLarge
            // simdjson/error.h: enum error_code, 3.0.1
            case 4: .tooDeep
            case 10: .invalidUTF8
            default: .invalid
            }
    }
}

/// One extracted value. Text is lent: it lies in the parser and is valid until the parser's next use.
package struct JSONField {
    package enum Kind: UInt8, Sendable {
        case absent, null, bool, integer, unsigned, double, string, array, object
    }

    // Inlined, since every event asks for some twenty of them.
    @usableFromInline let value: csj_value

    @inlinable init(value: csj_value) { self.value = value }

    /// JSON's kind, or absent.
    @inlinable @inline(__always) package var kind: Kind { Kind(rawValue: value.kind) ?? .absent }
    /// The unescaped UTF-8 of a string; empty for other kinds.
    @inlinable package var text: UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: value.text, count: value.text == nil ? 0 : Int(value.length))
    }
    /// The value of an `integer`, 0 or 1 of a `bool`.
    @inlinable package var integer: Int64 { value.integer }
    /// The value of a `double`.
    package var double: Double { value.number }
}

/// Parses one JSON document after another with simdjson's DOM parser and extracts the same fields of each.
///
/// Not thread-safe, hence not copyable. About 0.9 µs for a recent change of 1.2 KB with 25 fields.
package struct JSONFieldParser: ~Copyable {
    private let parser: OpaquePointer
    @usableFromInline let values: UnsafeMutablePointer<csj_value>
    @usableFromInline let slots: [Int]

    /// - Parameters:
    ///   - paths: dotted names, such as `meta.id`; the order gives the index for ``field(_:)``.
    ///   - depthMax: nesting that is still accepted.
    ///   - documentBytesMax: size that is still accepted.
    package init(paths: [String], depthMax: Int = 64, documentBytesMax: Int = 64 << 20) throws(JSONError) {
        guard let parser = csj_parser_new(depthMax, documentBytesMax) else {
            throw JSONError(status: Int32(CSJ_OUT_OF_MEMORY))
        }
        var slots: [Int] = []
        for path in paths {
            var path = path
            let slot = path.withUTF8 { utf8 in
                utf8.withMemoryRebound(to: CChar.self) { csj_parser_add_path(parser, $0.baseAddress, $0.count) }
            }
            guard slot >= 0 else {
                csj_parser_free(parser)
                throw JSONError(status: Int32(CSJ_OUT_OF_MEMORY))
            }
            slots.append(Int(slot))
        }
        self.parser = parser
        self.slots = slots
        values = .allocate(capacity: max(1, paths.count))
        values.initialize(repeating: csj_value(), count: max(1, paths.count))
    }

    deinit {
        csj_parser_free(parser)
        values.deallocate()
    }

    /// Parses one document; its fields are then there until the next call. A later member of the same name wins.
    ///
    /// - Returns: nil when it was accepted.
    package mutating func parseObject(_ bytes: UnsafeRawBufferPointer) -> JSONError? {
        let status = csj_parse_object(
            parser, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, values)
        return status == CSJ_OK ? nil : JSONError(status: status)
    }

    /// The field of the path at `index`.
    @inlinable @inline(__always) package func field(_ index: Int) -> JSONField {
        JSONField(value: values[slots[index]])
    }
}
