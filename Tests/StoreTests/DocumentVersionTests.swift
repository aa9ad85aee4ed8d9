import IndexTesting
import Postgres
import PostgresTesting
import Records
import Retrieval
import Store
import Testing

/// Documents are keyed by tenant, collection and id; of one the highest version counts, be it a put or a deletion.
@Suite struct DocumentVersionTests {
    private let limit = IndexFixture.limit

    enum Step: Hashable {
        case put(Int64)
        case delete(Int64)
    }

    private func document(_ number: Int, _ step: Step, generation: Int64 = 1) -> IndexedDocument {
        let version: Int64
        switch step {
        case .put(let number), .delete(let number): version = number
        }
        var document = IndexFixture.document(
            number, text: "v\(version)", version: version, embedding: nil, generation: generation, model: "")
        document.sourceOffset = Int64(number) * 100 + version
        if case .delete = step {
            document.document.operation = .delete
            document.passages = []
        }
        return document
    }

    private func versions(_ fixture: IndexFixture, _ numbers: Range<Int>, generation: Int64 = 1) throws -> [String?] {
        let store = fixture.store
        return try numbers.map { number in
            let rows = try store.document(id: "doc-\(number)", generation: generation, timeoutMilliseconds: limit)
            #expect(rows.count <= 1)
            return rows.first?.text
        }
    }

    private static func orders(_ steps: [Step]) -> [[Step]] {
        guard steps.count > 1 else { return [steps] }
        return steps.indices.flatMap { index in
            var rest = steps
            let step = rest.remove(at: index)
            return orders(rest).map { [step] + $0 }
        }
    }

    /// Whatever arrives when: the outcome is that of the highest version, and the same for all orders.
    @Test(
        arguments: [
            ([Step.put(1), .put(2), .delete(3)], nil), ([.put(1), .delete(2), .put(3), .delete(1)], "v3"),
            ([.put(2), .delete(2)], nil), ([.delete(4), .put(1), .put(5), .put(3)], "v5"),
            // As of documents that a stage left out at version 5 and at version 1.
            ([.put(4), .delete(4), .put(5)], "v5"), ([.delete(0), .put(1)], "v1"),
        ] as [([Step], String?)])
    func theHighestVersionCounts(steps: [Step], wanted: String?) throws {
        let fixture = try IndexFixture()
        let writer = fixture.writer
        let orders = Self.orders(steps)
        for (number, order) in orders.enumerated() {
            let documents = order.map { document(number, $0) }
            // In one transaction, and in one for each.
            let parts = number.isMultiple(of: 2) ? [documents] : documents.map { [$0] }
            for part in parts { _ = try writer.write(part, timeoutMilliseconds: limit) }
        }
        #expect(try versions(fixture, 0..<orders.count) == Array(repeating: wanted, count: orders.count))
        // A repeat of everything changes nothing.
        for (number, order) in orders.enumerated() {
            _ = try writer.write(order.map { document(number, $0) }, timeoutMilliseconds: limit)
        }
        #expect(try versions(fixture, 0..<orders.count) == Array(repeating: wanted, count: orders.count))
    }

    @Test func aDeletedDocumentIsFoundNoMoreAndANewerOneComesBack() throws {
        let fixture = try IndexFixture()
        func found() throws -> [String] {
            try fixture.store.candidates(for: IndexFixture.query("title"), timeoutMilliseconds: limit).best
        }
        let documents = [document(1, .put(1)), document(2, .put(1))]
        #expect(try fixture.writer.write(documents, timeoutMilliseconds: limit).passagesAdded == 2)
        #expect(try fixture.writer.write([document(1, .delete(2))], timeoutMilliseconds: limit).passagesAdded == 0)
        #expect(try found() == ["doc-2"])
        #expect(try fixture.writer.write([document(1, .put(1))], timeoutMilliseconds: limit).passagesAdded == 0)
        #expect(try found() == ["doc-2"])
        #expect(try fixture.writer.write([document(1, .put(3))], timeoutMilliseconds: limit).passagesAdded == 1)
        #expect(try Set(found()) == ["doc-1", "doc-2"])
    }

