import Bytes
import Synchronization

/// How long each stage of a request took, for the header `Server-Timing` (Server Timing, W3C).
final class StageTimes: Sendable {
    /// The stages, in the order in which they are done.
    enum Stage: String, CaseIterable {
        /// Reading the question by rules, and checking what was asked.
        case interpret
        /// Waiting until an index version is visible.
        case visible
        /// Waiting for the caller's turn.
        case turn
        case embed
        /// Reading the document that others are to be like.
        case like
        /// The arms and the fetch, waiting for a lane included.
        case search
        case rerank
        /// Writing the reply, snippets included.
        case render
    }

    private let nanoseconds = Mutex<[Stage: Int64]>([:])

    /// The time at which a stage begins.
    static func now() -> Int64 { SystemClock.monotonicNanoseconds() }

    /// Adds what a stage took until now; the searches of a batch add up.
    func add(_ stage: Stage, since start: Int64) {
        let took = Self.now() - start
        nanoseconds.withLock { $0[stage, default: 0] += took }
    }

    /// The header's value: `embed;dur=1.25, search;dur=3.5`, in milliseconds.
    var header: String {
        let taken = nanoseconds.withLock { $0 }
        return Stage.allCases.compactMap { stage in
            taken[stage].map { "\(stage.rawValue);dur=\(Double($0 / 1_000) / 1_000)" }
        }.joined(separator: ", ")
    }
}
