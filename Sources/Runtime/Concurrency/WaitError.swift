/// Why something was not done in time: it did not get its turn, or took too long.
package enum WaitError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is needed has no room for one more; trying again later may help.
    case unavailable(_ what: String, _ why: String)
    /// The time that was given has passed.
    case timeout(_ what: String, milliseconds: Int)

    package var description: String {
        switch self {
        case .unavailable(let what, let why): "\(what) is not available: \(why)"
        case .timeout(let what, let milliseconds): "\(what) took longer than the \(milliseconds) ms that it had"
        }
    }
}
