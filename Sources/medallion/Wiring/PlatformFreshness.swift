import API
import Health
import Ingest
import Records
import Settings
import Telemetry

extension FreshnessLimits {
    /// As the settings say.
    init(_ settings: Settings) {
        func milliseconds(_ seconds: Double) -> Int64 { Int64(seconds * 1_000) }
        self.init(
            eventsBehindMax: Int64(settings.freshness.readyLagMax),
            lateMilliseconds: milliseconds(settings.freshness.lateSeconds),
            staleMilliseconds: milliseconds(settings.freshness.staleSeconds),
            unknownMilliseconds: milliseconds(settings.freshness.unknownSeconds),
            silentMilliseconds: milliseconds(settings.freshness.silentSeconds))
    }
}

extension Platform {
    /// What holds the index's freshness in a process that serves it, with its series.
    func freshnessBoard() -> SourcesFreshness {
        let board = SourcesFreshness(limits: FreshnessLimits(settings))
        FreshnessMetrics.register(context.metrics, board)
        return board
    }

    /// The pages of a process that serves the index.
    func servingPages(_ health: HealthRegistry, _ board: SourcesFreshness) -> HealthPages {
        HealthPages(health, freshness: { (board.current, board.limits) }, version: Medallion.version)
    }
}

extension SourcesFreshness {
    /// How fresh the index is for a tenant's sources; nil: for all.
    func current(of tenant: TenantID?, _ declared: DeclaredSources) -> Freshness {
        guard let tenant else { return current }
        let names = Set(declared.sources(of: tenant).map(\.name.text))
        return current { names.contains($0) }
    }

    /// Each declared source.
    ///
    /// - Parameters:
    ///   - tenant: whose sources; nil for all.
    ///   - wishes: what operators ask of it.
    ///   - connector: what fills its topic in this process; nil where that runs elsewhere.
    func statuses(
        of declared: DeclaredSources, tenant: TenantID? = nil, wishes: (String) -> SourceWishes?,
        connector: (String) -> ProducerStatus? = { _ in nil }
    ) -> [SourceStatus] {
        let known = Dictionary(bySource.map { ($0.source, $0.freshness) }, uniquingKeysWith: { first, _ in first })
        return declared.sources(of: tenant).map { source in
            let status = connector(source.name.text)
            var result = SourceStatus(
                name: source.name.text, connector: source.connector.kind.rawValue, phase: status?.phase.rawValue,
                lastEventMilliseconds: status?.lastEventArrivalMilliseconds
                    ?? flow.movedAtMilliseconds(source.name.text),
                freshness: known[source.name.text] ?? .notLookedAt)
            result.position = status?.acknowledgedPosition
            (result.lastError, result.lastErrorMilliseconds) = (status?.lastError, status?.lastErrorMilliseconds)
            (result.lagBytes, result.snapshot) = (status?.lagBytes, status?.snapshot)
            result.pause = wishes(source.name.text)?.pause.map { SourcePause($0) }
            return result
        }
    }
}

extension SourcePause {
    /// As a request asked for it.
    init(_ request: SourceRequest) {
        self.init(by: request.by, reason: request.reason, atMilliseconds: request.atMilliseconds)
    }
}
