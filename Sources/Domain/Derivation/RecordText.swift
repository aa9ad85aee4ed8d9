import Glibc
import JSONScan
import Logic

/// What is said of a record's text as a whole.
enum RecordText {
    /// A line feed or carriage return between tokens is JSON, but would break the line format.
    static func isOnOneLine(_ value: UnsafeRawBufferPointer) -> Bool {
        guard let start = value.baseAddress else { return true }
        return memchr(start, 0x0A, value.count) == nil && memchr(start, 0x0D, value.count) == nil
    }
}

extension Rejection {
    /// Of a value that the parser did not take.
    init(_ error: JSONError, _ value: UnsafeRawBufferPointer) {
        switch error.kind {
        case .invalidUTF8: self.init(.invalidUTF8)
        case .tooDeep: self.init(.tooDeep)
        case .tooLarge, .outOfMemory: self.init(.tooLarge)
        case .notAnObject: self.init(.notAnObject)
        case .invalid:
            let first = value.first { $0 > 0x20 }
            let last = value.last { $0 > 0x20 }
            let isTruncated = first == UInt8(ascii: "{") && last != UInt8(ascii: "}")
            self.init(isTruncated ? .truncatedJSON : .invalidJSON)
        }
    }
}
