import Glibc

/// Why a text is not one JSON object.
package struct JSONLineError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What stands there, and at which byte.
    package let description: String

    init(_ what: StaticString, at index: Int) { description = "\(what) at byte \(index)" }
}

/// Walks the members of one JSON object and lends them, for the lines of the lake and of the Gold topic.
///
/// No tree, no allocation: a name and a value are byte ranges of the text. As strict as RFC 8259 and as `JSONScan`, which the
/// modules without clients cannot use: UTF-8 is checked, so are escapes and nesting; a number that neither a 64-bit integer
/// nor a double holds is refused. A test holds the two against each other on hostile bytes.
package enum JSONLine {
    /// Objects and arrays one within the other that are taken unless the caller says otherwise.
    package static let depthMax = 64

    /// Calls `body` with each member in the order of the text; names may repeat, and for our formats the last counts.
    ///
    /// A fault that lies behind a member shows only after `body` has seen that member: what `body` took is worth something
    /// once this returns.
    ///
    /// - Parameter depthMax: objects and arrays one within the other, this object counted.
    package static func forEachMember(
        of text: UnsafeRawBufferPointer, depthMax: Int = JSONLine.depthMax,
        _ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void
    ) throws(JSONLineError) {
        guard UTF8Text.isValid(text) else { throw JSONLineError("bytes that are not UTF-8", at: 0) }
        var cursor = JSONCursor(text, depthMax: depthMax)
        try cursor.wholeObject(body)
    }

    /// The same for a line whose bytes are known to be intact, and whose last member is `last`. Where that member is an object, its
    /// bytes are handed over unchecked: the caller must parse them before relying on them.
    package static func forEachMember(
        of text: UnsafeRawBufferPointer, last: StaticString, _ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void
    ) throws(JSONLineError) {
        var cursor = JSONCursor(text, depthMax: depthMax, last: last)
        try cursor.wholeObject(body)
        let walked = UnsafeRawBufferPointer(rebasing: text[..<(cursor.lastStart ?? text.count)])
        guard UTF8Text.isValid(walked) else { throw JSONLineError("bytes that are not UTF-8", at: 0) }
    }
}

