import Bytes
import Concurrency
import IndexTesting
import Indexer
import Postgres
import PostgresTesting
import Records
import Retrieval
import Testing

@testable import Store

/// Vectors that wait for their graph are found, kept and removed like others.
@Suite(.timeLimit(.minutes(2))) struct WaitingVectorsTests {
    private static let limit = IndexFixture.limit
    private static let place = GraphLinker.Place(model: 1, tenant: 1)

    /// Documents around some centres, and where they are.
    private struct Scene {
        static let size = AttributeName("size")
        let fixture: IndexFixture
        let vectors: [[Float]]

        /// - Parameter count: documents, written a hundred at a time.
        init(_ count: Int) throws {
            fixture = try IndexFixture()
            var random = SeededGenerator(seed: 21)
            let centres = (0..<20).map { _ in IndexFixture.vector(&random) }
            vectors = (0..<count).map { IndexFixture.neighbour(of: centres[$0 % 20], &random) }
            for start in stride(from: 0, to: count, by: 100) {
                let documents = (start..<min(start + 100, count)).map { number in
                    var document = IndexFixture.document(
                        number, wiki: number.isMultiple(of: 3) ? "dewiki" : "enwiki", embedding: vectors[number])
                    if let size = Self.size { document.document.attributes.set(size, .integer(Int64(number % 10))) }
                    return document
                }
                _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
            }
        }

        func nearest(
            _ vector: [Float], _ scan: CandidateQuery.VectorScan = .automatic, filter: Filter = .all,
            version: Int64? = nil
        ) throws -> [String] {
            var query = IndexFixture.query(vector: vector, filter: filter, lexicalLimit: 0)
            query.vectorScan = scan
            query.indexVersion = version
            return try fixture.store.candidates(for: query, timeoutMilliseconds: limit).nearest
        }

        func count(_ what: String) throws -> Int? {
            try fixture.connect().script("SELECT count(*) FROM \(what)", timeoutMilliseconds: limit)
                .first?.first.flatMap { $0 }.flatMap { Int($0) }
        }
    }

    @Test func aDocumentIsFoundOnceBeforeAndAfterItIsLinked() throws {
        let scene = try Scene(400)
        let narrow = try Filter(must: [.texts(.wiki, ["dewiki"])])
        let written = try scene.fixture.store.status(timeoutMilliseconds: Self.limit).indexVersion
        for linked in [0, 150, 400] {
            try IndexFixture.linkVectors(
                scene.fixture.configuration, most: Int64(linked) - Int64(400) + scene.fixture.waitingVectors())
            #expect(try scene.count("vectors_1 WHERE is_linked") == linked)
            #expect(try scene.count("vectors_1_t1_new") == 400 - linked)
            for number in stride(from: 7, to: 400, by: 40) {
                for filter in [Filter.all, narrow] {
                    let exact = try scene.nearest(scene.vectors[number], .exact, filter: filter)
                    let hint: Comment = "\(linked) linked, document \(number), \(filter)"
                    for version in [nil, written] {
                        let found = try scene.nearest(scene.vectors[number], filter: filter, version: version)
                        #expect(found.count == 100 && Set(found).count == 100, hint)
                        #expect(Set(found).intersection(exact).count >= 95, hint)
                        #expect(found.first == exact.first, hint)
                    }
                    if filter == .all { #expect(exact.first == "doc-\(number)") }
                }
            }
        }
        #expect(try IndexRows(connection: scene.fixture.connect()).faults() == [:])
    }

    /// A graph of few vectors beside many that wait, of which the filter leaves some here and some there.
    @Test func whereTheGraphLeadsToTooFewAllAreCompared() throws {
        let scene = try Scene(900)
        try IndexFixture.linkVectors(scene.fixture.configuration, most: 600)
        // No word leads to it, and a tenth passes.
        let filter = try Filter(must: [
            AttributeTest(try #require(Scene.size), .between(from: nil, to: .integer(1)))
        ])
        for number in stride(from: 0, to: 900, by: 90) {
            let exact = try scene.nearest(scene.vectors[number], .exact, filter: filter)
            #expect(exact.count == 90)
            #expect(try scene.nearest(scene.vectors[number], filter: filter) == exact)
        }
    }

    @Test func aStepThatIsTakenBackOrKilledLosesNothing() throws {
        let scene = try Scene(60)
        let linker = GraphLinker(configuration: scene.fixture.configuration)
        for ending in ["ROLLBACK", "SELECT pg_terminate_backend(pg_backend_pid())"] {
            let other = try scene.fixture.connect()
            try other.script("BEGIN", timeoutMilliseconds: Self.limit)
            let rows = try other.run(
                LinkVectors(place: Self.place, after: 0, rows: 20), timeoutMilliseconds: Self.limit)
            #expect(rows.first?.linked == 20)
            // Nobody else sees that, and a second one takes others.
            let waiting = try linker.count(timeoutMilliseconds: Self.limit).count
            #expect(waiting == (ending == "ROLLBACK" ? 60 : 55))
            #expect(try linker.step(most: 5, timeoutMilliseconds: Self.limit) == 5)
            #expect(try scene.nearest(scene.vectors[0]).count == 60)
            _ = try? other.script(ending, timeoutMilliseconds: Self.limit)
            #expect(try scene.nearest(scene.vectors[0]).count == 60)
        }
        #expect(try linker.count(timeoutMilliseconds: Self.limit).count == 50)
        try IndexFixture.linkVectors(scene.fixture.configuration)
        #expect(try scene.count("vectors_1") == 60 && scene.count("vectors_1_t1") == 60)
        #expect(try scene.count("(SELECT DISTINCT id FROM vectors_1) v") == 60)
        #expect(try scene.nearest(scene.vectors[0]).count == 60)
    }

    /// What is replaced goes, be it linked, waiting, or in the hand of one who links it.
    @Test func whatWaitsIsRemoved() async throws {
        let scene = try Scene(40)
        let fixture = scene.fixture
        try IndexFixture.linkVectors(fixture.configuration, most: 10)
        var random = SeededGenerator(seed: 22)
        let changed = (0..<30).map {
            IndexFixture.document($0, text: "v2 \($0)", version: 2, embedding: IndexFixture.vector(&random))
        }
        _ = try fixture.writer.write(changed, timeoutMilliseconds: Self.limit)
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at - interval '2 hours'", timeoutMilliseconds: Self.limit)
        _ = try fixture.writer.write(
            [IndexFixture.document(99, embedding: IndexFixture.vector(&random))], timeoutMilliseconds: Self.limit)
        let other = try fixture.connect()
        try other.script("BEGIN", timeoutMilliseconds: Self.limit)
        #expect(
            try other.run(LinkVectors(place: Self.place, after: 0, rows: 10), timeoutMilliseconds: Self.limit).first?
                .linked == 10)
        let configuration = fixture.configuration
        async let removed = Lane(name: "removal").run {
            try IndexUpkeep(configuration: configuration).removeRetired(
                IndexRetention(historyHours: 1), timeoutMilliseconds: Self.limit)
        }
        let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'"
        while try scene.count(waits) == 0 { try await Task.sleep(for: .milliseconds(10)) }
        try other.script("COMMIT", timeoutMilliseconds: Self.limit)
        #expect(try await removed > 0)
        #expect(try scene.count("vectors_1") == 41)
        #expect(try IndexRows(connection: fixture.connect()).faults() == [:])
        // Those that a write brings in vain, of which one waits and one is linked.
        for number in [5, 35] {
            _ = try fixture.writer.write(
                [IndexFixture.document(number, text: "late \(number)", version: 0, embedding: scene.vectors[number])],
                timeoutMilliseconds: Self.limit)
        }
        #expect(try IndexRows(connection: fixture.connect()).faults() == [:])
    }

    @Test func noMoreWaitThanMay() async throws {
        let fixture = try IndexFixture()
        let documents = (0..<160).map { number in
            PendingDocument(
                generation: 1, source: IndexFixture.source, sourceOffset: Int64(number),
                document: IndexFixture.document(number, embedding: nil).document)
        }
        var linked = 0
        // Four indexers of one database, none of which knows of the others.
        let indexers = (0..<4).map { _ in
            DocumentIndexer(
                configuration: fixture.configuration, embedder: CountingEmbedder(), graph: VectorGraph(waitingMax: 100))
        }
        for (turn, start) in stride(from: 0, to: 160, by: 5).enumerated() {
            linked += try await indexers[turn % 4].index(Array(documents[start..<start + 5])).linked
            #expect(try fixture.waitingVectors() <= 100)
        }
        let waiting = try fixture.waitingVectors()
        #expect(waiting > 50 && linked + Int(waiting) == 160)
        // Where the bound was lowered, there are fewer with each write.
        let writer = IndexWriter(
            configuration: fixture.configuration, graph: VectorGraph(waitingMax: 5))
        let more = [
            IndexFixture.document(500, embedding: [Float](repeating: 0.05, count: CountingEmbedder().dimensions))
        ]
        try writer.makeRoom(for: more, timeoutMilliseconds: Self.limit)
        #expect(try fixture.waitingVectors() == 4)
    }

    @Test func whatASearchDoesNotCompareItSays() throws {
        let scene = try Scene(60)
        var bounds = SearchBounds()
        func found() throws -> CandidateSet {
            let store = SearchStore(configuration: scene.fixture.configuration, model: "test", bounds: bounds)
            var query = IndexFixture.query(vector: scene.vectors[3], lexicalLimit: 0)
            query.vectorScan = .approximate
            return try store.candidates(for: query, timeoutMilliseconds: Self.limit)
        }
        #expect(try found().nearest.count == 60 && !found().isWaitingCut)
        bounds.waiting = 20
        #expect(try found().isWaitingCut && found().nearest.count == 21)
        // The newest are compared.
        #expect(try Set(found().nearest) == Set((39..<60).map { "doc-\($0)" }))
        try IndexFixture.linkVectors(scene.fixture.configuration, most: 45)
        #expect(try found().nearest.count == 60 && !found().isWaitingCut)
    }

    /// Too few were found, and not because the filter leaves no more.
    @Test func whereThoseThatWaitAreCutAllAreCompared() throws {
        let scene = try Scene(60)
        var bounds = SearchBounds()
        (bounds.waiting, bounds.narrow, bounds.wide) = (20, 5, 5)
        let store = SearchStore(configuration: scene.fixture.configuration, model: "test", bounds: bounds)
        let filter = try Filter(must: [.texts(.wiki, ["dewiki"])])
        let query = IndexFixture.query(vector: scene.vectors[3], filter: filter, lexicalLimit: 0)
        let found = try store.candidates(for: query, timeoutMilliseconds: Self.limit)
        #expect(found.nearest.count == 20 && found.isVectorExact && !found.isWaitingCut)
    }

    @Test func eachTenantHasItsTurn() throws {
        let scene = try Scene(30)
        let acme = try #require(TenantID("acme"))
        var random = SeededGenerator(seed: 23)
        let others = (0..<30).map { number in
            var other = IndexFixture.document(number, embedding: IndexFixture.vector(&random))
            other.document.tenant = acme
            return other
        }
        _ = try scene.fixture.writer.write(others, timeoutMilliseconds: Self.limit)
        // One step takes nothing of the other tenant's, not even a lock.
        let other = try scene.fixture.connect()
        try other.script("BEGIN", timeoutMilliseconds: Self.limit)
        let rows = try other.run(LinkVectors(place: Self.place, after: 0, rows: 4), timeoutMilliseconds: Self.limit)
        #expect(rows.first?.linked == 4)
        let locked = "pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname ~ '^vectors_1_t"
        #expect(try scene.count("\(locked)2'") == 0)
        #expect(try scene.count("\(locked)1'") ?? 0 > 0)
        try other.script("ROLLBACK", timeoutMilliseconds: Self.limit)
        let linker = GraphLinker(configuration: scene.fixture.configuration)
        #expect(try linker.count(timeoutMilliseconds: Self.limit).count == 60)
        for _ in 0..<4 { #expect(try linker.step(most: 5, timeoutMilliseconds: Self.limit) == 5) }
        for tenant in 1...2 {
            #expect(try scene.count("vectors_1_t\(tenant)") == 10)
            #expect(try scene.count("vectors_1_t\(tenant)_new") == 20)
        }
    }

    /// Not only of the oldest one, which nothing may show any more.
    @Test func itIsKnownSinceWhenTheOldestIsShown() throws {
        let scene = try Scene(3)
        let linker = GraphLinker(configuration: scene.fixture.configuration)
        try scene.fixture.connect().script(
            "UPDATE passages SET vector_id = NULL WHERE vector_id = (SELECT min(id) FROM vectors_1)",
            timeoutMilliseconds: Self.limit)
        #expect(try linker.count(timeoutMilliseconds: Self.limit).oldestShownAtMilliseconds != nil)
        try IndexFixture.linkVectors(scene.fixture.configuration)
        #expect(try linker.count(timeoutMilliseconds: Self.limit) == WaitingVectors())
    }

    @Test func roomIsGivenBackWhoeverLinked() throws {
        let scene = try Scene(1)
        let other = try scene.fixture.connect()
        // Others would be quicker, by chance.
        try other.script("ALTER TABLE vectors_1_t1_new SET (autovacuum_enabled = off)", timeoutMilliseconds: Self.limit)
        let linker = GraphLinker(configuration: scene.fixture.configuration)
        #expect(try !linker.vacuum(timeoutMilliseconds: Self.limit))
        try other.script(
            """
            INSERT INTO vectors_1 (tenant, id, input_hash, embedding, is_linked)
            SELECT v.tenant, nextval('vectors_id_sequence'), sha256(int8send(i)), v.embedding, false
            FROM vectors_1 v CROSS JOIN generate_series(1, \(GraphLinker.deadMin + 10)::bigint) AS i;
            DELETE FROM vectors_1_t1_new WHERE id > (SELECT min(id) FROM vectors_1);
            """, timeoutMilliseconds: Self.limit)
        try other.script("SELECT pg_stat_force_next_flush()", timeoutMilliseconds: Self.limit)
        let second = GraphLinker(configuration: scene.fixture.configuration)
        #expect(try second.vacuum(timeoutMilliseconds: Self.limit))
        let dead = try other.script(
            "SELECT pg_stat_get_dead_tuples('vectors_1_t1_new'::regclass)", timeoutMilliseconds: Self.limit)
        #expect(dead == [["0"]])
    }

    /// Vectors of the release before are in their graphs, which are kept as they are; new ones wait beside them.
    @Test func aFormerDatabaseKeepsItsGraphs() throws {
        let configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
        try Migrator(connection: connection).migrate(Migration.all.filter { $0.name < "V0021" })
        try connection.script(Self.formerVectors, timeoutMilliseconds: Self.limit)
        let all = "SELECT tenant, id, input_hash, embedding FROM vectors_1 ORDER BY id"
        let former = try connection.script(all, timeoutMilliseconds: Self.limit)
        let graphs = "SELECT oid, relname FROM pg_class WHERE relname LIKE '%hnsw%' ORDER BY 2"
        let formerGraphs = try connection.script(graphs, timeoutMilliseconds: Self.limit)
        #expect(former.count == 60 && formerGraphs.count == 3)
        #expect(try Migrator(connection: connection).migrate().first == "V0021__link_behind")
        #expect(try connection.script(all, timeoutMilliseconds: Self.limit) == former)
        #expect(try connection.script(graphs, timeoutMilliseconds: Self.limit) == formerGraphs)
        for tenant in 1...2 {
            for (table, count) in [("vectors_1_t\(tenant)", "30"), ("vectors_1_t\(tenant)_new", "0")] {
                let rows = try connection.script("SELECT count(*) FROM \(table)", timeoutMilliseconds: Self.limit)
                #expect(rows == [[count]])
            }
        }
        // A change of the settings finds all graphs, and a new vector waits.
        let upkeep = IndexUpkeep(configuration: configuration)
        #expect(
            try upkeep.buildGraphs(VectorGraph(m: 8, efConstruction: 32), timeoutMilliseconds: Self.limit).sorted()
                == ["vectors_1_t1_hnsw_8_32", "vectors_1_t2_hnsw_8_32", "vectors_2_t1_hnsw_8_32"])
        let vector = [Float](repeating: 0.1, count: 3)
        _ = try IndexWriter(configuration: configuration).write(
            [IndexFixture.document(1, embedding: vector, model: "test")], timeoutMilliseconds: Self.limit)
        let fresh = try connection.script("SELECT count(*) FROM vectors_1_t1_new", timeoutMilliseconds: Self.limit)
        #expect(fresh == [["1"]])
        let store = SearchStore(configuration: configuration, model: "test")
        for _ in 0..<2 {
            let query = IndexFixture.query(vector: vector, lexicalLimit: 0)
            #expect(try store.candidates(for: query, timeoutMilliseconds: Self.limit).nearest == ["doc-1"])
            try IndexFixture.linkVectors(configuration)
        }
    }

    /// Two models, two tenants.
    private static let formerVectors = """
        SELECT medallion_prepare_vectors('test', 3, 'default', 16, 64);
        SELECT medallion_prepare_vectors('test', 3, 'acme', 16, 64);
        SELECT medallion_prepare_vectors('other', 4, 'default', 16, 64);
        INSERT INTO vectors_1 (tenant, id, input_hash, embedding)
        SELECT t.name, nextval('vectors_id_sequence'), sha256(convert_to(t.name || i, 'UTF8')), format('[1,%s,%s]', i, i % 7)::halfvec
        FROM (VALUES ('default'), ('acme')) AS t(name), generate_series(1, 30) AS i
        """
}
