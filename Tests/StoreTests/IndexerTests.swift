import BrokerTesting
import Bytes
import Embeddings
import IndexTesting
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

    /// A write that is cut into transactions: each brings the vectors that its own passages share, since the one before may have had no
    /// use for them.
    @Test func whatTransactionsShareIsBroughtByEach() async throws {
        let fixture = try IndexFixture()
        let documents = DocumentIndexer(configuration: fixture.configuration, embedder: CountingEmbedder())
        func pending(_ number: Int, _ text: String, version: Int64 = 1, passages: Int = 1) -> PendingDocument {
            var document = IndexFixture.document(number, version: version, embedding: nil).document
            document.text = String(repeating: text, count: passages)
            document.passages = (0..<passages).map {
                GoldPassage(scalars: $0 * text.count..<($0 + 1) * text.count, hash: "p-\(text)")
            }
            return PendingDocument(
                generation: 1, source: IndexFixture.source, sourceOffset: Int64(number), document: document)
        }
        _ = try await documents.index([pending(1, "newer", version: 2)])
        let many = DocumentIndexer.transactionPassagesMax
        let outcome = try await documents.index([pending(1, "moss"), pending(2, "moss", passages: many)])
        #expect(outcome.embedded == 1 && outcome.reused == many && outcome.passagesAdded == many)
        let vectors = try fixture.connect().script("SELECT count(*) FROM vectors_1", timeoutMilliseconds: limit)
        #expect(vectors == [["2"]])
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

    /// A line of another collection than that of recent changes.
    private func line(_ docID: String, version: Int, operation: String = "put", title: String = "") -> String {
        """
        {"doc_id":"\(docID)","version":\(version),"operation":"\(operation)","collection":"papers",\
        "attributes":{"year":2026,"due":"2026-01-01T00:00:00.000Z"},"text":"\(title)",\
        "event_time":"2026-11-21T10:00:00.500Z","title":"\(title)","url":"","lang":"und","quality_flags":[],\
        "text_hash":"t-\(title)","content_hash":"p-\(docID)-\(version)-\(operation)",\
        "lineage":{"logic_version":"l","parents":[{"topic":"papers","partition":0,"offset":\(version),\
        "event_id":"\(docID)","bronze_sha256":"00"}]}}
        """
    }

    @Test func documentsOfAnyCollectionArePutAndDeleted() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let embedder = CountingEmbedder()
        try gold.document(0, line: line("a", version: 1, title: "first"))
        try gold.document(1, line: line("b", version: 1, title: "second"))
        try gold.document(2, line: line("a", version: 2, operation: "delete"))
        try gold.document(3, line: line("b", version: 2, title: "third"))
        try gold.document(4)
        try gold.marker(0, 5)
        gold.flush()
        try await index(gold, into: fixture, embedder: embedder, until: [checkpoint(5)])
        let store = fixture.store
        #expect(try store.document(id: "a", timeoutMilliseconds: limit).isEmpty)
        #expect(try store.document(id: "b", timeoutMilliseconds: limit).map(\.text) == ["third"])
        let year = try #require(AttributeName("year"))
        let filter = try Filter(must: [AttributeTest(year, .between(from: .integer(2026), to: nil))])
        let query = RecentQuery(limit: 10, filter: filter)
        let found = try store.recent(query, timeoutMilliseconds: limit).documents.map(\.document)
        #expect(found.map(\.docID) == ["b"] && found.first?.collection == "papers")
        #expect(found.first?.attributes.value(of: year) == .integer(2026) && found.first?.recentChange == nil)
        #expect(!embedder.embedded.contains(""), "of a deleted document there is nothing to embed")
        // A replay's lines go the same way, with the generation's model and not without one.
        let bare = DocumentIndexer(configuration: fixture.configuration, embedder: nil)
        let replay = DocumentIndexer(configuration: fixture.configuration, embedder: embedder)
        let lines = [line("a", version: 3, title: "back"), line("b", version: 3, operation: "delete")]
        await #expect(throws: IndexError.self) {
            _ = try await bare.index(
                lines: [(offset: 10, line: Array(lines[0].utf8))], generation: 1,
                source: TopicPartition(topic: "papers", partition: 0))
        }
        _ = try await replay.index(
            lines: lines.enumerated().map { (offset: Int64($0 + 10), line: Array($1.utf8)) }, generation: 1,
            source: TopicPartition(topic: "papers", partition: 0))
        #expect(try store.document(id: "a", timeoutMilliseconds: limit).map(\.text) == ["back"])
        #expect(try store.document(id: "b", timeoutMilliseconds: limit).isEmpty)
    }

    /// An indexer for each source, side by side over one database: each moves its own checkpoints and shows its own.
    @Test func severalSourcesShareADatabase() async throws {
        let fixture = try IndexFixture()
        let golds = [
            try GoldTopicFixture(partitions: 1),
            try GoldTopicFixture(partitions: 1, name: "papers.gold", source: "papers"),
        ]
        for offset in 0..<150 as Range<Int64> {
            try golds[0].document(offset)
            try golds[1].document(offset, line: line("doc-0-\(offset)", version: 1, title: "text \(offset)"))
            guard offset % 30 == 29 else { continue }
            for gold in golds { try gold.marker(offset - 29, offset + 1) }
        }
        for gold in golds { gold.flush() }
        let metrics = MetricsRegistry()
        let services = zip(golds, ["source", "papers"]).map { gold, source in
            var configuration = IndexerConfiguration(
                kafka: gold.configuration, goldTopic: gold.name, database: fixture.configuration)
            configuration.sourceTopic = source
            return Indexer(
                configuration: configuration, embedder: nil, metrics: metrics, logger: Logger("indexer", level: .error))
        }
        let stops = services.map { _ in StopSignal() }
        let running = zip(services, stops).map { service, stop in Task { try await service.run(stop: stop) } }
        let writer = fixture.writer
        func isDone() throws -> Bool {
            try writer.checkpoints(timeoutMilliseconds: limit).map(\.nextOffset) == [150, 150]
        }
        for _ in 0..<1_000 {
            if try isDone() { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try isDone())
        #expect(services.map(\.trouble) == [nil, nil])
        func shown() -> [String] {
            String(decoding: metrics.render(), as: UTF8.self).split(separator: "\n")
                .filter { $0.hasPrefix("medallion_index_checkpoint_offset{") }.map(String.init).sorted()
        }
        // What is shown follows the transaction.
        for _ in 0..<1_000 where !(shown().count == 2 && shown().allSatisfy { $0.hasSuffix(" 150") }) {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(shown().count == 2 && shown().allSatisfy { $0.hasSuffix(" 150") }, "\(shown())")
        stops[0].request()
        try await running[0].value
        #expect(shown().count == 1 && shown()[0].contains("papers"), "\(shown())")
        stops[1].request()
        try await running[1].value
        let recent = try fixture.store.recent(RecentQuery(limit: 400), timeoutMilliseconds: limit)
        #expect(recent.documents.count == 300)
        let rows = try fixture.store.document(id: "doc-0-7", timeoutMilliseconds: limit)
        #expect(rows.map(\.collection) == ["papers", "wikimedia.recentchange"])
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
