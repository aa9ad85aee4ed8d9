import BrokerTesting
import Bytes
import Embeddings
import Indexer
import Postgres
import Records
import Retrieval
import ServiceLifecycle
import Store
import Telemetry
import Testing

@Suite struct IndexerTests {
    private let limit = IndexFixture.limit

    private func indexer(
        _ gold: GoldTopicFixture, _ fixture: IndexFixture, _ embedder: (any TextEmbedder)?, _ metrics: MetricsRegistry
    ) -> Indexer {
        Indexer(
            configuration: IndexerConfiguration(
                kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration),
            embedder: embedder, metrics: metrics, logger: Logger("indexer", level: .error))
    }

    /// Runs an indexer until the checkpoints are as wanted, then drains it.
    private func index(
        _ gold: GoldTopicFixture, into fixture: IndexFixture, embedder: (any TextEmbedder)?,
        metrics: MetricsRegistry = MetricsRegistry(), until wanted: [IndexCheckpoint],
        meanwhile: (Int) throws -> Void = { _ in }
    ) async throws {
        let service = indexer(gold, fixture, embedder, metrics)
        let stop = StopSignal()
        let running = Task { try await service.run(stop: stop) }
        let writer = fixture.writer
        for attempt in 0..<1_000 {
            try meanwhile(attempt)
            if try writer.checkpoints(timeoutMilliseconds: limit) == wanted { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        #expect(try writer.checkpoints(timeoutMilliseconds: limit) == wanted)
    }

    private func checkpoint(_ next: Int64, partition: Int32 = 0, generation: Int64 = 1) -> IndexCheckpoint {
        IndexCheckpoint(
            generation: generation, source: TopicPartition(topic: "source", partition: partition), nextOffset: next)
    }

    @Test func documentsBecomeSearchableOnceAndTextsAreEmbeddedOnce() async throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        let embedder = CountingEmbedder()
        let metrics = MetricsRegistry()
        for offset in 0..<100 { try gold.document(Int64(offset), text: "text \(offset % 50)") }
        try gold.marker(0, 120)
        for offset in 0..<30 { try gold.document(Int64(offset), partition: 1) }
        try gold.marker(0, 30, partition: 1)
        gold.flush()
        try await index(
            gold, into: fixture, embedder: embedder, metrics: metrics,
            until: [checkpoint(120), checkpoint(30, partition: 1)])
        #expect(try fixture.generations.list(timeoutMilliseconds: limit).map(\.documents) == [130])
        // 50 different texts in one topic partition, of which 30 are also in the other.
        #expect(Set(embedder.embedded).count == 50)
        let lag = IndexerMetrics(metrics)
        #expect(lag.embedded.value + lag.reused.value == 130)
        #expect(lag.freshnessSeconds.snapshot().count == 130)

        // A second start repeats a commit, as a restarted stream job does, and goes on.
        let again = CountingEmbedder()
        for offset in 50..<100 { try gold.document(Int64(offset), text: "text \(offset % 50)") }
        try gold.marker(50, 120)
        try gold.document(120, text: "zebra")
        try gold.document(121, text: "text 7")
        try gold.marker(120, 125)
        gold.flush()
        try await index(
            gold, into: fixture, embedder: again, until: [checkpoint(125), checkpoint(30, partition: 1)])
        #expect(again.embedded == ["zebra"])
        #expect(try fixture.generations.list(timeoutMilliseconds: limit).map(\.documents) == [132])
        let vector = try await again.embed(["zebra"], priority: .query)
        let found = try fixture.store.candidates(
            for: IndexFixture.query("zebra", vector: vector.first), timeoutMilliseconds: limit)
        #expect(found.nearest.first == "doc-0-120")
        #expect(found.best == ["doc-0-120"])
    }

    @Test func nothingIsLostWhenTheDatabaseAndTheEmbedderFail() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        for commit in 0..<40 {
            for offset in commit * 10..<commit * 10 + 10 { try gold.document(Int64(offset)) }
            try gold.marker(Int64(commit * 10), Int64(commit * 10 + 10))
        }
        gold.flush()
        let killer = try fixture.connect()
        try await index(
            gold, into: fixture, embedder: CountingEmbedder(failures: 2), until: [checkpoint(400)]
        ) { attempt in
            guard attempt < 6 else { return }
            try killer.script(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%passage%'
                """, timeoutMilliseconds: limit)
        }
        #expect(try fixture.generations.list(timeoutMilliseconds: limit).map(\.documents) == [400])
    }

    @Test func anUnreadableRecordIsCountedAndPassed() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let metrics = MetricsRegistry()
        try gold.document(0)
        try gold.send(
            Array("{".utf8), key: "bad", headers: [(GoldTopic.kindHeader, GoldTopic.Kind.document.rawValue)],
            partition: 0)
        try gold.send([], key: "bad", headers: [], partition: 0)
        try gold.send(
            Array("{}".utf8), key: "bad", headers: [(GoldTopic.kindHeader, GoldTopic.Kind.commit.rawValue)],
            partition: 0)
        // Numbers with which nobody can reckon.
        let marker = #"{"topic":"wikimedia.recentchange","partition":0,"generations":[1],"#
        for rest in [
            #""start_offset":10,"next_offset":20,"handover":{"1":-9223372036854775808}}"#,
            #""start_offset":-9223372036854775808,"next_offset":20,"handover":{}}"#,
            #""start_offset":0,"next_offset":9223372036854775807,"handover":{}}"#,
        ] {
            try gold.send(
                Array((marker + rest).utf8), key: "bad",
                headers: [(GoldTopic.kindHeader, GoldTopic.Kind.commit.rawValue)],
                partition: 0)
        }
        try gold.document(3)
        try gold.marker(0, 4)
        gold.flush()
        try await index(gold, into: fixture, embedder: nil, metrics: metrics, until: [checkpoint(4)])
        #expect(try fixture.generations.list(timeoutMilliseconds: limit).map(\.documents) == [2])
        #expect(String(decoding: metrics.render(), as: UTF8.self).contains("medallion_index_unreadable_total 6"))
    }

    @Test func aCandidateGenerationBeginsAtItsHandover() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let child = try fixture.generations.create(
            parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        try gold.document(0)
        try gold.marker(0, 10)
        try gold.document(10)
        try gold.document(10, generation: child)
        try gold.marker(10, 20, generations: [1, child], handover: [child: 10])
        gold.flush()
        try await index(
            gold, into: fixture, embedder: nil,
            until: [checkpoint(20), checkpoint(20, generation: child)])
        #expect(try fixture.generations.list(timeoutMilliseconds: limit).map(\.documents) == [2, 1])
    }

    @Test func goldLinesAreReadStrictly() throws {
        let line = GoldTopicFixture.line(7, partition: 2, text: "ü")
        let document = try Array(line.utf8).withUnsafeBytes { try GoldLine.decode($0) }
        #expect(document.docID == "doc-2-7")
        #expect(document.eventTimeMilliseconds == CivilTime.epochMilliseconds("2026-11-21T10:00:00.500Z"))
        #expect(document.lineage.parents.map(\.offset) == [7])
        for (field, replacement) in [
            ("\"version\":1", "\"version\":\"1\""), ("\"is_bot\":false", "\"is_bot\":0"),
            ("\"text\":", "\"txt\":"), ("\"quality_flags\":[]", "\"quality_flags\":[1]"),
            ("2026-11-21T", "2026-13-21T"),
            ("\"parents\":[", "\"parent\":["),
        ] {
            let broken = line.replacing(field, with: replacement)
            #expect(throws: RecordFormatError.self, "\(field)") {
                try Array(broken.utf8).withUnsafeBytes { try GoldLine.decode($0) }
            }
        }
    }
}
