import Bytes

/// Appends JSON members in a fixed order straight to a layer's buffer; the hot path of every line.
package enum LineWriter {
    package static func literal(_ text: StaticString, to output: inout [UInt8]) {
        output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends `prefix` (such as `,"title":`) and the string, escaped.
    package static func string(_ prefix: StaticString, _ text: UnsafeBufferPointer<UInt8>, to output: inout [UInt8]) {
        JSONText.appendQuoted(prefix, text, to: &output)
    }

    /// Appends `prefix` and the UTF-8, escaped.
    package static func string(_ prefix: StaticString, _ text: [UInt8], to output: inout [UInt8]) {
        text.withUnsafeBufferPointer { JSONText.appendQuoted(prefix, $0, to: &output) }
    }

    /// Appends `prefix` and the string, escaped.
    package static func string(_ prefix: StaticString, _ text: String, to output: inout [UInt8]) {
        var text = text
        text.withUTF8 { string(prefix, $0, to: &output) }
    }

    /// Appends `prefix` and the number.
    package static func integer(_ prefix: StaticString, _ value: Int64, to output: inout [UInt8]) {
        let count = prefix.utf8CodeUnitCount
        output.appendRaw(upTo: count + 20) { start in
            start.update(from: prefix.utf8Start, count: count)
            return count + Decimal.write(value, to: start + count)
        }
    }

    /// Appends `prefix` and the number, or `null`.
    package static func integerOrNull(_ prefix: StaticString, _ value: Int64?, to output: inout [UInt8]) {
        guard let value else {
            literal(prefix, to: &output)
            return literal("null", to: &output)
        }
        integer(prefix, value, to: &output)
    }

    /// Appends `prefix` and `true` or `false`.
    package static func bool(_ prefix: StaticString, _ value: Bool, to output: inout [UInt8]) {
        literal(prefix, to: &output)
        literal(value ? "true" : "false", to: &output)
    }

    /// Appends `prefix`, an RFC 3339 time in quotes.
    package static func time(_ prefix: StaticString, _ epochMilliseconds: Int64, to output: inout [UInt8]) {
        literal(prefix, to: &output)
        output.append(UInt8(ascii: "\""))
        CivilTime.appendRFC3339(epochMilliseconds, to: &output)
        output.append(UInt8(ascii: "\""))
    }
}
