import Arms
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What is suppressed leaves everything that a reply is made of, in Postgres and in memory, and comes back.
@Suite struct SuppressionTests {
    private static let limit = IndexFixture.limit
    private static let acme = TenantID("acme") ?? .standard
    private let fixture: IndexFixture
    private let scene: ArmsScene
    private let suppressions: SuppressionStore

    init() throws {
        fixture = try IndexFixture()
        scene = ArmsScene(fixture, tenants: [.standard, Self.acme])
        suppressions = SuppressionStore(configuration: fixture.configuration)
    }

    private static func document(_ number: Int, version: Int64 = 1, generation: Int64 = 1) -> IndexedDocument {
        let text = "river \(number) of version \(version)"
        return IndexFixture.document(
            number, text: text, version: version, embedding: ArmsAgreementTests.vector(of: text), generation: generation
        )
    }

    private func write(_ documents: [IndexedDocument]) throws {
        _ = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
    }

    private static func suppression(
        _ id: String, _ target: SuppressionTarget, tenant: TenantID = .standard
    ) -> Suppression {
        Suppression(
            id: id, tenant: tenant, target: target, reason: "a test", by: "ann", atMilliseconds: 1_700_000_000_000)
    }

    @discardableResult
    private func suppress(
        _ id: String, _ target: SuppressionTarget, tenant: TenantID = .standard
    ) throws -> Int64? {
        let changed = try suppressions.apply(
            .suppress(Self.suppression(id, target, tenant: tenant)), timeoutMilliseconds: Self.limit)
        try scene.follow()
        return changed
    }

    @discardableResult
    private func lift(_ id: String, tenant: TenantID = .standard) throws -> Int64? {
        let entry = SuppressionEntry.lift(
            id: id, tenant: tenant, reason: "checked", by: "bob", atMilliseconds: 1_700_000_001_000)
        let changed = try suppressions.apply(entry, timeoutMilliseconds: Self.limit)
        try scene.follow()
        return changed
    }

    private func query(_ text: String, tenant: TenantID = .standard, scan: CandidateQuery.VectorScan = .exact)
        -> CandidateQuery
    {
        var query = IndexFixture.query(
            text, vector: ArmsAgreementTests.vector(of: text), filter: .all(of: tenant))
        query.vectorScan = scan
        return query
    }

    /// The documents that both searches find, by either arm; they must agree.
    private func found(_ text: String = "river", tenant: TenantID = .standard) throws -> Set<String> {
        let real = try fixture.store.candidates(for: query(text, tenant: tenant), timeoutMilliseconds: Self.limit)
        let armed = try scene.store.candidates(for: query(text, tenant: tenant), timeoutMilliseconds: Self.limit)
        #expect(scene.size(of: tenant) != nil)
        #expect(Set(real.nearest) == Set(armed.nearest) && Set(real.best) == Set(armed.best))
        #expect(Set(real.nearest) == Set(real.best))
        let graph = try fixture.store.candidates(
            for: query(text, tenant: tenant, scan: .approximate), timeoutMilliseconds: Self.limit)
        #expect(Set(graph.nearest) == Set(real.nearest))
        let reader = ArmsReader(shared: scene.shared, model: "test")
        if let inMemory = reader.candidates(for: query(text, tenant: tenant)) {
            #expect(Set(inMemory.best) == Set(real.best))
        }
        return Set(real.best)
    }

    private func recent(tenant: TenantID = .standard) throws -> Set<String> {
        let page = try fixture.store.recent(
            RecentQuery(limit: 100, filter: .all(of: tenant)), timeoutMilliseconds: Self.limit)
        return Set(page.documents.map(\.document.docID))
    }

    private static var page: SuppressionTarget {
        .page(collection: IndexFixture.collection.text, title: "Title 1", wiki: nil)
    }

    private static let targets: [SuppressionTarget] = [
        page, .page(collection: IndexFixture.collection.text, title: "Title 1", wiki: "enwiki"),
        .event(IndexFixture.source, offset: 1), .eventID("doc-1"),
        .document(collection: IndexFixture.collection.text, docID: "doc-1"),
        .user(collection: IndexFixture.collection.text, name: "User 1"),
    ]

    @Test func whatIsSuppressedIsGoneAndComesBack() throws {
        try write((0..<4).map { Self.document($0) })
        let all: Set<String> = ["doc-0", "doc-1", "doc-2", "doc-3"]
        #expect(try found() == all && recent() == all)
        for (number, target) in Self.targets.enumerated() {
            let id = "s-\(number)"
            #expect(try suppress(id, target) == 1, "\(target)")
            #expect(try found() == all.subtracting(["doc-1"]), "\(target)")
            #expect(try recent() == all.subtracting(["doc-1"]), "\(target)")
            #expect(try fixture.store.document(id: "doc-1", timeoutMilliseconds: Self.limit).isEmpty)
            // Another entry of the same id is the same entry.
            #expect(try suppress(id, target) == nil)
            #expect(try lift(id) == 1)
            #expect(try found() == all && recent() == all, "\(target)")
            #expect(try lift(id) == nil)
            #expect(try suppress(id, target) == nil)
            #expect(try found() == all)
        }
    }

