/// A failure of the broker as a whole, as opposed to one that a client is answered with.
package struct BrokerError: Error, CustomStringConvertible, Sendable {
    /// What was tried, such as `open log segment`.
    package let operation: String
    /// On what: a path, an address.
    package let subject: String
    package let reason: String
    /// What an operator can do.
    package let hint: String?
    /// Trying again later may succeed.
    package let isRetriable: Bool

    package init(operation: String, subject: String, reason: String, hint: String? = nil, isRetriable: Bool = false) {
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.hint = hint
        self.isRetriable = isRetriable
    }

    package var description: String {
        "\(operation) \(subject): \(reason)" + (hint.map { "; \($0)" } ?? "")
    }
}
