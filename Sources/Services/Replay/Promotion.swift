package import Lake
package import Postgres
import ServiceLifecycle
package import VectorIndex

/// Moves the pointer to the active generation, forwards and back, and tells what generations there are.
package struct Promotion: Sendable {
    private let layout: LakeLayout
    private let database: PostgresConfiguration
    private let lane = Lane(name: "promotion")
    private static let statementMilliseconds = 60_000

    package init(lakeDirectory: String, database: PostgresConfiguration) {
        layout = LakeLayout(root: lakeDirectory)
        self.database = database
    }

    /// Makes `generation` the active one. The row in Postgres is the truth; the lake's log follows it.
    ///
    /// - Throws: ``IndexError`` where it is not complete, or its index has not reached the active one's checkpoints.
    package func promote(_ generation: Int64) async throws {
        try await lane.run { [self] in
            let log = GenerationLog(layout: layout)
            guard let known = try log.read().first(where: { $0.number == generation }), known.isFed else {
                throw ReplayError("the lake feeds no generation \(generation); `medallion generations` lists them")
            }
            try GenerationStore(configuration: database).promote(
                generation, timeoutMilliseconds: Self.statementMilliseconds)
            try log.promote(generation)
        }
    }

    /// Stops feeding a generation that is not active.
    package func prune(_ generation: Int64) async throws {
        try await lane.run { [self] in
            let log = GenerationLog(layout: layout)
            guard var known = try log.read().first(where: { $0.number == generation }) else {
                throw ReplayError("the lake has no generation \(generation); `medallion generations` lists them")
            }
            try GenerationStore(configuration: database).setState(
                .retired, of: generation, timeoutMilliseconds: Self.statementMilliseconds)
            guard known.state != .active else {
                throw ReplayError("generation \(generation) is active; promote another one first")
            }
            known.state = .pruned
            try log.put(known)
        }
    }

    /// The generations as the lake and as the index know them, by number.
    ///
    /// Changes nothing. Where a crash came between the two steps of a promotion the two disagree about which one is
    /// active, and promoting once more mends it.
    package func list() async throws -> [(lake: LakeGeneration?, index: GenerationSummary?)] {
        try await lane.run { [self] in
            let log = GenerationLog(layout: layout)
            let summaries = try GenerationStore(configuration: database).list(
                timeoutMilliseconds: Self.statementMilliseconds)
            let generations = try log.read()
            let numbers = Set(generations.map(\.number)).union(summaries.map(\.generation)).sorted()
            return numbers.map { number in
                (
                    lake: generations.first { $0.number == number },
                    index: summaries.first { $0.generation == number }
                )
            }
        }
    }
}
