import Bytes
import Hashing
package import JSONScan

/// One line of the lake's logs: `{"crc32c":"89abcdef","record":{…}}`, the sum being that of the record's bytes.
///
/// A line is JSON, so any tool reads it, and a torn or altered line is told from a whole one.
package enum LogLine {
    private static let prefix = Array("{\"crc32c\":\"".utf8)
    private static let middle = Array("\",\"record\":".utf8)
    private static let recordStart = prefix.count + 8 + middle.count

    /// The line for a record, with its line feed.
    ///
    /// - Parameter record: one JSON object without line feeds.
    package static func encode(_ record: [UInt8]) -> [UInt8] {
        var line = prefix
        let sum = record.withUnsafeBytes { crc32c($0) }
        Hex.append(withUnsafeBytes(of: sum.bigEndian) { Array($0) }, to: &line)
        line.append(contentsOf: middle)
        line.append(contentsOf: record)
        line.append(contentsOf: "}\n".utf8)
        return line
    }

    /// The record of a line without its line feed; nil where the line is not whole.
    package static func decode(_ line: ArraySlice<UInt8>) -> JSONValue? {
        guard line.count > recordStart + 1, line.starts(with: prefix), line.last == UInt8(ascii: "}") else {
            return nil
        }
        let digits = line.dropFirst(prefix.count).prefix(8)
        guard line.dropFirst(prefix.count + 8).starts(with: middle) else { return nil }
        let record = line.dropFirst(recordStart).dropLast()
        // Upper-case digits would be a flipped bit that reads the same.
        guard !digits.contains(where: { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "F") }),
            let sum = Hex.bytes(digits), record.first == UInt8(ascii: "{")
        else { return nil }
        let expected = sum.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return record.withUnsafeBytes { bytes in
            guard crc32c(bytes) == expected else { return nil }
            return try? JSONValue.parse(bytes)
        }
    }
}