    /// Neither another collection's, nor another wiki's, nor another tenant's.
    @Test func nothingElseIsMeant() throws {
        try write((0..<3).map { Self.document($0) })
        let name = IndexFixture.collection.text
        for (number, target) in [
            .page(collection: "other", title: "Title 1", wiki: nil),
            .page(collection: name, title: "Title 1", wiki: "dewiki"),
            .document(collection: "other", docID: "doc-1"), .user(collection: "other", name: "User 1"),
            .event(TopicPartition(topic: IndexFixture.source.topic, partition: 7), offset: 1),
            .event(TopicPartition(topic: "other", partition: 0), offset: 1),
            .page(collection: name, title: "Title", wiki: nil),
        ].enumerated() as EnumeratedSequence<[SuppressionTarget]> {
            #expect(try suppress("s-\(number)", target) == 0)
        }
        #expect(try found().count == 3)
    }

    @Test func tenantsDoNotMeet() throws {
        var theirs = Self.document(1)
        theirs.document.tenant = Self.acme
        try write([Self.document(1)])
        try write([theirs])
        try suppress("s-1", Self.page)
        #expect(try found().isEmpty && found(tenant: Self.acme) == ["doc-1"])
        // Neither seen nor lifted by the other tenant.
        #expect(try suppressions.list(of: Self.acme, timeoutMilliseconds: Self.limit).isEmpty)
        #expect(try suppressions.find("s-1", of: Self.acme, timeoutMilliseconds: Self.limit) == nil)
        #expect(try lift("s-1", tenant: Self.acme) == nil)
        #expect(try found().isEmpty)
        let record = try #require(try suppressions.find("s-1", of: .standard, timeoutMilliseconds: Self.limit))
        #expect(record.suppression == Self.suppression("s-1", Self.page) && record.lift == nil)
        #expect(try suppressions.inForce(timeoutMilliseconds: Self.limit)[.standard]?.isEmpty == false)
        #expect(try lift("s-1") == 1 && found() == ["doc-1"])
        #expect(try suppressions.list(of: .standard, timeoutMilliseconds: Self.limit).first?.lift?.by == "bob")
        #expect(try suppressions.inForce(timeoutMilliseconds: Self.limit).isEmpty)
    }

    /// What comes later falls under it, and comes back with the rest: the newest of it.
    @Test func whatComesLaterStaysHidden() throws {
        try suppress("s-1", Self.page)
        try write([Self.document(0), Self.document(1)])
        #expect(try found() == ["doc-0"])
        try write([Self.document(1, version: 2)])
        #expect(try found() == ["doc-0"] && recent() == ["doc-0"])
        try lift("s-1")
        #expect(try found() == ["doc-0", "doc-1"])
        #expect(try found("version 2").contains("doc-1"))
        let texts = try fixture.store.document(id: "doc-1", timeoutMilliseconds: Self.limit).map(\.text)
        #expect(texts == ["river 1 of version 2"])
    }

    /// A document under two suppressions comes back with the second lift.
    @Test func twoMustBeLiftedBoth() throws {
        try write([Self.document(0), Self.document(1)])
        try suppress("s-1", Self.page)
        try suppress("s-2", .user(collection: IndexFixture.collection.text, name: "User 1"))
        #expect(try lift("s-1") == 0)
        #expect(try found() == ["doc-0"])
        #expect(try lift("s-2") == 1)
        #expect(try found() == ["doc-0", "doc-1"])
    }

    /// As the lake's log gives them where the topic was cut between the two.
    @Test func aLiftMayComeFirst() throws {
        try write([Self.document(1)])
        #expect(try lift("s-1") == 0)
        #expect(try suppress("s-1", Self.page) == 0)
        #expect(try found() == ["doc-1"])
        #expect(try suppressions.find("s-1", of: .standard, timeoutMilliseconds: Self.limit)?.lift?.by == "bob")
    }

