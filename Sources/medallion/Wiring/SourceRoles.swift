import Bytes
import Health
import Indexer
import Ingest
import Kafka
import KafkaAccess
import Records
import Retrieval
import ServiceLifecycle
import Sources
import Store
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

    /// Whether this process cannot do its work without a source's part: one of several that fails leaves it the others.
    private var isNeeded: Bool { isRequired && declarations.current.sources.count == 1 }

    /// A source as one role knows it: the role's service is touched only where this changed.
    private struct Part<Value: Sendable & Equatable>: Sendable, Equatable {
        let name: String
        /// Whether a file declares it; then its name is in the names of components and metrics.
        let isDeclared: Bool
        let value: Value

        /// The component of `/health`.
        func component(_ role: String) -> String { isDeclared ? "\(role) \(name)" : role }

        /// The labels of its metrics, where those of the environment's source have none.
        var labels: [(String, String)] { isDeclared ? [("source", name)] : [] }
    }

    private func set<Value: Sendable & Equatable>(
        _ role: String, named name: String, components: [String],
        part: @escaping @Sendable (SourceDeclaration) -> Value?,
        removed: @escaping @Sendable (Part<Value>, _ next: Part<Value>?) -> Void = { _, _ in },
        make: @escaping @Sendable (Part<Value>) throws -> (any Service)?
    ) -> any Service {
        let (metrics, health) = (platform.context.metrics, health)
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
            for component in components { health.expect(item.component(component), isRequired: isNeeded) }
        }
        let services = ServiceSet<Part<Value>>(
            name: name, items: first, logger: platform.context.logger, key: { "\(role) \($0.name)" },
            removed: { [self] item, next in
                // A changed one keeps its components until its successor has its own; a file gives them other names.
                for component in components where item.component(component) != next?.component(component) {
                    health.remove(item.component(component))
                    if let next { health.expect(next.component(component), isRequired: isNeeded) }
                }
                metrics.remove("medallion_source_failed", labels: [("role", role), ("source", item.name)])
                removed(item, next)
            },
            failed: { [self] item, error in
                failed(item.name).set(1)
                let report = HealthReport(.failed, "it failed and is tried again: \(error)")
                for component in components {
                    health.register(item.component(component), isRequired: isNeeded) { report }
                }
            },
            make: { item in
                failed(item.name).set(0)
                return try make(item)
            })
        declarations.follow { [self] declared in
            let wanted = parts(declared)
            for item in wanted {
                for component in components { health.require(item.component(component), isNeeded) }
            }
            services.want(wanted)
        }
        return services
    }

    // MARK: Roles

    /// What fills the topics.
    ///
    /// - Parameters:
    ///   - outcomes: takes what became of requests.
    ///   - address: in place of an event stream's own, asked when a service is made; nil for that one.
    ///   - started: told of each service.
    func connectors(
        outcomes: SourceOutcomeReporter,
        address: @escaping @Sendable (SourceDeclaration) -> SecretURL? = { _ in nil },
        removed: @escaping @Sendable (String) -> Void = { _ in },
        started: @escaping @Sendable (String, ConnectorService, ProducerWatch) -> Void = { _, _, _ in }
    ) -> any Service {
        set(
            "source", named: "sources", components: ["source", "delivery"],
            part: { source in source.connector == .none || source.connector.isPushed ? nil : source },
            removed: { [self] item, _ in
                clear(item)
                removed(item.name)
            },
            make: { [self] item in
                clear(item)
                var source = item.value
                if case .serverSentEvents(let stream) = source.connector, let address = address(source) {
                    source = source.with(.serverSentEvents(stream.at(address)))
                }
                let service = Connectors.service(
                    for: source, isDeclared: item.isDeclared, settings: platform.settings,
                    kafka: platform.kafka(item.isDeclared ? "source-\(item.name)" : "producer"),
                    metrics: platform.context.metrics, logger: platform.context.logger,
                    wishes: { [requests = platform.sourceRequests] in requests.wishes(of: item.name) },
                    wishesFault: { [requests = platform.sourceRequests] in requests.fault },
                    report: { [outcomes] in outcomes.note($0) })
                guard let service else { return nil }
                let watch = ProducerWatch(service)
                watch.register(
                    item.isDeclared ? " \(item.name)" : "", in: health, isRequired: isNeeded)
                started(item.name, service, watch)
                return service
            })
    }

    /// Takes away what a connector has set: one of another kind would not set it anew.
    private func clear(_ item: Part<SourceDeclaration>) {
        let metrics = platform.context.metrics
        for family in ["connected", "lag_seconds", "events_in_flight", "paused"] {
            metrics.remove("medallion_producer_\(family)", exactly: item.labels)
        }
        for family in ["reading", "slot_lag_bytes", "changes_lost"] {
            metrics.remove("medallion_source_\(family)", exactly: [("source", item.name)])
        }
    }

    /// The stream jobs. A change of the connector alone does not touch them.
    func streamJobs() -> any Service {
        set(
            "stream", named: "streams", components: ["stream"], part: { $0.with(.none) },
            removed: { [platform] item, _ in
                platform.context.metrics.remove("medallion_stream_topic_partitions", exactly: [("source", item.name)])
            }
        ) { [self] item in
            DeferredService(name: item.component("stream")) {
                let job = StreamJob(
                    options: try platform.streamOptions(item.value), registry: platform.context.metrics,
                    logger: platform.context.logger.scoped(item.component("stream")))
                platform.register(job, as: item.component("stream"), in: health, isRequired: isNeeded)
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
            [self] item in
            DeferredService(name: item.component("indexer")) {
                let settings = platform.settings
                var configuration = IndexerConfiguration(
                    kafka: platform.kafka("indexer"), goldTopic: item.value.goldTopic,
                    database: try platform.database("indexer"))
                configuration.sourceTopic = item.value.topic
                configuration.expiredOffsets = settings.reading.expiredOffsets
                configuration.assignment = settings.reading.assignment
                configuration.groupID = platform.indexGroup(of: item.name, topic: item.value.topic)
                configuration.sessionMilliseconds = Int(settings.reading.sessionSeconds * 1_000)
                configuration.graph = VectorGraph(settings)
                configuration.load = platform.indexingLoad
                if !settings.embedding.url.isEmpty {
                    // A server's requests are filled up, whatever they cost.
                    configuration.batchRecordsMax = max(configuration.batchRecordsMax, settings.embedding.batchTexts)
                    configuration.batchesAtOnce = 3
                }
                let indexer = Indexer(
                    configuration: configuration, embedders: try platform.embedders(),
                    metrics: platform.context.metrics,
                    logger: platform.context.logger.scoped(item.component("indexer")))
                platform.register(indexer, as: item.component("indexer"), in: health, isRequired: isNeeded)
                return indexer
            }
        }
    }

    /// Looks at broker and database for each source; the same in `serve` and `up`, and no indexer is asked.
    func freshness(_ boards: SourcesFreshness) -> any Service {
        set(
            "freshness", named: "freshness of sources", components: [], part: { $0.topic },
            removed: { item, next in if next == nil { boards.forget(item.name) } }
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
                            topic: item.value, isOnlySource: { !declarations.current.isFile })
                    probe = known
                    return known
                }
                let look = try known.look()
                boards.flow.note(look, of: item.name, topic: item.value)
                return look
            }
        }
    }
}

extension Platform {
    /// How a source's stream job runs.
    func streamOptions(_ source: SourceDeclaration) throws -> StreamJobOptions {
        var options = try StreamJobOptions(settings, source: source, kafka: kafka("stream"))
        options.runs = try runSink()
        options.runReportMilliseconds = settings.telemetry.lineageSeconds * 1_000
        return options
    }

    /// The consumer group of a source's indexers. It follows from the declaration alone, and not from how many sources there are: the
    /// group of one that runs must not change because another one is added.
    func indexGroup(of source: String, topic: String) -> String {
        topic == settings.topics.raw ? "\(settings.reading.group)-index" : "\(settings.reading.group)-index-\(source)"
    }
}
