import API
import Bytes
import Health
import Ingest
import ServiceLifecycle
import Simulator
import StreamJob

/// All roles of one process, from the source to the API.
struct Pipeline {
    /// Where events come from.
    enum Source {
        case live(SecretURL)
        /// A simulator of this process; the name is for people.
        case simulated(Simulator, PipelineStatus.SourceKind, name: String)
    }

    let platform: Platform
    let source: Source

    /// In the order of their start: what is depended on comes first, the source of events last, so that a stop ends
    /// intake first and every later part drains what it has.
    func services() throws -> [any Service] {
        let context = platform.context
        let health = HealthRegistry()
        let board = platform.freshnessBoard()
        let monitor = PipelineMonitor(platform: platform, kind: kind, name: name, freshness: board)
        let options: @Sendable () throws -> StreamJobOptions = { [platform] in
            let source = try DeclaredSources.environment(context.settings)
            return try StreamJobOptions(context.settings, source: source, kafka: platform.kafka("stream"))
        }
        _ = try options()  // A wrong setting ends the start before anything runs.
        try platform.checkModelSettings()
        for name in ["stream", "source", "delivery"] { health.expect(name, isRequired: false) }
        var services = context.probeServices(platform.servingPages(health, board))
        if platform.isBrokerEmbedded { services += [platform.brokerService(), platform.topicsService()] }
        services += platform.databaseServices()
        services.append(platform.sizeService(of: [.broker, .lake, .index]))
        services.append(platform.indexerService(health: health, isRequired: false))
        services.append(platform.freshnessService(board))
        services.append(
            try platform.apiService(
                health: health, freshness: board, pipeline: { monitor.status }, stages: { monitor.stages }))
        services.append(
            DeferredService(name: "stream") { [platform] in
                let job = StreamJob(
                    options: try options(), registry: context.metrics, logger: context.logger.scoped("stream"))
                platform.register(job, in: health, isRequired: false)
                return job
            })
        services.append(monitor)
        if case .simulated(let simulator, _, _) = source { services.append(simulator) }
        services.append(producerService(health: health, monitor: monitor, board: board))
        return services
    }

    private func producerService(
        health: HealthRegistry, monitor: PipelineMonitor, board: FreshnessBoard
    ) -> any Service {
        let context = platform.context
        return DeferredService(name: "producer") { [platform, source] in
            let url: SecretURL =
                switch source {
                case .live(let url): url
                case .simulated(let simulator, _, _):
                    SecretURL("http://127.0.0.1:\(simulator.port ?? 0)\(Simulator.path)")
                }
            var configuration = ProducerConfiguration(context.settings, brokers: platform.brokers, url: url)
            configuration.kafka = platform.kafka("producer")
            let producer = Producer(configuration: configuration, metrics: context.metrics, logger: context.logger)
            monitor.follow(producer)
            let watch = ProducerWatch(producer, url: url)
            watch.register(in: health, isRequired: false)
            board.follow { watch.facts }
            return producer
        }
    }

    private var kind: PipelineStatus.SourceKind {
        switch source {
        case .live: .live
        case .simulated(_, let kind, _): kind
        }
    }

    private var name: String {
        switch source {
        case .live(let url): "\(url)"
        case .simulated(_, _, let name): name
        }
    }
}
