import API
import Bytes
import Health
import Logic
import ServiceLifecycle
import Simulator
import Sources

/// All roles of one process, from the sources to the API.
struct Pipeline {
    /// Where events of the event streams come from.
    enum Source {
        /// From the addresses that are declared.
        case live
        /// A simulator of this process, in place of those; the name is for people.
        case simulated(Simulator, PipelineStatus.SourceKind, name: String)
    }

    let platform: Platform
    let declarations: Declarations
    let source: Source

    /// In the order of their start: what is depended on comes first, the source of events last, so that a stop ends
    /// intake first and every later part drains what it has.
    func services() throws -> [any Service] {
        let context = platform.context
        let health = HealthRegistry()
        let freshness = platform.freshnessBoard()
        let monitor = PipelineMonitor(
            platform: platform, declarations: declarations, kind: kind, name: name, freshness: freshness)
        // A wrong setting ends the start before anything runs.
        for source in declarations.current.sources { _ = try platform.streamOptions(source) }
        try platform.checkModelSettings()
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: false)
        declarations.register(in: health)
        platform.registerSourceRequests(in: health)
        let faults = platform.registerSuppressions(in: health)
        let jobs = roles.streamJobs()
        let outcomes = platform.sourceOutcomeReporter(pushed: { declarations.pushedSources })
        let connectors = roles.connectors(
            outcomes: outcomes,
            address: { [source] declared in
                guard case .simulated(let simulator, _, _) = source else { return nil }
                return Self.address(of: declared, in: simulator)
            },
            removed: { name in
                monitor.forget(name)
                freshness.unfollow(name)
            },
            started: { name, service, watch in
                monitor.follow(name, service)
                freshness.board(of: name).follow { watch.facts }
            })
        // What tells OpenLineage is stopped last, when all is told.
        var services: [any Service] = try platform.lineageEmitters()
        services += context.probeServices(platform.servingPages(health, freshness))
        if platform.isBrokerEmbedded {
            services += [platform.brokerService(), platform.topicsService(declarations)]
        }
        services += platform.databaseServices()
        services.append(platform.sizeService(of: [.broker, .lake, .index]))
        services.append(platform.modelService())
        services += [platform.erasureApplying(), platform.suppressionApplying(faults)]
        services.append(roles.indexers())
        services.append(platform.upkeepService(declarations))
        services.append(roles.freshness(freshness))
        services += [platform.sourceRequestFollowing(), outcomes]
        services.append(
            try platform.apiService(
                declarations, health: health, freshness: freshness, pipeline: { monitor.status(of: $0) },
                sources: { monitor.sources(of: $0) }))
        services.append(jobs)
        services.append(platform.suppressionLogging(faults))
        services.append(monitor)
        if case .simulated(let simulator, _, _) = source { services.append(simulator) }
        return services + [connectors, declarations]
    }

    /// Where the simulator has what a source follows; nil where it has nothing like that.
    private static func address(of source: SourceDeclaration, in simulator: Simulator) -> SecretURL? {
        guard case .serverSentEvents(let declared) = source.connector else { return nil }
        let named = declared.url.revealed.split(separator: "/").last.map { $0.prefix { $0 != "?" && $0 != "#" } }
        let found = named.flatMap { SimulatedStream(rawValue: String($0)) }
        let wanted: SimulatedStream? = source.logic.kind == .recentChange ? .recentChange : found
        guard let stream = wanted, simulator.streams.contains(stream) else { return nil }
        return SecretURL("http://127.0.0.1:\(simulator.port ?? 0)\(stream.path)")
    }

    private var kind: PipelineStatus.SourceKind {
        switch source {
        case .live: .live
        case .simulated(_, let kind, _): kind
        }
    }

    /// Of a simulator; else the addresses and folders that are declared.
    private var name: String? {
        switch source {
        case .live: nil
        case .simulated(_, _, let name): name
        }
    }
}
