import Bytes
import Concurrency
import Console
import Kafka
import KafkaAccess
import Records
import Settings
import Telemetry

/// Looks whether operators have a source stand still, before `medallion ingest` sends anything to it.
struct IngestPause {
    private let context: Context

    /// How long the broker may be away.
    private static let patienceSeconds: Int64 = 60
    private static let waitMilliseconds = 1_000

    init(_ context: Context) { self.context = context }

    /// - Throws: ``Failure`` (69) where the source is paused, or where that cannot be known.
    func check(_ source: SourceName) async throws {
        guard let pause = try await wishes(of: source).pause else { return }
        let reason = pause.reason.isEmpty ? "" : ": \(LogText.escaped(pause.reason))"
        throw Failure(
            "\(source) was paused by \(LogText.escaped(pause.by)) on \(CivilTime.rfc3339(pause.atMilliseconds))\(reason); nothing was "
                + "sent. `medallion sources resume \(source)` has it take documents again", code: .dependencyUnavailable
        )
    }

    private func wishes(of source: SourceName) async throws -> SourceWishes {
        let (platform, logger) = (Platform(context: context), context.logger.scoped("ingest"))
        let until = SystemClock.monotonicNanoseconds() + Self.patienceSeconds * 1_000_000_000
        let settings = context.settings
        return try await Lane(name: "source-requests").run {
            let follower = EntryFollower<SourceRequest>(
                { platform.kafka("ingest-requests") }, plan: TopicPlan(sourceRequests: settings),
                laneName: "source-requests", logger: logger)
            var fault = "it does not answer"
            while SystemClock.monotonicNanoseconds() < until {
                let board = SourceRequestBoard()
                do {
                    try follower.catchUp(
                        isStopped: { SystemClock.monotonicNanoseconds() >= until }, position: { nil },
                        take: { board.take($0) })
                    // What was broken off for the time says nothing.
                    guard SystemClock.monotonicNanoseconds() < until else { break }
                    board.caughtUp()
                    if let wishes = board.wishes(of: source.text) { return wishes }
                } catch {
                    fault = "\(error)"
                }
                Pause.milliseconds(Self.waitMilliseconds)
            }
            throw Failure(
                "the broker could not be asked for \(Self.patienceSeconds) s whether \(source) is paused: "
                    + "\(LogText.escaped(fault)); nothing was sent", code: .dependencyUnavailable)
        }
    }
}
