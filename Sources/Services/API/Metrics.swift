import EventLoop
import HTTPServer
import Records
import Retrieval
import Synchronization
import Telemetry

/// What the API counts.
struct APIMetrics: Sendable {
    private let registry: MetricsRegistry
    private let routes = RouteSeries()
    let embedSeconds: Histogram
    let candidateSeconds: Histogram
    let degraded: Counter
    let answers: AnswerMetrics

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        embedSeconds = registry.histogram(
            "medallion_api_embed_seconds", help: "Time to embed a query, cached ones included.")
        candidateSeconds = registry.histogram(
            "medallion_api_candidates_seconds", help: "Time to read both arms' candidates, waiting for a lane included."
        )
        degraded = registry.counter(
            "medallion_api_degraded_searches_total", help: "Hybrid searches served without the vector arm.")
        answers = AnswerMetrics(registry)
    }

    /// Counts a request that was answered, however it was, or abandoned. Called once for each, by the server's hook.
    ///
    /// - Parameter tenant: a declared one, of which there are few; nil where nobody knows it. The standard one has no label, so
    ///   that the series of a deployment without tenants are those of always.
    func count(_ exchange: HTTPExchange, tenant: TenantID? = nil) {
        let route = exchange.pattern ?? Self.noRoute
        let named = tenant == .standard ? nil : tenant?.text
        // A list of lists, so that the reference of the metrics finds the names.
        routes.requests(route, named, exchange.status) {
            registry.counter(
                "medallion_api_requests_total",
                help:
                    "Requests by route (`none`: no such path), status (499: the client left first) and, with a key of "
                    + "another than the tenant `default`, its tenant.",
                labels: [
                    [("route", route), ("status", String(exchange.status))], named.map { [("tenant", $0)] } ?? [],
                ].flatMap(\.self))
        }.increment()
        routes.seconds(route, named) {
            registry.histogram(
                "medallion_api_request_seconds", help: "Time from a request's last byte to its reply's first.",
                labels: [[("route", route)], named.map { [("tenant", $0)] } ?? []].flatMap(\.self))
        }.observe(Double(exchange.firstNanoseconds) / 1e9)
    }

    /// Counts what of a question became filters.
    func count(_ interpretation: Interpretation?) {
        for part in interpretation?.parts ?? [] {
            registry.counter(
                "medallion_api_interpreted_total",
                help: "Parts of questions that were made filters (`interpreted` of the reply), by what they name.",
                labels: [("kind", part.kind.rawValue)]
            ).increment()
        }
    }

    /// The label of requests that no route takes: paths are the clients' words, and there is no end of them.
    private static let noRoute = "none"

    /// Counts what met a limit of the server.
    func count(_ reason: HTTPCutReason) {
        registry.counter(
            "medallion_api_cut_connections_total",
            help: "Connections and replies cut because a limit of the server was met, by reason.",
            labels: [("reason", reason.rawValue)]
        ).increment()
    }

    /// Shows what the server holds.
    func show(_ load: @escaping @Sendable () -> HTTPLoad) {
        registry.gauge("medallion_api_open_connections", help: "Connections of clients of the API.") {
            Double(load().connections)
        }
        registry.gauge(
            "medallion_api_open_streams", help: "Replies that are being streamed: events, and answers word by word."
        ) { Double(load().streams) }
        registry.gauge(
            "medallion_api_request_memory_bytes", help: "Memory held by requests that are read or answered."
        ) { Double(load().requestBytes) }
        registry.gauge("medallion_api_reply_memory_bytes", help: "Replies that wait for their readers.") {
            Double(load().replyBytes)
        }
    }

    /// Shows when the certificate ends that the server uses now.
    func show(certificateOf tls: TLSContext) {
        registry.gauge(
            "medallion_api_certificate_end_timestamp_seconds",
            help: "When the TLS certificate in use ends, seconds since 1970; NaN where it does not tell."
        ) { tls.endSeconds.map { Double($0) } ?? .nan }
    }
}

/// Series of the requests, so that a request need not make the text of its labels. Bounded by the routes, the declared
/// tenants, and the statuses that the API gives.
private final class RouteSeries: Sendable {
    private struct Name: Hashable {
        let route: String
        let tenant: String?
    }

    private struct Route: Sendable {
        var requests: [Int: Counter] = [:]
        var seconds: Histogram?
    }

    private let known = Mutex<[Name: Route]>([:])

    func requests(_ route: String, _ tenant: String?, _ status: Int, make: () -> Counter) -> Counter {
        let name = Name(route: route, tenant: tenant)
        return known.withLock { known in
            if let counter = known[name]?.requests[status] { return counter }
            let counter = make()
            known[name, default: Route()].requests[status] = counter
            return counter
        }
    }

    func seconds(_ route: String, _ tenant: String?, make: () -> Histogram) -> Histogram {
        let name = Name(route: route, tenant: tenant)
        return known.withLock { known in
            if let histogram = known[name]?.seconds { return histogram }
            let histogram = make()
            known[name, default: Route()].seconds = histogram
            return histogram
        }
    }
}
