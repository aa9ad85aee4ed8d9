import Broker
import Concurrency
import Console
import EmbeddedPostgres
import Embeddings
import Glibc
import Health
import Indexer
import Kafka
import KafkaAccess
import Metering
import OpenLineage
import Postgres
import Replay
import ServiceLifecycle
import Settings
import Store
import Synchronization
import Telemetry

/// The addresses and the model that roles of one process share; some are known only once embedded parts run.
final class Platform: Sendable {
    let context: Context
    /// Whether the process does nothing but a replay, which stands back for other processes.
    let isForReplay: Bool
    let state = Mutex(State())
    /// Of the indexers, which others stand back for.
    let indexingLoad = IndexingLoad()
    /// What operators ask of sources.
    let sourceRequests = SourceRequestBoard()

    struct State {
        var brokers: String?
        var dsn: String?
        var embedders: EmbedderPool?
        /// Of which it was said that they are not to be had.
        var missingModels: Set<String> = []
        var broker: BrokerServer?
        var lineage: [LineageEmitter]?
        /// Of the Kafka clients, by role.
        var statistics: [String: ClientStatistics] = [:]
    }

    init(context: Context, isForReplay: Bool = false) {
        self.context = context
        self.isForReplay = isForReplay
    }

    var settings: Settings { context.settings }

    // MARK: Broker

    /// Whether this deployment uses the broker of this package.
    var isBrokerEmbedded: Bool { settings.broker.bootstrapServers.isEmpty }

    /// `host:port` of the brokers: `KAFKA_BROKERS`, else where the embedded broker listens.
    var brokers: String {
        if !isBrokerEmbedded { return settings.broker.bootstrapServers }
        return state.withLock { $0.brokers } ?? settings.broker.listen.description
    }

    /// - Parameter role: names the client in the brokers' logs.
    func kafka(_ role: String) -> KafkaConfiguration {
        let logger = context.logger.scoped("kafka")
        let statistics = statistics(of: role)
        var configuration = KafkaConfiguration(
            brokers: brokers, clientID: "\(settings.kafka.clientID)-\(role)", extra: settings.kafkaProperties
        ) { line in
            // librdkafka repeats what it retries anyway; syslog levels: 3 is error, 4 warning.
            if line.severity <= 3 {
                logger.warning(line.message, ["facility": line.facility, "client": role])
            } else {
                logger.debug(line.message, ["facility": line.facility, "client": role])
            }
        }
        configuration.statisticsHandler = { statistics.note($0) }
        return configuration
    }

    private func statistics(of role: String) -> ClientStatistics {
        state.withLock { state in
            let known = state.statistics[role] ?? ClientStatistics(context.metrics, role: role)
            state.statistics[role] = known
            return known
        }
    }

    /// The embedded broker as a service. Drained means: what was acknowledged is on disk, connections are closed.
    func brokerService() -> any Service {
        DeferredService(name: "broker") { [self] in
            var configuration = BrokerConfiguration(directory: settings.folders.broker)
            configuration.host = settings.broker.listen.host
            configuration.port = settings.broker.listen.port
            configuration.partitionsDefault = settings.topics.partitions
            configuration.durability = settings.broker.fsync == .always ? .always : .interval(milliseconds: 200)
            let server = try BrokerServer(
                configuration: configuration, metrics: context.metrics, logger: context.logger.scoped("broker"))
            if !settings.broker.listen.isLoopback {
                context.logger.scoped("broker").warning(
                    "whoever reaches BROKER_LISTEN may read and write all topics: the embedded broker asks for no password",
                    ["listen": settings.broker.listen.description])
            }
            state.withLock { $0.broker = server }
            let lane = Lane(name: "broker-life")
            let host = configuration.host
            return ClosureService(name: "broker") { _ in
                let port = try await lane.run { try server.start() }
                let address = SettingAddress(host: host, port: port).description
                self.state.withLock { $0.brokers = address }
            } run: { stop in
                await stop.wait()
                try await lane.run { server.stop() }
            }
        }
    }

