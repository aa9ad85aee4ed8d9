import API
import Access
import Concurrency
import Postgres
import Store
import Synchronization

/// Keys in the database, made and revoked on a lane of their own.
final class DatabaseKeyDesk: KeyDesk {
    private let store: Mutex<KeyStore>
    private let lane = Lane(name: "keys")
    private static let milliseconds = 10_000

    init(_ configuration: PostgresConfiguration) {
        store = Mutex(KeyStore(configuration: configuration))
    }

    func create(_ key: APIKey) async throws {
        try await lane.run { [self] in try store.withLock { try $0.create(key, timeoutMilliseconds: Self.milliseconds) }
        }
    }

    func revoke(_ id: String) async throws -> APIKey? {
        try await lane.run { [self] in try store.withLock { try $0.revoke(id, timeoutMilliseconds: Self.milliseconds) }
        }
    }
}
