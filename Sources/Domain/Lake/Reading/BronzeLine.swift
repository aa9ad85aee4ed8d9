import Bytes
package import JSONScan
package import Records

/// Reads Bronze lines back into what the broker delivered, for replays, duplicate windows and traces.
package struct BronzeLineReader: ~Copyable {
    /// One Bronze record, read back.
    package struct Record: Sendable {
        package let offset: Int64
        package let timestampMilliseconds: Int64
        package let key: [UInt8]?
        /// The quarantined record that this one stands for, by its headers; nil for the ordinary record.
        package let origin: RedriveOrigin?
        /// Whether its headers say that it may be a copy of an earlier record; see ``RepeatMark``.
        package let mayRepeat: Bool
        /// The value as the broker delivered it, byte for byte; nil for a tombstone.
        package let value: [UInt8]?
    }

    private static let valueName = Array(",\"value\":".utf8)
    private static let headersName = Array(",\"headers\":".utf8)
    private static let originHeader = Array(RedriveOrigin.header.utf8)
    private static let repeatHeader = Array(RepeatMark.header.utf8)
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
        let (origin, mayRepeat) = Self.marks(line)
        return Record(
            offset: parser.field(0).integer, timestampMilliseconds: parser.field(1).integer, key: key, origin: origin,
            mayRepeat: mayRepeat, value: value)
    }

    /// The record's headers in their order; a header without a value has nil. None where the line is not a Bronze line.
    package static func headers(of line: ArraySlice<UInt8>) -> [(name: String, value: [UInt8]?)] {
        guard let text = headerText(line), let json = try? JSONValue.parse(Array("{\"headers\":".utf8) + text + [0x7D])
        else { return [] }
        return (json["headers"]?.array ?? []).compactMap { pair in
            guard let parts = pair.array, parts.count == 2, let name = parts[0].string else { return nil }
            return (name, parts[1].string.flatMap { Base64.bytes($0.utf8) })
        }
    }

    /// What the headers say about the record's place among others. Parses them only where one of the names occurs, which
    /// is rare.
    private static func marks(_ line: ArraySlice<UInt8>) -> (origin: RedriveOrigin?, mayRepeat: Bool) {
        guard let text = headerText(line), contains(text, originHeader) || contains(text, repeatHeader) else {
            return (nil, false)
        }
        var headers = RecordHeaderText()
        for (name, value) in Self.headers(of: line) {
            guard let value else { continue }
            Array(name.utf8).withUnsafeBufferPointer { name in value.withUnsafeBytes { headers.add(name, $0) } }
        }
        return (headers.origin, headers.mayRepeat)
    }

    /// The array of the headers. A quote inside a string is escaped, so the first occurrence of the member's name is
    /// the member; names and base64 hold no bare brackets outside of strings, so counting those finds its end.
    private static func headerText(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let start = firstIndex(of: headersName, in: line) else { return nil }
        let begin = start + headersName.count
        var (depth, isInString, index) = (0, false, begin)
        while index < line.endIndex {
            switch line[index] {
            case UInt8(ascii: "\\") where isInString: index += 1
            case UInt8(ascii: "\""): isInString.toggle()
            case UInt8(ascii: "[") where !isInString: depth += 1
            case UInt8(ascii: "]") where !isInString:
                depth -= 1
                if depth == 0 { return line[begin...index] }
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func contains(_ text: ArraySlice<UInt8>, _ name: [UInt8]) -> Bool {
        firstIndex(of: name, in: text) != nil
    }

    private static func firstIndex(of name: [UInt8], in text: ArraySlice<UInt8>) -> Int? {
        var index = text.startIndex
        while index + name.count <= text.endIndex {
            if text[index] == name[0], text[index..<index + name.count].elementsEqual(name) { return index }
            index += 1
        }
        return nil
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
