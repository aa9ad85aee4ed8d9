import CZstd

/// A failure of zstd: what was done and the library's own words.
package struct ZstdError: Error, CustomStringConvertible {
    /// What was being done: `compress`, `decompress` …
    package let operation: String
    package let reason: String

    package var description: String { "zstd could not \(operation): \(reason)" }

    init(_ operation: String, code: Int) {
        self.operation = operation
        reason = ZSTD_getErrorName(code).map { String(cString: $0) } ?? "error \(code)"
    }

    init(_ operation: String, reason: String) {
        self.operation = operation
        self.reason = reason
    }
}