    /// A page of a ranking that was found before, and what an earlier index version showed.
    @Test func earlierVersionsShowNothingOfIt() throws {
        try write((0..<4).map { Self.document($0) })
        var first = query("river")
        first.documentLimit = 1
        let ranking = try fixture.store.candidates(for: first, timeoutMilliseconds: Self.limit)
        #expect(ranking.rest.count == 3)
        try suppress("s-1", .user(collection: IndexFixture.collection.text, name: "User 1"))
        try suppress("s-2", .user(collection: IndexFixture.collection.text, name: "User 2"))
        var second = first
        second.page = ranking.rest
        second.generation = ranking.generation
        second.indexVersion = ranking.indexVersion
        let page = try fixture.store.candidates(for: second, timeoutMilliseconds: Self.limit)
        let seen = Set((ranking.candidates + page.candidates).map(\.docID))
        #expect(!page.candidates.contains { ["doc-1", "doc-2"].contains($0.docID) })
        #expect(seen.isSuperset(of: ["doc-0", "doc-3"]))
    }

    /// A generation that inherits, and one that is written anew, show nothing of it either.
    @Test func otherGenerationsShowNothingOfIt() throws {
        let (source, generations) = (IndexFixture.source, fixture.generations)
        _ = try fixture.writer.write(
            (0..<3).map { Self.document($0) },
            moving: [CheckpointMove(generation: 1, source: source, expected: nil, next: 3)],
            timeoutMilliseconds: Self.limit)
        try suppress("s-1", Self.page)
        try suppress("s-2", .eventID("doc-2"))
        let child = try generations.create(
            parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: Self.limit)
        let range = try #require(OffsetRange(start: 2, end: 3))
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [(source, range)], handover: [source: 3], timeoutMilliseconds: Self.limit)
        _ = try fixture.writer.write(
            [Self.document(2, version: 1, generation: child)], timeoutMilliseconds: Self.limit)
        try generations.finish(generation: child, handover: [source: 3], timeoutMilliseconds: Self.limit)
        try generations.promote(child, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        #expect(try found() == ["doc-0"] && recent() == ["doc-0"])
        try lift("s-1")
        try lift("s-2")
        #expect(try found() == ["doc-0", "doc-1", "doc-2"])
        try generations.promote(1, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-1", "doc-2"])
    }

    /// Words are counted as if it were not there.
    @Test func countsFollow() throws {
        func counted() throws -> [[String?]] {
            try fixture.countWords()
            return try fixture.connect().script(
                "SELECT sum(passages), sum(words) FROM collection_counts", timeoutMilliseconds: Self.limit)
        }
        try write([Self.document(0)])
        let one = try counted()
        try write([Self.document(1)])
        let two = try counted()
        #expect(one != two)
        try suppress("s-1", Self.page)
        #expect(try counted() == one)
        try write([Self.document(1, version: 2)])
        #expect(try counted() == one)
        try lift("s-1")
        #expect(try counted() == two)
    }

    /// Arms that were loaded while something was suppressed learn of the lift.
    @Test func armsThatBeganLaterFollowToo() throws {
        _ = try fixture.writer.write((0..<3).map { Self.document($0) }, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        _ = try suppressions.apply(.suppress(Self.suppression("s-1", Self.page)), timeoutMilliseconds: Self.limit)
        try scene.follow()
        #expect(try found() == ["doc-0", "doc-2"])
        try lift("s-1")
        #expect(try found() == ["doc-0", "doc-1", "doc-2"])
    }

    @Test func storedAnswersTellWhatIsSuppressed() throws {
        try write([Self.document(0), Self.document(1)])
        var answer = StoredAnswer(
            id: "a-1", tenant: .standard, question: "why?", createdAtMilliseconds: 1_700_000_000_000, generation: 1,
            indexVersion: 1, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
            retrievedJSON: Array("[]".utf8))
        let name = IndexFixture.collection.text
        answer.documents = [
            StoredAnswer.Source(collection: name, docID: "doc-1", isCited: true),
            StoredAnswer.Source(collection: name, docID: "doc-0", isCited: false),
        ]
        try fixture.store.save(answer, timeoutMilliseconds: Self.limit)
        func suppressed() throws -> [GivenAnswer.SuppressedDocument]? {
            try fixture.store.givenAnswer(id: "a-1", tenant: .standard, timeoutMilliseconds: Self.limit)?.suppressed
        }
        #expect(try suppressed() == [])
        try suppress("s-1", Self.page)
        #expect(try suppressed() == [.init(collection: name, docID: "doc-1")])
        try lift("s-1")
        #expect(try suppressed() == [])
    }

    /// The topic's position goes with what was applied.
    @Test func thePositionIsKept() throws {
        #expect(try suppressions.position(of: "t", timeoutMilliseconds: Self.limit) == nil)
        try suppressions.apply(
            .suppress(Self.suppression("s-1", Self.page)), reached: ("t", 5), timeoutMilliseconds: Self.limit)
        #expect(try suppressions.position(of: "t", timeoutMilliseconds: Self.limit) == 5)
        let before = try suppressions.state(timeoutMilliseconds: Self.limit)
        try lift("s-1")
        #expect(try suppressions.state(timeoutMilliseconds: Self.limit) > before)
    }
}
