/// Why the embedded Postgres cannot run.
package struct EmbeddedPostgresError: Error, CustomStringConvertible, Sendable {
    /// What was being done, such as `initdb` or `start`.
    package let operation: String
    /// The file or folder it was about.
    package let path: String
    package let reason: String
    /// What an operator can do.
    package let hint: String?
    /// Whether the same may succeed later without a change of settings.
    package let isRetriable: Bool

    package init(_ operation: String, _ path: String, _ reason: String, hint: String? = nil, isRetriable: Bool = false)
    {
        self.operation = operation
        self.path = path
        self.reason = reason
        self.hint = hint
        self.isRetriable = isRetriable
    }

    package var description: String {
        "embedded Postgres, \(operation) \(path): \(reason)" + (hint.map { "; hint: \($0)" } ?? "")
    }
}
