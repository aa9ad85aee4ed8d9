import Embeddings
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
    func indexerService() -> any Service {
        DeferredService(name: "indexer") { [self] in
            Indexer(
                configuration: IndexerConfiguration(
                    kafka: kafka("indexer"), goldTopic: settings.kafkaGoldTopic, database: try database("indexer")),
                embedder: try embedder(), metrics: context.metrics, logger: context.logger.scoped("indexer"))
        }
    }

    /// The HTTP API, made once database and model are there.
    ///
    /// - Parameters:
    ///   - health: where other parts register what they know.
    ///   - pipeline: where events come from; nil where this process does not know.
    func apiService(
        health: HealthRegistry = HealthRegistry(), pipeline: @escaping @Sendable () -> PipelineStatus?
    ) -> any Service {
        DeferredService(name: "api") { [self] in
            let configuration = try database("api")
            let lake = LakeLayout(
                root: settings.lakeDirectory,
                objects: try .named(by: settings, requestSeconds: settings.requestTimeoutSeconds))
            var options = SearchAPIConfiguration()
            options.requestTimeoutMilliseconds = Int(settings.requestTimeoutSeconds * 1_000)
            options.isAnswerEnabled = settings.isAnswerEnabled
            options.version = Medallion.version
            registerChecks(in: health)
            let api = SearchAPI(
                configuration: options,
                dependencies: SearchAPIDependencies(
                    makeStore: { SearchStore(configuration: configuration) },
                    makeTraceSource: { LakeTraceSource(configuration: configuration, layout: lake) },
                    embedder: try embedder().map { QueryEmbedder(embedder: $0) }, health: health,
                    metrics: context.metrics, logger: context.logger.scoped("api"), pipeline: pipeline))
            return SearchServer(api: api, host: settings.apiListen.host, port: settings.apiListen.port)
        }
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
