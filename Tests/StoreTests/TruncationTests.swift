import BrokerTesting
import Bytes
import IndexTesting
import Indexer
import Postgres
import Records
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// A source that deletes all below a version: on the Gold topic, and from a replay.
@Suite struct TruncationTests {
    private static let limit = IndexFixture.limit

    private func line(_ docID: String, version: Int64, operation: String = "put", partition: Int32 = 0) -> String {
        """
        {"doc_id":"\(docID)","version":\(version),"operation":"\(operation)","collection":"papers","attributes":{},\
        "text":"\(docID) \(version)","event_time":"2026-11-21T10:00:00.500Z","title":"t","url":"","lang":"und",\
        "quality_flags":[],"text_hash":"t-\(docID)-\(version)","content_hash":"c-\(docID)-\(version)-\(operation)",\
        "lineage":{"logic_version":"l","parents":[{"topic":"source","partition":\(partition),"offset":\(version),\
        "event_id":"\(docID)","bronze_sha256":"00"}]}}
        """
    }

    /// The texts of all that a generation shows.
    private func shown(_ fixture: IndexFixture, _ generation: Int64 = 1) throws -> [String] {
        try fixture.connect().script(
            """
            SELECT p.text FROM visibility g JOIN passages p ON p.document_id = g.document_id
            WHERE g.generation = \(generation) AND g.to_version IS NULL ORDER BY 1
            """, timeoutMilliseconds: Self.limit
        ).compactMap { $0[0] }
    }

    private func checkpoint(_ next: Int64, partition: Int32 = 0, generation: Int64 = 1) -> IndexCheckpoint {
        IndexCheckpoint(
            generation: generation, source: TopicPartition(topic: "source", partition: partition), nextOffset: next)
    }

    private func index(
        _ gold: GoldTopicFixture, into fixture: IndexFixture, metrics: MetricsRegistry = MetricsRegistry(),
        until wanted: [IndexCheckpoint], and isDone: () throws -> Bool = { true }
    ) async throws {
        gold.flush()
        let indexer = Indexer(
            configuration: IndexerConfiguration(
                kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration),
            embedder: CountingEmbedder(), metrics: metrics, logger: Logger("indexer", level: .error))
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        for _ in 0..<1_000 {
            if try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit) == wanted, try isDone() { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        #expect(try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit) == wanted)
    }

    /// What is below it goes, in all topic partitions; what is not stays; and late copies bring nothing back.
    @Test func onlyTheNewSnapshotIsShown() async throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        try gold.document(0, line: line("a", version: 1))
        try gold.document(1, line: line("b", version: 2))
        try gold.document(2, line: line("kept", version: 12))
        try gold.marker(0, 3)
        try gold.document(0, partition: 1, line: line("c", version: 3, partition: 1))
        try gold.marker(0, 1, partition: 1)
        try await index(gold, into: fixture, until: [checkpoint(3), checkpoint(1, partition: 1)])
        #expect(try shown(fixture) == ["a 1", "b 2", "c 3", "kept 12"])

        // All in one batch: an old one, the truncation, the new snapshot, and copies of what is gone.
        try gold.document(3, line: line("d", version: 4))
        try gold.document(4, line: GoldTopicFixture.truncation(4, version: 10))
        try gold.document(5, line: line("a", version: 10))
        try gold.document(6, line: line("e", version: 11))
        try gold.document(7, line: line("b", version: 9))
        try gold.marker(3, 8)
        try await index(gold, into: fixture, until: [checkpoint(8), checkpoint(1, partition: 1)])
        let snapshot = ["a 10", "e 11", "kept 12"]
        #expect(try shown(fixture) == snapshot)
        #expect(try fixture.store.document(id: "", timeoutMilliseconds: Self.limit).isEmpty, "it is no document")

        // Later, elsewhere, and with another truncation that is older.
        try gold.document(1, partition: 1, line: line("c", version: 3, partition: 1))
        try gold.document(2, partition: 1, line: GoldTopicFixture.truncation(2, version: 2))
        try gold.document(3, partition: 1, line: line("f", version: 9, partition: 1))
        try gold.document(4, partition: 1, line: line("g", version: 13, partition: 1))
        try gold.document(5, partition: 1, line: line("e", version: 14, operation: "delete", partition: 1))
        try gold.marker(1, 6, partition: 1)
        try await index(gold, into: fixture, until: [checkpoint(8), checkpoint(6, partition: 1)])
        #expect(try shown(fixture) == ["a 10", "g 13", "kept 12"])
        // A search as of then shows what was there then.
        let rows = try fixture.connect().script(
            "SELECT count(*) FROM visibility WHERE to_version IS NOT NULL", timeoutMilliseconds: Self.limit)
        #expect(rows.first?[0] == "4", "a, b, c and e: what came too late was never shown")
    }

