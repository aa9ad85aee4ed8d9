import Bytes
import JSONScan

/// What a connector wants to know of a JSON object.
package struct LineFacts: Sendable, Equatable {
    /// What becomes the record's key; nil where the object has none.
    package var key: [UInt8]?

    package init(key: [UInt8]?) { self.key = key }
}

/// Looks into a line for its record's key; it judges nothing, which is the stream job's business.
package protocol LineScan: AnyObject {
    /// - Returns: nil for a line that is no JSON object.
    func scan(_ line: [UInt8]) -> LineFacts?
}

/// Finds the id of a document in its JSON, which becomes the record's key: so the versions of one document stay in one topic
/// partition, in their order.
package final class DocumentScan: LineScan {
    private var parser: JSONFieldParser
    /// Longer ids are no keys; the logic refuses their documents by name.
    private static let keyBytesMax = 255

    /// - Parameter idPath: names joined by dots.
    /// - Throws: `JSONError` where memory is out.
    package init(idPath: String) throws {
        parser = try JSONFieldParser(paths: [idPath])
    }

    package func scan(_ line: [UInt8]) -> LineFacts? {
        guard line.withUnsafeBytes({ parser.parseObject($0) }) == nil else { return nil }
        let id = parser.field(0)
        switch id.kind {
        case .string where !id.text.isEmpty && id.text.count <= Self.keyBytesMax: return LineFacts(key: Array(id.text))
        case .integer:
            var key: [UInt8] = []
            Decimal.append(id.integer, to: &key)
            return LineFacts(key: key)
        default: return LineFacts(key: nil)
        }
    }
}
