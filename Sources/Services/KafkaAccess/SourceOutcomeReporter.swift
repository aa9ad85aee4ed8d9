import Bytes
import Concurrency
import Kafka
package import Records
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// Hands what became of requests to their topic, so that it can be read later and elsewhere. Nobody waits for it.
///
/// Drained means: what was noted is in the topic, or one last attempt has failed; it is told again by the next process then.
package final class SourceOutcomeReporter: Service {
    package let name = "outcomes of requests"
    private let board: SourceRequestBoard
    private let pushed: @Sendable () -> [String]
    private let publish: @Sendable (SourceRequestEntry, Int) throws -> Void
    private let logger: Logger
    private let waiting = Mutex<[SourceOutcome]>([])
    /// By source, the last request that was noted for what this process takes documents for.
    private let noted = Mutex<[String: String]>([:])
    private let lane = Lane(name: "source-outcomes")

    /// More are not kept while the broker is away.
    private static let waitingMax = 256
    private static let lookMilliseconds = 100
    private static let publishMilliseconds = 10_000
    private static let lastMilliseconds = 2_000

    /// - Parameters:
    ///   - board: what is known already is not told again.
    ///   - pushed: the sources whose documents this process takes itself. It heeds requests to those once it has read them.
    ///   - publish: hands a record to the topic, within so many milliseconds. Blocks.
    package init(
        board: SourceRequestBoard, pushed: @escaping @Sendable () -> [String] = { [] },
        publish: @escaping @Sendable (SourceRequestEntry, Int) throws -> Void, logger: Logger
    ) {
        self.board = board
        self.pushed = pushed
        self.publish = publish
        self.logger = logger
    }

    /// Takes note of what became of a request. Any thread may call; it does not block.
    package func note(_ outcome: SourceOutcome) {
        let isLost = waiting.withLock { waiting in
            guard !waiting.contains(where: { $0.id == outcome.id }) else { return false }
            waiting.append(outcome)
            guard waiting.count > Self.waitingMax else { return false }
            waiting.removeFirst()
            return true
        }
        if isLost { logger.warning("what became of a request is not kept: too much waits for the broker") }
    }

    package func run(stop: StopSignal) async throws {
        var backoff = Backoff(baseMilliseconds: 500, capMilliseconds: 30_000)
        var said = ""
        while !stop.isRequested {
            notePushed()
            do {
                try await handOver(Self.publishMilliseconds)
                backoff.reset()
                said = ""
            } catch {
                let fault = "\(error)"
                if fault != said {
                    logger.warning("what became of requests cannot be kept; tried again", ["error": fault])
                }
                said = fault
                if await stop.pause(milliseconds: backoff.next()) { break }
            }
            if await stop.pause(milliseconds: Self.lookMilliseconds) { break }
        }
        do {
            try await handOver(Self.lastMilliseconds)
        } catch {
            logger.warning("what became of requests was not kept", ["error": "\(error)"])
        }
    }

    /// Hands over what waits, one after the other.
    private func handOver(_ timeoutMilliseconds: Int) async throws {
        while let outcome = waiting.withLock({ $0.first }) {
            if !isKnown(outcome) {
                try await lane.run { [publish] in try publish(.outcome(outcome), timeoutMilliseconds) }
            }
            waiting.withLock { $0.removeAll { $0.id == outcome.id } }
        }
    }

    /// Whether the topic has this already, or an end beside which it says nothing new.
    private func isKnown(_ outcome: SourceOutcome) -> Bool {
        guard let known = board.wishes(of: outcome.source)?.answer(to: outcome.request)?.outcome else { return false }
        return known.state == outcome.state || !outcome.state.isEnd
    }

    /// What this process takes documents for stands still, or runs again, as soon as that is read.
    private func notePushed() {
        for source in pushed() {
            guard let asked = board.wishes(of: source)?.holding, asked.outcome == nil else { continue }
            let isNoted = noted.withLock { $0.updateValue(asked.request.id, forKey: source) == asked.request.id }
            if isNoted { continue }
            note(
                SourceOutcome(
                    request: asked.request.id, source: source, state: .taken,
                    atMilliseconds: SystemClock.epochMilliseconds()))
        }
    }
}
