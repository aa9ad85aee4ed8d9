import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// From a record to what came of it, and what an answer keeps of the documents that it was made of.
@Suite struct ImpactTests {
    private let limit = IndexFixture.limit
    private let source = IndexFixture.source

    private func document(_ number: Int, version: Int64, offset: Int64) -> IndexedDocument {
        var document = IndexFixture.document(
            number, text: "text \(number) v\(version)", version: version, embedding: nil, model: "")
        document.sourceOffset = offset
        return document
    }

    private func answer(_ id: String, _ documents: [Int], at version: Int64) -> StoredAnswer {
        var answer = StoredAnswer(
            id: id, question: "why \(id)?", createdAtMilliseconds: 1_700_000_000_000 + version, generation: 1,
            indexVersion: version, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
            retrievedJSON: Array("[]".utf8))
        answer.documents = documents.map {
            StoredAnswer.Source(collection: "wikimedia.recentchange", docID: "doc-\($0)", isCited: $0 == documents[0])
        }
        return answer
    }

    private func impact(_ fixture: IndexFixture, _ target: ImpactTarget, _ tenant: TenantID = .standard) throws
        -> Impact
    {
        try fixture.store.impact(of: target, tenant: tenant, limit: 100, timeoutMilliseconds: limit)
    }

    @Test func anAnswerStaysWithTheRecordsThatItSaw() throws {
        let fixture = try IndexFixture()
        let (writer, store) = (fixture.writer, fixture.store)
        let first = try writer.write(
            (0..<3).map { document($0, version: 1, offset: Int64($0)) }, embeddedAtMilliseconds: 1_700_000_000_123,
            timeoutMilliseconds: limit)
        try store.save(answer("a-1", [0, 1], at: first.indexVersion), timeoutMilliseconds: limit)
        let second = try writer.write([document(0, version: 2, offset: 1_000)], timeoutMilliseconds: limit)
        // An answer that was still being made when the document was replaced.
        try store.save(answer("a-2", [0], at: first.indexVersion), timeoutMilliseconds: limit)
        try store.save(answer("a-3", [0], at: second.indexVersion), timeoutMilliseconds: limit)

        func expectSources() throws {
            let seen = try store.sources(ofAnswer: "a-1", tenant: .standard, timeoutMilliseconds: limit)
                .sorted { $0.docID < $1.docID }
            #expect(seen.map(\.docID) == ["doc-0", "doc-1"] && seen.map(\.isCited) == [true, false])
            #expect(seen[0].seen?.version == 1 && seen[0].seen?.contentHash == "c-0-1")
            #expect(seen[0].seen?.source == source && seen[0].seen?.sourceOffset == 0)
            #expect(seen[0].seen?.fromVersion == first.indexVersion)
            #expect(seen[0].seen?.times.embeddedMilliseconds == 1_700_000_000_123)
            #expect(seen[0].seen?.times.indexedMilliseconds != nil)
            let late = try store.sources(ofAnswer: "a-2", tenant: .standard, timeoutMilliseconds: limit)
            #expect(late.map(\.seen?.version) == [1])
        }
        try expectSources()
        // The transaction behind it noted when the first one's commit had returned.
        let noted = try store.sources(ofAnswer: "a-1", tenant: .standard, timeoutMilliseconds: limit)
        #expect(noted.allSatisfy { $0.seen?.times.searchableMilliseconds != nil })

        let old = try impact(fixture, .record(source, offset: 0))
        #expect(old.documents.map(\.version) == [1] && old.documents[0].toVersion == second.indexVersion)
        #expect(Set(old.answers.map(\.id)) == ["a-1", "a-2"] && old.answers.allSatisfy(\.isExact))
        let new = try impact(fixture, .record(source, offset: 1_000))
        #expect(new.documents.map(\.version) == [2] && new.documents[0].toVersion == nil)
        #expect(new.answers.map(\.id) == ["a-3"] && new.documents[0].passageIDs.count == 1)
        let event = try impact(fixture, .event(id: "doc-0"))
        #expect(Set(event.documents.map(\.version)) == [1, 2] && event.answers.count == 3)
        let page = try impact(fixture, .page(collection: "wikimedia.recentchange", title: "Title 1", wiki: "enwiki"))
        #expect(page.documents.map(\.docID) == ["doc-1"] && page.answers.map(\.id) == ["a-1"])
        #expect(
            try impact(fixture, .page(collection: "wikimedia.recentchange", title: "Title 1", wiki: "dewiki")).isEmpty)
        let user = try impact(fixture, .user("User 0", collection: nil))
        #expect(user.documents.count == 2 && user.answers.count == 3)
        let cut = try store.impact(
            of: .user("User 0", collection: nil), tenant: .standard, limit: 1, timeoutMilliseconds: limit)
        #expect(cut.documents.count == 1 && cut.areDocumentsCut && cut.answers.count == 1)

        // Whatever the index has removed since.
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at - interval '2 hours'", timeoutMilliseconds: limit)
        _ = try writer.write([document(9, version: 1, offset: 9)], timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        while try upkeep.removeRetired(IndexRetention(historyHours: 1), timeoutMilliseconds: limit) > 0 {}
        try expectSources()
        let gone = try impact(fixture, .record(source, offset: 0))
        #expect(gone.documents.isEmpty && Set(gone.answers.map(\.id)) == ["a-1", "a-2"])
    }