    /// A start repeats what is behind the last checkpoint, and a truncation alone is a batch, too.
    @Test func aTruncationAloneAndAgain() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let child = try fixture.generations.create(
            parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: Self.limit)
        try gold.document(0, line: line("a", version: 1))
        try gold.document(1, line: line("b", version: 5))
        try gold.marker(0, 2)
        for generation in [1, child] { try gold.document(2, generation: generation, line: line("c", version: 2)) }
        try gold.marker(2, 3, generations: [1, child], handover: [child: 2])
        let metrics = MetricsRegistry()
        try await index(gold, into: fixture, until: [checkpoint(3), checkpoint(3, generation: child)])
        // Without its marker yet: written, though no checkpoint moves.
        try gold.document(3, line: GoldTopicFixture.truncation(3, version: 5))
        let before = [checkpoint(3), checkpoint(3, generation: child)]
        try await index(gold, into: fixture, until: before) { try shown(fixture) == ["b 5"] }
        #expect(try shown(fixture, child) == ["c 2"], "it is of one generation")
        for generation in [1, child] {
            try gold.document(3, generation: generation, line: GoldTopicFixture.truncation(3, version: 5))
        }
        try gold.marker(3, 4, generations: [1, child])
        try await index(
            gold, into: fixture, metrics: metrics, until: [checkpoint(4), checkpoint(4, generation: child)])
        #expect(try shown(fixture) == ["b 5"] && shown(fixture, child) == [])
        #expect(String(decoding: metrics.render(), as: UTF8.self).contains("medallion_index_unreadable_total 0"))
    }

    /// What Postgres refuses beside it is set aside, and the truncation holds all the same.
    @Test func aRefusedDocumentBesideIt() throws {
        let fixture = try IndexFixture()
        func document(_ number: Int, version: Int64) -> IndexedDocument {
            IndexFixture.document(number, text: "v\(version)", version: version, embedding: nil, model: "")
        }
        _ = try fixture.writer.write(
            (0..<6).map { document($0, version: Int64($0) + 1) }, timeoutMilliseconds: Self.limit)
        var truncation = document(6, version: 5)
        truncation.document.operation = .deleteBelow
        (truncation.document.docID, truncation.passages) = ("", [])
        var bad = document(7, version: 9)
        bad.document.docID = "a\u{0}"
        let move = CheckpointMove(generation: 1, source: IndexFixture.source, expected: nil, next: 100)
        let result = try fixture.writer.write(
            [document(8, version: 3), truncation, document(9, version: 7), bad, document(0, version: 8)],
            moving: [move], timeoutMilliseconds: Self.limit)
        #expect(result.refused.map(\.docID) == ["a\u{FFFD}"])
        #expect(result.documentsHidden == 4 && result.passagesAdded == 2)
        #expect(try shown(fixture) == ["v5", "v6", "v7", "v8"])
        #expect(try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).map(\.nextOffset) == [100])
        // The same without anything refused, and again.
        let again = try fixture.writer.write([truncation], timeoutMilliseconds: Self.limit)
        #expect(again.documentsHidden == 0 && again.refused.isEmpty)
        #expect(try shown(fixture) == ["v5", "v6", "v7", "v8"])
    }

    /// A replay's lines, in transactions of 256, whatever order they are written in.
    @Test(arguments: [false, true]) func aReplaysLinesSayTheSame(isReversed: Bool) async throws {
        let fixture = try IndexFixture()
        let replay = DocumentIndexer(configuration: fixture.configuration, embedder: nil)
        var lines = (0..<300).map { (offset: Int64($0), line: Array(line("old \($0)", version: 1).utf8)) }
        lines.append((300, Array(GoldTopicFixture.truncation(300, version: 2).utf8)))
        lines += (301..<310).map { (offset: Int64($0), line: Array(line("new \($0)", version: 2).utf8)) }
        lines.append((310, Array(line("old 7", version: 1).utf8)))
        if isReversed { lines.reverse() }
        _ = try await replay.index(
            lines: lines, generation: 1, source: TopicPartition(topic: "source", partition: 0))
        #expect(try shown(fixture) == (301..<310).map { "new \($0) 2" })
    }
}
