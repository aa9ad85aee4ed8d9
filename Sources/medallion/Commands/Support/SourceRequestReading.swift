import Bytes
import Concurrency
import Console
import Kafka
import KafkaAccess
import Records
import Settings
import Telemetry

/// Reads the topic of requests to sources once, up to its end.
struct SourceRequestReading {
    /// The broker did not tell in time.
    struct Fault: Error {
        let words: String
    }

    let context: Context
    /// How long the broker may be away.
    let patienceSeconds: Int64
    /// So many requests of each source are remembered.
    var historyMax = SourceWishes.historyMaxUsual

    private static let waitMilliseconds = 1_000

    /// - Throws: ``Fault``.
    func board() async throws -> SourceRequestBoard {
        let (platform, logger, settings) = (
            Platform(context: context), context.logger.scoped("source-requests"), context.settings
        )
        let until = SystemClock.monotonicNanoseconds() + patienceSeconds * 1_000_000_000
        return try await Lane(name: "source-requests").run { [historyMax] in
            let follower = SourceRequestFollower(
                { platform.kafka("source-requests") }, plan: TopicPlan(sourceRequests: settings),
                laneName: "source-requests", logger: logger)
            var fault = "it does not answer"
            while SystemClock.monotonicNanoseconds() < until {
                let board = SourceRequestBoard(historyMax: historyMax)
                do {
                    try follower.catchUp(
                        isStopped: { SystemClock.monotonicNanoseconds() >= until }, position: { nil },
                        take: { board.take($0) })
                    // What was broken off for the time says nothing.
                    guard SystemClock.monotonicNanoseconds() < until else { break }
                    board.caughtUp()
                    return board
                } catch {
                    fault = "\(error)"
                }
                Pause.milliseconds(Self.waitMilliseconds)
            }
            throw Fault(words: fault)
        }
    }
}
