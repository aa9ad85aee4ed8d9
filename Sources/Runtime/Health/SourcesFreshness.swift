import Synchronization

/// The freshness of the index for each source, and for all together.
package final class SourcesFreshness: Sendable {
    /// When the index counts as late, stale or unknown; the same for all sources.
    package let limits: FreshnessLimits
    /// What passes the stages on the way to the index.
    package let flow = PipelineFlow()
    private let boards: Mutex<[(source: String, board: FreshnessBoard)]>

    /// - Parameter boards: that are there from the start.
    package init(
        limits: FreshnessLimits = FreshnessLimits(), boards: [(source: String, board: FreshnessBoard)] = []
    ) {
        self.limits = limits
        self.boards = Mutex(boards)
    }

    /// The board of a source, made when it is first asked for.
    package func board(of source: String) -> FreshnessBoard {
        boards.withLock { boards in
            if let known = boards.first(where: { $0.source == source }) { return known.board }
            let board = FreshnessBoard(limits: limits)
            boards.append((source, board))
            return board
        }
    }

    /// Takes a source away that is not declared any more.
    package func forget(_ source: String) {
        boards.withLock { $0.removeAll { $0.source == source } }
        flow.forget(source)
    }

    /// Each source's, in the order of their appearance.
    package var bySource: [(source: String, freshness: Freshness)] {
        boards.withLock { $0 }.map { ($0.source, $0.board.current) }
    }

    /// Nothing is known any more of what fills a source's topic, since nothing of this process does. Makes no board.
    package func unfollow(_ source: String) {
        boards.withLock { $0.first { $0.source == source }?.board }?.follow { SourceFacts() }
    }

    /// All together: as bad as the worst of them. One of which nothing was ever known, such as a source that is new or whose topic is
    /// not there yet, says nothing of the index that the others fill; it counts only as long as that holds for all.
    package var current: Freshness { current { _ in true } }

    /// The same of those sources only that are meant, by their names.
    package func current(_ isMeant: (String) -> Bool) -> Freshness {
        let boards = boards.withLock { $0 }.filter { isMeant($0.source) }
        let known = boards.filter(\.board.wasKnown)
        return Freshness(of: (known.isEmpty ? boards : known).map { ($0.source, $0.board.current) })
    }
}

extension Freshness {
    /// Of an index that several sources fill: the worst state with its reason, and the sum of what waits.
    package init(of sources: [(source: String, freshness: Freshness)]) {
        guard let first = sources.first else {
            self = .notLookedAt
            return
        }
        guard sources.count > 1 else {
            self = first.freshness
            return
        }
        let order = State.allCases
        func rank(_ state: State) -> Int { order.firstIndex(of: state) ?? 0 }
        // The first of equals, so that the reason does not jump.
        var worst = first
        for next in sources where rank(next.freshness.state) > rank(worst.freshness.state) { worst = next }
        let all = sources.map(\.freshness)
        let behind = all.compactMap(\.eventsBehind)
        let waits = all.compactMap(\.waitMilliseconds)
        let reason = worst.freshness.reason
        self.init(
            worst.freshness.state, reason: reason.isEmpty ? "" : "\(worst.source): \(reason)",
            eventsBehind: behind.count == all.count ? behind.reduce(0, +) : nil,
            waitMilliseconds: waits.count == all.count ? waits.max() : nil,
            indexedAtMilliseconds: all.compactMap(\.indexedAtMilliseconds).max(),
            generation: all.compactMap(\.generation).max(), indexVersion: all.compactMap(\.indexVersion).max())
    }
}