    /// Whether the embedded broker's disk took everything lately.
    func registerBrokerDisk(in health: HealthRegistry) {
        let seen = Mutex(0)
        health.register("disk", isRequired: true) { [self] in
            guard let broker = state.withLock({ $0.broker }) else { return HealthReport(.unknown, "it has not begun") }
            let failures = broker.diskFailures
            let fresh = seen.withLock { seen in
                defer { seen = failures }
                return failures - seen
            }
            let detail = [(name: "failures", value: "\(failures)")]
            return fresh > 0
                ? HealthReport(.failed, "\(fresh) writes or syncs of the log have just failed", detail: detail)
                : HealthReport(.ok, detail: detail)
        }
    }

    /// Makes the topics of all sources on the embedded broker before anyone asks for them, so that a first start is without warnings;
    /// on other brokers the roles make what they need.
    func topicsService(_ declarations: Declarations) -> any Service {
        ClosureService(name: "topics") { [self] _ in
            let (settings, kafka, logger) = (settings, kafka("topics"), context.logger.scoped("topics"))
            let plans =
                declarations.current.sources.flatMap {
                    [TopicPlan(source: settings, topic: $0.topic), TopicPlan(gold: settings, topic: $0.goldTopic)]
                } + [TopicPlan(suppressions: settings), TopicPlan(sourceRequests: settings)]
            try await Lane(name: "topics").run {
                let admin = try KafkaAdmin(kafka)
                for plan in plans {
                    _ = try admin.ensure(plan, logger: logger, timeoutMilliseconds: 10_000)
                }
            }
        } run: { stop in
            await stop.wait()
        }
    }

    // MARK: Database

    /// Whether this deployment uses the Postgres of this package.
    var isDatabaseEmbedded: Bool { settings.database.dsn.isEmpty }

    /// - Throws: ``Failure`` (69) where the embedded server does not run.
    func database(_ role: String) throws -> PostgresConfiguration {
        var configuration = PostgresConfiguration(dsn: try dsn(), applicationName: "medallion-\(role)")
        configuration.refusesPoolers = !isDatabaseEmbedded
        return configuration
    }

    private func dsn() throws -> String {
        if !isDatabaseEmbedded { return settings.database.dsn.revealed }
        if let known = state.withLock({ $0.dsn }) { return known }
        guard let running = EmbeddedPostgres.runningDSN(folder: settings.folders.postgres) else {
            throw Failure(
                "the embedded Postgres does not run in \(settings.folders.postgres): start `medallion up`, or set "
                    + "POSTGRES_DSN", code: .dependencyUnavailable)
        }
        return running
    }

    /// The same for a command that migrates nothing, once it is clear that it can work with the database.
    ///
    /// - Throws: also `IndexError` that names what is wrong with it.
    func checkedDatabase(_ role: String, for use: DatabaseUse) async throws -> PostgresConfiguration {
        let configuration = try database(role)
        try await Lane(name: "check").run { try Migrations.check(configuration, for: use) }
        return configuration
    }

    /// The services that a role needs before it can use the database: the embedded one unless one is given, then the
    /// migrations.
    func databaseServices(for use: DatabaseUse = .writing) -> [any Service] {
        (isDatabaseEmbedded ? [postgresService()] : []) + [migrationService(for: use)]
    }

    /// What the embedded Postgres is started with.
    var embeddedPostgres: EmbeddedPostgresConfiguration {
        var configuration = EmbeddedPostgresConfiguration(folder: settings.folders.postgres)
        configuration.programsFolder = settings.database.programsDirectory
        configuration.memoryBytes = settings.database.memoryBytes
        configuration.connectionsMax = settings.lanes.total + EmbeddedPostgresConfiguration.otherConnections
        return configuration
    }

