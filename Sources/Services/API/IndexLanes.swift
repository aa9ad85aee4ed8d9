import Concurrency
import Retrieval

/// Lanes with a connection to the index each.
typealias StoreLanes = LanePool<any RetrievalStore>

/// The lanes of each kind of request, so that none waits for another kind.
struct IndexLanes: Sendable {
    /// Searches without filters, and saving answers.
    let ordinary: StoreLanes
    /// Of their own, so that searches that may take long hold up neither ordinary ones nor the feed, and neither the other.
    let filtered: StoreLanes
    let feed: StoreLanes
    /// Of its own, so that the index does not count as gone while long searches hold the others.
    let health: StoreLanes

    init(_ configuration: SearchAPIConfiguration, makeStore: @escaping @Sendable () throws -> any RetrievalStore) {
        func lanes(_ name: String, _ count: Int, waitersMax: Int = 256) -> StoreLanes {
            LanePool(
                name: name, count: count, waitersMax: waitersMax,
                waitMillisecondsMax: configuration.laneWaitMillisecondsMax, make: makeStore,
                interruption: { $0.interruption })
        }
        ordinary = lanes("index", configuration.storeLanes)
        filtered = lanes("index-filtered", configuration.filteredLanes, waitersMax: 32)
        feed = lanes("index-feed", configuration.feedLanes)
        health = lanes("index-health", 1, waitersMax: 4)
    }
}
