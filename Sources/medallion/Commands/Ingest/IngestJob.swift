import Bytes
import Console
import Ingest
import Kafka
import ServiceLifecycle
import Settings
import Sources
import Telemetry

/// One run of `medallion ingest`: the producer's own way from a connector to the topic, with a connector that comes to an end.
struct IngestJob {
    /// How it ended.
    enum End: Sendable, Equatable {
        /// All files were read, and all that was sent is acknowledged.
        case complete
        case failed(String)
        /// The broker took nothing for longer than a run waits.
        case stalled(String)
        /// By a signal.
        case stopped
    }

    let source: SourceDeclaration
    let given: GivenFiles
    let context: Context

    /// The largest document; a larger one is quarantined by the stream job anyway.
    static let documentBytesMax = 1_000_000
    /// How long the broker may take nothing.
    private static let patienceSeconds = 60
    private static let lookMilliseconds = 200

    func run() async throws -> End {
        guard !given.files.isEmpty else { return .complete }
        let stop = StopSignal()
        let outcome = GivenConnector.Outcome()
        let service = service(outcome, stop)
        let watch = Task { await self.watch(service, stop) }
        do {
            try await context.run([service], stop: stop)
        } catch {
            watch.cancel()
            _ = await watch.value
            if let words = outcome.failure { return .failed(words) }
            throw error
        }
        watch.cancel()
        let stalled = await watch.value
        if outcome.isComplete { return .complete }
        if let words = outcome.failure { return .failed(words) }
        return stalled.map(End.stalled) ?? .stopped
    }

    private func service(_ outcome: GivenConnector.Outcome, _ stop: StopSignal) -> ConnectorService {
        let configuration = ProducerConfiguration(
            context.settings, kafka: Platform(context: context).kafka("ingest"), topic: source.topic)
        let statePath = "\(context.settings.folders.data)/ingest/\(source.name)/files.jsonl"
        let shape = DocumentShape(source.logic)
        return ConnectorService(
            source: source.name.text, place: "files", configuration: configuration, metrics: context.metrics,
            logger: context.logger
        ) { [given, isTerminal = context.isTerminal] in
            do {
                return try GivenConnector(
                    given, statePath: statePath, shape: shape, lineBytesMax: Self.documentBytesMax,
                    logsRefusals: !isTerminal,
                    outcome: outcome)
            } catch {
                // Waiting makes no state whole, and another run may take hours.
                outcome.fail("\(error)")
                stop.request()
                throw error
            }
        }
    }

    // MARK: Progress

    /// Shows how far it is until the task is cancelled, and ends the run where nothing moves.
    ///
    /// - Returns: what did not move; nil where all did.
    private func watch(_ service: ConnectorService, _ stop: StopSignal) async -> String? {
        let progress = IngestProgress(given, context)
        var last: (acknowledged: Int64, bytes: Int) = (-1, -1)
        var movedNanoseconds = SystemClock.monotonicNanoseconds()
        while !Task.isCancelled {
            try? await Task.sleep(nanoseconds: UInt64(Self.lookMilliseconds) * 1_000_000)
            let (status, figures) = (service.status, given.tally.figures)
            let now = SystemClock.monotonicNanoseconds()
            progress.show(figures, now: now, isLast: Task.isCancelled)
            let isMoving = last != (status.acknowledgedPosition, figures.bytes)
            // A pipe may have nothing for as long as it likes.
            let isWaiting = status.phase == .starting || status.phase == .blocked || status.inFlight > 0
            if isMoving || !isWaiting {
                last = (status.acknowledgedPosition, figures.bytes)
                movedNanoseconds = now
            } else if now - movedNanoseconds > Int64(Self.patienceSeconds) * 1_000_000_000 {
                stop.request()
                return "the broker has taken nothing for \(Self.patienceSeconds) s"
                    + (status.lastError.map { ": \($0)" } ?? "")
                    + "; the same command continues where this one ended"
            }
        }
        return nil
    }
}
