import Bytes
package import Retrieval
package import ServiceLifecycle
package import Telemetry

/// Where events come from, as the feed shows it.
package struct PipelineStatus: Sendable {
    /// Kinds of sources.
    package enum SourceKind: String, Sendable {
        case live
        case recording
        case generated
        case unknown
    }

    /// Live, recorded or made up: a visitor must know which.
    package var kind: SourceKind
    /// The stream's address, the recording's file name, the generator's seed.
    package var name: String
    /// When the producer last took an event from the source, milliseconds since 1970; nil where that is not known here.
    package var receivedAtMilliseconds: Int64?
    /// Source offsets that the index has not reached yet, all topic partitions together; nil where not known here.
    package var eventsBehind: Int64?

    package init(
        kind: SourceKind, name: String, receivedAtMilliseconds: Int64? = nil, eventsBehind: Int64? = nil
    ) {
        self.kind = kind
        self.name = name
        self.receivedAtMilliseconds = receivedAtMilliseconds
        self.eventsBehind = eventsBehind
    }
}

/// What the API is built from. It knows no database, file or model, only these.
package struct SearchAPIDependencies: Sendable {
    /// Opens one more connection to the index; called on the lane that will own it.
    package var makeStore: @Sendable () throws -> any RetrievalStore
    /// Opens a reader of the lake and the index; called on the lane that will own it.
    package var makeTraceSource: @Sendable () throws -> any TraceSource
    /// Nil where embedding is switched off: only the lexical arm is left.
    package var embedder: QueryEmbedder?
    package var health: HealthRegistry
    package var metrics: MetricsRegistry
    package var logger: Logger
    /// Where events come from; nil in a process that does not know.
    package var pipeline: @Sendable () -> PipelineStatus?

    /// Memberwise.
    package init(
        makeStore: @escaping @Sendable () throws -> any RetrievalStore,
        makeTraceSource: @escaping @Sendable () throws -> any TraceSource, embedder: QueryEmbedder?,
        health: HealthRegistry, metrics: MetricsRegistry, logger: Logger,
        pipeline: @escaping @Sendable () -> PipelineStatus? = { nil }
    ) {
        self.makeStore = makeStore
        self.makeTraceSource = makeTraceSource
        self.embedder = embedder
        self.health = health
        self.metrics = metrics
        self.logger = logger
        self.pipeline = pipeline
    }
}

/// How the API behaves.
package struct SearchAPIConfiguration: Sendable {
    /// One request may take so long (`REQUEST_TIMEOUT_SEC`).
    package var requestTimeoutMilliseconds = 30_000
    /// Whether `/answer` is served (`ANSWER_ENABLED`).
    package var isAnswerEnabled = true
    /// Connections to the index, and so queries at once.
    package var storeLanes = 4
    package var traceLanes = 1
    /// Of the program, for `/health`.
    package var version = "dev"

    package init() {}
}

/// The HTTP API's handlers, free of HTTP: a request in, a reply out. ``router()`` puts them on a server.
package final class SearchAPI: Sendable {
    let configuration: SearchAPIConfiguration
    let dependencies: SearchAPIDependencies
    let metrics: APIMetrics
    let stores: LanePool<any RetrievalStore>
    let traces: LanePool<any TraceSource>
    let startedAtNanoseconds = SystemClock.monotonicNanoseconds()

    package init(configuration: SearchAPIConfiguration, dependencies: SearchAPIDependencies) {
        self.configuration = configuration
        self.dependencies = dependencies
        metrics = APIMetrics(dependencies.metrics)
        stores = LanePool(name: "index", count: configuration.storeLanes, make: dependencies.makeStore)
        traces = LanePool(
            name: "trace", count: configuration.traceLanes, waitersMax: 32, make: dependencies.makeTraceSource)
    }

    /// Serves one request; every failure is a reply.
    package func handle(_ route: Route, _ request: APIRequest) async -> APIReply {
        let start = SystemClock.monotonicNanoseconds()
        let reply: APIReply
        do {
            reply = try await dispatch(route, request)
        } catch let error as APIError {
            if error.status >= 500 { log(error.description, route) }
            reply = error.reply
        } catch is CancellationError {
            reply = APIError(status: 503, type: "cancelled", message: "the request was cancelled").reply
        } catch {
            // Everything the handlers call is a dependency (index, lake, model); their errors say what and why.
            log("\(error)", route)
            reply = APIError.unavailable("a dependency", Snippet.head(of: "\(error)", charactersMax: 500)).reply
        }
        let seconds = Double(SystemClock.monotonicNanoseconds() - start) / 1e9
        metrics.count(route: route, status: reply.status, seconds: seconds)
        return reply
    }

    private func dispatch(_ route: Route, _ request: APIRequest) async throws -> APIReply {
        let deadline = Deadline(milliseconds: configuration.requestTimeoutMilliseconds)
        switch route {
        case .search: return try await search(BodyDecoder.search(request.body), deadline: deadline)
        case .answer: return try await answer(BodyDecoder.answer(request.body), deadline: deadline)
        case .recent: return try await recent(request, deadline: deadline)
        case .trace: return try await trace(request, deadline: deadline)
        case .health: return health()
        case .metrics: return metricsText()
        case .page: return Self.page()
        case .pageFile: return try Self.pageFile(request.pathParameters["file"] ?? "")
        }
    }

    /// Serves one request of a route that never waits (see ``Route/isInline``).
    package func handleInline(_ route: Route, _ request: APIRequest) -> APIReply {
        let start = SystemClock.monotonicNanoseconds()
        let reply: APIReply
        do {
            reply =
                switch route {
                case .health: health()
                case .metrics: metricsText()
                case .pageFile: try Self.pageFile(request.pathParameters["file"] ?? "")
                default: Self.page()
                }
        } catch {
            reply = error.reply
        }
        let seconds = Double(SystemClock.monotonicNanoseconds() - start) / 1e9
        metrics.count(route: route, status: reply.status, seconds: seconds)
        return reply
    }

    /// Runs the health checks until stopped, the API's own included. To be run beside the server.
    package func runHealthChecks(stop: StopSignal) async {
        registerOwnChecks()
        await dependencies.health.run(stop: stop)
    }

    private func metricsText() -> APIReply {
        APIReply(
            status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
            headers: [("Cache-Control", "no-store")], body: dependencies.metrics.render())
    }

    private func log(_ message: String, _ route: Route) {
        dependencies.logger.warning("request failed", ["route": route.rawValue, "error": message])
    }
}
