import Bytes
import Concurrency
import Glibc
import Health
import Indexer
import Ingest
import Metering
import ServiceLifecycle
import Store
import StreamJob
import Synchronization
import Telemetry

extension Platform {
    /// Whether the broker answers.
    ///
    /// - Parameter topics: that must be there, too.
    func registerBroker(
        in health: HealthRegistry, isRequired: Bool, topics: @escaping @Sendable () -> [String] = { [] }
    ) {
        let lane = Lane(name: "health-broker")
        let probe = BrokerProbe(configuration: { self.kafka("health") }, topics: topics)
        health.register("broker", isRequired: isRequired) {
            try await lane.run { try probe.report() }
        }
    }

    /// Whether a folder is there and has room.
    func registerDisk(_ name: String, folder: String, in health: HealthRegistry, isRequired: Bool) {
        let lane = Lane(name: "health-\(name)")
        health.register(name, isRequired: isRequired) {
            try await lane.run {
                guard let free = DiskSpace.freeBytes(at: folder) else {
                    return HealthReport(.failed, "\(folder) is not there")
                }
                let detail = [(name: "free_bytes", value: "\(free)")]
                if free == 0 { return HealthReport(.failed, "no space is left", detail: detail) }
                let isLow = free < DiskSpace.lowBytes
                return HealthReport(isLow ? .degraded : .ok, isLow ? "little space is left" : "", detail: detail)
            }
        }
    }

    /// Whether the index's database answers.
    func registerDatabase(in health: HealthRegistry) {
        let lane = Lane(name: "health-database")
        let store = Mutex<SharedStore?>(nil)
        health.register("database", isRequired: true) {
            try await lane.run {
                // The embedded one's address is known once it runs.
                let shared = try store.withLock { store in
                    let known = try store ?? SharedStore(self.database("health"))
                    store = known
                    return known
                }
                let status = try shared.run { try $0.status(timeoutMilliseconds: 2_000) }
                return HealthReport(.ok, status.serverVersion, detail: [("generation", "\(status.generation)")])
            }
        }
    }

    /// What the stream job waits for, and how many records wait for it.
    ///
    /// - Parameter name: of the component.
    func register(_ job: StreamJob, as name: String, in health: HealthRegistry, isRequired: Bool) {
        let limit = Int64(settings.freshness.readyLagMax)
        health.register(name, isRequired: isRequired) {
            Self.report(trouble: job.trouble, hasBegun: job.hasBegun, lag: job.lagRecords, limit: limit)
        }
    }

    /// What the indexer waits for, and how many records wait for it.
    ///
    /// - Parameter name: of the component.
    func register(_ indexer: Indexer, as name: String, in health: HealthRegistry, isRequired: Bool) {
        let limit = Int64(settings.freshness.readyLagMax)
        health.register(name, isRequired: isRequired) {
            Self.report(trouble: indexer.trouble, hasBegun: indexer.hasBegun, lag: indexer.lagRecords, limit: limit)
        }
    }

    private static func report(trouble: String?, hasBegun: Bool, lag: Int64?, limit: Int64) -> HealthReport {
        let detail = [(name: "lag_records", value: lag.map { "\($0)" } ?? "unknown")]
        if let trouble { return HealthReport(.failed, trouble, detail: detail) }
        guard hasBegun else { return HealthReport(.unknown, "it has not begun to read yet", detail: detail) }
        guard let lag else {
            return HealthReport(.unknown, "the broker does not tell how many records wait", detail: detail)
        }
        if limit > 0, lag > limit {
            return HealthReport(.failed, "\(lag) records wait, more than \(limit) (READY_MAX_LAG)", detail: detail)
        }
        return HealthReport(.ok, detail: detail)
    }
}

/// The producer as others see it: whether its source is there, and whether the broker takes what it sends.
final class ProducerWatch: Sendable {
    /// A stream that is cut is opened again within that time, mostly.
    private static let graceMilliseconds: Int64 = 15_000
    private static let acknowledgedMilliseconds: Int64 = 10_000

    private let status: @Sendable () -> ProducerStatus
    /// Where events come from, without secrets.
    private let place: String
    private let state = Mutex(State())

    private struct State {
        /// Monotonic milliseconds.
        var disconnectedSince: Int64?
        var acknowledged: Int64 = -1
        var acknowledgedAt: Int64 = 0
    }

    init(_ service: ConnectorService) {
        status = { service.status }
        place = service.place
    }

    /// For the index's freshness.
    var facts: SourceFacts {
        let status = status()
        // That nothing comes is as somebody wants it.
        guard status.phase != .paused else {
            state.withLock { $0.disconnectedSince = nil }
            return SourceFacts()
        }
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        let away = state.withLock { state -> Int64? in
            let since = status.isConnected ? nil : state.disconnectedSince ?? now
            state.disconnectedSince = since
            return since.map { now - $0 }
        }
        let silence = status.lastEventArrivalMilliseconds.map { max(0, SystemClock.epochMilliseconds() - $0) }
        return SourceFacts(disconnectedMilliseconds: away, silentMilliseconds: silence)
    }

    /// - Parameters:
    ///   - suffix: of the components' names, where there are several sources.
    ///   - isRequired: whether this process is there for nothing else.
    func register(_ suffix: String, in health: HealthRegistry, isRequired: Bool) {
        health.register("source" + suffix, isRequired: isRequired) { [self] in source() }
        health.register("delivery" + suffix, isRequired: isRequired) { [self] in delivery() }
    }

    private func source() -> HealthReport {
        let status = status()
        let detail = [
            (name: "url", value: place), ("phase", status.phase.rawValue), ("reconnects", "\(status.reconnects)"),
        ]
        guard status.phase != .paused else {
            return HealthReport(.ok, "it is paused; GET /sources says since when", detail: detail)
        }
        guard let away = facts.disconnectedMilliseconds else { return HealthReport(.ok, detail: detail) }
        let wasThere = status.lastEventArrivalMilliseconds != nil
        return HealthReport(
            wasThere && away < Self.graceMilliseconds ? .degraded : .failed, status.lastError ?? "not connected",
            detail: detail)
    }

    private func delivery() -> HealthReport {
        let status = status()
        let now = SystemClock.monotonicNanoseconds() / 1_000_000
        let waited = state.withLock { state -> Int64 in
            if status.inFlight == 0 || status.acknowledgedPosition != state.acknowledged {
                state.acknowledged = status.acknowledgedPosition
                state.acknowledgedAt = now
            }
            return now - state.acknowledgedAt
        }
        let detail = [
            (name: "in_flight", value: "\(status.inFlight)"),
            ("acknowledged_position", "\(status.acknowledgedPosition)"),
        ]
        if status.phase == .starting {
            return HealthReport(.unknown, status.lastError ?? "looking for the broker", detail: detail)
        }
        if waited > Self.acknowledgedMilliseconds {
            return HealthReport(
                .failed, "the broker has acknowledged none of \(status.inFlight) events for \(waited / 1_000) s",
                detail: detail)
        }
        return HealthReport(status.phase == .blocked ? .degraded : .ok, detail: detail)
    }
}
