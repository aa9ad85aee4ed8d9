import Bytes
import EventLoop
import HTTPEndpoints
package import HTTPServer
package import ServiceLifecycle
import Synchronization

extension SearchAPI {
    /// A request's body, bytes: the largest valid one (a query and three filters, all full) fits.
    package static let bodyBytesMax = 512 << 10

    /// The endpoints on an HTTP router.
    package func router() -> HTTPRouter { endpoints().router() }

    /// Gives faults that the server finds itself the API's one error shape.
    package static let faultShaper: HTTPFaultShaper = { fault, _ in APIError(fault).response }
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
    ///   - configuration: where to listen and what to allow; limits that follow from the API are set here.
    ///   - drainSeconds: how long requests that had begun may still take at a stop.
    package init(api: SearchAPI, configuration: HTTPServerConfiguration, drainSeconds: Int = 5) {
        self.api = api
        self.drainSeconds = drainSeconds
        var configuration = configuration
        configuration.bodyBytesMax = SearchAPI.bodyBytesMax
        // The handlers keep REQUEST_TIMEOUT_SEC themselves, with better words; this is the net below.
        configuration.handlerMillisecondsMax = api.configuration.requestTimeoutMilliseconds + 5_000
        configuration.hasRequestIDs = true
        configuration.fixedHeaders = ["X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"]
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
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.api.runHealthChecks(stop: stop) }
            if let events = api.dependencies.events { group.addTask { await events.run(stop: stop) } }
        }
        await stop.wait()
        let (server, drainSeconds) = (self.server, self.drainSeconds)
        try await Lane(name: "api-stop").run { server.stop(drainSeconds: drainSeconds) }
    }
}
