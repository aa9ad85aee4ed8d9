import Bytes
package import JSONScan

/// Reads Bronze lines back into what the broker delivered, for replays, duplicate windows and traces.
package struct BronzeLineReader: ~Copyable {
    /// One Bronze record, read back.
    package struct Record: Sendable {
        package let offset: Int64
        package let timestampMilliseconds: Int64
        package let key: [UInt8]?
        /// The value as the broker delivered it, byte for byte; nil for a tombstone.
        package let value: [UInt8]?
    }

    private static let valueName = Array(",\"value\":".utf8)
    private var parser: JSONFieldParser

    /// - Throws: ``JSONError`` when out of memory.
    package init() throws(JSONError) {
        // A Bronze line nests its payload, which may have 64 levels, one deeper.
        parser = try JSONFieldParser(
            paths: ["offset", "timestamp_ms", "key", "key_base64", "value", "value_base64"], depthMax: 65,
            documentBytesMax: 256 << 20)
    }

    /// Reads one line given without its line feed; nil where it is not a Bronze line.
    package mutating func read(_ line: ArraySlice<UInt8>) -> Record? {
        guard line.withUnsafeBytes({ parser.parseObject($0) }) == nil, parser.field(0).kind == .integer,
            parser.field(1).kind == .integer
        else { return nil }
        var key: [UInt8]?
        if parser.field(2).kind == .string { key = Array(parser.field(2).text) }
        if parser.field(3).kind == .string { key = Base64.bytes(parser.field(3).text) }
        var value: [UInt8]?
        if parser.field(4).kind == .object {
            guard let start = valueStart(line) else { return nil }
            value = Array(line[start..<(line.endIndex - 1)])
        } else if parser.field(5).kind == .string {
            value = Base64.bytes(parser.field(5).text)
        }
        return Record(
            offset: parser.field(0).integer, timestampMilliseconds: parser.field(1).integer, key: key, value: value)
    }

    /// Where the embedded payload begins. A quote inside a string is escaped, so the first occurrence of the member's
    /// name is the member; the payload goes on to the line's closing brace.
    private func valueStart(_ line: ArraySlice<UInt8>) -> Int? {
        var index = line.startIndex
        while index + Self.valueName.count < line.endIndex {
            if line[index] == Self.valueName[0], line[index...].starts(with: Self.valueName) {
                return index + Self.valueName.count
            }
            index += 1
        }
        return nil
    }
}