    /// The embedded Postgres, or that of another process over the same folder where it runs already. Its address is
    /// known to this platform once it is prepared.
    func postgresService() -> any Service {
        let server = EmbeddedPostgres(
            configuration: embeddedPostgres, metrics: context.metrics, logger: context.logger.scoped("postgres"))
        return ClosureService(name: server.name) { [self] stop in
            let dsn = try await ownOrShared(server, stop: stop)
            state.withLock { $0.dsn = dsn }
        } run: { stop in
            try await server.run(stop: stop)
        }
    }

    /// Starts the server; where another process owns the folder, waits for that one's. A server whose process was
    /// killed still answers for a moment, so whether one runs is no sign that it will stay: the folder's lock is.
    private func ownOrShared(_ server: EmbeddedPostgres, stop: StopSignal) async throws -> String {
        for attempt in 0... {
            do {
                try await server.prepare(stop: stop)
                return server.dsn
            } catch let error as EmbeddedPostgresError {
                guard error.reason.hasPrefix("another process") else { throw error }
                if let running = EmbeddedPostgres.runningDSN(folder: settings.folders.postgres) {
                    context.logger.info("using the embedded Postgres of another process")
                    return running
                }
                if attempt >= 60 { throw error }
                if await stop.pause(milliseconds: 500) { throw error }
            }
        }
        return server.dsn
    }

    /// Brings the schema up to date before the services behind it start, and refuses a database that they cannot use.
    func migrationService(for use: DatabaseUse) -> any Service {
        ClosureService(name: "migrations") { [self] stop in
            try await migrate(for: use, stop: stop)
        } run: { stop in
            await stop.wait()
        }
    }

    /// - Returns: the migrations that were applied now.
    @discardableResult
    func migrate(for use: DatabaseUse = .writing, stop: StopSignal) async throws -> [String] {
        let configuration = try database("migrate")
        let applied = try await Lane(name: "migrate").run {
            try Migrations.apply(configuration, for: use, stop: stop, logger: self.context.logger.scoped("migrate"))
        }
        if !applied.isEmpty {
            context.logger.scoped("migrate").info(
                "applied \(applied.count) migrations", ["names": applied.joined(separator: ", ")])
        }
        await healGenerations(configuration)
        return applied
    }

    /// Brings lake and index together where a process was killed between the two steps of a change of generations. What
    /// remains is an operator's: searches go on meanwhile.
    private func healGenerations(_ configuration: PostgresConfiguration) async {
        let logger = context.logger.scoped("generations")
        do {
            let promotion = Promotion(lakeDirectory: settings.folders.lake, database: configuration)
            for difference in try await promotion.heal() {
                logger.warning(
                    "\(difference)",
                    [
                        "lake": settings.folders.lake,
                        "database": isDatabaseEmbedded ? settings.folders.postgres : "POSTGRES_DSN",
                    ])
            }
        } catch {
            logger.warning("the lake's generations were not held against the index's", ["error": "\(error)"])
        }
    }
}

/// A service that can be made only once the ones before it are prepared.
struct DeferredService: Service {
    let name: String
    let endsGroup: Bool
    private let make: @Sendable () throws -> any Service
    private let made = Made()

    private final class Made: Sendable {
        let service = Mutex<(any Service)?>(nil)
    }

    init(name: String, endsGroup: Bool = false, make: @escaping @Sendable () throws -> any Service) {
        self.name = name
        self.endsGroup = endsGroup
        self.make = make
    }

    func prepare(stop: StopSignal) async throws {
        // Making may load a model or open a client, which blocks for up to a second; not on the cooperative pool.
        let make = make
        let service = try await Lane(name: "make-\(name)").run { try make() }
        made.service.withLock { $0 = service }
        try await service.prepare(stop: stop)
    }

    func run(stop: StopSignal) async throws {
        guard let service = made.service.withLock({ $0 }) else { return }
        try await service.run(stop: stop)
    }
}
