import BrokerTesting
import Embeddings
import IndexTesting
import Indexer
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import Store
import Telemetry
import Testing

/// A Gold topic that lost what the index wants next, or that belongs to another source by now.
@Suite struct IndexerExpiryTests {
    private let limit = IndexFixture.limit

    private func indexer(
        _ gold: GoldTopicFixture, _ fixture: IndexFixture, policy: ExpiredOffsets = .stop,
        metrics: MetricsRegistry = MetricsRegistry()
    ) -> Indexer {
        var configuration = IndexerConfiguration(
            kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration)
        configuration.expiredOffsets = policy
        configuration.stallMilliseconds = 400
        return Indexer(
            configuration: configuration, embedder: nil, metrics: metrics, logger: Logger("indexer", level: .error))
    }

    private func run(_ indexer: Indexer, _ fixture: IndexFixture, until next: Int64) async throws {
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        let writer = fixture.writer
        for _ in 0..<1_000 {
            if try writer.checkpoints(timeoutMilliseconds: limit).first?.nextOffset == next { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        #expect(try writer.checkpoints(timeoutMilliseconds: limit).first?.nextOffset == next)
    }

    /// Commits of ten documents each: eleven records.
    private func commits(_ range: Range<Int>, _ gold: GoldTopicFixture) throws {
        for commit in range {
            for offset in commit * 10..<commit * 10 + 10 { try gold.document(Int64(offset)) }
            try gold.marker(Int64(commit * 10), Int64(commit * 10 + 10), handover: [1: 0])
        }
        gold.flush()
    }

    @Test(
        "expired Gold stops the indexer, or is passed aloud, also where only a part of a commit is gone",
        arguments: [(33, 10), (37, 20)])
    func expiry(trimmed: Int, missing: Int) async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        try commits(0..<2, gold)
        try await run(indexer(gold, fixture), fixture, until: 20)
        try commits(2..<5, gold)
        #expect(
            TopicTrim.delete(
                brokers: gold.configuration.brokers, topic: GoldTopicFixture.topic, partition: 0,
                before: Int64(trimmed)) == nil)
        let stopping = indexer(gold, fixture)
        await #expect { try await stopping.run(stop: StopSignal()) } throws: {
            ($0 as? IndexerError)?.kind == .gap && "\($0)".contains("EXPIRED_OFFSETS")
        }
        let registry = MetricsRegistry()
        try await run(indexer(gold, fixture, policy: .goOn, metrics: registry), fixture, until: 50)
        let expired = registry.counter("medallion_index_expired_offsets_total", help: "").value
        #expect(expired >= missing)
        try commits(5..<6, gold)
        try await run(indexer(gold, fixture), fixture, until: 60)
    }

    @Test(
        "Gold that nobody can read stops the indexer, or is passed aloud as lost",
        arguments: SpoilingProxy.Damage.allCases)
    func unreadable(damage: SpoilingProxy.Damage) async throws {
        let gold = try GoldTopicFixture(partitions: 1, spoils: true)
        let fixture = try IndexFixture()
        let proxy = try #require(gold.proxy)
        try commits(0..<2, gold)
        for offset in Int64(20)..<24 { try gold.document(offset) }
        gold.flush()
        for offset in Int64(24)..<30 { try gold.document(offset) }
        try gold.marker(20, 30, handover: [1: 0])
        gold.flush()
        try commits(3..<4, gold)
        // Documents 20 to 23, or the first of them.
        proxy.spoil(GoldTopicFixture.topic, at: 22, damage)
        let stopping = indexer(gold, fixture)
        await #expect { try await stopping.run(stop: StopSignal()) } throws: {
            ($0 as? IndexerError)?.kind == .unreadable && "\($0)".contains("EXPIRED_OFFSETS=continue")
        }
        // What came before is in the index.
        #expect(try fixture.writer.checkpoints(timeoutMilliseconds: limit).first?.nextOffset == 20)
        let registry = MetricsRegistry()
        try await run(indexer(gold, fixture, policy: .goOn, metrics: registry), fixture, until: 40)
        // Of a record whose length lies, those behind can be read.
        let end = try damage == .recordLength ? 23 : #require(proxy.spoiled[22])
        #expect(
            registry.counter("medallion_index_unreadable_offsets_total", help: "").value == Int(end - 22))
        // A commit whose beginning was not read counts as lost.
        #expect(registry.counter("medallion_index_expired_offsets_total", help: "").value == 10)
        try commits(4..<5, gold)
        try await run(indexer(gold, fixture), fixture, until: 50)
    }

    @Test("a Gold topic that stalls shows in the gauge and in the health, until it goes on")
    func theStall() async throws {
        let gold = try GoldTopicFixture(partitions: 1, spoils: true)
        let fixture = try IndexFixture()
        let proxy = try #require(gold.proxy)
        try commits(0..<2, gold)
        // Before the first fetch: nothing but a question tells that there is something.
        proxy.hold(GoldTopicFixture.topic)
        let registry = MetricsRegistry()
        let stalled = registry.gauge(
            "medallion_index_stalled", help: "", labels: [("topic", GoldTopicFixture.topic), ("partition", "0")])
        let reading = indexer(gold, fixture, metrics: registry)
        let stop = StopSignal()
        let running = Task { try await reading.run(stop: stop) }
        defer { stop.request() }
        for _ in 0..<3_000 where stalled.value != 1 { _ = await stop.pause(milliseconds: 10) }
        #expect(stalled.value == 1)
        #expect(reading.trouble?.contains("gives nothing from offset 0 on") == true)
        proxy.hold(nil)
        for _ in 0..<3_000 where stalled.value != 0 { _ = await stop.pause(milliseconds: 10) }
        #expect(stalled.value == 0)
        // It may have begun anew, which is trouble until something came.
        for _ in 0..<3_000 where reading.trouble != nil { _ = await stop.pause(milliseconds: 10) }
        #expect(reading.trouble == nil)
        stop.request()
        try await running.value
        try await run(indexer(gold, fixture), fixture, until: 20)
    }

    @Test("an index of another topic of the same name is noticed")
    func otherTopic() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        try commits(0..<2, gold)
        try await run(indexer(gold, fixture), fixture, until: 20)
        // The source and the lake begin anew; the stream job publishes from offset 0 again.
        for offset in 0..<5 { try gold.document(Int64(offset), hash: "ff") }
        try gold.marker(0, 5)
        gold.flush()
        let second = indexer(gold, fixture)
        await #expect { try await second.run(stop: StopSignal()) } throws: {
            ($0 as? IndexerError)?.kind == .otherTopic && "\($0)".contains("POSTGRES_DSN")
        }
    }
}
