import API
import HTTPServer
import ServiceLifecycle

/// The server has no port.
private struct NoPort: Error {}

extension SearchAPI {
    /// Serves it over HTTP while `body` runs, which gets the port.
    func serving(_ body: (UInt16) async throws -> Void) async throws {
        let server = SearchServer(api: self, configuration: HTTPServerConfiguration(), drainSeconds: 1)
        let stop = StopSignal()
        try await server.prepare(stop: stop)
        let running = Task { try await server.run(stop: stop) }
        let result: Result<Void, any Error>
        do {
            guard let port = server.port else { throw NoPort() }
            result = .success(try await body(port))
        } catch {
            result = .failure(error)
        }
        stop.request()
        try await running.value
        try result.get()
    }
}
