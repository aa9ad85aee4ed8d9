import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import Retrieval
import Telemetry

/// What operators and probes ask: `/health`, `/ready`, `/live`, `/pipeline/status`, `/sources`, `/history`, `/metrics`.
struct Operation: Sendable {
    let registry: HealthRegistry
    let pages: HealthPages
    let metrics: MetricsRegistry
    /// Of its own, so that the index does not count as gone while long searches hold the others.
    let stores: StoreLanes
    /// Nil where embedding is switched off.
    let embedder: QueryEmbedder?
    let pipeline: @Sendable (TenantID?) -> PipelineStatus?
    let freshness: @Sendable (TenantID?) -> Freshness
    let flow: PipelineFlow
    let sources: @Sendable (TenantID?) -> [SourceStatus]
    let access: AccessGuard
    let history: MetricsHistory
    /// Nil where servers share none.
    let sharedCache: SecondCache?
    let rates = SourceRates()
    /// Of what is searched though the database cannot be reached, see ``SharedArms/staleMilliseconds``.
    let staleMilliseconds: @Sendable () -> Int64?

    init(
        _ configuration: SearchAPIConfiguration, _ dependencies: SearchAPIDependencies, stores: StoreLanes,
        access: AccessGuard
    ) {
        let (freshness, limits) = (dependencies.freshness, configuration.freshnessLimits)
        pages = HealthPages(
            dependencies.health, freshness: { (freshness(nil), limits) }, version: configuration.version)
        registry = dependencies.health
        metrics = dependencies.metrics
        embedder = dependencies.embedder
        pipeline = dependencies.pipeline
        self.freshness = freshness
        flow = dependencies.flow
        sources = dependencies.sources
        self.stores = stores
        let arms = dependencies.arms?.shared
        staleMilliseconds = { arms?.staleMilliseconds }
        self.access = access
        sharedCache = dependencies.secondCache
        history = MetricsHistory(
            dependencies.metrics, flow: dependencies.flow,
            stepMilliseconds: configuration.historyStepMilliseconds, freshness: { freshness(nil) })
    }

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.health, inline: { _, request in health(isDetailed: access.maySeeDetails(request)) })
        set.add(Contract.ready, inline: { _, request in ready(isDetailed: access.maySeeDetails(request)) })
        set.add(Contract.live, inline: { _, _ in live() })
        set.add(Contract.status, inline: { _, request in try pipelineStatus(request) })
        set.add(Contract.sources, inline: { _, request in try sourcesReply(request) })
        set.add(Contract.history, inline: { _, request in try historyReply(request) })
        set.add(Contract.metrics, inline: { _, request in try metricsText(request) })
    }

    /// `GET /health`: every dependency with its state. 503 when one that searching needs has failed.
    ///
    /// - Parameter isDetailed: whether the caller may see more than the state: addresses, versions, errors.
    func health(isDetailed: Bool) -> HTTPResponse {
        .fresh(
            pages.health(isDetailed: isDetailed) { writer in
                writer.key("pipeline")
                writer.pipeline(pipeline(nil), freshness(nil))
            })
    }

    /// `GET /ready`: whether this process should be asked.
    ///
    /// - Parameter isDetailed: whether the caller may see the reasons.
    func ready(isDetailed: Bool) -> HTTPResponse { .fresh(pages.ready(isDetailed: isDetailed)) }

    /// `GET /live`: the process answers.
    private func live() -> HTTPResponse { .fresh(pages.live()) }

    /// - Throws: 403 where figures of all tenants are not the caller's to see.
    func demandAllTenants(_ request: HTTPRequest) throws {
        guard access.seesAllTenants(request) else {
            throw access.refusal(
                403, "forbidden",
                "the figures are of all tenants; this takes the key of an administrator of the platform")
        }
    }

    /// `GET /metrics`. The labels name sources and topics of all tenants.
    private func metricsText(_ request: HTTPRequest) throws -> HTTPResponse {
        try demandAllTenants(request)
        return HTTPResponse(
            headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"],
            body: metrics.render())
    }

    /// Checks of what the API itself talks to. The others are registered by whoever starts them.
    func registerOwnChecks() {
        registry.register("index", isRequired: true) { [stores, staleMilliseconds] in
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let status: IndexStatus
            do {
                status = try await stores.run(deadline: deadline) { store, timeout in
                    try store.status(timeoutMilliseconds: timeout)
                }
            } catch {
                guard let age = staleMilliseconds() else { throw error }
                return HealthReport(
                    .degraded, "it cannot be read; searches are done in memory, as of \(age / 1_000) s ago: \(error)")
            }
            return HealthReport(
                .ok, status.serverVersion,
                detail: [
                    ("generation", String(status.generation)), ("index_version", String(status.indexVersion)),
                    ("indexed_at", status.indexedAtMilliseconds.map { CivilTime.rfc3339($0) } ?? "never"),
                ])
        }
        if let sharedCache { registry.register("cache", isRequired: false) { await sharedCache.health() } }
        guard let embedder else {
            registry.register("embedding", isRequired: false) {
                HealthReport(.degraded, "switched off (EMBED_ENABLED): only the lexical arm is served")
            }
            return
        }
        registry.register("embedding", isRequired: false) {
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let vectors = try await embedder.vectors(of: ["health"], deadline: deadline)
            return HealthReport(
                .ok, embedder.modelName, detail: [("dimensions", String(vectors.first?.count ?? 0))])
        }
    }
}

extension HTTPResponse {
    fileprivate static func fresh(_ page: HealthPages.Page) -> HTTPResponse { .fresh(page.body, status: page.status) }
}
