import IndexTesting
import PlatformTesting
import Postgres
import PostgresTesting
import Records
import Retrieval
import Store
import Testing

/// A database of the release before is brought over: what it showed is shown, and goes on from there.
@Suite(.timeLimit(.minutes(30))) struct MigrationTests {
    private static let limit = IndexFixture.limit
    private static let model = "\(FormerIndex.model)/384/float"
    private static let tenants = [TenantID.standard, IndexStep.acme]

    private static func store(_ former: FormerIndex) -> SearchStore {
        SearchStore(configuration: former.configuration, model: model)
    }

    /// A document's passages in short.
    private struct Shown: Hashable {
        let collection: String
        let id: String
        let passages: [String]
        let version: Int64
    }

    private static func wanted(_ former: FormerIndex, _ generation: Int64, _ tenant: TenantID) -> Set<Shown> {
        Set(
            former.shown(generation, tenant.text).map {
                Shown(
                    collection: $0.collection, id: $0.id, passages: $0.passages,
                    version: $0.seen[generation]?.version ?? 0)
            })
    }

    @Test func whatWasShownIsShown() throws {
        var former = try FormerIndex()
        try former.fill()
        let applied = try Migrator(connection: former.connection).migrate()
        #expect(applied.first == "V0009__give_keys_tenants")
        try IndexFixture.countWords(former.configuration)
        try expectShown(former)
        #expect(try Migrator(connection: former.connection).migrate() == [])
        #expect(try IndexRows(connection: former.connection).faults() == [:])
        let left = try former.connection.script(
            "SELECT relname FROM pg_class WHERE relname LIKE 'former%'", timeoutMilliseconds: Self.limit)
        #expect(left == [])
    }

    /// By word, by vector, in the list of the newest and by id; vectors are those of before.
    private func expectShown(_ former: FormerIndex) throws {
        let store = Self.store(former)
        for generation in [1, 2] as [Int64] {
            for tenant in Self.tenants {
                let wanted = Self.wanted(former, generation, tenant)
                #expect(wanted.count >= 7)
                let filter = try Filter(scope: Filter.Scope(tenant: tenant))
                var query = IndexFixture.query("moss", filter: filter)
                query.generation = generation
                let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
                #expect(
                    Set(found.candidates.map { "\($0.collection)/\($0.docID)" })
                        == Set(wanted.map { "\($0.collection)/\($0.id)" }))
                #expect(found.candidates.allSatisfy { $0.attributes.value(of: .user) == .string("Ann") })
                let recent = try store.recent(
                    RecentQuery(limit: 100, filter: filter, generation: generation), timeoutMilliseconds: Self.limit)
                #expect(
                    recent.documents.map { "\($0.document.collection)/\($0.document.docID)" }
                        == former.shown(generation, tenant.text)
                        .sorted { ($0.seen[generation]?.from ?? 0) > ($1.seen[generation]?.from ?? 0) }
                        .map { "\($0.collection)/\($0.id)" })
                var looked: Set<Shown> = []
                for document in wanted {
                    let rows = try store.document(
                        id: document.id, collection: document.collection, tenant: tenant, generation: generation,
                        timeoutMilliseconds: Self.limit)
                    #expect(rows.map(\.passage) == rows.indices.map { Int32($0) })
                    looked.insert(
                        Shown(
                            collection: document.collection, id: document.id, passages: rows.map(\.text),
                            version: rows.first?.version ?? 0))
                }
                #expect(looked == wanted)
                try expectVectors(former, generation, tenant, filter)
            }
        }
        for id in ["gone", "hidden", "pruned", "late"] {
            #expect(try store.document(id: id, timeoutMilliseconds: Self.limit).isEmpty, "\(id)")
        }
        try expectTheRest(former)
    }

    private func expectVectors(
        _ former: FormerIndex, _ generation: Int64, _ tenant: TenantID, _ filter: Filter
    ) throws {
        let store = Self.store(former)
        let texts = Set(
            former.shown(generation, tenant.text).filter { !$0.model.isEmpty }.flatMap(\.passages))
        for scan in [CandidateQuery.VectorScan.exact, .approximate] {
            for text in texts {
                var query = IndexFixture.query(
                    "", vector: FormerIndex.vector(of: text), filter: filter, vectorLimit: 1, lexicalLimit: 0)
                query.generation = generation
                query.vectorScan = scan
                let best = try store.candidates(for: query, timeoutMilliseconds: Self.limit).candidates.first
                #expect(best?.text == text)
                #expect(best?.vector.map { $0.score > 0.9999 } == true, "\(text): \(best?.vector?.score ?? 0)")
            }
        }
    }

    private func expectTheRest(_ former: FormerIndex) throws {
        var refused: [RefusedDocument] = []
        try RefusedDocumentStore(configuration: former.configuration).forEach(
            RefusedDocumentQuery(), timeoutMilliseconds: Self.limit
        ) { refused.append($0.document) }
        #expect(refused.map(\.docID) == ["large"], "what came in after all is no longer listed")
        let writer = IndexWriter(configuration: former.configuration)
        #expect(try writer.checkpoints(timeoutMilliseconds: Self.limit).map(\.nextOffset) == [500, 500])
        #expect(try writer.goldPositions(timeoutMilliseconds: Self.limit).map(\.value) == [77])
        #expect(try Self.store(former).answer(id: "a-1", timeoutMilliseconds: Self.limit)?.question == "why?")
        let status = try Self.store(former).status(timeoutMilliseconds: Self.limit)
        #expect(status.generation == 2 && status.indexVersion == 90)
        // What came before cannot be read any more, since it was not kept.
        var query = IndexFixture.query("moss")
        query.indexVersion = 89
        #expect(throws: IndexVersionGone.self) {
            try Self.store(former).candidates(for: query, timeoutMilliseconds: Self.limit)
        }
        query.indexVersion = 90
        #expect(try !Self.store(former).candidates(for: query, timeoutMilliseconds: Self.limit).best.isEmpty)
    }

    private func document(
        _ id: String, version: Int64, text: String, generation: Int64 = 2, tenant: TenantID = .standard,
        collection: String = "wikimedia.recentchange"
    ) -> IndexedDocument {
        var document = IndexFixture.document(
            1, text: text, version: version, embedding: FormerIndex.vector(of: text), generation: generation,
            model: Self.model, contentHash: "n-\(text)")
        document.document.docID = id
        document.document.tenant = tenant
        document.document.collection = IndexFixture.name(collection)
        document.source = TopicPartition(topic: "src", partition: 0)
        document.sourceOffset = 600 + version
        return document
    }

    /// New versions replace what was brought over; deletions of before hold; other generations stay as they are.
    @Test func theIndexGoesOn() throws {
        var former = try FormerIndex()
        try former.fill()
        try Migrator(connection: former.connection).migrate()
        let writer = IndexWriter(configuration: former.configuration)
        let store = Self.store(former)
        func texts(_ id: String, _ generation: Int64 = 2, _ tenant: TenantID = .standard) throws -> [String] {
            try store.document(
                id: id, tenant: tenant, generation: generation, timeoutMilliseconds: Self.limit
            ).map(\.text)
        }
        var gone = document("words", version: 9, text: "")
        gone.document.operation = .delete
        gone.passages = []
        _ = try writer.write(
            [
                document("changed", version: 1, text: "too old"), document("changed", version: 3, text: "newest"),
                document("gone", version: 7, text: "as old as its deletion"),
                document("hidden", version: 1, text: "back"),
                document("late", version: 3, text: "late", tenant: IndexStep.acme, collection: "never.seen"),
                document("double", version: 2, text: "one again"), gone,
            ], timeoutMilliseconds: Self.limit)
        #expect(try texts("changed") == ["newest"])
        #expect(try texts("changed", 1) == ["moss former"])
        #expect(try texts("gone") == [])
        #expect(try texts("hidden") == ["back"])
        #expect(try texts("late", 2, IndexStep.acme) == [])
        #expect(try texts("double") == ["one again"])
        #expect(try texts("words") == [])
        _ = try writer.write(
            [
                document("gone", version: 8, text: "newer than its deletion"),
                document("late", version: 4, text: "later", tenant: IndexStep.acme, collection: "never.seen"),
            ], timeoutMilliseconds: Self.limit)
        #expect(try texts("gone") == ["newer than its deletion"])
        #expect(try texts("late", 2, IndexStep.acme) == ["later"])
        // The contents of before are known: nothing is embedded again.
        let known = former.shown(2, "default").filter { $0.id.hasPrefix("doc-") }.map { old in
            var again = document(old.id, version: 1, text: "", collection: old.collection).document
            again.contentHash = old.content
            return again
        }
        let places = try writer.known(known, model: Self.model, timeoutMilliseconds: Self.limit)
        #expect(places == Set(known.indices))
        try IndexFixture.countWords(former.configuration)
        #expect(try IndexRows(connection: former.connection).faults() == [:])
    }

    /// A generation that two models had written to goes on with the newer one.
    @Test(arguments: [true, false]) func theModelOfTheNewestWins(isFirstByName: Bool) throws {
        var former = try FormerIndex()
        let models = isFirstByName ? ["b", "a"] : ["a", "b"]
        try former.connection.script(
            "INSERT INTO index_versions SELECT nextval('index_version_sequence'), now(), 'live' FROM generate_series(1, 9)",
            timeoutMilliseconds: Self.limit)
        for (number, model) in models.enumerated() {
            try former.add(
                FormerIndex.Document(
                    id: model, content: "x", model: model, passages: ["moss \(model)"],
                    seen: [1: FormerIndex.Seen(from: Int64(number + 1), offset: Int64(number))]))
        }
        try Migrator(connection: former.connection).migrate()
        var next = document("next", version: 1, text: "moss next", generation: 1)
        next.model = "\(models[1])/384/float"
        let writer = IndexWriter(configuration: former.configuration)
        #expect(try writer.write([next], timeoutMilliseconds: Self.limit).passagesAdded == 1)
        let store = SearchStore(configuration: former.configuration, model: next.model)
        let query = IndexFixture.query("", vector: FormerIndex.vector(of: "moss next"), lexicalLimit: 0)
        #expect(try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest == ["next", models[1]])
    }

    @Test func anEmptyDatabaseIsBroughtOver() throws {
        let former = try FormerIndex()
        try Migrator(connection: former.connection).migrate()
        let found = try Self.store(former).candidates(
            for: IndexFixture.query("moss", vector: FormerIndex.vector(of: "moss")), timeoutMilliseconds: Self.limit)
        #expect(found.candidates.isEmpty && found.generation == 1)
    }

    /// A migration that fails at one of its steps leaves the database as it was, and is completed by the next run.
    @Test func aMigrationThatFailsLeavesNothing() throws {
        var former = try FormerIndex()
        try former.fill()
        try former.connection.script(
            """
            CREATE SEQUENCE steps;
            CREATE TABLE failing (step bigint);
            INSERT INTO failing VALUES (0);
            CREATE FUNCTION fail_at_step() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('steps') = (SELECT step FROM failing) THEN RAISE EXCEPTION 'step' USING ERRCODE = '53100'; END IF;
            END $$;
            CREATE EVENT TRIGGER fail_at_step ON ddl_command_end EXECUTE FUNCTION fail_at_step();
            """, timeoutMilliseconds: Self.limit)
        let state = """
            SELECT count(*), (SELECT max(name) FROM schema_migrations WHERE name LIKE 'V%'),
                (SELECT count(*) FROM passages), (SELECT max(oid) FROM pg_class WHERE relname = 'passages')
            FROM pg_class WHERE relnamespace = current_schema()::regnamespace
            """
        var failures = 0
        var step = 1
        while true {
            try former.connection.script(
                "UPDATE failing SET step = \(step); SELECT setval('steps', 1, false)", timeoutMilliseconds: Self.limit)
            let before = try former.connection.script(state, timeoutMilliseconds: Self.limit)
            do {
                try Migrator(connection: former.connection).migrate()
                break
            } catch let error as PostgresError {
                #expect(error.sqlState == "53100" && error.isRetriable, "\(error)")
                failures += 1
            }
            let after = try former.connection.script(state, timeoutMilliseconds: Self.limit)
            // Those before the failing one may be there for good.
            if before[0][1] == after[0][1] { #expect(before == after, "step \(step)") }
            step += LongTests.areWanted ? 1 : 7
        }
        #expect(failures >= 6)
        try former.connection.script("DROP EVENT TRIGGER fail_at_step", timeoutMilliseconds: Self.limit)
        try IndexFixture.countWords(former.configuration)
        try expectShown(former)
        #expect(try IndexRows(connection: former.connection).faults() == [:])
    }
}
