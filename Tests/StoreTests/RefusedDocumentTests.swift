import BrokerTesting
import Bytes
import IndexTesting
import Indexer
import Kafka
import Postgres
import Records
import Replay
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// What Postgres refuses is taken out of its batch, kept with the reason, and passed by.
@Suite struct RefusedDocumentTests {
    private static let limit = IndexFixture.limit
    private static let move = CheckpointMove(generation: 1, source: IndexFixture.source, expected: nil, next: 1_000)

    /// Enough of them that no compression makes a text shorter by much.
    private static let letters = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

    private static func random(_ count: Int, seed: UInt64) -> String {
        var generator = SeededGenerator(seed: seed)
        return String((0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
    }

    /// A document that is too long for an index row of Postgres.
    private static func bad(_ number: Int) -> IndexedDocument {
        var document = IndexFixture.document(number, embedding: nil, model: "")
        document.document.docID = random(4_000, seed: UInt64(number))
        document.line = Array("line \(number)".utf8)
        return document
    }

    private static func documents(_ count: Int, bad numbers: Set<Int>) -> [IndexedDocument] {
        (0..<count).map { numbers.contains($0) ? bad($0) : IndexFixture.document($0, embedding: nil, model: "") }
    }

    private func indexed(_ fixture: IndexFixture) throws -> [Int64] {
        try fixture.connect().script(
            "SELECT source_offset FROM visibility WHERE to_version IS NULL ORDER BY source_offset",
            timeoutMilliseconds: Self.limit
        ).compactMap { $0.first?.flatMap { Int64($0) } }
    }

    private func kept(_ fixture: IndexFixture, withLines: Bool = true) throws -> [RefusedDocumentRow] {
        var query = RefusedDocumentQuery()
        query.withLines = withLines
        var rows: [RefusedDocumentRow] = []
        try RefusedDocumentStore(configuration: fixture.configuration).forEach(
            query, timeoutMilliseconds: Self.limit
        ) { rows.append($0) }
        return rows
    }

    /// Of one batch after the other in an empty index; a database for each would take a second.
    private func empty(_ fixture: IndexFixture) throws {
        try fixture.connect().script(
            """
            TRUNCATE documents, passages, words, passage_terms, postings, word_counts, collection_counts, uncounted_documents,
                visibility, index_versions, index_checkpoints, gold_positions,
                refused_documents
            """, timeoutMilliseconds: Self.limit)
    }

    @Test("one, some or all of a batch are refused, wherever they stand")
    func theRefusedAreTakenOutOfTheirBatch() throws {
        let fixture = try IndexFixture()
        let cases: [Set<Int>] = [
            [17], [0], [63], [0, 63], [0, 31, 32, 63], Set(5..<20), Set(0..<64), Set((0..<64).filter { $0 != 40 }),
        ]
        for bad in cases {
            try expectTakenOut(bad, fixture)
            try empty(fixture)
        }
    }

    private func expectTakenOut(_ bad: Set<Int>, _ fixture: IndexFixture) throws {
        let writer = fixture.writer
        let result = try writer.write(
            Self.documents(64, bad: bad), moving: [Self.move],
            goldPositions: [(gold: TopicPartition(topic: "gold", partition: 0), nextOffset: 70)],
            timeoutMilliseconds: Self.limit)
        #expect(result.refused.map { Int($0.sourceOffset) } == bad.sorted())
        #expect(result.passagesAdded == 64 - bad.count)
        #expect(try indexed(fixture).map { Int($0) } == (0..<64).filter { !bad.contains($0) })
        #expect(try writer.checkpoints(timeoutMilliseconds: Self.limit).map(\.nextOffset) == [1_000])
        #expect(try writer.goldPositions(timeoutMilliseconds: Self.limit).map(\.value) == [70])
        let rows = try kept(fixture)
        #expect(rows.map { Int($0.document.sourceOffset) } == bad.sorted())
        for row in rows {
            #expect(row.document.code == "54000")
            #expect(row.document.reason.contains("index row size"))
            #expect(row.document.docID.utf8.count == 255)
            #expect(row.document.line == Array("line \(row.document.sourceOffset)".utf8))
            #expect(row.lineBytes == row.document.line.map { Int64($0.count) })
        }
        // All in one transaction: readers never saw a half.
        #expect(
            try fixture.connect().script(
                "SELECT count(*) FROM index_versions", timeoutMilliseconds: Self.limit) == [["1"]])
        // A repeat changes nothing.
        let again = try writer.write(Self.documents(64, bad: bad), timeoutMilliseconds: Self.limit)
        #expect(again.passagesAdded == 0)
        #expect(try kept(fixture, withLines: false).count == bad.count)
    }

    @Test("whatever it is about a document that Postgres cannot hold")
    func everyKindOfRefusalIsKept() throws {
        let fixture = try IndexFixture()
        let cases: [(code: String, change: (inout IndexedDocument) -> Void)] = [
            ("22021", { $0.document.docID = "a\0b" }), ("22021", { $0.document.contentHash = "\0" }),
            ("54000", { $0.document.attributes.set(.wiki, .string(Self.random(9_000, seed: 3))) }),
            ("23514", { $0.passages[0].number = -1 }),
        ]
        for (code, change) in cases {
            var documents = Self.documents(9, bad: [])
            change(&documents[4])
            let result = try fixture.writer.write(documents, moving: [Self.move], timeoutMilliseconds: Self.limit)
            #expect(result.refused.map(\.code) == [code])
            #expect(try indexed(fixture) == [0, 1, 2, 3, 5, 6, 7, 8])
            #expect(try kept(fixture).map { $0.document.sourceOffset } == [4])
            try empty(fixture)
        }
    }

    /// What is not the document's fault ends the transaction as before.
    @Test func otherFailuresRefuseNothing() throws {
        let fixture = try IndexFixture()
        var move = Self.move
        move.expected = 7
        let error = #expect(throws: IndexError.self) {
            try fixture.writer.write(
                Self.documents(8, bad: [3]), moving: [move], timeoutMilliseconds: Self.limit)
        }
        #expect(error?.kind == .checkpoint)
        let shared = IndexFixture.document(9, embedding: nil)
        let gone = #expect(throws: IndexError.self) {
            try fixture.writer.write(Self.documents(8, bad: [3]) + [shared], timeoutMilliseconds: Self.limit)
        }
        #expect(gone?.kind == .vectorGone)
        #expect(try indexed(fixture).isEmpty)
        #expect(try kept(fixture).isEmpty)
    }

    /// The session is killed while the halves are tried; nothing of it stays, and the next try does all of it.
    @Test func aConnectionThatIsLostOnTheWayLeavesNothing() throws {
        let fixture = try IndexFixture()
        try fixture.connect().script(
            """
            CREATE SEQUENCE puts;
            CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF NEW.doc_id = 'doc-5' AND nextval('puts') = 2 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(10);
                END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER end_session BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION end_session();
            """, timeoutMilliseconds: Self.limit)
        let writer = fixture.writer
        let documents = Self.documents(16, bad: [10])
        let error = #expect(throws: IndexError.self) {
            try writer.write(documents, moving: [Self.move], timeoutMilliseconds: Self.limit)
        }
        #expect(error?.isRetriable == true)
        #expect(try indexed(fixture).isEmpty)
        #expect(try kept(fixture).isEmpty)
        #expect(try writer.checkpoints(timeoutMilliseconds: Self.limit).isEmpty)
        let result = try writer.write(documents, moving: [Self.move], timeoutMilliseconds: Self.limit)
        #expect(result.refused.map(\.sourceOffset) == [10])
        #expect(try indexed(fixture).count == 15)
    }

    @Test func whatCameInLaterIsNoLongerListed() throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        let notices = (0..<1_500).map { number in
            RefusedDocument(
                generation: 1, source: IndexFixture.source, sourceOffset: Int64(number), docID: "a\0b", code: "x",
                reason: "y", line: nil)
        }
        _ = try writer.write([], refused: notices, timeoutMilliseconds: Self.limit)
        #expect(try kept(fixture, withLines: false).map(\.document.sourceOffset) == (0..<1_500).map { Int64($0) })
        _ = try writer.write(Self.documents(4, bad: []), timeoutMilliseconds: Self.limit)
        let rows = try kept(fixture, withLines: false)
        #expect(rows.map(\.document.sourceOffset) == (4..<1_500).map { Int64($0) })
        #expect(rows.allSatisfy { $0.document.docID == "a\u{FFFD}b" && $0.document.line == nil && $0.lineBytes == nil })
        var query = RefusedDocumentQuery()
        query.offsets = OffsetRange(start: 100, end: 200)
        query.limit = 7
        var found: [Int64] = []
        try RefusedDocumentStore(configuration: fixture.configuration).forEach(
            query, timeoutMilliseconds: Self.limit
        ) { found.append($0.document.sourceOffset) }
        #expect(found == (100..<107).map { Int64($0) })
    }

    @Test(arguments: [
        ("21000", true), ("22000", true), ("22021", true), ("23505", true), ("23514", true), ("44000", true),
        ("54000", true), ("08006", false), ("25006", false), ("28000", false), ("40001", false), ("42P01", false),
        ("53100", false), ("53200", false), ("55P03", false), ("57014", false), ("57P01", false), ("58030", false),
        ("MD001", false), ("XX000", false),
    ])
    func onlyDataAreRefused(code: String, isRefusal: Bool) {
        let error = PostgresError(kind: .server, sqlState: code, operation: "test", server: "", message: "")
        #expect(error.isDataRefusal == isRefusal)
        #expect(!(error.isDataRefusal && error.isRetriable))
    }

    // MARK: The services in front of it

    private func line(_ offset: Int, docID: String) -> [UInt8] {
        Array(
            GoldTopicFixture.line(Int64(offset), partition: 0, text: "text \(offset)")
                .replacing("\"doc_id\":\"doc-0-\(offset)\"", with: "\"doc_id\":\"\(docID)\"").utf8)
    }

    private func send(
        _ gold: GoldTopicFixture, _ kind: String, _ offset: Int, _ value: [UInt8], more: [(String, String)] = []
    ) throws {
        try gold.send(
            value, key: kind,
            headers: [
                (GoldTopic.kindHeader, kind), (GoldTopic.generationHeader, "1"),
                (GoldTopic.sourceTopicHeader, "source"), (GoldTopic.sourcePartitionHeader, "0"),
                (GoldTopic.sourceOffsetHeader, "\(offset)"),
            ] + more, partition: 0)
    }

    @Test func theIndexerPassesByWhatIsRefused() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let metrics = MetricsRegistry()
        let long = Self.random(4_000, seed: 9)
        for offset in 0..<100 where offset != 50 && offset != 60 && offset != 61 { try gold.document(Int64(offset)) }
        try send(gold, GoldTopic.Kind.document.rawValue, 50, line(50, docID: long))
        try send(
            gold, GoldTopic.Kind.refused.rawValue, 60, Array(#"{"doc_id":"large","bytes":9,"reason":"too large"}"#.utf8)
        )
        try send(gold, GoldTopic.Kind.document.rawValue, 61, line(61, docID: #"a\u0000b"#))
        try gold.marker(0, 200)
        // Sent alone after its batch was refused, behind the marker.
        try send(
            gold, GoldTopic.Kind.document.rawValue, 150, line(150, docID: "late"), more: [(GoldTopic.lateHeader, "1")])
        try gold.document(200)
        try gold.marker(200, 201)
        gold.flush()
        let indexer = Indexer(
            configuration: IndexerConfiguration(
                kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration),
            embedder: CountingEmbedder(), metrics: metrics, logger: Logger("indexer", level: .error))
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        for _ in 0..<1_000 {
            if try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).first?.nextOffset == 201 { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        #expect(
            try indexed(fixture)
                == ((0..<100).filter { ![50, 60, 61].contains($0) } + [150, 200]).map { Int64($0) })
        let rows = try kept(fixture)
        #expect(rows.map { $0.document.sourceOffset } == [50, 60, 61])
        #expect(rows.map { $0.document.code } == ["54000", RefusedDocument.tooLarge, "22021"])
        #expect(rows.map { $0.document.docID } == [String(long.prefix(255)), "large", "a\u{FFFD}b"])
        #expect(rows[0].document.line == line(50, docID: long))
        #expect(rows[1].document.line == nil)
        #expect(IndexerMetrics(metrics).refused.value == 3)
        #expect(IndexerMetrics(metrics).documents.value == 99)
    }

    /// A marker or a document of no topic must not get as far as a key of the database.
    @Test func recordsOfNoTopicAreUnreadable() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let metrics = MetricsRegistry()
        for topic in ["", "a b", #"a\u0000"#, String(repeating: "t", count: 3_000)] {
            try gold.send(
                Array(
                    #"{"generations":[1],"topic":"\#(topic)","partition":0,"start_offset":0,"next_offset":5,"handover":{}}"#
                        .utf8), key: "commit", headers: [(GoldTopic.kindHeader, GoldTopic.Kind.commit.rawValue)],
                partition: 0)
        }
        try gold.document(0)
        try gold.marker(0, 1)
        gold.flush()
        let indexer = Indexer(
            configuration: IndexerConfiguration(
                kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration),
            embedder: nil, metrics: metrics, logger: Logger("indexer", level: .error))
        let stop = StopSignal()
        let running = Task { try await indexer.run(stop: stop) }
        for _ in 0..<1_000 {
            if try !fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).isEmpty { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        stop.request()
        try await running.value
        #expect(
            try fixture.writer.checkpoints(timeoutMilliseconds: Self.limit).map(\.source.topic) == ["source"])
        #expect(String(decoding: metrics.render(), as: UTF8.self).contains("medallion_index_unreadable_total 4"))
    }

    @Test func aReplayPassesByWhatIsRefused() async throws {
        let fixture = try IndexFixture()
        let index = DocumentIndexer(configuration: fixture.configuration, embedder: nil)
        let long = Self.random(4_000, seed: 11)
        let lines = (0..<600).map { offset in
            (offset: Int64(offset), line: line(offset, docID: offset % 300 == 7 ? long + "\(offset)" : "d\(offset)"))
        }
        let source = TopicPartition(topic: "source", partition: 0)
        #expect(try await index.index(lines: lines, generation: 1, source: source) == 0)
        #expect(try indexed(fixture).count == 598)
        let rows = try kept(fixture)
        #expect(rows.map { $0.document.sourceOffset } == [7, 307])
        #expect(rows.map { $0.document.line } == [lines[7].line, lines[307].line])
    }

    @Test func veryLongDocumentsGoInSeveralTransactions() {
        func document(_ number: Int, passages: Int) -> IndexedDocument {
            var document = IndexFixture.document(number, embedding: nil)
            document.passages = (0..<passages).map { IndexedPassage(number: Int32($0), text: "", embedding: nil) }
            return document
        }
        let most = DocumentIndexer.transactionPassagesMax
        #expect(DocumentIndexer.parts([]).map(\.count) == [0])
        let documents = [1, most - 1, 1, most, most + 1, 1, 1].enumerated().map { document($0, passages: $1) }
        let parts = DocumentIndexer.parts(documents)
        #expect(parts.map(\.count) == [2, 1, 1, 1, 2])
        #expect(parts.flatMap { $0 } == documents)
    }

    /// Each model has tables of its own, with its vectors' length; what bears its name must have it.
    @Test func vectorsHaveTheDimensionsOfTheirModel() throws {
        let fixture = try IndexFixture()
        let documents = [(1, 768), (2, 3)].map { number, dimensions in
            IndexFixture.document(
                number, embedding: [1] + [Float](repeating: 0, count: dimensions - 1), generation: Int64(number),
                model: "m\(dimensions)")
        }
        try fixture.connect().script(
            "INSERT INTO generations VALUES (2, 1, 'candidate', '', '', now())", timeoutMilliseconds: Self.limit)
        for document in documents {
            #expect(try fixture.writer.write([document], timeoutMilliseconds: Self.limit).passagesAdded == 1)
        }
        let other = IndexFixture.document(3, embedding: [1, 0], model: "m768")
        let error = #expect(throws: IndexError.self) {
            try fixture.writer.write([other], timeoutMilliseconds: Self.limit)
        }
        #expect(error?.kind == .model && error?.isRetriable == false)
        // Nor may a generation have vectors of two models.
        let mixed = IndexFixture.document(4, embedding: [1, 0, 0], generation: 1, model: "m3")
        let refused = #expect(throws: IndexError.self) {
            try fixture.writer.write([mixed], timeoutMilliseconds: Self.limit)
        }
        #expect(refused?.kind == .model && refused?.message.contains("m768") == true)
    }
}
