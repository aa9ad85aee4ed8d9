import API
import Access
import Console
import Derivation
import EmbeddedPostgres
import Embeddings
import EventLoop
import Glibc
import HTTPServer
import Health
import Kafka
import Lake
import Metering
import Postgres
import Records
import Retrieval
import ServiceLifecycle
import Store
import StreamJob
import Synchronization
import Telemetry

extension Platform {
    /// The HTTP API, made once database and model are there.
    ///
    /// - Parameters:
    ///   - declarations: whose documents are served.
    ///   - health: where other parts register what they know.
    ///   - freshness: of the index; somebody looks.
    ///   - pipeline: where a tenant's events come from, or all where none is named; nil where this process does not know.
    /// - Throws: ``Failure`` (64) where certificate and key of TLS do not fit.
    func apiService(
        _ declarations: Declarations, health: HealthRegistry, freshness: SourcesFreshness,
        pipeline: @escaping @Sendable (TenantID?) -> PipelineStatus?,
        sources: @escaping @Sendable (TenantID?) -> [SourceStatus] = { _ in [] }
    ) throws -> any Service {
        // Wrong files end the start before anything runs.
        let server = try serverConfiguration()
        health.expect("index", isRequired: true)
        return DeferredService(name: "api") { [self] in
            let configuration = try database("api")
            let lake = LakeLayout(
                root: settings.folders.lake,
                objects: try .named(by: settings, requestSeconds: settings.source.requestTimeoutSeconds))
            var options = SearchAPIConfiguration()
            let catalog = CollectionCatalog(declarations.current.collections)
            declarations.follow { catalog.replace(with: $0.collections) }
            options.collections = catalog
            options.requestTimeoutMilliseconds = Int(settings.source.requestTimeoutSeconds * 1_000)
            options.isAnswerEnabled = settings.answers.isEnabled
            options.storeLanes = settings.lanes.search
            options.filteredLanes = settings.lanes.filtered
            options.answersAtOnceMax = settings.lanes.answer
            options.feedLanes = settings.lanes.feed
            options.traceLanes = settings.lanes.trace
            options.recallShare = settings.index.recallShare
            options.version = Medallion.version
            options.freshnessLimits = freshness.limits
            options.isStaleAnswerRefused = settings.freshness.answerRequiresFresh
            options.access = AccessConfiguration(settings)
            options.answers = AnswerBounds(settings)
            options.cacheBytes = settings.caches.bytes
            options.reusesSimilarAnswers = settings.caches.reusesSimilarAnswers
            options.cacheMilliseconds = Int(settings.caches.seconds * 1_000)
            options.queryLanguages = settings.index.queryLanguages
            options.fusion = FusionWeights(
                vector: settings.fusion.vectorWeight, lexical: settings.fusion.lexicalWeight,
                rankConstant: settings.fusion.rankConstant)
            options.accessLog = settings.access.accessLog
            options.historyStepMilliseconds = settings.telemetry.historySeconds * 1_000
            options.streamsMax = max(1, settings.api.connectionsMax * 4 / 5)
            options.catchUpBytesPerSecond = settings.access.streamCatchUpBytes
            options.streamsPerKeyMax = settings.access.streamsPerKey
            options.streamsPerAddressMax = settings.access.streamsPerAddress
            registerChecks(in: health, declarations)
            let embedder = try embedder()
            let model = embedder?.modelName ?? ""
            let index = settings.index
            let ranking = WordRanking(k1: index.wordSaturation, b: index.wordLengthShare)
            let arms = arms(configuration) { catalog.tenants.sorted { $0.text < $1.text } }
            var dependencies = SearchAPIDependencies(
                makeStore: {
                    let store = SearchStore(
                        configuration: configuration, model: model, ef: index.searchCandidates, ranking: ranking,
                        languages: index.queryLanguages)
                    return arms.map { ArmedStore(store, shared: $0.shared) } ?? store
                },
                makeTraceSource: { [self] in
                    LakeTraceSource(
                        configuration: configuration, layout: lake, broker: { [self] in kafka("trace") },
                        declared: { declarations.current.logic })
                },
                embedder: try embedder.map {
                    QueryEmbedder(
                        embedder: $0, others: try embedders(), cacheBytesMax: settings.embedding.cacheBytes,
                        registry: context.metrics)
                }, health: health,
                metrics: context.metrics, logger: context.logger.scoped("api"), pipeline: pipeline)
            (dependencies.arms, dependencies.removeArms) = (arms, armsRemoval(configuration, isKept: arms != nil))
            dependencies.armsReader = arms.map {
                ArmsReader(shared: $0.shared, model: model, ranking: ranking, languages: index.queryLanguages)
            }
            dependencies.reranker = reranker()
            dependencies.secondCache = try SharedCaches.named(
                by: settings, metrics: context.metrics, logger: context.logger.scoped("cache"))
            dependencies.models = try LanguageModels.named(
                by: settings, metrics: context.metrics, logger: context.logger.scoped("model"))
            dependencies.flow = freshness.flow
            dependencies.sources = sources
            dependencies.freshness = { freshness.current(of: $0, declarations.current) }
            dependencies.events = eventHub(configuration, declarations, freshness.flow)
            dependencies.control = OperatorControl(self, declarations)
            dependencies.golden = DatabaseGoldenShelf(configuration)
            dependencies.suppressions = suppressionDesk(configuration)
            dependencies.intake = intakeDesk(configuration, declarations)
            dependencies.sourceDesk = sourceDesk(declarations)
            dependencies.documents = documentShelf(configuration, declarations)
            let keys = SharedKeyStore(configuration)
            dependencies.readKeys = { try keys.list() }
            dependencies.keys = DatabaseKeyDesk(configuration)
            return SearchServer(
                api: SearchAPI(configuration: options, dependencies: dependencies), configuration: server)
        }
    }