    /// What a reader pinned to an index version saw stays as it was.
    @Test func anOlderIndexVersionStillShowsIt() throws {
        let fixture = try IndexFixture()
        let put = try fixture.writer.write([document(1, .put(1))], timeoutMilliseconds: limit)
        _ = try fixture.writer.write([document(1, .delete(2))], timeoutMilliseconds: limit)
        var query = IndexFixture.query("title")
        query.indexVersion = put.indexVersion
        #expect(try fixture.store.candidates(for: query, timeoutMilliseconds: limit).best == ["doc-1"])
    }

    @Test func documentsOfOneIDAreToldApart() throws {
        let fixture = try IndexFixture()
        let tenant = try #require(TenantID("acme"))
        var documents = [document(1, .put(1)), document(1, .put(2)), document(1, .put(3))]
        documents[1].document.collection = IndexFixture.name("papers")
        documents[2].document.tenant = tenant
        // The same content, so that nothing but the key tells them apart.
        for index in documents.indices { documents[index].document.contentHash = "same" }
        #expect(try fixture.writer.write(documents, timeoutMilliseconds: limit).passagesAdded == 3)
        let rows = try fixture.store.document(id: "doc-1", timeoutMilliseconds: limit)
        #expect(rows.map(\.tenant) == ["default", "default"])
        #expect(rows.map(\.collection) == ["papers", "wikimedia.recentchange"])
        let others = try fixture.store.document(id: "doc-1", tenant: tenant, timeoutMilliseconds: limit)
        #expect(others.map(\.tenant) == ["acme"] && others.map(\.text) == ["v3"])
        let papers = try fixture.store.document(id: "doc-1", collection: "papers", timeoutMilliseconds: limit)
        #expect(papers.map(\.text) == ["v2"])
        let hits = try fixture.store.candidates(for: IndexFixture.query("title"), timeoutMilliseconds: limit)
        #expect(Set(hits.candidates.map(\.collection)) == ["papers", "wikimedia.recentchange"])
        // A deletion is of one of them.
        var gone = document(1, .delete(9))
        gone.document.collection = IndexFixture.name("papers")
        _ = try fixture.writer.write([gone], timeoutMilliseconds: limit)
        let left = try fixture.store.document(id: "doc-1", timeoutMilliseconds: limit)
        #expect(left.map(\.text) == ["v1"])
        let still = try fixture.store.document(id: "doc-1", tenant: tenant, timeoutMilliseconds: limit)
        #expect(still.map(\.text) == ["v3"])
    }

