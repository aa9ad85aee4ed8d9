import API
import Health
import Indexer
import Kafka
import KafkaAccess
import Lake
import Postgres
import Records
import ServiceLifecycle
import Settings
import Store
import StreamJob
import Synchronization
import Telemetry

/// What is suppressed, on its way from the API or a command to lake and index.
extension Platform {
    private func suppressionFollower(_ name: String) -> SuppressionFollower {
        SuppressionFollower(
            { [self] in kafka(name) }, plan: TopicPlan(suppressions: settings), laneName: name,
            logger: context.logger.scoped(name))
    }

    /// Hands entries to the topic.
    func suppressionPublisher() -> SuppressionPublisher {
        SuppressionPublisher(
            { [self] in kafka("suppress") }, plan: TopicPlan(suppressions: settings),
            logger: context.logger.scoped("suppress"))
    }

    /// Shows what keeps suppressions from being kept or applied.
    func registerSuppressions(in health: HealthRegistry) -> SuppressionFaults {
        let faults = SuppressionFaults()
        health.register("suppressions", isRequired: false) {
            faults.current.map { HealthReport(.degraded, $0) } ?? HealthReport(.ok)
        }
        return faults
    }

    /// Beside the stream jobs: keeps the lake's log.
    func suppressionLogging(_ faults: SuppressionFaults) -> any Service {
        DeferredService(name: "suppression log") { [self] in
            SuppressionLogging(
                suppressionFollower("suppression-log"), log: SuppressionLog(layout: try LakeLayout(settings)),
                faults: faults, logger: context.logger.scoped("suppression-log"))
        }
    }

    /// Beside the indexers: applies to the index.
    func suppressionApplying(_ faults: SuppressionFaults) -> any Service {
        DeferredService(name: "suppressions") { [self] in
            let layout = try LakeLayout(settings)
            return SuppressionApplying(
                suppressionFollower("suppressions"), database: try database("suppressions"),
                readLog: { try SuppressionLog(layout: layout).read().map(\.entry) }, faults: faults,
                metrics: context.metrics, logger: context.logger.scoped("suppressions"))
        }
    }

    /// What the API needs for suppressing.
    func suppressionDesk(_ database: PostgresConfiguration) -> SuppressionDesk {
        let publisher = suppressionPublisher()
        let store = SharedSuppressions(database)
        return SuppressionDesk(
            publish: { entry, timeout in try publisher.publish(entry, timeoutMilliseconds: timeout) },
            list: { tenant, before, limit, timeout in
                try store.run { try $0.list(of: tenant, before: before, limit: limit, timeoutMilliseconds: timeout) }
            },
            find: { id, tenant, timeout in
                try store.run { try $0.find(id, of: tenant, timeoutMilliseconds: timeout) }
            },
            isCaughtUp: { [self] timeout in
                let topic = settings.topics.suppressions
                let end = try KafkaAdmin(kafka("suppress")).watermarks(
                    topic: topic, partition: 0, timeoutMilliseconds: timeout
                ).high
                return try store.run { try $0.position(of: topic, timeoutMilliseconds: timeout) } ?? 0 >= end
            })
    }
}

/// One connection for a caller that asks now and then. Blocks: for lanes.
final class SharedSuppressions: Sendable {
    private let store: Mutex<SuppressionStore>

    init(_ configuration: PostgresConfiguration) {
        store = Mutex(SuppressionStore(configuration: configuration))
    }

    /// Runs `body` with the store, which makes its connection anew after a failure.
    func run<T: Sendable>(_ body: (SuppressionStore) throws -> T) throws -> T {
        try store.withLock { store in try body(store) }
    }
}

/// What is suppressed now: looked up where something has changed since the last look. Blocks: for lanes.
final class SuppressionWatch: Sendable {
    private let store: SharedSuppressions
    private let known = Mutex<(state: Int64, inForce: [TenantID: SuppressionSet])?>(nil)

    private static let timeoutMilliseconds = 2_000

    init(_ configuration: PostgresConfiguration) { store = SharedSuppressions(configuration) }

    /// What is in force, by tenant.
    func current() throws -> [TenantID: SuppressionSet] {
        try store.run { store in
            let state = try store.state(timeoutMilliseconds: Self.timeoutMilliseconds)
            if let known = known.withLock({ $0 }), known.state == state { return known.inForce }
            let inForce = try store.inForce(timeoutMilliseconds: Self.timeoutMilliseconds)
            known.withLock { $0 = (state, inForce) }
            return inForce
        }
    }
}
