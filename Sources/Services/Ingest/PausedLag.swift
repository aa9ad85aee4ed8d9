import Bytes
import Concurrency
import Synchronization
import Telemetry

/// Looks now and then how much waits in a source that is paused, for its status.
///
/// On a lane of its own, since a look may take half a minute where the source is away. What a look finds after ``end()`` is not noted.
final class PausedLag: Sendable {
    private struct State {
        /// Of the pause at hand.
        var number = 0
        var isLooking = false
        var lookedAt: Int64?
        var fault = ""
    }

    private let bytes: @Sendable () throws -> Int64?
    private let board: StatusBoard
    private let logger: Logger
    private let lane = Lane(name: "paused lag")
    private let state = Mutex(State())

    private static let pauseMilliseconds: Int64 = 10_000

    /// - Parameter bytes: that wait in the source; nil where that is not known.
    init(_ bytes: @escaping @Sendable () throws -> Int64?, board: StatusBoard, logger: Logger) {
        self.bytes = bytes
        self.board = board
        self.logger = logger
    }

    /// Begins a look where it is time for one, and does not wait for it.
    func look() {
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        let number: Int? = state.withLock { state in
            guard !state.isLooking, state.lookedAt.map({ now - $0 >= Self.pauseMilliseconds }) ?? true else {
                return nil
            }
            (state.isLooking, state.lookedAt) = (true, now)
            return state.number
        }
        guard let number else { return }
        do {
            try lane.post { [self] in note(Result { try bytes() }, number) }
        } catch {
            note(.failure(error), number)
        }
    }

    /// The pause is over. A look that is on its way ends by itself.
    func end() {
        state.withLock { state in
            state.number += 1
            (state.lookedAt, state.fault) = (nil, "")
        }
    }

    private func note(_ found: Result<Int64?, any Error>, _ number: Int) {
        state.withLock { state in
            state.isLooking = false
            guard state.number == number else { return }
            switch found {
            case .success(let lag):
                board.update { $0.lagBytes = lag }
                state.fault = ""
            case .failure(let error):
                let words = "\(error)"
                board.fail(words)
                if words != state.fault {
                    logger.warning("how much waits in the paused source cannot be told", ["error": words])
                }
                state.fault = words
            }
        }
    }
}
