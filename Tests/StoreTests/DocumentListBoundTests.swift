import IndexTesting
import Postgres
import Testing

@testable import Store

/// Reading documents by their ids reads a bounded number of rows, however many there are. Rows are counted in the plan as the server
/// runs it, as the role and in a session with the settings of the product.
@Suite struct DocumentListBoundTests {
    private let limit = IndexFixture.limit

    private func fill(_ connection: PostgresConnection, upTo count: Int) throws {
        try connection.script(
            """
            INSERT INTO collections (tenant, name) VALUES ('default', 'notes') ON CONFLICT DO NOTHING;
            INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url,
                lang, event_time, attributes, quality_flags)
            SELECT n, n, 'default', c.id, 'doc-' || n, 'c' || n, 0, 't' || n, 'Title ' || n, '', 'en',
                timestamptz '2026-01-01' + n * interval '1 second', '{}', '[]'
            FROM generate_series((SELECT count(*) FROM documents) + 1, \(count)) n, collections c WHERE c.name = 'notes';
            INSERT INTO passages (id, document_id, tenant, number, passage_hash, text)
            SELECT nextval('passages_id_sequence'), d.id, 'default', 0, 'h', 'text ' || d.id
            FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
            INSERT INTO index_versions SELECT n, clock_timestamp()
            FROM generate_series((SELECT count(*) FROM index_versions) + 1, \(count / 10)) n;
            INSERT INTO visibility
            SELECT id, 1, (id + 9) / 10, NULL, id, 'default', 1, 'notes', 0, id, clock_timestamp(), '{"parents":[]}'
            FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
            ANALYZE
            """, timeoutMilliseconds: limit)
    }

    @Test func rowsReadDoNotGrowWithTheCollection() throws {
        let fixture = try IndexFixture()
        let maintenance = try fixture.connect()
        for count in [5_000, 40_000] {
            try fill(maintenance, upTo: count)
            let session = try fixture.reader()
            try session.script(
                """
                PREPARE list(text, text, text, int8) AS \(ListDocuments.sql);
                PREPARE find(text, text, text) AS \(FindDocument.sql);
                PREPARE sizes(text, text[], int8) AS \(CountCollections.sql);
                PREPARE shown(text, text, int4, int8[]) AS \(CountShownRecords.sql)
                """, timeoutMilliseconds: limit)
            for (statement, values, most) in [
                ("list", "'default', 'notes', '', 101", 6 * DocumentPage.rowsMax),
                ("list", "'default', 'notes', 'doc-4', 101", 6 * DocumentPage.rowsMax),
                ("find", "'default', 'notes', 'doc-77'", 50), ("sizes", "'default', '{notes}', 500", 2_500),
                ("shown", "'default', 'notes', 0, '{1,2,77}'", 50),
            ] {
                let read = try RowsRead.count(session, statement, values)
                #expect(read <= most, "\(statement) of \(count): \(read)")
            }
        }
    }
}
