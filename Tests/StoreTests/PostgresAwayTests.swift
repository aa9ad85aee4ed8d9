import API
import Access
import Bytes
import EmbeddedPostgres
import Glibc
import HTTPClient
import HTTPServer
import Hashing
import Health
import IndexTesting
import JSONScan
import PlatformTesting
import Postgres
import Records
import Retrieval
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// A server whose Postgres stops and comes back goes on searching meanwhile, for whoever has a key, and says how old what it
/// searches is.
@Suite struct PostgresAwayTests {
    private struct Missing: Error {
        var line = #line
    }

    @Test func searchesGoOnWithoutPostgres() async throws {
        let folder = try TemporaryFolder()
        chmod(folder.path, 0o711)
        var configuration = EmbeddedPostgresConfiguration(folder: folder.file("postgres"))
        (configuration.memoryBytes, configuration.isDurable) = (128 << 20, false)
        let postgres = EmbeddedPostgres(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("postgres", level: .error))
        try postgres.start()
        defer { postgres.shutDown() }
        let database = PostgresConfiguration(dsn: postgres.dsn)
        try Migrator(connection: PostgresConnection(database, timeoutMilliseconds: IndexFixture.limit)).migrate()
        try Self.write(1, to: database)
        let key = try Self.makeKey(in: database)

        let scene = Scene(database)
        try await scene.serving { port in
            try await Self.eventually { scene.follower.shared.sizes[.standard]?.rows == 1 }
            let fresh = try Self.search(port, key)
            #expect(fresh.status == 200 && fresh.body["hits"]?.array?.count == 1)
            #expect(fresh.body["index_age_seconds"] == nil)

            postgres.shutDown()
            // It is not known at once.
            try await Self.eventually { (try Self.search(port, key).body["index_age_seconds"]?.double ?? 0) > 1 }
            let away = try Self.search(port, key)
            #expect(away.status == 200 && away.body["hits"]?.array?.first?["title"]?.string == "Title 1")
            #expect(try Self.search(port, key + "x").status == 401)
            #expect(try Self.search(port, key, ", \"min_index_version\": 1").status == 200)
            #expect(try Self.search(port, key, ", \"facets\": [\"lang\"]").status == 503)
            try await Self.eventually { try Self.health(port, key).contains("searches are done in memory, as of") }

            try postgres.start()
            try Self.write(2, to: database)
            try await Self.eventually { try Self.search(port, key).body["hits"]?.array?.count == 2 }
            #expect(try Self.search(port, key).body["index_age_seconds"] == nil)
        }
    }

    private static func write(_ number: Int, to database: PostgresConfiguration) throws {
        _ = try IndexWriter(configuration: database).write(
            [IndexFixture.document(number, text: "river \(number)", embedding: nil, model: "")],
            timeoutMilliseconds: IndexFixture.limit)
        try IndexFixture.countWords(database)
    }

    private static func makeKey(in database: PostgresConfiguration) throws -> String {
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        var hasher = try SHA256Hasher()
        let digest = try Array(text.text.utf8).withUnsafeBytes { try hasher.hash($0) }
        try KeyStore(configuration: database).create(
            APIKey(
                id: text.id, name: "test", role: .admin, tenant: nil, sha256: digest.hex,
                createdAtMilliseconds: SystemClock.epochMilliseconds()), timeoutMilliseconds: IndexFixture.limit)
        return text.text
    }

    /// A server over a database, which nobody may ask without a key.
    private struct Scene: Sendable {
        let follower: ArmsFollower
        let api: SearchAPI

        init(_ database: PostgresConfiguration) {
            let metrics = MetricsRegistry()
            let logger = Logger("test", level: .error)
            let follower = ArmsFollower(
                configuration: database, bytesMax: 1 << 30, staleMilliseconds: 600_000, tenants: { [.standard] },
                registry: metrics, logger: logger)
            self.follower = follower
            var dependencies = SearchAPIDependencies(
                makeStore: { ArmedStore(SearchStore(configuration: database), shared: follower.shared) },
                makeTraceSource: { throw Missing() }, embedder: nil, health: HealthRegistry(), metrics: metrics,
                logger: logger)
            dependencies.arms = follower
            dependencies.readKeys = { try KeyStore(configuration: database).list(timeoutMilliseconds: 5_000) }
            var configuration = SearchAPIConfiguration()
            configuration.access.isAnonymousReadAllowed = false
            api = SearchAPI(configuration: configuration, dependencies: dependencies)
        }

        func serving(_ body: (UInt16) async throws -> Void) async throws { try await api.serving(body) }
    }

    private static func search(
        _ port: UInt16, _ key: String, _ more: String = ""
    ) throws -> (status: Int, body: JSONValue) {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/search")
        request.method = "POST"
        request.headers = [("Content-Type", "application/json"), ("X-API-Key", key)]
        request.body = Array("{\"query\": \"river\", \"mode\": \"lexical\"\(more)}".utf8)
        let response = try HTTPClient().request(request, timeoutMilliseconds: 30_000)
        return (response.status, try JSONValue.parse(response.body))
    }

    private static func health(_ port: UInt16, _ key: String) throws -> String {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/health", headers: [("X-API-Key", key)])
        return String(decoding: try HTTPClient().request(request, timeoutMilliseconds: 30_000).body, as: UTF8.self)
    }

    private static func eventually(
        _ isSo: () async throws -> Bool, line: Int = #line
    ) async throws {
        for _ in 0..<6_000 {
            if try await isSo() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Missing(line: line)
    }
}
