import Health
import Indexer
import Ingest
import Kafka
import KafkaAccess
import Records
import Retrieval
import ServiceLifecycle
import Sources
import StreamJob
import Synchronization
import Telemetry

/// What a process runs for each declared source: one ``ServiceSet`` for each role, which follows the declarations.
struct SourceRoles: Sendable {
    let platform: Platform
    let declarations: Declarations
    let health: HealthRegistry
    /// Whether this process is there for nothing else.
    let isRequired: Bool

    /// A source as one role knows it: the role's service is touched only where this changed.
    private struct Part<Value: Sendable & Equatable>: Sendable, Equatable {
        let name: String
        /// Whether a file declares it; then its name is in the names of components and metrics.
        let isDeclared: Bool
        let value: Value

        /// The component of `/health`.
        func component(_ role: String) -> String { isDeclared ? "\(role) \(name)" : role }
    }

    private func set<Value: Sendable & Equatable>(
        _ role: String, named name: String, components: [String],
        part: @escaping @Sendable (SourceDeclaration) -> Value?,
        removed: @escaping @Sendable (String) -> Void = { _ in },
        make: @escaping @Sendable (Part<Value>) throws -> (any Service)?
    ) -> any Service {
        let (metrics, health, isRequired) = (platform.context.metrics, health, isRequired)
        let parts: @Sendable (DeclaredSources) -> [Part<Value>] = { declared in
            declared.sources.compactMap { source in
                part(source).map { Part(name: source.name.text, isDeclared: declared.isFile, value: $0) }
            }
        }
        @Sendable func failed(_ name: String) -> Gauge {
            metrics.gauge(
                "medallion_source_failed",
                help: "1 while the service of a source has failed and waits to be tried again.",
                labels: [("role", role), ("source", name)])
        }
        let first = parts(declarations.current)
        for item in first {
            for component in components { health.expect(item.component(component), isRequired: isRequired) }
        }
        let services = ServiceSet<Part<Value>>(
            name: name, items: first, logger: platform.context.logger, key: { "\(role) \($0.name)" },
            removed: { item in
                for component in components { health.remove(item.component(component)) }
                metrics.remove("medallion_source_failed", labels: [("role", role), ("source", item.name)])
                removed(item.name)
            },
            failed: { item, error in
                failed(item.name).set(1)
                let report = HealthReport(.failed, "it failed and is tried again: \(error)")
                for component in components {
                    health.register(item.component(component), isRequired: isRequired) { report }
                }
            },
            make: { item in
                failed(item.name).set(0)
                return try make(item)
            })
        declarations.follow { services.want(parts($0)) }
        return services
    }

    // MARK: Roles

    /// What fills the topics.
    ///
    /// - Parameters:
    ///   - address: in place of the addresses of event streams, asked when a service is made.
    ///   - started: told of each service.
    func connectors(
        address: @escaping @Sendable () -> ServerSentEventsDeclaration? = { nil },
        removed: @escaping @Sendable (String) -> Void = { _ in },
        started: @escaping @Sendable (String, ConnectorService, ProducerWatch) -> Void = { _, _, _ in }
    ) -> any Service {
        set(
            "source", named: "sources", components: ["source", "delivery"],
            part: { source in source.connector == .none ? nil : source },
            removed: { [platform] name in
                let metrics = platform.context.metrics
                for family in ["connected", "lag_seconds", "events_in_flight"] {
                    metrics.remove("medallion_producer_\(family)", labels: [("source", name)])
                }
                metrics.remove("medallion_source_reading", labels: [("source", name)])
                removed(name)
            },
            make: { [platform, health, isRequired] item in
                var source = item.value
                if case .serverSentEvents = source.connector, let address = address() {
                    source = source.with(.serverSentEvents(address))
                }
                let service = Connectors.service(
                    for: source, isDeclared: item.isDeclared, settings: platform.settings,
                    kafka: platform.kafka(item.isDeclared ? "source-\(item.name)" : "producer"),
                    metrics: platform.context.metrics, logger: platform.context.logger)
                guard let service else { return nil }
                let watch = ProducerWatch(service)
                watch.register(
                    item.isDeclared ? " \(item.name)" : "", in: health, isRequired: isRequired)
                started(item.name, service, watch)
                return service
            })
    }

