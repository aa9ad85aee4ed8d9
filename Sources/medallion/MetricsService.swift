import HTTPServer
import ServiceLifecycle
import Settings
import Telemetry

extension Context {
    /// `GET /metrics` for roles that have no API of their own, at `METRICS_LISTEN`; none where that is empty.
    func metricsServices() -> [any Service] {
        guard let address = settings.metricsListen else { return [] }
        let (registry, logger) = (metrics, logger)
        let lane = Lane(name: "metrics")
        var router = HTTPRouter()
        router.on(
            .get, "/metrics",
            sync: { _ in
                HTTPResponse(
                    status: 200,
                    headers: ["Content-Type": "text/plain; version=0.0.4; charset=utf-8", "Cache-Control": "no-store"],
                    body: registry.render())
            })
        // There are no keys here: on the loopback interface only this machine may ask, elsewhere whoever reaches the address.
        if address.isLoopback { router = router.forThisMachine(remedy: "have METRICS_LISTEN at another address") }
        let server = HTTPServer(
            configuration: HTTPServerConfiguration(host: address.host, port: address.port), router: router)
        return [
            ClosureService(
                name: "metrics",
                prepare: { _ in
                    let port = try await lane.run { try server.start() }
                    logger.info("serving metrics", ["port": "\(port)"])
                },
                run: { stop in
                    await stop.wait()
                    try await lane.run { server.stop(drainSeconds: 1) }
                })
        ]
    }
}
