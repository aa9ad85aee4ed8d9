/// Why a record cannot be read: of which format, which field, and what is wrong with it.
package struct RecordFormatError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What was to be read, such as `Gold record`.
    package let record: String
    /// The field, or `line`, `marker` or `headers` for the whole.
    package let field: String
    package let reason: String

    package init(_ record: String, field: String, reason: String) {
        self.record = record
        self.field = field
        self.reason = reason
    }

    package var description: String { "\(record): \(field) \(reason)" }
}
