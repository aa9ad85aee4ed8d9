/// What went wrong with a Redis server.
package struct RedisError: Error, CustomStringConvertible, Sendable, Equatable {
    /// What kind of thing.
    package enum Kind: Sendable {
        /// It cannot be reached, or the connection broke.
        case unreachable
        /// It did not answer within the limit.
        case timeout
        /// It refused what was asked.
        case refused
        /// A reply is larger than the limit, or is none.
        case badReply
    }

    /// What kind of thing went wrong.
    package let kind: Kind
    /// What was being done.
    package let operation: String
    /// What the library, the system or the server says.
    package let detail: String

    init(_ kind: Kind, _ operation: String, _ detail: String) {
        self.kind = kind
        self.operation = operation
        self.detail = String(detail.prefix(200))
    }

    package var description: String {
        let what =
            switch kind {
            case .unreachable: "cannot be reached"
            case .timeout: "did not answer in time"
            case .refused: "refused"
            case .badReply: "gave a reply that cannot be used"
            }
        return "Redis \(what) (\(operation))" + (detail.isEmpty ? "" : ": \(detail)")
    }
}
