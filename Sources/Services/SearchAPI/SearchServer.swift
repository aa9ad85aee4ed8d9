import Bytes
import EventLoop
package import HTTPServer
import Retrieval
package import ServiceLifecycle
import Synchronization

extension SearchAPI {
    /// A request's body, bytes: the largest valid one (a query and three filters, all full) fits.
    package static let bodyBytesMax = 512 << 10

    /// The routes on an HTTP router.
    package func router() -> HTTPRouter {
        var router = HTTPRouter()
        for route in Route.allCases {
            let method: HTTPMethod = route.isPost ? .post : .get
            if route.isInline {
                router.on(
                    method, route.rawValue, sync: { [self] request in handleInline(route, .init(request)).response })
            } else {
                router.on(
                    method, route.rawValue,
                    async: { [self] request in
                        // Ranking and quoting take milliseconds of computing: not on the event loop's thread.
                        await withTaskExecutorPreference(globalConcurrentExecutor) {
                            await handle(route, .init(request)).response
                        }
                    })
            }
        }
        return router
    }

    /// Gives faults that the server finds itself the API's one error shape.
    package static let faultShaper: HTTPFaultShaper = { fault, _ in
        var faults: [FieldFault] = []
        if !fault.loc.isEmpty {
            faults.append(
                FieldFault(type: fault.type, location: fault.loc.map(FieldFault.Step.name), message: fault.message))
        }
        let error = APIError(status: fault.status, type: fault.type, message: fault.message, faults: faults)
        var response = error.reply.response
        for field in fault.headers.fields { response.headers[field.name] = field.value }
        return response
    }
}

extension APIRequest {
    init(_ request: HTTPRequest) {
        self.init(
            query: request.query.map { (name: $0.0, value: $0.1) }, body: request.body,
            pathParameters: request.pathParameters)
    }
}

extension APIReply {
    /// The reply as HTTP.
    var response: HTTPResponse {
        var response = HTTPResponse(status: status, headers: ["Content-Type": contentType], body: body)
        for header in headers { response.headers.add(header.name, header.value) }
        return response
    }
}

/// The API as a service: binds its address, serves, and repeats the health checks.
///
/// Drained means: requests that had begun are answered, all connections are closed.
package final class SearchServer: Service {
    package let name = "api"
    private let api: SearchAPI
    private let server: HTTPServer
    private let drainSeconds: Int
    private let bound = Mutex<UInt16?>(nil)

    /// - Parameters:
    ///   - host: a numeric address or a name of this machine.
    ///   - port: 0 for a free one.
    ///   - loops: event loops, one thread each.
    ///   - drainSeconds: how long requests that had begun may still take at a stop.
    package init(api: SearchAPI, host: String, port: UInt16, loops: Int = 1, drainSeconds: Int = 5) {
        self.api = api
        self.drainSeconds = drainSeconds
        var configuration = HTTPServerConfiguration(host: host, port: port)
        configuration.loops = loops
        configuration.bodyBytesMax = SearchAPI.bodyBytesMax
        // The handlers keep REQUEST_TIMEOUT_SEC themselves, with better words; this is the net below.
        configuration.handlerMillisecondsMax = api.configuration.requestTimeoutMilliseconds + 5_000
        server = HTTPServer(configuration: configuration, router: api.router(), errorBody: SearchAPI.faultShaper)
    }

    /// The bound port; nil before ``prepare(stop:)``.
    package var port: UInt16? { bound.withLock { $0 } }

    /// - Throws: when the address cannot be bound.
    package func prepare(stop: StopSignal) async throws {
        let port = try server.start()
        bound.withLock { $0 = port }
        api.dependencies.logger.info("serving", ["port": String(port)])
    }

    package func run(stop: StopSignal) async throws {
        await api.runHealthChecks(stop: stop)
        await stop.wait()
        let (server, drainSeconds) = (self.server, self.drainSeconds)
        try await Lane(name: "api-stop").run { server.stop(drainSeconds: drainSeconds) }
    }
}
