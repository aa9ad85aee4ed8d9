import IndexTesting
import JSONScan
import Postgres
import Retrieval
import Testing

@testable import Store

/// The list of the newest reads a bounded number of rows, however many there are. Rows are counted in the plan as the
/// server runs it, for the statement as the product prepares it, in a session with the product's settings.
@Suite struct RecentBoundTests {
    private let limit = IndexFixture.limit

    /// Rows of the visible kind, straight into the tables: 10 to an index transaction, one wiki in 1,000 of them rare, and a
    /// document of two passages now and then.
    private func fill(_ connection: PostgresConnection, upTo count: Int) throws {
        try connection.script(
            """
            INSERT INTO collections (tenant, name) VALUES ('default', 'wikimedia.recentchange') ON CONFLICT DO NOTHING;
            INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url,
                lang, event_time, wiki, type, user_name, is_bot, attributes, quality_flags)
            SELECT n, n, 'default', 1, 'doc-' || n, 'c' || n, 0, 't' || n, 'Title ' || n, '', 'en',
                timestamptz '2026-01-01' + n * interval '1 second',
                CASE WHEN n % 1000 = 501 THEN 'rarewiki' ELSE 'enwiki' END, 'edit', 'u', n % 7 = 0, '{}', '[]'
            FROM generate_series((SELECT count(*) FROM documents) + 1, \(count)) n;
            INSERT INTO passages (id, document_id, tenant, number, passage_hash, text)
            SELECT nextval('passages_id_sequence'), d.id, 'default', p.number, 'h', 'text ' || d.id
            FROM documents d CROSS JOIN generate_series(0, CASE WHEN d.id % 50 = 0 THEN 1 ELSE 0 END) p(number)
            WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
            INSERT INTO index_versions SELECT n, clock_timestamp()
            FROM generate_series((SELECT count(*) FROM index_versions) + 1, \(count / 10)) n;
            INSERT INTO visibility
            SELECT id, 1, (id + 9) / 10, CASE WHEN id % 40 = 0 THEN 1 END, id, 'default', 1, 'wikimedia.recentchange', 0, id,
                clock_timestamp(), '{"parents":[]}'
            FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
            ANALYZE
            """, timeoutMilliseconds: limit)
    }

    /// The statement, prepared for a session as the client does it: with the types of its parameters.
    private func prepared(_ connection: PostgresConnection) throws {
        try connection.script(
            """
            PREPARE recent(int8, int8, text[], text[], text[], bool, timestamptz, timestamptz, text, int8, int8, int8, text)
            AS \(RecentDocuments.sql);
            PREPARE tested(int8, int8, text[], text[], text[], bool, timestamptz, timestamptz, text, int8, int8, int8, text,
                jsonb)
            AS \(TestedRecentDocuments.sql)
            """, timeoutMilliseconds: limit)
    }

