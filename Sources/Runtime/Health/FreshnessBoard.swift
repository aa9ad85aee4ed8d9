import Bytes
import Concurrency
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Holds the ``Freshness`` of this process in memory: one thread looks, everyone reads.
package final class FreshnessBoard: Sendable {
    /// When the index counts as late, stale or unknown.
    package let limits: FreshnessLimits
    private let clock: @Sendable () -> Int64
    private let wallClock: @Sendable () -> Int64
    private let state = Mutex(State())

    private struct State {
        /// Of the last look that succeeded.
        var look: IndexLook?
        var lookedAt: Int64?
        var waitMilliseconds: Int64 = 0
        var histories: [Int32: WaitHistory] = [:]
        var source: (@Sendable () -> SourceFacts)?
        /// Whether any look told how fresh the index is.
        var wasKnown = false
        /// As of the last look; its age is looked at when it is read.
        var held = Freshness.notLookedAt
    }

    /// - Parameters:
    ///   - clock: milliseconds of a monotonic clock, for tests.
    ///   - wallClock: milliseconds since 1970, for tests.
    package init(
        limits: FreshnessLimits = FreshnessLimits(),
        clock: @escaping @Sendable () -> Int64 = { SystemClock.monotonicNanoseconds() / 1_000_000 },
        wallClock: @escaping @Sendable () -> Int64 = { SystemClock.epochMilliseconds() }
    ) {
        self.limits = limits
        self.clock = clock
        self.wallClock = wallClock
    }

    /// Takes note of who knows the source; asked at each look.
    package func follow(source: @escaping @Sendable () -> SourceFacts) {
        state.withLock { $0.source = source }
    }

    /// Whether it was ever known how fresh the index is.
    package var wasKnown: Bool { state.withLock { $0.wasKnown } }

    /// Takes in a look at broker and database.
    package func note(_ look: IndexLook) {
        let now = look.atMilliseconds
        let source = state.withLock { $0.source }?() ?? SourceFacts()
        let indexedAgo = look.indexedAtMilliseconds.map { max(0, wallClock() - $0) }
        state.withLock { state in
            let since = since(state.lookedAt, indexedAgo, now)
            var histories: [Int32: WaitHistory] = [:]
            var wait: Int64 = 0
            for (number, place) in look.places {
                var history = state.histories[number] ?? WaitHistory()
                wait = max(
                    wait, history.note(start: place.start, high: place.high, since: since, at: now))
                histories[number] = history
            }
            state.histories = histories
            state.look = look
            state.lookedAt = now
            state.waitMilliseconds = wait
            let facts = FreshnessFacts(
                lookAgeMilliseconds: 0, contradiction: look.contradiction, eventsBehind: look.eventsBehind,
                waitMilliseconds: wait, source: source)
            let (judged, reason) = facts.judge(by: limits)
            let isKnown = judged != .unknown
            if isKnown { state.wasKnown = true }
            state.held = Freshness(
                judged, reason: reason, eventsBehind: isKnown ? look.eventsBehind : nil,
                waitMilliseconds: isKnown ? wait : nil, indexedAtMilliseconds: look.indexedAtMilliseconds,
                generation: look.generation, indexVersion: look.indexVersion)
        }
    }

    /// Since when that may wait which is seen for the first time, in milliseconds of the monotonic clock.
    private func since(_ lookedAt: Int64?, _ indexedAgo: Int64?, _ now: Int64) -> Int64 {
        if let lookedAt {
            // After a time in which nobody answered: it was not there at the last look, and all is known by that.
            return now - lookedAt > limits.unknownMilliseconds ? lookedAt : now
        }
        // A process that has just started knows nothing of before. Since the indexer did something last, what waits may wait;
        // where it never did, it is late at least.
        return now - (indexedAgo ?? limits.lateMilliseconds + 1)
    }

    /// The value now. Out of memory; a look that is too old, because it hangs or fails, counts no more.
    package var current: Freshness {
        let now = clock()
        return state.withLock { state in
            let age = state.lookedAt.map { now - $0 }
            if let age, age <= limits.unknownMilliseconds { return state.held }
            let (judged, reason) = FreshnessFacts(lookAgeMilliseconds: age).judge(by: limits)
            return Freshness(
                judged, reason: reason, indexedAtMilliseconds: state.look?.indexedAtMilliseconds,
                generation: state.look?.generation, indexVersion: state.look?.indexVersion)
        }
    }
}

/// Looks at broker and database every second, for a ``FreshnessBoard``.
///
/// Drained means: no look is under way.
package final class FreshnessWatch: Service {
    package let name = "freshness"
    private static let intervalMilliseconds = 1_000
    private let board: FreshnessBoard
    private let look: @Sendable () throws -> IndexLook
    private let logger: Logger

    /// - Parameter look: blocks for some seconds at most; called on a thread of its own.
    package init(board: FreshnessBoard, logger: Logger, look: @escaping @Sendable () throws -> IndexLook) {
        self.board = board
        self.look = look
        self.logger = logger
    }

    package func run(stop: StopSignal) async throws {
        let lane = Lane(name: "freshness")
        var lastFailure = ""
        var lastState = Freshness.State.fresh
        repeat {
            do {
                board.note(try await lane.run(look))
                lastFailure = ""
            } catch {
                // A fault that lasts is told once; what follows from it is the state, which is told when it changes.
                let failure = "\(error)"
                if failure != lastFailure { logger.debug("how far the index is cannot be told", ["error": failure]) }
                lastFailure = failure
            }
            let now = board.current
            if now.state != lastState {
                let fields: KeyValuePairs = ["state": now.state.rawValue, "why": now.reason, "error": lastFailure]
                if now.state == .stale || now.state == .unknown {
                    logger.warning("the index is \(now.state.rawValue)", fields)
                } else {
                    logger.info("the index is \(now.state.rawValue)", fields)
                }
                lastState = now.state
            }
        } while !(await stop.pause(milliseconds: Self.intervalMilliseconds))
    }
}
