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
    /// What is wrong with the last line that was no JSON object.
    var fault: FileFault { get }
}

/// Finds the id of a document in its JSON, which becomes the record's key: so the versions of one document stay in one topic
/// partition, in their order.
package final class DocumentScan: LineScan {
    private var parser: JSONFieldParser
    package private(set) var fault = FileFault(.notJSON, "is no JSON")
    /// Longer ids are no keys; the logic refuses their documents by name.
    private static let keyBytesMax = 255

    /// - Parameter idPath: names joined by dots.
    /// - Throws: `JSONError` where memory is out.
    package init(idPath: String) throws {
        parser = try JSONFieldParser(paths: [idPath])
    }

    package func scan(_ line: [UInt8]) -> LineFacts? {
        if let error = line.withUnsafeBytes({ parser.parseObject($0) }) {
            fault = Self.fault(error)
            return nil
        }
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

    private static func fault(_ error: JSONError) -> FileFault {
        switch error.kind {
        case .invalidUTF8: FileFault.noUTF8
        case .tooDeep: FileFault(.tooDeep, "has more than 64 objects and lists one within the other")
        case .notAnObject: FileFault(.notAnObject, "is JSON, but no object")
        case .tooLarge, .invalid, .outOfMemory: FileFault(.notJSON, "is no JSON: \(error)")
        }
    }
}
