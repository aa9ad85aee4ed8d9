import Bytes
import JSONScan
import Synchronization
package import Telemetry

/// Turns librdkafka's statistics of a role's clients into metrics, so that what librdkafka heals by itself shows as well.
///
/// Format: librdkafka's STATISTICS.md. Its counts are those of one client since its start; what they grew by is added here.
package final class ClientStatistics: Sendable {
    private let roundTrip: Gauge
    private let retries: Counter
    private let errors: Counter
    private let disconnects: Counter
    private let leaderChanges: Counter
    private let rebalances: Counter
    private let coordinatorChanges: Counter
    private let queued: Gauge
    private let state = Mutex<[String: Seen]>([:])

    /// Clients that are remembered; they come and go with topic partitions and faults.
    private static let clientsMax = 512
    /// Three times the interval in which a client tells.
    private static let silenceNanosecondsMax: Int64 = 15_000_000_000

    private struct Seen {
        var retries: Int64 = 0
        var errors: Int64 = 0
        var disconnects: Int64 = 0
        var rebalances: Int64 = 0
        /// Records that wait to be sent or acknowledged.
        var queued: Int64 = 0
        /// When it was told, by the monotonic clock.
        var atNanoseconds: Int64
        /// The address of the group's coordinator; empty where there is none.
        var coordinator = ""
        /// The leader's id by topic and number.
        var leaders: [String: Int64] = [:]
    }

    /// - Parameter role: what the clients are for; the label `client`.
    package init(_ registry: MetricsRegistry, role: String) {
        let labels = [("client", role)]
        roundTrip = registry.gauge(
            "medallion_kafka_round_trip_seconds", help: "Mean time of a request to the slowest broker.", labels: labels)
        retries = registry.counter(
            "medallion_kafka_retries_total", help: "Requests that librdkafka sent again.", labels: labels)
        errors = registry.counter(
            "medallion_kafka_request_errors_total", help: "Requests that failed or got no answer in time.",
            labels: labels)
        disconnects = registry.counter(
            "medallion_kafka_disconnects_total", help: "Connections to brokers that ended.", labels: labels)
        leaderChanges = registry.counter(
            "medallion_kafka_leader_changes_total", help: "Topic partitions that got another leader.", labels: labels)
        rebalances = registry.counter(
            "medallion_kafka_rebalances_total", help: "Rebalances of the consumer group as its members saw them.",
            labels: labels)
        coordinatorChanges = registry.counter(
            "medallion_kafka_coordinator_changes_total", help: "Moves of the consumer group to another coordinator.",
            labels: labels)
        queued = registry.gauge(
            "medallion_kafka_queued_records", help: "Records of producers that no broker has acknowledged yet.",
            labels: labels)
    }

    /// Takes in one message of statistics; one that cannot be read changes nothing.
    package func note(_ json: [UInt8]) {
        guard let value = try? JSONValue.parse(json), let name = value["name"]?.string else { return }
        var now = Seen(atNanoseconds: SystemClock.monotonicNanoseconds())
        var slowest: Int64 = 0
        for (_, broker) in value["brokers"]?.object ?? [] {
            if broker["name"]?.string == "GroupCoordinator" { now.coordinator = broker["nodename"]?.string ?? "" }
            // Not those that are only logical: their requests count at the real ones.
            guard broker["nodeid"]?.integer ?? -1 >= 0 || broker["source"]?.string == "configured" else { continue }
            now.retries += broker["txretries"]?.integer ?? 0
            now.errors += broker["txerrs"]?.integer ?? 0
            now.errors += broker["req_timeouts"]?.integer ?? 0
            now.disconnects += broker["disconnects"]?.integer ?? 0
            slowest = max(slowest, broker["rtt"]?["avg"]?.integer ?? 0)
        }
        for (topic, details) in value["topics"]?.object ?? [] {
            for (partition, details) in details["partitions"]?.object ?? [] {
                if let leader = details["leader"]?.integer, leader >= 0 {
                    now.leaders["\(topic)/\(partition)"] = leader
                }
            }
        }
        now.queued = value["msg_cnt"]?.integer ?? 0
        now.rebalances = value["cgrp"]?["rebalance_cnt"]?.integer ?? 0
        if slowest > 0 { roundTrip.set(Double(slowest) / 1e6) }
        add(now, of: name)
    }

    private func add(_ now: Seen, of name: String) {
        let (before, isFirst, waiting) = state.withLock { [now] state in
            // A client that has not been heard of for three intervals is gone, and what it had in its queue with it.
            state = state.filter { now.atNanoseconds - $0.value.atNanoseconds < Self.silenceNanosecondsMax }
            if state.count >= Self.clientsMax, state[name] == nil,
                let oldest = state.min(by: { $0.value.atNanoseconds < $1.value.atNanoseconds })
            {
                state[oldest.key] = nil
            }
            let before = state[name]
            state[name] = now
            return (before ?? Seen(atNanoseconds: 0), before == nil, state.values.reduce(0) { $0 + $1.queued })
        }
        queued.set(Double(waiting))
        retries.increment(by: Int(clamping: max(0, now.retries - before.retries)))
        errors.increment(by: Int(clamping: max(0, now.errors - before.errors)))
        disconnects.increment(by: Int(clamping: max(0, now.disconnects - before.disconnects)))
        rebalances.increment(by: Int(clamping: max(0, now.rebalances - before.rebalances)))
        guard !isFirst else { return }
        if !before.coordinator.isEmpty, !now.coordinator.isEmpty, before.coordinator != now.coordinator {
            coordinatorChanges.increment()
        }
        for (place, leader) in now.leaders where before.leaders[place].map({ $0 != leader }) ?? false {
            leaderChanges.increment()
        }
    }
}
