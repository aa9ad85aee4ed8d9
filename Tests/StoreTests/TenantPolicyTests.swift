import Bytes
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing
import Text

@testable import Store

/// Row-level security alone keeps tenants apart: the statements of the program run without their conditions on the tenant, as
/// the role of services, and show the session's tenant its own documents and nobody else's.
@Suite struct TenantPolicyTests {
    private static let limit = IndexFixture.limit
    private static let count = 12
    private static let tenants = [TenantID.standard, IndexStep.acme]

    /// A statement whose text is another's.
    private struct Opened<Inner: PostgresStatement>: PostgresStatement {
        static var name: String { "opened" }
        static var sql: String { Inner.sql }
        static var parameterTypes: [PostgresType] { Inner.parameterTypes }
        let inner: Inner
        let text: StatementText

        /// Without conditions on the tenant, which is the given parameter.
        init(_ inner: Inner, tenant: String) {
            self.inner = inner
            let known = inner.text
            let condition = "tenant = \(tenant)"
            var sql = known.sql
            for alias in ["p", "v", "w", "d", "o", "c", "g"] {
                sql = sql.replacing("\(alias).\(condition)", with: "\(tenant)::text IS NOT NULL")
            }
            // The tables of words have the tenant's number.
            sql = sql.replacing(
                "tenant_id = (SELECT t.id FROM tenants t WHERE t.name = \(tenant))", with: "tenant_id IS NOT NULL")
            sql = sql.replacing("AND \(condition)", with: "AND \(tenant)::text IS NOT NULL")
            #expect(sql != known.sql && !sql.contains(condition), "\(sql)")
            text = StatementText(name: "opened_\(known.name)", sql: sql, types: known.types)
        }

        func bind(into parameters: inout PostgresParameters) { inner.bind(into: &parameters) }
        static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Inner.Row { try Inner.decode(row) }
    }

