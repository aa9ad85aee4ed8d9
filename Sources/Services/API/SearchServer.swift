import Access
import Bytes
import Concurrency
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

    /// Gives faults that the server finds itself the shape of the path's errors.
    package static let faultShaper: HTTPFaultShaper = { fault, request in
        ErrorShape(path: request?.path ?? "").response(APIError(fault), requestID: request?.id ?? "")
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
    private let tls: TLSContext?
    private let log: AccessLog?
    private let bound = Mutex<UInt16?>(nil)
    /// Between two readings of the certificate.
    private static let renewalMilliseconds = 60_000
    private static let removalMilliseconds = 30_000

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
        configuration.fixedHeaders = Self.safeHeaders(isEncrypted: configuration.tls != nil)
        tls = configuration.tls
        let path = api.configuration.accessLog
        let log =
            path.isEmpty
            ? nil : AccessLog(path: path, metrics: api.dependencies.metrics, logger: api.dependencies.logger)
        self.log = log
        let metrics = api.metrics
        server = HTTPServer(
            configuration: configuration, router: api.router(), errorBody: SearchAPI.faultShaper,
            observe: { exchange in
                // Computed again rather than carried along: half a microsecond, and only where there is a key.
                let (key, tenant) = api.access.names(exchange.headers)
                metrics.count(exchange, tenant: tenant.flatMap { api.access.tenants().contains($0) ? $0 : nil })
                log?.note(exchange, key: key, tenant: tenant?.text)
            }, onCut: { metrics.count($0) })
        metrics.show { [weak server] in
            server?.load ?? HTTPLoad(connections: 0, streams: 0, requestBytes: 0, replyBytes: 0)
        }
        if let tls { metrics.show(certificateOf: tls) }
    }

    /// For every reply; pages have a content security policy besides.
    private static func safeHeaders(isEncrypted: Bool) -> HTTPHeaders {
        var headers: HTTPHeaders = [
            "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
        ]
        // RFC 6797: half a year.
        if isEncrypted { headers.add("Strict-Transport-Security", "max-age=15768000") }
        return headers
    }

    /// The bound port; nil before ``prepare(stop:)``.
    package var port: UInt16? { bound.withLock { $0 } }

    /// - Throws: when the address cannot be bound.
    package func prepare(stop: StopSignal) async throws {
        // So that the first request finds the keys; where that fails, the following goes on trying.
        if let readKeys = api.dependencies.readKeys, let keys = try? await Lane(name: "api-keys").run(readKeys) {
            api.access.use(KeyRing(keys))
        }
        let port = try server.start()
        bound.withLock { $0 = port }
        api.dependencies.logger.info("serving", ["port": String(port)])
    }

    package func run(stop: StopSignal) async throws {
        // The log goes on until the last request is answered.
        let served = StopSignal()
        async let logging: Void? = log?.run(stop: served)
        // At its end it writes files, which the requests' end does not wait for.
        async let following: Void? = api.dependencies.arms?.run(stop: stop)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.api.runHealthChecks(stop: stop) }
            if let events = api.dependencies.events { group.addTask { await events.run(stop: stop) } }
            if let readKeys = api.dependencies.readKeys {
                group.addTask { await self.api.access.followKeys(readKeys, stop: stop) }
            }
            group.addTask { await self.api.answers.keeper.run(stop: stop) }
            group.addTask { await self.api.search.recall.run(stop: stop) }
            group.addTask { await self.api.operation.history.run(stop: stop) }
            group.addTask { await self.api.answers.hits.run(stop: stop) }
            if let removal = api.dependencies.removeArms {
                group.addTask { await self.removeArms(removal, stop: stop) }
            }
            if let tls { group.addTask { await self.renew(tls, stop: stop) } }
        }
        await stop.wait()
        let (server, drainSeconds) = (self.server, self.drainSeconds)
        defer { served.request() }
        try await Lane(name: "api-stop").run { server.stop(drainSeconds: drainSeconds) }
        served.request()
        await logging
        await following
    }

    /// Removes files of the index in memory, once the database can be asked which are its own.
    private func removeArms(_ removal: @escaping @Sendable () throws -> [String], stop: StopSignal) async {
        let lane = Lane(name: "arms-files")
        let logger = api.dependencies.logger
        var hasFailed = false
        repeat {
            do {
                let names = try await lane.run(removal)
                if !names.isEmpty {
                    logger.info(
                        "files of the index in memory were removed, since none are kept any more",
                        ["files": names.joined(separator: " ")])
                }
                return
            } catch {
                if !hasFailed {
                    logger.warning(
                        "files of the index in memory are not removed yet: it cannot be told which are the database's",
                        ["error": "\(error)"])
                }
                hasFailed = true
            }
        } while !(await stop.pause(milliseconds: Self.removalMilliseconds))
    }

    /// Reads certificate and key again now and then, so that a renewal needs no restart.
    private func renew(_ tls: TLSContext, stop: StopSignal) async {
        let lane = Lane(name: "api-tls")
        while !(await stop.pause(milliseconds: Self.renewalMilliseconds)) {
            do {
                try await lane.run { try tls.reload() }
            } catch {
                api.dependencies.logger.warning("the certificate stays as it is", ["error": "\(error)"])
            }
        }
    }
}
