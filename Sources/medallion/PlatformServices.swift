import Access
import Embeddings
import EventLoop
import Glibc
import HTTPServer
import Indexer
import Kafka
import Lake
import Postgres
import SearchAPI
import ServiceLifecycle
import StreamJob
import Synchronization
import Telemetry
import VectorIndex

extension Platform {
    /// The indexer, made once database and model are there.
    ///
    /// - Parameter health: where it shows what it waits for; nil where nobody asks.
    func indexerService(health: HealthRegistry? = nil) -> any Service {
        DeferredService(name: "indexer") { [self] in
            var configuration = IndexerConfiguration(
                kafka: kafka("indexer"), goldTopic: settings.kafkaGoldTopic, database: try database("indexer"))
            configuration.expiredOffsets = settings.expiredOffsets
            configuration.assignment = settings.assignment
            configuration.groupID = "\(settings.kafkaGroup)-index"
            configuration.sessionMilliseconds = Int(settings.kafkaSessionSeconds * 1_000)
            configuration.answerRetentionDays = settings.answerRetentionDays
            let indexer = Indexer(
                configuration: configuration, embedder: try embedder(), metrics: context.metrics,
                logger: context.logger.scoped("indexer"))
            health?.register("indexer", isRequired: false) {
                indexer.trouble.map { HealthReport(.failed, $0) } ?? HealthReport(.ok)
            }
            return indexer
        }
    }

    /// The HTTP API, made once database and model are there.
    ///
    /// - Parameters:
    ///   - health: where other parts register what they know.
    ///   - pipeline: where events come from; nil where this process does not know.
    /// - Throws: ``Failure`` (64) where certificate and key of TLS do not fit.
    func apiService(
        health: HealthRegistry = HealthRegistry(), pipeline: @escaping @Sendable () -> PipelineStatus?,
        stages: @escaping @Sendable () -> [PipelineStage] = { [] }
    ) throws -> any Service {
        // Wrong files end the start before anything runs.
        let server = try serverConfiguration()
        return DeferredService(name: "api") { [self] in
            let configuration = try database("api")
            let lake = LakeLayout(
                root: settings.lakeDirectory,
                objects: try .named(by: settings, requestSeconds: settings.requestTimeoutSeconds))
            var options = SearchAPIConfiguration()
            options.requestTimeoutMilliseconds = Int(settings.requestTimeoutSeconds * 1_000)
            options.isAnswerEnabled = settings.isAnswerEnabled
            options.storeLanes = settings.apiSearchLanes
            options.filteredLanes = settings.apiFilteredLanes
            options.feedLanes = settings.apiFeedLanes
            options.traceLanes = settings.apiTraceLanes
            options.version = Medallion.version
            options.readyEventsBehindMax = Int64(settings.readyLagMax)
            options.access.isAnonymousReadAllowed = settings.isAnonymousReadAllowed
            options.access.keyRate = settings.apiKeyRate
            options.access.addressRate = settings.apiAddressRate
            options.accessLog = settings.apiAccessLog
            options.streamsMax = max(1, settings.apiConnectionsMax * 4 / 5)
            registerChecks(in: health)
            var dependencies = SearchAPIDependencies(
                makeStore: { SearchStore(configuration: configuration) },
                makeTraceSource: { LakeTraceSource(configuration: configuration, layout: lake) },
                embedder: try embedder().map { QueryEmbedder(embedder: $0) }, health: health,
                metrics: context.metrics, logger: context.logger.scoped("api"), pipeline: pipeline)
            dependencies.stages = stages
            dependencies.events = eventHub(configuration)
            let keys = SharedKeyStore(configuration)
            dependencies.readKeys = { try keys.list() }
            return SearchServer(
                api: SearchAPI(configuration: options, dependencies: dependencies), configuration: server)
        }
    }

