import Bytes
import Concurrency
package import KafkaAccess
package import Postgres
package import Records
package import ServiceLifecycle
import Store
import Synchronization
package import Telemetry

/// Applies suppressions and lifts to the index as they come by their topic. An index that knows none yet takes those of the lake's
/// log first. Drained means: nothing is read any more; what was not applied is read again at the next start.
package struct SuppressionApplying: Service {
    package let name = "suppressions"
    private let follower: SuppressionFollower
    private let database: PostgresConfiguration
    private let readLog: @Sendable () throws -> [SuppressionEntry]
    private let logger: Logger

    /// A user's documents may be many.
    private static let statementMilliseconds = 120_000
    /// How long the indexers' start waits for what was suppressed before.
    private static let prepareNanoseconds: Int64 = 10_000_000_000

    /// - Parameter readLog: all entries of the lake's log, in order; none where this process has no lake.
    package init(
        _ follower: SuppressionFollower, database: PostgresConfiguration,
        readLog: @escaping @Sendable () throws -> [SuppressionEntry], logger: Logger
    ) {
        self.follower = follower
        self.database = database
        self.readLog = readLog
        self.logger = logger
    }

    /// What was suppressed before is applied before anything is indexed, as far as log and topic can be read at once.
    package func prepare(stop: StopSignal) async throws {
        let until = SystemClock.monotonicNanoseconds() + Self.prepareNanoseconds
        do {
            try await Lane(name: "suppress-first").run { [self] in
                let store = SuppressionStore(configuration: database)
                try follower.catchUp(
                    isStopped: { stop.isRequested || SystemClock.monotonicNanoseconds() > until },
                    position: { try position(store) }, take: { try apply($0, to: store) })
            }
        } catch {
            logger.warning(
                "what is suppressed could not be read before the start; it is applied as soon as it can be",
                ["error": "\(error)"])
        }
    }

    package func run(stop: StopSignal) async throws {
        let store = Mutex(SuppressionStore(configuration: database))
        await follower.run(stop: stop) {
            try store.withLock { store in try position(store) }
        } take: { records in
            try store.withLock { store in try apply(records, to: store) }
        }
    }

    /// The topic's next offset. An index without one applies the lake's log.
    private func position(_ store: SuppressionStore) throws -> Int64? {
        if let known = try store.position(of: follower.topic, timeoutMilliseconds: Self.statementMilliseconds) {
            return known
        }
        let entries = try readLog()
        for entry in entries { try store.apply(entry, timeoutMilliseconds: Self.statementMilliseconds) }
        if !entries.isEmpty {
            logger.info("applied the lake's log of suppressions", ["entries": "\(entries.count)"])
        }
        return nil
    }

    private func apply(_ records: [SuppressionFollower.Record], to store: SuppressionStore) throws {
        for (next, entry) in records {
            guard let entry else {
                try store.keep(
                    position: next, of: follower.topic, timeoutMilliseconds: Self.statementMilliseconds)
                continue
            }
            let changed = try store.apply(
                entry, reached: (follower.topic, next), timeoutMilliseconds: Self.statementMilliseconds)
            guard let changed else { continue }
            switch entry {
            case .suppress(let suppression):
                logger.info(
                    "suppressed",
                    [
                        "id": suppression.id, "tenant": suppression.tenant.text,
                        "target": suppression.target.kind.rawValue,
                        "by": suppression.by, "documents": "\(changed)",
                    ])
            case .lift(let id, let tenant, _, let by, _):
                logger.info(
                    "a suppression was lifted",
                    ["id": id, "tenant": tenant.text, "by": by, "documents": "\(changed)"])
            }
        }
    }
}
