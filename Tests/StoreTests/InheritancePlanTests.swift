import IndexTesting
import Postgres
import Testing

@testable import Store

/// Steps of a replay's end, beside a planner that has not looked since the child got its documents.
@Suite struct InheritancePlanTests {
    private let limit = IndexFixture.limit

    @Test func aStepReadsItsKeysAndNotTheGenerationForEachOfThem() throws {
        let fixture = try IndexFixture()
        let first = IndexFixture.document(0, text: "text 0", version: 1, embedding: nil, model: "")
        _ = try fixture.writer.write([first], timeoutMilliseconds: limit)
        let child = try fixture.generations.create(
            parent: 1, logicVersion: "n", note: "", timeoutMilliseconds: limit)
        let owner = try fixture.connect()
        func rows(of generation: Int64) -> String {
            """
            INSERT INTO visibility SELECT (jsonb_populate_record(t, jsonb_build_object(
                'document_id', n, 'key_id', n, 'from_version', n, 'generation', \(generation)))).*
            FROM (SELECT t FROM visibility t LIMIT 1) t(t) CROSS JOIN generate_series(1000, 8999) n;

            """
        }
        try owner.script(
            "ALTER TABLE visibility SET (autovacuum_enabled = false);" + rows(of: 1) + "ANALYZE visibility;"
                + rows(of: child), timeoutMilliseconds: limit)
        try owner.script(
            """
            PREPARE \(HideDeleted.name)(bigint, bigint) AS \(HideDeleted.sql);
            SELECT nextval('index_version_sequence')
            """, timeoutMilliseconds: limit)
        // A step is of 5,000 keys: each is read once in their order, and once where it would be changed.
        #expect(try RowsRead.count(owner, HideDeleted.name, "\(child), -1") <= 2 * 8_001)
    }
}
