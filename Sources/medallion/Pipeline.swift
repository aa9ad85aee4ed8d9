import Bytes
import Producer
import SearchAPI
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
        let monitor = PipelineMonitor(platform: platform, kind: kind, name: name)
        let options: @Sendable () throws -> StreamJobOptions = { [platform] in
            try StreamJobOptions(context.settings, kafka: platform.kafka("stream"))
        }
        _ = try options()  // A wrong setting ends the start before anything runs.
        try platform.checkModelSettings()
        var services: [any Service] = []
        if platform.isBrokerEmbedded { services += [platform.brokerService(), platform.topicsService()] }
        services += platform.databaseServices()
        services.append(platform.sizeService(of: [.broker, .lake, .index]))
        services.append(platform.indexerService(health: health))
        services.append(
            try platform.apiService(health: health, pipeline: { monitor.status }, stages: { monitor.stages }))
        services.append(
            DeferredService(name: "stream") {
                let job = StreamJob(
                    options: try options(), registry: context.metrics, logger: context.logger.scoped("stream"))
                health.register("stream", isRequired: false) {
                    job.trouble.map { HealthReport(.failed, $0) } ?? HealthReport(.ok)
                }
                return job
            })
        services.append(monitor)
        if case .simulated(let simulator, _, _) = source { services.append(simulator) }
        services.append(producerService(health: health, monitor: monitor))
        return services
    }

    private func producerService(health: HealthRegistry, monitor: PipelineMonitor) -> any Service {
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
            health.register("source", isRequired: false) {
                let status = producer.status
                return HealthReport(
                    status.isConnected ? .ok : .failed, status.isConnected ? "" : status.lastError ?? "not connected",
                    detail: [
                        ("url", "\(url)"), ("phase", status.phase.rawValue), ("reconnects", "\(status.reconnects)"),
                    ])
            }
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