    /// What holds the index in memory; nil where nothing is to be held.
    private func arms(
        _ database: PostgresConfiguration, tenants: @escaping @Sendable () -> [TenantID]
    ) -> ArmsFollower? {
        let bytes = settings.index.armsBytes ?? MachineResources.current.memoryBytes / 4
        guard bytes > 0 else { return nil }
        return ArmsFollower(
            configuration: database, bytesMax: bytes,
            staleMilliseconds: Int(settings.index.armsStaleSeconds * 1_000),
            filesFolder: settings.index.areArmsKept ? settings.folders.arms : nil, tenants: tenants,
            registry: context.metrics,
            logger: context.logger.scoped("arms"))
    }

    /// What removes files of the index in memory; nil where they are kept.
    private func armsRemoval(
        _ database: PostgresConfiguration, isKept: Bool
    ) -> (@Sendable () throws -> [String])? {
        if isKept, settings.index.areArmsKept { return nil }
        let folder = settings.folders.arms
        return { try ArmsFiles.removeAll(in: folder, of: database) }
    }

    /// The service of `RERANK_URL`; nil where none is named.
    private func reranker() -> Reranker? {
        let rerank = settings.rerank
        guard !rerank.url.isEmpty else { return nil }
        return Reranker(
            RerankConfiguration(
                url: rerank.url, model: rerank.model, key: rerank.key, millisecondsMax: rerank.timeoutMilliseconds,
                hitsMax: rerank.hitsMax),
            metrics: context.metrics, logger: context.logger.scoped("rerank"))
    }

