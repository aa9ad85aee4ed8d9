import Concurrency
import Console
import HTTPServer
import Health
import ServiceLifecycle
import Settings
import Telemetry

extension Context {
    /// `/live`, `/ready`, `/health` and `/metrics` at `METRICS_LISTEN`; none where that is empty. Served before the parts are
    /// prepared, so that a start which waits for something says so.
    func probeServices(_ pages: HealthPages) -> [any Service] {
        guard let address = settings.telemetry.metricsListen else { return [] }
        let logger = logger
        let lane = Lane(name: "probes")
        var configuration = HTTPServerConfiguration(host: address.host, port: address.port)
        configuration.connectionsMax = 200
        configuration.bodyBytesMax = 0
        var router = ProbeRoutes.router(pages, metrics)
        // There are no keys here: on the loopback interface only this machine may ask, elsewhere whoever reaches the address.
        if address.isLoopback { router = router.forThisMachine(remedy: "have METRICS_LISTEN at another address") }
        let server = HTTPServer(configuration: configuration, router: router)
        return [
            ClosureService(
                name: "probes",
                prepare: { _ in
                    let port = try await lane.run { try server.start() }
                    logger.info("serving metrics and probes", ["port": "\(port)"])
                },
                run: { stop in
                    await stop.wait()
                    try await lane.run { server.stop(drainSeconds: 1) }
                })
        ]
    }

    /// Probes and, unless the API does, the checks that they show; of a role that is a process of its own.
    func roleServices(_ health: HealthRegistry) -> [any Service] {
        probeServices(HealthPages(health, version: Medallion.version))
            + [ClosureService(name: "health") { stop in await health.run(stop: stop) }]
    }

    /// Serves them while `body` runs: for commands that run for long and end by themselves. Where another process of this
    /// machine has the address they do without.
    func withProbes<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        let stop = StopSignal()
        var running: [Task<Void, any Error>] = []
        for service in probeServices(HealthPages(HealthRegistry(), version: Medallion.version)) {
            do {
                try await service.prepare(stop: stop)
                running.append(Task { try await service.run(stop: stop) })
            } catch {
                logger.warning("metrics are not served", ["error": "\(error)"])
            }
        }
        let outcome: Result<T, any Error>
        do { outcome = .success(try await body()) } catch { outcome = .failure(error) }
        stop.request()
        for task in running { _ = await task.result }
        return try outcome.get()
    }
}

/// What is served at `METRICS_LISTEN`.
private enum ProbeRoutes {
    static func router(_ pages: HealthPages, _ metrics: MetricsRegistry) -> HTTPRouter {
        var router = HTTPRouter()
        router.on(.get, "/live", sync: { _ in reply(pages.live()) })
        router.on(.get, "/ready", sync: { request in reply(pages.ready(isDetailed: isNear(request))) })
        router.on(.get, "/health", sync: { request in reply(pages.health(isDetailed: isNear(request))) })
        router.on(
            .get, "/metrics",
            sync: { _ in
                HTTPResponse(
                    status: 200,
                    headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"],
                    body: metrics.render())
            })
        return router
    }

    private static func reply(_ page: HealthPages.Page) -> HTTPResponse {
        HTTPResponse(
            status: page.status, headers: ["Content-Type": "application/json", "Cache-Control": "no-store"],
            body: page.body)
    }

    /// Whether somebody on this machine asks, by a name of this machine and not through a proxy: error texts name addresses
    /// and folders, which are nobody else's business.
    private static func isNear(_ request: HTTPRequest) -> Bool {
        guard request.client?.isLoopback == true else { return false }
        let (header, mismatch) = LocalTrust().judge(request)
        return header == nil && mismatch == nil
    }
}
