import Glibc
import Synchronization
package import Telemetry

/// Runs services together: started in order, stopped in reverse, one failing stops all.
///
/// The first SIGINT or SIGTERM drains; the second ends the process at once. SIGHUP ends nothing (``ReloadRequests``). Draining is limited: after the limit the
/// group gives up and throws, leaving the stuck service behind, and the caller is expected to exit.
package struct ServiceGroup: Sendable {
    private let services: [any Service]
    private let drainLimitSeconds: Int
    private let handlesSignals: Bool
    private let stop: StopSignal
    private let logger: Logger

    /// - Parameters:
    ///   - services: in the order of their start.
    ///   - drainLimitSeconds: for all services together, from the moment of the stop.
    ///   - handlesSignals: false for groups inside tests.
    ///   - stop: stops the whole group when requested; for callers that end the run themselves.
    package init(
        services: [any Service], logger: Logger, drainLimitSeconds: Int = 20, handlesSignals: Bool = true,
        stop: StopSignal = StopSignal()
    ) {
        self.services = services
        self.drainLimitSeconds = drainLimitSeconds
        self.handlesSignals = handlesSignals
        self.stop = stop
        self.logger = logger
    }

    /// Returns when every service has drained.
    ///
    /// - Throws: the first failure of a service, or ``ServiceGroupError`` when draining took too long.
    package func run() async throws {
        if handlesSignals { listenForSignals() }
        let firstFailure = FirstFailure()
        var running: [RunningService] = []
        for service in services {
            if stop.isRequested { break }
            let handle = RunningService(service: service)
            do {
                try await prepare(handle)
            } catch {
                firstFailure.note(error)
                logger.error("\(service.name) could not start", ["error": "\(error)"])
                stop.request()
                break
            }
            handle.start(groupStop: stop, firstFailure: firstFailure, logger: logger)
            running.append(handle)
        }
        await waitForEnd(of: running)
        stop.request()
        let deadline = Monotonic.milliseconds() + Int64(drainLimitSeconds) * 1_000
        for handle in running.reversed() {
            handle.stop.request()
            let left = deadline - Monotonic.milliseconds()
            guard await handle.finished.waits(milliseconds: Int(max(0, left))) else {
                throw firstFailure.error
                    ?? ServiceGroupError(service: handle.service.name, drainLimitSeconds: drainLimitSeconds)
            }
            logger.info("\(handle.service.name) stopped")
        }
        if let error = firstFailure.error { throw error }
    }

    /// Prepares one service while a stop of the group reaches it.
    private func prepare(_ handle: RunningService) async throws {
        let stop = stop
        let forwarder = Task {
            await stop.wait()
            if stop.isRequested { handle.stop.request() }
        }
        defer { forwarder.cancel() }
        try await handle.service.prepare(stop: handle.stop)
    }

    private func waitForEnd(of running: [RunningService]) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await stop.wait() }
            group.addTask {
                for handle in running { await handle.finished.wait() }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func listenForSignals() {
        // Of those who read nothing again it is ignored.
        ReloadRequests.catchSignal()
        let isListening = StopRequests.listen { [stop, logger] count, signal in
            if count >= 2 {
                logger.warning("second signal, leaving without draining")
                _exit(128 + signal)
            }
            logger.info("stopping; once more to leave at once")
            stop.request()
        }
        if !isListening { logger.warning("signals cannot be handled; they end the process without draining") }
    }
}

/// A service that did not drain in time.
package struct ServiceGroupError: Error, CustomStringConvertible {
    /// The service's name.
    package let service: String
    /// How long all services had together.
    package let drainLimitSeconds: Int

    package var description: String {
        "\(service) did not stop within \(drainLimitSeconds) s; leaving without it (durable state is safe, the next "
            + "start recovers)"
    }
}

/// One service and its end.
private final class RunningService: Sendable {
    let service: any Service
    let stop = StopSignal()
    /// Requested when `run` returned or threw.
    let finished = StopSignal()

    init(service: any Service) {
        self.service = service
    }

    func start(groupStop: StopSignal, firstFailure: FirstFailure, logger: Logger) {
        logger.info("\(service.name) started")
        // Not a child task: a service that never drains must not keep the group from giving up on it.
        Task {
            do {
                try await service.run(stop: stop)
                if service.endsGroup { groupStop.request() }
            } catch {
                firstFailure.note(error)
                logger.error("\(service.name) failed", ["error": "\(error)"])
                groupStop.request()
            }
            finished.request()
        }
    }
}

/// The failure that made the group stop; later ones are consequences.
private final class FirstFailure: Sendable {
    private let state = Mutex<(any Error)?>(nil)

    var error: (any Error)? { state.withLock { $0 } }

    func note(_ error: any Error) {
        state.withLock { if $0 == nil { $0 = error } }
    }
}

extension StopSignal {
    /// True when requested within the time.
    fileprivate func waits(milliseconds: Int) async -> Bool {
        await pause(milliseconds: milliseconds)
    }
}
