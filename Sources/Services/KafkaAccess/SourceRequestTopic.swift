package import Kafka
package import Records
package import ServiceLifecycle
package import Settings
import Synchronization
package import Telemetry

extension TopicPlan {
    /// The topic of what operators ask of sources.
    package init(sourceRequests settings: Settings) { self.init(entries: settings.topics.sourceRequests, settings) }
}

extension SourceRequestEntry: TopicEntry {
    /// See ``TopicEntry``.
    package static var what: String { "requests to sources" }
    /// See ``TopicEntry``.
    package static var wordsOfLostBeginning: String {
        "connectors that know of their pause keep it, and other sources that were paused there run: "
            + "look at GET /sources, and pause them again"
    }
}

/// Hands requests, and what became of them, to their topic.
package typealias SourceRequestPublisher = EntryPublisher<SourceRequestEntry>

/// Follows that topic.
package typealias SourceRequestFollower = EntryFollower<SourceRequestEntry>

/// What is asked of each source, and what became of it, as far as this process has read the topic of requests.
package final class SourceRequestBoard: Sendable {
    private struct State {
        var isKnown = false
        var fault: String?
        var doubt: String?
        var nextOffset: Int64?
        var wishes: [String: SourceWishes] = [:]
    }

    private let state = Mutex(State())
    private let historyMax: Int

    /// - Parameter historyMax: so many requests of each source are remembered.
    package init(historyMax: Int = SourceWishes.historyMaxUsual) { self.historyMax = historyMax }

    /// What is asked of a source; nil until the topic was read to its end once.
    package func wishes(of source: String) -> SourceWishes? {
        state.withLock { $0.isKnown ? $0.wishes[source] ?? SourceWishes(historyMax: historyMax) : nil }
    }

    /// Names of the sources of which anything was ever asked, in their order.
    package var sources: [String] { state.withLock { $0.wishes.keys.sorted() } }

    /// What keeps the topic from being read now; nil for nothing.
    package var fault: String? { state.withLock { $0.fault } }

    /// Why the topic will not keep what it holds; nil for nothing.
    package var doubt: String? { state.withLock { $0.doubt } }

    /// Notes that the topic cannot be read, or can again.
    package func failed(_ fault: String?) { state.withLock { $0.fault = fault } }

    /// Notes that the topic does not keep what it holds, or does.
    package func doubted(_ doubt: String?) { state.withLock { $0.doubt = doubt } }

    /// Where reading continues; nil at the start.
    package var nextOffset: Int64? { state.withLock { $0.nextOffset } }

    /// Takes in what follows in the topic.
    package func take(_ records: [(nextOffset: Int64, entry: SourceRequestEntry?)]) {
        state.withLock { [historyMax] state in
            for (next, entry) in records {
                state.nextOffset = next
                guard let entry else { continue }
                state.wishes[entry.source, default: SourceWishes(historyMax: historyMax)].take(entry)
            }
        }
    }

    /// Notes that all has been taken in that there was.
    package func caughtUp() { state.withLock { $0.isKnown = true } }
}

/// Follows the topic of requests for a ``SourceRequestBoard``. Drained means: nothing is read any more.
package struct SourceRequestFollowing: Service {
    package let name = "source requests"
    private let follower: SourceRequestFollower
    private let board: SourceRequestBoard

    /// - Parameters:
    ///   - kafka: asked whenever reading begins, and whenever the topic's properties are looked at.
    ///   - lookMilliseconds: how long a look at the topic's properties holds.
    package init(
        _ kafka: @escaping @Sendable () -> KafkaConfiguration, plan: TopicPlan, board: SourceRequestBoard,
        logger: Logger, lookMilliseconds: Int = 60_000
    ) {
        follower = SourceRequestFollower(
            kafka, plan: plan, laneName: "source-requests", logger: logger, lookMilliseconds: lookMilliseconds)
        self.board = board
    }

    package func run(stop: StopSignal) async throws {
        let board = board
        await follower.run(
            stop: stop, position: { board.nextOffset }, caughtUp: { board.caughtUp() },
            failed: { board.failed($0) }, doubted: { board.doubted($0) }, take: { board.take($0) })
    }
}