    private func serverConfiguration() throws -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration(host: settings.api.listen.host, port: settings.api.listen.port)
        configuration.loops = settings.api.loops > 0 ? settings.api.loops : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        configuration.connectionsMax = max(1, settings.api.connectionsMax / configuration.loops)
        configuration.connectionsPerAddressMax = settings.apiConnectionsPerAddress
        configuration.corsOrigins = settings.api.corsOrigins
        configuration.proxyTrust = ProxyTrust(
            proxies: settings.access.trustedProxies,
            header: settings.access.forwardedHeader == .forwarded ? .forwarded : .xForwardedFor)
        configuration.tls = try tls()
        let logger = context.logger.scoped("api")
        for warning in AccessConfiguration.warnings(settings) { logger.warning(warning) }
        return configuration
    }

    private func tls() throws -> TLSContext? {
        let (certificate, key) = (settings.access.tlsCertificate, settings.access.tlsKey)
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

    /// Follows the Gold topics for `/stream`.
    private func eventHub(
        _ database: PostgresConfiguration, _ declarations: Declarations, _ flow: PipelineFlow
    ) -> EventHub {
        let shared = SharedStore(database)
        let suppressed = SuppressionWatch(database)
        let logger = context.logger.scoped("stream-api")
        let unreadable = context.metrics.counter(
            "medallion_api_stream_unreadable_offsets_total",
            help: "Offsets of the Gold topics that nobody can read and the stream left out; once for each reader.")
        let hub = EventHub(
            topics: GoldEventTopics(
                configuration: kafka("stream"),
                onUnreadable: { words, offsets in
                    unreadable.increment(by: Int(clamping: offsets))
                    logger.error("records of a Gold topic cannot be read; the stream goes on", ["what": words])
                }),
            sources: declarations.current.shown,
            indexed: {
                let reached = try shared.run { try $0.reached(timeoutMilliseconds: 2_000) }
                return IndexedUpTo(
                    generation: reached.generation, offsets: OffsetVector(reached.nextOffsets),
                    suppressed: try suppressed.current(), indexedAtMilliseconds: reached.indexedAtMilliseconds)
            }, metrics: context.metrics, logger: logger, flow: flow)
        declarations.follow { hub.follow($0.shown) }
        return hub
    }

    /// What `/health` shows beside the API's own dependencies. None of it is required to answer from the index.
    private func registerChecks(in health: HealthRegistry, _ declarations: Declarations) {
        registerBroker(in: health, isRequired: false) { declarations.current.sources.map(\.topic) }
        registerDisk("lake", folder: settings.folders.lake, in: health, isRequired: false)
    }
}

extension DeclaredSources {
    /// The logic of each topic, as a generation stores it; without those that cannot run.
    fileprivate var logic: GenerationLogic {
        .byTopic(
            sources.reduce(into: [:]) { topics, source in
                if let logic = try? TopicLogic(source) { topics[source.topic] = logic }
            })
    }

    /// What `/stream` shows of them.
    fileprivate var shown: [StreamSource] {
        sources.map {
            StreamSource(name: $0.name.text, topic: $0.topic, goldTopic: $0.goldTopic, tenant: $0.tenant)
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
    private let configuration: @Sendable () -> KafkaConfiguration
    private let topics: @Sendable () -> [String]
    private let admin = Mutex<KafkaAdmin?>(nil)

    /// - Parameters:
    ///   - configuration: asked once the embedded broker's address is known.
    ///   - topics: that must be there, too.
    init(
        configuration: @escaping @Sendable () -> KafkaConfiguration,
        topics: @escaping @Sendable () -> [String] = { [] }
    ) {
        self.configuration = configuration
        self.topics = topics
    }

    /// Blocks for at most four seconds.
    func report() throws -> HealthReport {
        let admin = try admin.withLock { admin in
            let known = try admin ?? KafkaAdmin(configuration())
            admin = known
            return known
        }
        let metadata = try admin.metadata(topic: nil, timeoutMilliseconds: 4_000)
        var detail = [(name: "brokers", value: metadata.brokers.map(\.address).joined(separator: ","))]
        let topics = topics()
        guard !topics.isEmpty else { return HealthReport(.ok, detail: detail) }
        let found = metadata.topics.filter { topics.contains($0.name) }
        detail.append(("topic_partitions", "\(found.reduce(0) { $0 + $1.partitions.count })"))
        let missing = topics.filter { topic in !found.contains { $0.name == topic } }
        return HealthReport(
            missing.isEmpty ? .ok : .degraded,
            missing.isEmpty ? "" : "the topic \(missing.joined(separator: ", ")) does not exist yet", detail: detail)
    }
}