    /// Both tenants have documents of the same ids, collections and words, told apart by a word of their texts.
    private static func filled() throws -> IndexFixture {
        let fixture = try IndexFixture()
        for tenant in tenants {
            let documents = (0..<count).map { number in
                var document = IndexFixture.document(
                    number, text: "moss \(number) of \(tenant)", embedding: vector(number, tenant), model: "test")
                document.document.tenant = tenant
                document.document.contentHash = "c-\(number)"
                return document
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        }
        return fixture
    }

    /// The other tenant's are nearer to the query than the session's own.
    private static func vector(_ number: Int, _ tenant: TenantID) -> [Float] {
        let angle = (tenant == .standard ? 0.2 : 0.5) + Float(number) / 100
        return [1 - angle, angle] + [Float](repeating: 0, count: 382)
    }

    /// - Parameter tenant: nil for the owner of the tables, whom no policy binds.
    private static func session(_ fixture: IndexFixture, _ tenant: String?) throws -> PostgresConnection {
        var configuration = fixture.configuration
        configuration.sessionSettings = SearchStore.sessionSettings()
        if let tenant {
            configuration.sessionSettings.append(("medallion.tenant", tenant))
            configuration.role = SearchStore.readerRole
        }
        return try PostgresConnection(configuration, timeoutMilliseconds: limit)
    }

    /// Sessions of the owner, of both tenants and of strangers.
    private struct Sessions {
        let owner: PostgresConnection
        let tenants: [(TenantID, PostgresConnection)]
        let strangers: [PostgresConnection]

        init(_ fixture: IndexFixture) throws {
            owner = try TenantPolicyTests.session(fixture, nil)
            tenants = try TenantPolicyTests.tenants.map { ($0, try TenantPolicyTests.session(fixture, $0.text)) }
            strangers = try ["", "nobody", "default' OR true --", "DEFAULT", "default "].map {
                try TenantPolicyTests.session(fixture, $0)
            }
        }
    }

    /// Expects of the texts that something finds: all of them, those of the tenant, and none.
    private func expect(
        _ what: String, _ sessions: Sessions, _ texts: (PostgresConnection) throws -> [String]
    ) throws {
        let all = Set(Self.tenants.flatMap { tenant in (0..<Self.count).map { "moss \($0) of \(tenant)" } })
        #expect(try Set(texts(sessions.owner)) == all, "\(what): nothing but policies would keep them apart")
        for (tenant, session) in sessions.tenants {
            #expect(try Set(texts(session)) == all.filter { $0.hasSuffix(" of \(tenant)") }, "\(what) of \(tenant)")
        }
        for session in sessions.strangers { #expect(try texts(session) == [], "\(what) of a stranger") }
    }

    @Test func searchesAreHeldByPoliciesAlone() throws {
        let sessions = try Sessions(Self.filled())
        var filters: [(SearchSQL.Filters, Filter)] = [(.none, .all)]
        filters.append((.plain, try Filter(must: [.texts(.wiki, ["enwiki"])])))
        let test = AttributeTest.texts(try #require(AttributeName("domain")), ["v"])
        filters.append((.tested, try Filter(must: [test])))
        for (kind, filter) in filters {
            for vector in [SearchSQL.VectorArm.approximate, .exact, nil] {
                for lexical in [true, false] where vector != nil || lexical {
                    for limit in [nil, 100] {
                        var query = IndexFixture.query(
                            lexical ? "moss" : "", vector: [1] + [Float](repeating: 0, count: 383), filter: filter)
                        query.documentLimit = limit
                        let asked = try TextAnalyzer().query(QuerySyntax(query.text, fields: []), languages: [])
                        let words = WordLookup(asked, expansions: [], ranking: WordRanking())
                        let parts = SearchSQL.Parts(vector: vector, lexical: lexical, filters: kind)
                        let statement = Opened(
                            SearchStatement(parts: parts, model: 1, values: SearchValues(query: query, words: words)),
                            tenant: "$13")
                        try expect("\(parts.name) \(limit ?? 0)", sessions) { session in
                            let rows = try session.run(statement, timeoutMilliseconds: Self.limit)
                            return rows.compactMap { $0.candidate?.text }
                        }
                    }
                }
            }
        }
    }

    @Test func listsAndLookUpsAreHeldByPoliciesAlone() throws {
        let sessions = try Sessions(Self.filled())
        let query = RecentQuery(limit: 100)
        try expect("recent", sessions) { session in
            let statement = Opened(
                RecentDocuments(query: query, filter: FilterBinding(query.filter)), tenant: "$13")
            return try session.run(statement, timeoutMilliseconds: Self.limit).compactMap { $0.document?.document.text }
        }
        let domain = try #require(AttributeName("domain"))
        let tested = RecentQuery(limit: 100, filter: try Filter(must: [.texts(domain, ["v"])]))
        try expect("recent, tested", sessions) { session in
            let statement = Opened(
                TestedRecentDocuments(query: tested, filter: FilterBinding(tested.filter)), tenant: "$13")
            return try session.run(statement, timeoutMilliseconds: Self.limit).compactMap { $0.document?.document.text }
        }
        for collection in [nil, "wikimedia.recentchange"] {
            try expect("document", sessions) { session in
                try (0..<Self.count).flatMap { number in
                    let statement = Opened(
                        ReadDocument(
                            docID: "doc-\(number)", collection: collection, tenant: .standard, generation: nil),
                        tenant: "$4")
                    return try session.run(statement, timeoutMilliseconds: Self.limit).map(\.text)
                }
            }
        }
    }

    @Test func answersAreHeldByPoliciesAlone() throws {
        let fixture = try Self.filled()
        let store = fixture.store
        for tenant in Self.tenants {
            let answer = StoredAnswer(
                id: "answer-\(tenant)", tenant: tenant, question: "why?", createdAtMilliseconds: 1_700_000_000_000,
                generation: 1, indexVersion: 5, isRefused: false, requestJSON: Array("{}".utf8),
                replyJSON: Array("{}".utf8), retrievedJSON: Array("[]".utf8))
            try store.save(answer, timeoutMilliseconds: Self.limit)
        }
        for session in Self.tenants {
            let connection = try Self.session(fixture, session.text)
            for owner in Self.tenants {
                let statement = Opened(ReadAnswer(id: "answer-\(owner)", tenant: session), tenant: "$2")
                let found = try connection.run(statement, timeoutMilliseconds: Self.limit)
                #expect(found.map(\.answer.tenant) == (owner == session ? [owner] : []))
            }
            let rows = try connection.script("SELECT DISTINCT tenant FROM answers", timeoutMilliseconds: Self.limit)
            #expect(rows == [[session.text]])
        }
        // Nor is one written in another's name.
        let error = #expect(throws: PostgresError.self) {
            try Self.session(fixture, "acme").script(
                """
                INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request,
                    reply, retrieved, tenant) VALUES ('x', 'q', now(), 1, 1, false, '{}', '{}', '[]', 'default')
                """, timeoutMilliseconds: Self.limit)
        }
        #expect(error?.sqlState == "42501")
    }

    /// Each of them by itself, whatever it is joined with.
    @Test(arguments: ["documents", "passages", "visibility", "collections"])
    func everyTableWithNamesOrTextsHasAPolicy(table: String) throws {
        let fixture = try Self.filled()
        let sql = "SELECT DISTINCT tenant FROM \(table) ORDER BY 1"
        #expect(try Self.session(fixture, nil).script(sql, timeoutMilliseconds: Self.limit) == [["acme"], ["default"]])
        for tenant in Self.tenants {
            let session = try Self.session(fixture, tenant.text)
            #expect(try session.script(sql, timeoutMilliseconds: Self.limit) == [[tenant.text]])
        }
        #expect(try Self.session(fixture, "").script(sql, timeoutMilliseconds: Self.limit) == [])
        // A transaction's tenant is gone with it.
        let session = try Self.session(fixture, "")
        try session.script(
            "BEGIN; SELECT set_config('medallion.tenant', 'acme', true); COMMIT", timeoutMilliseconds: Self.limit)
        #expect(try session.script(sql, timeoutMilliseconds: Self.limit) == [])
    }

    /// What the role has no use for.
    @Test func theRoleMayDoNothingElse() throws {
        let fixture = try Self.filled()
        let session = try Self.session(fixture, "default")
        let tables = try fixture.connect().script(
            """
            SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            ORDER BY 1
            """, timeoutMilliseconds: Self.limit
        ).compactMap { $0[0] }
        let read = [
            "active_generation", "answer_documents", "answer_feedback", "answers", "collection_counts", "collections",
            "documents", "erased_answers", "erasure_versions", "generations", "index_checkpoints", "index_history",
            "index_versions", "live_progress",
            "models", "passage_terms",
            "passages", "postings", "promotions", "suppressed_documents", "suppression_changes", "tenants", "vectors_1",
            "visibility", "word_arm", "word_counts", "words",
        ]
        func state(_ sql: String) -> String? {
            do {
                try session.script(sql, timeoutMilliseconds: Self.limit)
                return nil
            } catch {
                return (error as PostgresError).sqlState
            }
        }
        for table in tables {
            #expect(state("SELECT FROM \(table) LIMIT 1") == (read.contains(table) ? nil : "42501"), "\(table)")
            #expect(state("DELETE FROM \(table)") == "42501", "\(table)")
            #expect(state("TRUNCATE \(table)") == "42501", "\(table)")
            let column = try fixture.connect().script(
                """
                SELECT attname FROM pg_attribute WHERE attrelid = '\(table)'::regclass AND attnum IN (1, 2)
                ORDER BY attnum DESC
                """,
                timeoutMilliseconds: Self.limit)[0][0]
            #expect(state("UPDATE \(table) SET \(column ?? "") = \(column ?? "")") == "42501", "\(table)")
            guard !["answers", "answer_documents", "answer_feedback"].contains(table) else { continue }
            #expect(state("INSERT INTO \(table) DEFAULT VALUES") == "42501", "\(table)")
        }
        for call in [
            "medallion_begin_index_transaction('live', '{1}')", "medallion_promote(1)",
            "medallion_delete_below(1, 't', 0, 7, 5)", "medallion_inherit(1, 1, '{1}', '{1}')",
            "medallion_prepare_tenant('new')", "nextval('documents_id_sequence')",
            "medallion_set_generation_state(1, '{active}', 'pruned')",
        ] {
            #expect(state("SELECT \(call)") == "42501", "\(call)")
        }
        #expect(state("CREATE TABLE mine ()") == "42501")
        let left = try fixture.connect().script("SELECT count(*) FROM documents", timeoutMilliseconds: Self.limit)
        #expect(left == [["\(2 * Self.count)"]])
    }
}