/// One value of a JSON text, lent: valid only within the call that hands it over.
package struct JSONSlice {
    /// JSON's kinds.
    package enum Kind: Sendable { case absent, null, bool, number, string, array, object }

    /// The value's kind; ``Kind/absent`` stands for a member that is not there.
    package let kind: Kind
    /// The value as it stands in the text, a string with its quotes.
    package let bytes: UnsafeRawBufferPointer
    /// Whether a string has escapes, so that its text is not what stands between the quotes.
    package let hasEscapes: Bool

    /// Stands for a member that is not there.
    package static var absent: JSONSlice {
        JSONSlice(kind: .absent, bytes: UnsafeRawBufferPointer(start: nil, count: 0), hasEscapes: false)
    }

    init(kind: Kind, bytes: UnsafeRawBufferPointer, hasEscapes: Bool) {
        self.kind = kind
        self.bytes = bytes
        self.hasEscapes = hasEscapes
    }

    /// Lends the UTF-8 of a string without its quotes and escapes; nothing for other kinds.
    package func withText<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard kind == .string else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        guard hasEscapes else { return try body(inner) }
        return try unescaped.withUnsafeBufferPointer { text throws(Failure) in
            try body(UnsafeRawBufferPointer(text))
        }
    }

    /// A string's text; nil for other kinds.
    package var string: String? {
        guard kind == .string else { return nil }
        return hasEscapes ? String(decoding: unescaped, as: UTF8.self) : String(decoding: inner, as: UTF8.self)
    }

    /// A string's UTF-8; nil for other kinds.
    package var utf8: [UInt8]? {
        guard kind == .string else { return nil }
        return hasEscapes ? unescaped : Array(inner)
    }

    /// Whether it is the string `text`, which is the program's own.
    package func equals(_ text: StaticString) -> Bool {
        equals(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Whether it is the string with this UTF-8.
    package func equals(_ text: [UInt8]) -> Bool { text.withUnsafeBytes { equals($0) } }

    private func equals(_ wanted: UnsafeRawBufferPointer) -> Bool {
        guard kind == .string else { return false }
        if hasEscapes { return unescaped.elementsEqual(wanted) }
        guard bytes.count == wanted.count + 2, let own = bytes.baseAddress, let other = wanted.baseAddress else {
            return bytes.count == wanted.count + 2
        }
        return memcmp(own + 1, other, wanted.count) == 0
    }

    /// A whole number; nil for other kinds, for numbers with a fraction or an exponent, and beyond 64 bits.
    package var integer: Int64? {
        guard kind == .number else { return nil }
        return DecimalText.integer(bytes)
    }

    /// `true` or `false`; nil for other kinds.
    package var bool: Bool? { kind == .bool ? bytes.count == 4 : nil }

    /// Calls `body` with each member of an object; never for other kinds.
    package func forEachMember(_ body: (_ name: JSONSlice, _ value: JSONSlice) -> Void) {
        guard kind == .object else { return }
        var cursor = JSONCursor(bytes, depthMax: .max)
        // The walk that lent this value has been through it: it holds no fault.
        try? cursor.object(depth: 1, body)
    }

    /// Calls `body` with each element of an array; never for other kinds.
    package func forEachElement(_ body: (JSONSlice) -> Void) {
        guard kind == .array else { return }
        var cursor = JSONCursor(bytes, depthMax: .max)
        try? cursor.array(depth: 1, body)
    }

    /// What stands between a string's quotes.
    private var inner: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[1..<bytes.count - 1]) }

    private var unescaped: [UInt8] {
        let source = inner
        var output: [UInt8] = []
        output.reserveCapacity(source.count)
        var index = 0
        while index < source.count {
            guard source[index] == UInt8(ascii: "\\") else {
                output.append(source[index])
                index += 1
                continue
            }
            let kind = source[index + 1]
            index += 2
            switch kind {
            case UInt8(ascii: "b"): output.append(0x08)
            case UInt8(ascii: "t"): output.append(0x09)
            case UInt8(ascii: "n"): output.append(0x0A)
            case UInt8(ascii: "f"): output.append(0x0C)
            case UInt8(ascii: "r"): output.append(0x0D)
            case UInt8(ascii: "u"):
                var scalar = JSONCursor.hexadecimal(source, at: index) ?? 0xFFFD
                index += 4
                if scalar & 0xFC00 == 0xD800 {
                    let low = JSONCursor.hexadecimal(source, at: index + 2) ?? 0xDC00
                    scalar = 0x10000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
                    index += 6
                }
                output.append(contentsOf: String(Unicode.Scalar(scalar).map(Character.init) ?? "\u{FFFD}").utf8)
            default: output.append(kind)
            }
        }
        return output
    }
}

/// Decimal numbers as JSON writes them.
package enum DecimalText {
    /// The value of digits with or without a minus sign; nil for anything else, and beyond 64 bits.
    package static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        let digits = isNegative ? text.dropFirst() : text[...]
        guard !digits.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in digits {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - 0x30)
            let (sum, carry) =
                isNegative
                ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// Whether a whole number is a signed or, from 0 on, an unsigned integer of 64 bits.
    static func fits64Bits(_ text: UnsafeRawBufferPointer) -> Bool {
        // Nobody needs to look at the digits of most.
        if text.count <= 18 { return true }
        if integer(text) != nil { return true }
        guard text.first != UInt8(ascii: "-") else { return false }
        return UInt64(String(decoding: text, as: UTF8.self)) != nil
    }

    static func isFinite(_ text: UnsafeRawBufferPointer) -> Bool {
        Double(String(decoding: text, as: UTF8.self))?.isFinite ?? false
    }
}

/// UTF-8 that somebody else wrote.
package enum UTF8Text {
    /// Whether the bytes are UTF-8. Most are ASCII, eight at a time.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isASCII(bytes) { return true }
        return bytes.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
    }

    private static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        var index = 0
        while index + 8 <= bytes.count {
            let word = start.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if word & 0x8080_8080_8080_8080 != 0 { return false }
            index += 8
        }
        return bytes[index...].allSatisfy { $0 < 0x80 }
    }
}