    /// The stream jobs. A change of the connector alone does not touch them.
    func streamJobs() -> any Service {
        set("stream", named: "streams", components: ["stream"], part: { $0.with(.none) }) {
            [platform, health, isRequired] item in
            DeferredService(name: item.component("stream")) {
                let job = StreamJob(
                    options: try platform.streamOptions(item.value), registry: platform.context.metrics,
                    logger: platform.context.logger.scoped(item.component("stream")))
                platform.register(job, as: item.component("stream"), in: health, isRequired: isRequired)
                return job
            }
        }
    }

    /// What an indexer depends on.
    private struct Gold: Sendable, Equatable {
        let topic: String
        let goldTopic: String

        init(_ source: SourceDeclaration) {
            topic = source.topic
            goldTopic = source.goldTopic
        }
    }

    /// The indexers, made once database and model are there.
    func indexers() -> any Service {
        set("indexer", named: "indexers", components: ["indexer"], part: { Gold($0) }) {
            [platform, health, isRequired] item in
            DeferredService(name: item.component("indexer")) {
                let settings = platform.settings
                var configuration = IndexerConfiguration(
                    kafka: platform.kafka("indexer"), goldTopic: item.value.goldTopic,
                    database: try platform.database("indexer"))
                configuration.expiredOffsets = settings.expiredOffsets
                configuration.assignment = settings.assignment
                configuration.groupID = platform.indexGroup(of: item.name, topic: item.value.topic)
                configuration.sessionMilliseconds = Int(settings.kafkaSessionSeconds * 1_000)
                configuration.answers = AnswerBounds(settings)
                let indexer = Indexer(
                    configuration: configuration, embedder: try platform.embedder(),
                    metrics: platform.context.metrics,
                    logger: platform.context.logger.scoped(item.component("indexer")))
                platform.register(indexer, as: item.component("indexer"), in: health, isRequired: isRequired)
                return indexer
            }
        }
    }

    /// Looks at broker and database for each source; the same in `serve` and `up`, and no indexer is asked.
    func freshness(_ boards: SourcesFreshness) -> any Service {
        set(
            "freshness", named: "freshness of sources", components: [], part: { $0.topic },
            removed: { boards.forget($0) }
        ) { [platform, declarations] item in
            let probe = Mutex<IndexLagProbe?>(nil)
            return FreshnessWatch(
                board: boards.board(of: item.name),
                logger: platform.context.logger.scoped(item.component("freshness"))
            ) {
                // Embedded parts have addresses once they run.
                let known = try probe.withLock { probe in
                    let known =
                        try probe
                        ?? IndexLagProbe(
                            kafka: platform.kafka("freshness"), database: platform.database("freshness"),
                            topic: item.value,
                            sharesIndex: { declarations.current.sources.count > 1 })
                    probe = known
                    return known
                }
                return try known.look()
            }
        }
    }
}

extension Platform {
    /// How a source's stream job runs.
    func streamOptions(_ source: SourceDeclaration) throws -> StreamJobOptions {
        var options = try StreamJobOptions(settings, kafka: kafka("stream"))
        options.topic = source.topic
        options.goldTopic = source.goldTopic
        options.plans = [
            TopicPlan(source: settings, topic: source.topic), TopicPlan(gold: settings, topic: source.goldTopic),
        ]
        return options
    }

    /// The consumer group of a source's indexers. It follows from the declaration alone, and not from how many sources there are: the
    /// group of one that runs must not change because another one is added.
    func indexGroup(of source: String, topic: String) -> String {
        topic == settings.kafkaTopic ? "\(settings.kafkaGroup)-index" : "\(settings.kafkaGroup)-index-\(source)"
    }
}