    /// Attributes come back as they went in, whether there is a column for them or not.
    @Test func attributesKeepTheirTypes() throws {
        let fixture = try IndexFixture()
        let names = ["size", "due", "label"].compactMap { AttributeName($0) }
        let lists = [
            AttributeList([
                .wiki: .string("enwiki"), .type: .string("edit"), .namespace: .integer(-2), .user: .string("ü"),
                .isBot: .bool(false), .isMinor: .bool(true), .delta: .integer(.max), .domain: .string("x.org"),
            ]),
            AttributeList([
                .wiki: .integer(5), .type: .bool(true), .namespace: .number(4.5), .user: .number(0.1),
                .isBot: .string("no"), names[0]: .number(-0.25), names[2]: .string(""),
                names[1]: .string("2026-01-01T00:00:00.000Z"),
            ]),
            AttributeList([.namespace: .integer(.min), .wiki: .string("")]), AttributeList(),
        ]
        let documents = lists.enumerated().map { number, attributes in
            var document = document(number, .put(1))
            document.document.attributes = attributes
            return document
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        let found = try fixture.store.candidates(for: IndexFixture.query("title"), timeoutMilliseconds: limit)
        let recent = try fixture.store.recent(RecentQuery(limit: 10), timeoutMilliseconds: limit)
        for candidates in [found.candidates, recent.documents.map(\.document)] {
            let byID = Dictionary(uniqueKeysWithValues: candidates.map { ($0.docID, $0.attributes) })
            #expect(lists.indices.map { byID["doc-\($0)"] } == lists)
        }
        #expect(found.candidates.filter { $0.recentChange != nil }.map(\.docID) == ["doc-0"])
    }

    /// A child knows its parent's deletions, but for those that the replay makes anew.
    @Test func deletionsAreCopiedToAChild() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        let steps = [document(1, .delete(5)), document(2, .delete(5)), document(3, .delete(5))]
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 1_000)
        _ = try fixture.writer.write(steps, moving: [move], timeoutMilliseconds: limit)
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        let range = try #require(OffsetRange(start: 200, end: 300))
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [(source, range)], handover: [source: 305], timeoutMilliseconds: limit)
        let late = (1...3).map { document($0, .put(4), generation: child) }
        #expect(try fixture.writer.write(late, origin: .replay, timeoutMilliseconds: limit).passagesAdded == 2)
        #expect(try versions(fixture, 1..<4, generation: child) == [nil, "v4", "v4"])
    }

    /// Of a document whose newest version a replay makes anew, the child has the one before until then, and for good where
    /// the new logic makes none.
    @Test func aChildFallsBackToTheVersionBefore() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        var steps: [IndexedDocument] = []
        for number in 1...3 {
            for version in 1...3 as ClosedRange<Int64> {
                var next = document(number, number == 3 && version == 3 ? .delete(3) : .put(version))
                next.sourceOffset = version * 10 + Int64(number)
                steps.append(next)
            }
        }
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 100)
        _ = try fixture.writer.write(steps, moving: [move], timeoutMilliseconds: limit)
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        let range = try #require(OffsetRange(start: 30, end: 40))
        for _ in 0..<2 {
            _ = try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 100],
                timeoutMilliseconds: limit)
        }
        #expect(try versions(fixture, 1..<4, generation: child) == ["v2", "v2", "v2"])
        let again = document(1, .put(3), generation: child)
        _ = try fixture.writer.write([again], origin: .replay, timeoutMilliseconds: limit)
        #expect(try versions(fixture, 1..<4, generation: child) == ["v3", "v2", "v2"])
        #expect(try versions(fixture, 1..<4) == ["v3", "v3", nil])
    }

    /// Text, version and source offset of a put; a deletion where there is no text.
    private func record(
        _ number: Int, _ text: String?, _ version: Int64, at offset: Int64, generation: Int64 = 1
    ) -> IndexedDocument {
        var document = IndexFixture.document(
            number, text: text ?? "", version: version, embedding: nil, generation: generation, model: "")
        document.sourceOffset = offset
        document.document.contentHash += text ?? ""
        if text == nil {
            document.document.operation = .delete
            document.passages = []
        }
        return document
    }

    /// A replay writes its range before the parent's rows are copied, and live records go to both: one content is left.
    @Test func whatIsCopiedBehindAReplayHidesNothingNewerAndShowsNothingOlder() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        let steps = [
            record(1, "old", 5, at: 150), record(1, "new", 7, at: 300), record(2, "old", 5, at: 150),
            record(2, nil, 7, at: 300), record(3, "old", 2, at: 50), record(4, "old", 1, at: 60),
            record(5, "first", 1, at: 110), record(5, "second", 1, at: 310),
        ]
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 1_000)
        _ = try fixture.writer.write(steps, moving: [move], timeoutMilliseconds: limit)
        let generations = fixture.generations
        let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        // What the new logic makes of the range: of 3 and 4 the old one made nothing there.
        let replayed = [
            record(1, "old", 5, at: 150, generation: child), record(2, "old", 5, at: 150, generation: child),
            record(3, "new", 3, at: 150, generation: child), record(4, nil, 3, at: 160, generation: child),
            record(5, "first", 1, at: 110, generation: child),
        ]
        _ = try fixture.writer.write(replayed, origin: .replay, timeoutMilliseconds: limit)
        let range = try #require(OffsetRange(start: 100, end: 200))
        for _ in 0..<2 {
            _ = try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 1_000],
                timeoutMilliseconds: limit)
            #expect(try versions(fixture, 1..<6, generation: child) == ["new", nil, "new", nil, "second"])
        }
        // A repeat of the range changes nothing any more.
        _ = try fixture.writer.write(replayed, origin: .replay, timeoutMilliseconds: limit)
        #expect(try versions(fixture, 1..<6, generation: child) == ["new", nil, "new", nil, "second"])
        #expect(try versions(fixture, 1..<6) == ["new", nil, "old", "old", "second"])
    }

    /// What was deleted long ago does not come back with a replay of something else.
    @Test func aReplayOfAnotherRangeBringsNothingBack() throws {
        let fixture = try IndexFixture()
        let source = IndexFixture.source
        let move = CheckpointMove(generation: 1, source: source, expected: nil, next: 1_000)
        _ = try fixture.writer.write(
            [record(1, "gone", 1, at: 10), record(1, nil, 2, at: 20)], moving: [move], timeoutMilliseconds: limit)
        let connection = try fixture.connect()
        let generations = fixture.generations
        let range = try #require(OffsetRange(start: 100, end: 200))
        func child() throws -> Int64 {
            let child = try generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
            _ = try generations.copyParentRows(
                child: child, parent: 1, outside: [(source, range)], handover: [source: 1_000],
                timeoutMilliseconds: limit)
            return child
        }
        _ = try connection.script(
            "UPDATE deleted_documents SET deleted_at = now() - interval '60 days'", timeoutMilliseconds: limit)
        // The document's hidden rows are there, so its marker stays, however old.
        let writer = fixture.writer
        _ = try writer.removeDeletionMarkers(timeoutMilliseconds: limit)
        #expect(
            try connection.script("SELECT count(*) FROM deleted_documents", timeoutMilliseconds: limit) == [["1"]])
        #expect(try versions(fixture, 1..<2, generation: try child()) == [nil])
        // And without a marker the range alone decides what is shown again.
        _ = try connection.script("DELETE FROM deleted_documents", timeoutMilliseconds: limit)
        #expect(try versions(fixture, 1..<2, generation: try child()) == [nil])
    }

    /// A database from before documents had such keys: its rows are what they were, and newer versions replace them.
    @Test func formerRowsAreTakenOver() throws {
        let configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: limit)
        try Migrator(connection: connection).migrate(
            FormerIndex.migrations.filter { $0.name < "V0008" || $0.isDeferred })
        try connection.script(
            """
            INSERT INTO passages (doc_id, passage, content_hash, text_hash, model, collection, wiki, lang, type, namespace,
                user_name, is_bot, event_time, title, url, quality_flags, attributes, text)
            SELECT 'doc-' || n, 0, 'c', 't', '', 'wikimedia.recentchange', 'enwiki', 'en', 'edit', 4, 'Ann', n = 2,
                '2026-01-01Z', 'Title', '', '{}', '{"own": "x"}', 'former' FROM generate_series(1, 2) n;
            INSERT INTO index_versions VALUES (nextval('index_version_sequence'), now(), 'live');
            INSERT INTO generation_passages
            SELECT 1, id, 1, 'l', '{"logic_version":"l","parents":[]}', 'wikimedia.recentchange', 0, id, 1, NULL
            FROM passages
            """, timeoutMilliseconds: limit)
        #expect(try Migrator(connection: connection).migrate().first == "V0008__key_documents")
        try IndexFixture.countWords(configuration)
        let store = SearchStore(configuration: configuration)
        let bots = try Filter(must: [.texts(.wiki, ["enwiki"]), .equals(.isBot, .bool(true))])
        let query = IndexFixture.query("former", filter: bots)
        let hit = try #require(try store.candidates(for: query, timeoutMilliseconds: limit).candidates.first)
        let own = try #require(AttributeName("own"))
        #expect(hit.docID == "doc-2" && hit.attributes.value(of: .namespace) == .integer(4))
        #expect(hit.attributes.value(of: own) == .string("x") && hit.recentChange?.user == "Ann")
        _ = try IndexWriter(configuration: configuration).write(
            [document(2, .put(2))], timeoutMilliseconds: limit)
        #expect(try store.document(id: "doc-2", timeoutMilliseconds: limit).map(\.text) == ["v2"])
    }
}
