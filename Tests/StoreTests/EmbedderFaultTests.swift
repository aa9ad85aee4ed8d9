import BrokerTesting
import Embeddings
import IndexTesting
import Indexer
import ServiceLifecycle
import Store
import Synchronization
import Telemetry
import Testing

/// An embedder that is wrong is waited for: no document is refused for it.
@Suite struct EmbedderFaultTests {
    private static let limit = IndexFixture.limit

    @Test func aVectorThatTheColumnCannotHoldRefusesNoDocument() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let metrics = MetricsRegistry()
        for offset in 0..<5 { try gold.document(Int64(offset)) }
        try gold.marker(0, 5)
        gold.flush()
        let embedder = FaultyEmbedder {
            try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).count
                + fixture.writer.goldPositions(timeoutMilliseconds: Self.limit).count
        }
        let indexer = Indexer(
            configuration: IndexerConfiguration(
                kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration),
            embedder: embedder, metrics: metrics, logger: Logger("indexer", level: .error))
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        let writer = fixture.writer
        for _ in 0..<1_000 {
            if try writer.checkpoints(timeoutMilliseconds: Self.limit).first?.nextOffset == 5 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        // Every fault came, and nothing had moved at the next call.
        let seen = embedder.seen
        #expect(seen.count > FaultyEmbedder.faults.count)
        #expect(seen.prefix(FaultyEmbedder.faults.count + 1).allSatisfy { $0 == 0 }, "\(seen)")
        #expect(try writer.checkpoints(timeoutMilliseconds: Self.limit).map(\.nextOffset) == [5])
        let found = try fixture.connect().script(
            """
            SELECT (SELECT count(*) FROM refused_documents), count(*), count(p.vector_id)
            FROM visibility g JOIN passages p ON p.document_id = g.document_id
            """, timeoutMilliseconds: Self.limit)
        #expect(found == [["0", "5", "5"]])
        #expect(IndexerMetrics(metrics).refused.value == 0)
        #expect(IndexerMetrics(metrics).documents.value == 5)
    }
}

extension EmbedderFaultTests {
    /// A document whose text a server refuses is in the index by its words, and stops none of the others.
    @Test func aRefusedTextIsIndexedByItsWords() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        for offset in 0..<5 { try gold.document(Int64(offset)) }
        try gold.marker(0, 5)
        gold.flush()
        let refused = Mutex<String?>(nil)
        let server = try EmbeddingServer { request in
            // The first text that comes is one that it cannot read.
            let poison = refused.withLock { refused in
                refused = refused ?? request.texts.first
                return refused
            }
            guard !request.texts.contains(poison ?? "") else { return .json("{}", status: 400) }
            return .json(EmbeddingServer.reply(request.texts, dimensions: 384))
        }
        defer { server.stop() }
        let embedder = RemoteEmbedder(RemoteEmbedderConfiguration(url: server.url, model: "m", dimensions: 384))
        defer { embedder.stop() }
        var configuration = IndexerConfiguration(
            kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration)
        configuration.batchesAtOnce = 3
        let indexer = Indexer(
            configuration: configuration, embedder: embedder, metrics: MetricsRegistry(),
            logger: Logger("indexer", level: .error))
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        for _ in 0..<1_000 {
            if try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).first?.nextOffset == 5 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        let found = try fixture.connect().script(
            """
            SELECT (SELECT count(*) FROM refused_documents), count(*), count(p.vector_id)
            FROM visibility g JOIN passages p ON p.document_id = g.document_id
            """, timeoutMilliseconds: Self.limit)
        #expect(found == [["0", "5", "4"]] && embedder.refusedTexts == 1)
    }
}

/// Spoils what it gives in one way after the other, then is right.
private final class FaultyEmbedder: TextEmbedder {
    static let faults: [@Sendable ([Float]) -> [Float]] = [
        { [.nan] + $0.dropFirst() }, { $0.dropLast() + [-.infinity] }, { [70_000] + $0.dropFirst() },
        { Array($0.dropLast()) }, { $0 + [0] }, { _ in [] },
    ]

    let dimensions = 384
    let modelName = "faulty"
    private let inner = CountingEmbedder()
    private let look: @Sendable () throws -> Int
    private let looks = Mutex<[Int]>([])

    /// - Parameter look: made at each call.
    init(look: @escaping @Sendable () throws -> Int) {
        self.look = look
    }

    /// What each call saw.
    var seen: [Int] { looks.withLock { $0 } }

    func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        let seen = try look()
        let call = looks.withLock { looks in
            looks.append(seen)
            return looks.count - 1
        }
        var vectors = try await inner.embed(texts, priority: priority)
        // Only the last one: the others are as they should be.
        if call < Self.faults.count, let last = vectors.popLast() { vectors.append(Self.faults[call](last)) }
        return vectors
    }
}
