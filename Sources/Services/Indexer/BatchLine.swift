import ServiceLifecycle
import Synchronization

/// Batches on their way into the index: a few are embedded at once, and they are written one by one, in their order.
///
/// Used by one task.
final class BatchLine {
    private struct Batch {
        /// Cancelled where nobody wants it any more.
        let prepare: @Sendable () -> Void
        /// Never cancelled: a transaction ends as it ends.
        let write: Task<Void, any Error>
        let isDone: DoneFlag
    }

    private final class DoneFlag: Sendable {
        let isSet = Atomic(false)
    }

    private let atOnce: Int
    private var batches: [Batch] = []

    /// - Parameter atOnce: batches that are embedded at once.
    init(atOnce: Int) { self.atOnce = max(1, atOnce) }

    /// Begins a batch, once there is room for it. Where one is embedded at a time, it has been when this returns, and is written
    /// beside the next one. It is left out where a stop comes first.
    ///
    /// - Throws: what a batch before failed of; then nothing behind it is written.
    func add<Prepared: Sendable>(
        stop: StopSignal, _ prepare: @escaping @Sendable () async throws -> Prepared,
        write: @escaping @Sendable (Prepared) async throws -> Void
    ) async throws {
        if atOnce == 1 {
            let prepared = try await prepare()
            try await finish()
            return begin(Task { prepared }, write)
        }
        while try await !settle(), batches.count >= atOnce {
            if await stop.pause(milliseconds: 20) { return }
        }
        begin(Task { try await prepare() }, write)
    }

    private func begin<Prepared: Sendable>(
        _ prepared: Task<Prepared, any Error>, _ write: @escaping @Sendable (Prepared) async throws -> Void
    ) {
        let (before, isDone) = (batches.last?.write, DoneFlag())
        let writing = Task {
            defer { isDone.isSet.store(true, ordering: .releasing) }
            let prepared = try await prepared.value
            try await before?.value
            try await write(prepared)
        }
        batches.append(Batch(prepare: { prepared.cancel() }, write: writing, isDone: isDone))
    }

    /// Lets go of those that are done; of a single one it waits for that.
    ///
    /// - Returns: whether none is left.
    /// - Throws: what one failed of.
    @discardableResult func settle() async throws -> Bool {
        if atOnce == 1 { try await finish() }
        while let first = batches.first, first.isDone.isSet.load(ordering: .acquiring) {
            batches.removeFirst()
            try await first.write.value
        }
        return batches.isEmpty
    }

    private func finish() async throws {
        while !batches.isEmpty { try await batches.removeFirst().write.value }
    }

    /// Gives up what is still being embedded, and waits for what is being written.
    ///
    /// - Throws: what the first one failed of.
    func end() async throws {
        if atOnce > 1 { for batch in batches { batch.prepare() } }
        var failure: (any Error)?
        for batch in batches {
            if case .failure(let error) = await batch.write.result, !(error is CancellationError) {
                failure = failure ?? error
            }
        }
        batches = []
        if let failure { throw failure }
    }
}
