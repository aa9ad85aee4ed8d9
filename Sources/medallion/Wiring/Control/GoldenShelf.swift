import API
import Concurrency
import Postgres
import Records
import Store
import Synchronization

/// Golden queries in the database, on a lane of its own.
final class DatabaseGoldenShelf: GoldenShelf {
    private let store: Mutex<GoldenStore>
    private let lane = Lane(name: "golden")
    private static let milliseconds = 10_000

    init(_ configuration: PostgresConfiguration) {
        store = Mutex(GoldenStore(configuration: configuration))
    }

    private func run<T: Sendable>(_ body: @escaping @Sendable (GoldenStore) throws -> T) async throws -> T {
        try await lane.run { [self] in try store.withLock { try body($0) } }
    }

    func list(_ tenant: TenantID) async throws -> [GoldenQuery] {
        try await run { try $0.list(tenant, timeoutMilliseconds: Self.milliseconds) }
    }

    func put(_ query: GoldenQuery, of tenant: TenantID) async throws -> Bool {
        try await run { try $0.put(query, of: tenant, timeoutMilliseconds: Self.milliseconds) }
    }

    func remove(_ name: String, of tenant: TenantID) async throws -> Bool {
        try await run { try $0.remove(name, of: tenant, timeoutMilliseconds: Self.milliseconds) }
    }
}