    /// Rows that the scans of a plan touched: what they gave and what they threw away, over all their loops.
    private func rowsRead(
        _ connection: PostgresConnection, _ values: String, of statement: String = "recent"
    ) throws -> Int {
        let text = try connection.script(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE \(statement)(\(values))", timeoutMilliseconds: limit)
        let plan = try JSONValue.parse(Array((text.first?.first.flatMap { $0 } ?? "").utf8), maxDepth: 200)
        func rows(_ node: JSONValue?) -> Int {
            guard let node else { return 0 }
            var sum = 0
            if node["Relation Name"] != nil {
                let loops = number(node["Actual Loops"])
                let removed = number(node["Rows Removed by Filter"]) + number(node["Rows Removed by Index Recheck"])
                sum = Int(((number(node["Actual Rows"]) + removed) * loops).rounded())
            }
            return (node["Plans"]?.array ?? []).reduce(sum) { $0 + rows($1) }
        }
        return rows(plan.array?.first?["Plan"])
    }

    private func number(_ value: JSONValue?) -> Double {
        switch value {
        case .integer(let number): Double(number)
        case .double(let number): number
        default: 0
        }
    }

    @Test func rowsReadDoNotGrowWithTheIndex() throws {
        let fixture = try IndexFixture()
        let maintenance = try fixture.connect()
        var counted: [Int: [String: Int]] = [:]
        for count in [5_000, 20_000] {
            try fill(maintenance, upTo: count)
            let session = try fixture.reader()
            try prepared(session)
            let newest = count / 10
            let last = "9223372036854775807, 9223372036854775807"
            let none = "NULL, NULL, NULL, NULL, NULL, NULL, NULL"
            let cases = [
                "unfiltered": "101, -1, \(none), NULL, \(last), 'default'",
                "after the newest": "101, \(newest), \(none), NULL, \(last), 'default'",
                "after nearly the newest": "101, \(newest - 2), \(none), NULL, \(last), 'default'",
                "after an old one": "101, 3, \(none), NULL, \(last), 'default'",
                "a page far behind": "101, -1, \(none), 1, 300, 2995, 'default'",
                "lang=zz": "101, -1, NULL, '{zz}', NULL, NULL, NULL, NULL, NULL, NULL, \(last), 'default'",
                "a rare wiki": "101, -1, '{rarewiki}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, \(last), 'default'",
                "a type that is not there":
                    "101, -1, NULL, NULL, '{log}', NULL, NULL, NULL, NULL, NULL, \(last), 'default'",
                "a collection that is not there":
                    "101, -1, NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, \(last), 'default'",
                "bots": "101, -1, NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, \(last), 'default'",
                "a time that is over":
                    "101, -1, NULL, NULL, NULL, NULL, NULL, '2020-01-01', NULL, NULL, \(last), 'default'",
                "another generation": "101, -1, \(none), 9, \(last), 'default'",
            ]
            // The first runs of a statement are planned with its values whatever the setting says, should it not hold.
            for _ in 0..<6 { _ = try rowsRead(session, cases["unfiltered"] ?? "") }
            for (name, values) in cases { counted[count, default: [:]][name] = try rowsRead(session, values) }
            let test = #"'[{"must":true,"attribute":"size","one_of":[5]}]'"#
            for _ in 0..<6 {
                _ = try rowsRead(session, "101, -1, \(none), NULL, \(last), 'default', \(test)", of: "tested")
            }
            counted[count, default: [:]]["a test that nothing passes"] = try rowsRead(
                session, "101, -1, \(none), NULL, \(last), 'default', \(test)", of: "tested")
        }
        let (small, large) = (counted[5_000] ?? [:], counted[20_000] ?? [:])
        #expect(small.count == 13)
        for (name, rows) in small {
            let grown = large[name] ?? .max
            // Statistics of a few pages more or less, and no more.
            #expect(grown <= rows + rows / 20 + 20, "\(name): \(rows) rows of 5,000, \(grown) of 20,000")
            #expect(grown <= 3 * RecentDocuments.rowsMax + 100, "\(name): \(grown) rows")
        }
        #expect((large["after the newest"] ?? .max) <= 10, "a poll that finds nothing new reads next to nothing")
        #expect((large["unfiltered"] ?? .max) <= 500)
        #expect((large["a page far behind"] ?? .max) <= 500)
    }

    /// Whatever the filter, the pages together hold every document that passes, once, newest first, also where a page was
    /// cut short and has nothing.
    @Test func pagesThatWereCutShortLoseNothing() throws {
        let fixture = try IndexFixture()
        let maintenance = try fixture.connect()
        try fill(maintenance, upTo: 5_000)
        // All of one index transaction's: only the document's number tells its rows apart.
        try maintenance.script(
            "UPDATE visibility SET from_version = 200 WHERE from_version BETWEEN 200 AND 400",
            timeoutMilliseconds: limit)
        let store = fixture.store
        let rare = try Filter(must: [.texts(.wiki, ["rarewiki"])])
        let bots = try Filter(must: [.equals(.isBot, .bool(true))])
        let nothing = try Filter(must: [.texts(.lang, ["zz"])])
        for (filter, condition, size) in [
            (rare, "p.wiki = 'rarewiki'", 3), (bots, "p.is_bot", 100), (nothing, "false", 50),
            (.all, "true", 77),
        ] {
            let expected = try maintenance.script(
                """
                SELECT p.doc_id FROM documents p JOIN visibility g ON g.document_id = p.id
                WHERE g.to_version IS NULL AND \(condition)
                ORDER BY g.from_version DESC, p.id DESC
                """, timeoutMilliseconds: limit
            ).compactMap { $0[0] }
            var found: [String] = []
            var query = RecentQuery(limit: size, filter: filter)
            var pages = 0
            while true {
                let page = try store.recent(query, timeoutMilliseconds: limit)
                found += page.documents.map(\.document.docID)
                pages += 1
                #expect(page.documents.count <= size)
                #expect(!page.isCutShort || page.documents.count < size)
                if page.documents.count < size, page.next != nil { #expect(page.isCutShort) }
                guard let next = page.next, pages < 200 else { break }
                query.before = next
            }
            #expect(found == expected, "\(condition)")
            if condition == "false" { #expect(pages == 3) }
        }
    }
}
