import Bytes
import Concurrency
package import Lake
package import Postgres
package import Store

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

    private func steps() -> GenerationSteps {
        GenerationSteps(log: GenerationLog(layout: layout), database: GenerationStore(configuration: database))
    }

    /// Makes `generation` the active one. The database leads; the lake's list follows.
    ///
    /// - Parameter waitMilliseconds: how long to wait where its index is behind.
    /// - Throws: ``ReplayError`` or ``IndexError`` where it is not complete, or its index has not reached the active one's
    ///   checkpoints.
    package func promote(_ generation: Int64, waitMilliseconds: Int = 0) async throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(waitMilliseconds) * 1_000_000
        while true {
            do {
                return try await lane.run { [self] in try steps().promote(generation) }
            } catch let error as IndexError where error.kind == .generationBehind {
                guard SystemClock.monotonicNanoseconds() < deadline else { throw error }
                try await Task.sleep(nanoseconds: 100_000_000)
            }
        }
    }

    /// Stops feeding a generation that is not active, for good. A replay that makes it ends at its next step.
    package func prune(_ generation: Int64) async throws {
        try await lane.run { [self] in try steps().prune(generation) }
    }

    /// Gives up what a replay makes, here or elsewhere, or was cut short at; it ends at its next step.
    ///
    /// - Throws: ``ReplayError`` where the generation is complete.
    package func endReplay(_ generation: Int64) async throws {
        try await lane.run { [self] in try steps().endReplay(generation) }
    }

    /// Brings lake and index together where a process was killed between the two steps of a change; for starts.
    ///
    /// - Returns: a sentence about each difference that remains.
    package func heal() async throws -> [String] {
        try await lane.run { [self] in try steps().heal() }
    }

    /// What lake and index say differently, one sentence each. Changes nothing.
    package func differences() async throws -> [String] {
        try await lane.run { [self] in try steps().differences() }
    }

    /// The generations as the lake and as the index know them, by number.
    ///
    /// Changes nothing.
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