    /// What is suppressed is found by the one who asks for it, in each way, and only within the tenant.
    @Test func whatIsSuppressedIsFoundWhereItIsAskedFor() throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write(
            (0..<2).map { document($0, version: 1, offset: Int64($0)) }, timeoutMilliseconds: limit)
        try SuppressionStore(configuration: fixture.configuration).apply(
            .suppress(
                Suppression(
                    id: "s-1", tenant: .standard, target: .eventID("doc-0"), reason: "a test", by: "ann",
                    atMilliseconds: 1_700_000_000_000)), timeoutMilliseconds: limit)
        func found(_ target: ImpactTarget, _ isWhole: Bool, _ tenant: TenantID = .standard) throws -> [ImpactDocument] {
            try fixture.store.impact(
                of: target, tenant: tenant, limit: 10, showsSuppressed: isWhole, timeoutMilliseconds: limit
            ).documents
        }
        let other = try #require(TenantID("acme"))
        for target: ImpactTarget in [
            .record(source, offset: 0), .event(id: "doc-0"), .user("User 0", collection: nil),
            .page(collection: "wikimedia.recentchange", title: "Title 0", wiki: nil),
        ] {
            #expect(try found(target, false).isEmpty, "\(target)")
            let whole = try found(target, true)
            #expect(whole.map(\.docID) == ["doc-0"] && whole.allSatisfy(\.isSuppressed), "\(target)")
            #expect(whole[0].passageIDs.count == 1)
            #expect(try found(target, true, other).isEmpty, "\(target)")
        }
        #expect(try found(.record(source, offset: 1), true).map(\.isSuppressed) == [false])
    }

    @Test func anotherTenantSeesNothing() throws {
        let fixture = try IndexFixture()
        let version = try fixture.writer.write(
            [document(0, version: 1, offset: 0)], timeoutMilliseconds: limit
        ).indexVersion
        try fixture.store.save(answer("a-1", [0], at: version), timeoutMilliseconds: limit)
        let other = try #require(TenantID("acme"))
        for target: ImpactTarget in [
            .record(source, offset: 0), .event(id: "doc-0"), .user("User 0", collection: nil),
            .page(collection: "wikimedia.recentchange", title: "Title 0", wiki: nil),
        ] {
            #expect(try !impact(fixture, target).isEmpty)
            #expect(try impact(fixture, target, other).isEmpty)
        }
        #expect(try fixture.store.sources(ofAnswer: "a-1", tenant: other, timeoutMilliseconds: limit).isEmpty)
    }

    /// Each way in reads what it finds, and not the index: with the plans that a session of searches gets.
    @Test func rowsReadDoNotGrowWithTheIndex() throws {
        let fixture = try IndexFixture()
        let version = try fixture.writer.write(
            [document(0, version: 1, offset: 0)], timeoutMilliseconds: limit
        ).indexVersion
        try fixture.store.save(answer("a-0", [0], at: version), timeoutMilliseconds: limit)
        let owner = try fixture.connect()
        try owner.script(
            """
            INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
                event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
            SELECT n, n, tenant, collection_id, 'd-' || n, 'c-' || n, 0, 't', 'Page ' || n / 3, url, lang, event_time, wiki, type,
                'Editor ' || n % 9000, namespace, is_bot, attributes, quality_flags
            FROM documents CROSS JOIN generate_series(1000, 30999) n;
            INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
                source_offset, shown_at, lineage)
            SELECT n, 1, v.from_version, n, v.tenant, 1, v.source_topic, 0, n, v.shown_at,
                jsonb_build_object('logic_version', 'l', 'parents', jsonb_build_array(jsonb_build_object('event_id', 'e-' || n)))
            FROM visibility v CROSS JOIN generate_series(1000, 30999) n;
            INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply, retrieved)
            SELECT 'x-' || n, 'q', created_at, 1, 1, false, '{}', '{}', '[]' FROM answers CROSS JOIN generate_series(1, 9999) n;
            INSERT INTO answer_documents (answer_id, tenant, collection, doc_id, is_cited, created_at, version, content_hash,
                source_topic, source_partition, source_offset, event_id)
            SELECT 'x-' || n, tenant, collection, 'd-' || n + 1000, true, created_at, 1, 'c', source_topic, 0, n + 1000,
                'e-' || n + 1000
            FROM answer_documents CROSS JOIN generate_series(1, 9999) n;
            ANALYZE documents, visibility, answers, answer_documents, passages
            """, timeoutMilliseconds: limit)
        let reader = try fixture.reader()
        func read(_ name: String, _ types: String, _ sql: String, _ values: String) throws -> Int {
            try reader.script("PREPARE \(name)(\(types)) AS \(sql)", timeoutMilliseconds: limit)
            return try RowsRead.count(reader, name, values)
        }
        #expect(
            try read(
                "record", "text, text, int, bigint, bigint", FindDocumentsOfRecord.sql,
                "'default', 'wikimedia.recentchange', 0, 5000, 101") < 20)
        #expect(try read("event", "text, text, int", FindDocumentsOfEvent.sql, "'default', 'e-5000', 101") < 20)
        for column in FindDocumentsNamed.Column.allCases {
            let statement = FindDocumentsNamed(
                column: column, tenant: .standard, value: "", collection: nil, wiki: nil, limit: 1,
                showsSuppressed: column == .user)
            let value = column == .title ? "Page 1700" : "Editor 700"
            let rows = try read(
                "named_\(column)", "text, text, text, text, bigint", statement.text.sql,
                "'default', '\(value)', 'wikimedia.recentchange', NULL, 101")
            #expect(rows < 60, "\(column): \(rows)")
        }
        #expect(
            try read(
                "answers", "text, text[], int[], bigint[], text[], text[], text, bigint", FindAnswersTouched.sql,
                "'default', '{wikimedia.recentchange}', '{0}', '{5000}', '{wikimedia.recentchange}', '{d-5000}', 'e-5000', 101"
            ) < 40)
    }
}
