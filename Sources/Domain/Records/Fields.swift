/// One value of a parsed event, lent by the parser.
package struct FieldValue {
    /// JSON's kinds, with absence as a kind of its own.
    package enum Kind: UInt8, Sendable {
        case absent, null, bool, integer, double, string, array, object
    }

    /// JSON's kind, or absent.
    package let kind: Kind
    /// The unescaped UTF-8 of a string; valid until the parser's next document.
    package let text: UnsafeBufferPointer<UInt8>
    /// The value of an integer; 0 or 1 of a bool; the bits of a double, see ``number``.
    package let integer: Int64

    package init(kind: Kind, text: UnsafeBufferPointer<UInt8> = .init(start: nil, count: 0), integer: Int64 = 0) {
        self.kind = kind
        self.text = text
        self.integer = integer
    }

    /// A double. Its bits share the room of ``integer``, so that a field stays as small as the twenty of an event ask for.
    package init(number: Double) { self.init(kind: .double, integer: Int64(bitPattern: number.bitPattern)) }

    /// The value of a double.
    package var number: Double { Double(bitPattern: UInt64(bitPattern: integer)) }
}

/// The fields of the event at hand, by their index in a list of paths; so that rules know no parser.
package struct EventFields {
    private let values: UnsafeBufferPointer<FieldValue>

    /// - Parameter values: lent for the time of the call that is handed the fields.
    package init(_ values: UnsafeBufferPointer<FieldValue>) { self.values = values }

    /// The field of the path at `index`.
    package func value(at index: Int) -> FieldValue { values[index] }

    /// Those from `start` on, which then has the index 0.
    package func from(_ start: Int) -> EventFields {
        EventFields(UnsafeBufferPointer(rebasing: values[min(start, values.count)...]))
    }
}

/// Computes SHA-256; so that rules know no library.
package protocol ContentHasher: ~Copyable {
    /// Appends the digest of `bytes` as 64 lower-case hexadecimal digits.
    mutating func appendHexDigest(of bytes: UnsafeRawBufferPointer, to output: inout [UInt8]) throws
}
