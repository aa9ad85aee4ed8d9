import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What arms in memory ask Postgres for while they follow it.
@Suite struct ArmsPlanTests {
    private let limit = IndexFixture.limit

    /// Each statement that asks for some documents or versions reads these, and not the index: with the plans that the session gets.
    @Test func rowsReadDoNotGrowWithTheIndex() throws {
        let fixture = try IndexFixture()
        let first = IndexFixture.document(0, text: "text 0", version: 1, embedding: nil, model: "")
        _ = try fixture.writer.write([first], timeoutMilliseconds: limit)
        try fixture.countWords()
        let owner = try fixture.connect()
        func copies(_ table: String, _ members: String) -> String {
            """
            INSERT INTO \(table) SELECT (jsonb_populate_record(t, jsonb_build_object(\(members)))).*
            FROM (SELECT t FROM \(table) t LIMIT 1) t(t) CROSS JOIN generate_series(1000, 30999) n;

            """
        }
        // Two of them ended, and two were suppressed and brought back.
        try owner.script(
            copies("documents", "'id', n, 'key_id', n, 'doc_id', 'd-' || n")
                + copies("visibility", "'document_id', n, 'key_id', n, 'from_version', n")
                + copies("passages", "'id', n, 'document_id', n")
                + copies("passage_terms", "'passage_id', n, 'document_id', n")
                    + """
                    UPDATE visibility SET to_version = 31000 WHERE document_id IN (1500, 1501);
                    INSERT INTO suppression_changes (index_version, generation, document_id, tenant)
                    SELECT 30999, 1, n, 'default' FROM generate_series(1600, 1601) n;
                    ANALYZE documents, visibility, passages, passage_terms, suppression_changes
                    """, timeoutMilliseconds: limit)
        let session = try fixture.reader(SearchStore.feedSettings)
        func read<S: PostgresStatement>(_: S.Type, _ types: String, _ values: String) throws -> Int {
            try session.script("PREPARE \(S.name)(\(types)) AS \(S.sql)", timeoutMilliseconds: limit)
            return try RowsRead.count(session, S.name, values)
        }
        let some = ("text, bigint[], bigint, bigint", "'default', '{30000,20000,10000}', 1, 31001")
        #expect(try read(FindArmsRows.self, some.0, some.1) < 30)
        #expect(try read(FindArmsGone.self, some.0, some.1) < 30)
        #expect(try read(FetchPassages.self, some.0, some.1) < 30)
        #expect(try read(FindArmsTerms.self, "text, bigint[]", "'default', '{30000,20000,10000}'") < 30)
        let span = ("text, bigint, bigint, bigint", "'default', 1, 30996, 31001")
        #expect(try read(FindArmsStep.self, span.0, span.1) < 30)
        #expect(try read(EndTooMany.self, span.0, span.1) < 30)
        #expect(try read(ListArmsShown.self, span.0, span.1) < 30)
        #expect(try read(ListArmsEnded.self, span.0, span.1) < 30)
        #expect(try read(ListArmsTouched.self, span.0, span.1) < 30)
        #expect(try read(ListArmsRestored.self, span.0, span.1) < 30)
        // A page, at the beginning of what is loaded.
        #expect(try read(ListArmsRows.self, "text, bigint, bigint, bigint", "'default', 1, 31001, 900") < 6_000)
        #expect(try read(ListArmsTerms.self, "text, bigint", "'default', 900") < 5_000)
    }
}
