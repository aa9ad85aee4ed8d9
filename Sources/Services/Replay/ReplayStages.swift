import Concurrency

/// What a topic partition's records go through, each stage beside the others: derived on one lane, compared and written on another,
/// and taken by a task. Two chunks wait between two stages at most.
struct ReplayStages: Sendable {
    typealias Chunk = RangeReplay.Chunk
    /// Blocks while the next stage has enough.
    typealias Put = (Chunk) throws -> Void

    let deriving: Lane
    let writing: Lane

    /// - Parameters:
    ///   - onFailure: called when a stage or the body failed, before the others are waited for: ends what they may wait for, such as
    ///     the end of a pause.
    ///   - derive: gives chunks to the next stage, on one lane.
    ///   - write: takes them from the first, nil behind the last one, and gives them to the task, on the other lane.
    ///   - body: called with each, in order.
    /// - Throws: what failed first; `CancellationError` where the task was cancelled.
    func run(
        onFailure: @escaping @Sendable () -> Void,
        derive: @escaping @Sendable (_ put: Put) throws -> Void,
        write: @escaping @Sendable (_ next: () throws -> Chunk?, _ put: Put) throws -> Void,
        _ body: (Chunk) async throws -> Void
    ) async throws {
        let (derived, chunks) = (ChunkQueue<Chunk>(), ChunkQueue<Chunk>())
        async let first: Void = deriving.run {
            do {
                try derive { try derived.put($0) }
                derived.finish()
            } catch {
                // What ends here is not complete.
                derived.cancel()
                throw error
            }
        }
        async let second: Void = writing.run {
            defer { chunks.finish() }
            do {
                try write({ try derived.take() }, { try chunks.put($0) })
            } catch {
                derived.cancel()
                onFailure()
                throw error
            }
        }
        do {
            while let chunk = try await chunks.next() { try await body(chunk) }
            do {
                try await first
            } catch is CancellationError {
                // The second may have cancelled it by what failed there.
                try await second
                throw CancellationError()
            }
            try await second
        } catch {
            derived.cancel()
            chunks.cancel()
            onFailure()
            throw error
        }
    }
}