    private func serverConfiguration() throws -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration(host: settings.apiListen.host, port: settings.apiListen.port)
        configuration.loops = settings.apiLoops > 0 ? settings.apiLoops : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        configuration.connectionsMax = max(1, settings.apiConnectionsMax / configuration.loops)
        configuration.corsOrigins = settings.apiCORSOrigins
        configuration.proxyTrust = ProxyTrust(
            proxies: settings.apiTrustedProxies,
            header: settings.apiForwardedHeader == .forwarded ? .forwarded : .xForwardedFor)
        configuration.tls = try tls()
        let logger = context.logger.scoped("api")
        if !settings.apiListen.isLoopback {
            if settings.isAnonymousReadAllowed {
                logger.warning("whoever reaches API_LISTEN may read: API_ANONYMOUS_READ is true")
            }
            if configuration.tls == nil, settings.apiTrustedProxies.isEmpty {
                logger.warning("keys and replies travel unencrypted: set API_TLS_CERTIFICATE, or put a proxy in front")
            }
        }
        return configuration
    }

    private func tls() throws -> TLSContext? {
        let (certificate, key) = (settings.apiTLSCertificate, settings.apiTLSKey)
        guard !certificate.isEmpty || !key.isEmpty else { return nil }
        guard !certificate.isEmpty, !key.isEmpty else {
            throw Failure("API_TLS_CERTIFICATE and API_TLS_KEY go together: set both or neither", code: .usage)
        }
        do throws(EventLoopError) {
            return try TLSContext(certificatePath: certificate, keyPath: key)
        } catch {
            throw Failure("API_TLS_CERTIFICATE, API_TLS_KEY: \(error)", code: .usage)
        }
    }

    /// Follows the Gold topic for `/stream`.
    private func eventHub(_ database: PostgresConfiguration) -> EventHub {
        let source = settings.kafkaTopic
        let shared = SharedStore(database)
        let logger = context.logger.scoped("stream-api")
        let unreadable = context.metrics.counter(
            "medallion_api_stream_unreadable_offsets_total",
            help: "Offsets of the Gold topic that nobody can read and the stream left out; once for each reader.")
        return EventHub(
            topic: GoldEventTopic(
                configuration: kafka("stream"), topic: settings.kafkaGoldTopic, sourceTopic: source,
                onUnreadable: { words, offsets in
                    unreadable.increment(by: Int(clamping: offsets))
                    logger.error("records of the Gold topic cannot be read; the stream goes on", ["what": words])
                }),
            indexed: {
                let (generation, offsets) = try shared.run {
                    try $0.reached(topic: source, timeoutMilliseconds: 2_000)
                }
                return IndexedUpTo(generation: generation, offsets: OffsetVector(offsets))
            }, metrics: context.metrics, logger: logger)
    }

    /// What `/health` shows beside the API's own dependencies. None of it is required to answer from the index.
    private func registerChecks(in health: HealthRegistry) {
        let lane = Lane(name: "health")
        let topic = settings.kafkaTopic
        let probe = BrokerProbe(configuration: kafka("health"), topic: topic)
        health.register("broker", isRequired: false) {
            try await lane.run { try probe.report() }
        }
        let lake = settings.lakeDirectory
        health.register("lake", isRequired: false) {
            try await lane.run {
                guard let free = DiskSpace.freeBytes(at: lake) else {
                    return HealthReport(.failed, "\(lake) is not there")
                }
                let isLow = free < DiskSpace.lowBytes
                return HealthReport(
                    isLow ? .degraded : .ok, isLow ? "little space is left" : "", detail: [("free_bytes", "\(free)")])
            }
        }
    }
}

/// One connection to the index for a caller that asks now and then. Blocks: for lanes.
final class SharedStore: Sendable {
    private let configuration: PostgresConfiguration
    private let store = Mutex<SearchStore?>(nil)

    init(_ configuration: PostgresConfiguration) {
        self.configuration = configuration
    }

    /// Runs `body` with the connection, which is made anew after a failure.
    func run<T: Sendable>(_ body: (SearchStore) throws -> T) throws -> T {
        try store.withLock { store in
            let current = store ?? SearchStore(configuration: configuration)
            store = nil
            let result = try body(current)
            store = current
            return result
        }
    }
}

/// The keys of the API for the one lane that reads them again and again. Blocks.
private final class SharedKeyStore: Sendable {
    private let configuration: PostgresConfiguration
    private let store = Mutex<KeyStore?>(nil)

    init(_ configuration: PostgresConfiguration) {
        self.configuration = configuration
    }

    func list() throws -> [APIKey] {
        try store.withLock { store in
            let current = store ?? KeyStore(configuration: configuration)
            store = current
            return try current.list(timeoutMilliseconds: 2_000)
        }
    }
}

/// Asks the broker about itself, with one client for all checks.
final class BrokerProbe: Sendable {
    private let configuration: KafkaConfiguration
    private let topic: String
    private let admin = Mutex<KafkaAdmin?>(nil)

    init(configuration: KafkaConfiguration, topic: String) {
        self.configuration = configuration
        self.topic = topic
    }

    /// Blocks for at most four seconds.
    func report() throws -> HealthReport {
        let admin = try admin.withLock { admin in
            let known = try admin ?? KafkaAdmin(configuration)
            admin = known
            return known
        }
        let metadata = try admin.metadata(topic: nil, timeoutMilliseconds: 4_000)
        let found = metadata.topics.first { $0.name == topic }
        return HealthReport(
            found == nil ? .degraded : .ok, found == nil ? "the topic \(topic) does not exist yet" : "",
            detail: [("brokers", configuration.brokers), ("topic_partitions", "\(found?.partitions.count ?? 0)")])
    }
}
