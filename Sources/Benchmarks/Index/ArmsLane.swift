import Concurrency
import Postgres
import Store
import Synchronization

/// A keeper of arms on a lane of its own.
final class ArmsLane: Sendable {
    private static let bytesMax = 8 << 30

    private let lane = Lane(name: "arms")
    private let keeper: Mutex<ArmsKeeper>

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - shared: where those who search find what it keeps.
    init(_ configuration: PostgresConfiguration, _ shared: SharedArms) {
        keeper = Mutex(ArmsKeeper(configuration: configuration, shared: shared, bytesMax: Self.bytesMax) { _ in })
    }

    /// Loads the index, or follows it.
    func look() async throws {
        try await lane.run { [keeper = self] in
            try keeper.keeper.withLock { try $0.round(of: [.standard]) { false } }
        }
    }

    /// Follows it until cancelled: searches hold still while nobody looks.
    func follow() async {
        while !Task.isCancelled {
            // What fails shows: searches are no longer done in memory.
            try? await look()
            try? await Task.sleep(for: .milliseconds(100))
        }
    }
}
