import Concurrency
import Console
import Embeddings
import Indexer
import Records
import Store
import Telemetry

/// Fills an index as time does: all documents in a first generation, the same ones in a second, half of them with another text in a
/// third, which is promoted, and half of those replaced by a newer version afterwards.
final class RecallHistory: Sendable {
    private enum Step {
        static let all = "all documents"
        static let unchanged = "another generation, unchanged"
        static let changed = "another generation, half of it changed"
        static let replaced = "half of the documents replaced"
    }

    private static let batch = 256
    private static let limit = 600_000

    private let server: IndexBenchServer
    private let input: IndexBenchInput
    private let indexer: DocumentIndexer
    private let logger: Logger

    init(_ server: IndexBenchServer, _ input: IndexBenchInput, _ embedder: LocalEmbedder, logger: Logger) {
        (self.server, self.input, self.logger) = (server, input, logger)
        indexer = DocumentIndexer(configuration: server.configuration, embedder: embedder, logger: logger)
    }

    func write() async throws {
        try await put(Step.all, generation: 1) { _ in "" }
        for (generation, step) in [(Int64(2), Step.unchanged), (3, Step.changed)] {
            let number = try await create(parent: generation - 1)
            guard number == generation else { throw Failure("generation \(number) was made, not \(generation)") }
            try await put(step, generation: generation) { place in
                step == Step.changed && place % 2 == 1 ? "Later: " : ""
            }
            try await promote(generation)
        }
        try await put(Step.replaced, generation: 3, isNewer: true) { place in place / 2 % 2 == 1 ? "Once more: " : nil }
    }

    /// - Parameter prefix: what a document's text begins with, by its place; nil leaves the document out.
    private func put(
        _ step: String, generation: Int64, isNewer: Bool = false, _ prefix: @escaping @Sendable (Int) -> String?
    ) async throws {
        logger.info("writing", ["step": step])
        let starts = Array(stride(from: 0, to: input.documents, by: Self.batch))
        var prepared = try await prepare(0, generation, isNewer, prefix)
        for (number, start) in starts.enumerated() {
            let next = start + Self.batch
            async let following = prepare(next, generation, isNewer, prefix)
            let move = CheckpointMove(
                generation: generation, source: GoldMaker.source, expected: number == 0 ? nil : Int64(start),
                next: Int64(next))
            _ = try await indexer.write(
                prepared, moving: isNewer ? [] : [move], goldPositions: [], origin: .live)
            prepared = try await following
        }
    }

    private func prepare(
        _ start: Int, _ generation: Int64, _ isNewer: Bool, _ prefix: @Sendable (Int) -> String?
    ) async throws -> DocumentIndexer.Prepared {
        guard start < input.documents else { return try await indexer.prepare([]) }
        let range = start..<min(start + Self.batch, input.documents)
        var changed: [PendingDocument] = []
        for (place, pending) in zip(range, try input.pending(range)) {
            guard let prefix = prefix(place) else { continue }
            var pending = pending
            pending.generation = generation
            pending.document.text = prefix + pending.document.text
            pending.document.contentHash += prefix
            pending.document.textHash += prefix
            if isNewer { pending.document.version += 1 << 32 }
            changed.append(pending)
        }
        return try await indexer.prepare(changed)
    }

    private func create(parent: Int64) async throws -> Int64 {
        let configuration = server.configuration
        return try await Lane(name: "bench").run {
            try GenerationStore(configuration: configuration).create(
                parent: parent, logicVersion: "bench-\(parent + 1)", note: "", timeoutMilliseconds: Self.limit)
        }
    }

    private func promote(_ generation: Int64) async throws {
        let configuration = server.configuration
        try await Lane(name: "bench").run {
            let store = GenerationStore(configuration: configuration)
            try store.finish(generation: generation, handover: [:], timeoutMilliseconds: Self.limit)
            try store.promote(generation, timeoutMilliseconds: Self.limit)
        }
    }
}
