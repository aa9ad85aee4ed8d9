import Bytes
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Store

/// What is searched in memory is what Postgres would find, exactly, at every version: through puts, replacements, deletions,
/// promotions and passages of equal texts, in two tenants, under any filter.
@Suite struct ArmsAgreementTests {
    private static let limit = IndexFixture.limit
    private static let acme = TenantID("acme") ?? .standard
    private static let words = [
        "river", "flood", "harbour", "crane", "granite", "comet", "tail", "snow", "ferry", "quarry", "東京都", "Zürich",
    ]

    private static func text(_ random: inout SeededGenerator) -> String {
        (0..<Int.random(in: 2...9, using: &random)).map { _ in
            // The first ones are common.
            words[min(Int.random(in: 0..<words.count, using: &random), Int.random(in: 0..<words.count, using: &random))]
        }.joined(separator: " ")
    }

    static func vector(of text: String) -> [Float] {
        var random = SeededGenerator(seed: StableHash.of(Array(text.utf8)))
        return IndexFixture.vector(&random)
    }

    private static func document(
        _ number: Int, version: Int64, isDeleted: Bool, generation: Int64, _ random: inout SeededGenerator
    ) -> IndexedDocument {
        let texts = (0..<Int.random(in: 1...3, using: &random)).map { _ in text(&random) }
        var indexed = IndexFixture.document(
            number, text: texts[0], version: version, wiki: number.isMultiple(of: 3) ? "dewiki" : "enwiki",
            isBot: number.isMultiple(of: 4), embedding: vector(of: texts[0]), generation: generation,
            contentHash: "c-\(number)-\(texts)")
        indexed.document.title = words[number % words.count] + (number.isMultiple(of: 2) ? " and more" : "")
        indexed.document.lang = number.isMultiple(of: 3) ? "de" : "en"
        if number.isMultiple(of: 5) { indexed.document.tenant = acme }
        if number.isMultiple(of: 2) { indexed.document.collection = IndexFixture.name("other") }
        if isDeleted {
            indexed.document.operation = .delete
            indexed.passages = []
            return indexed
        }
        indexed.passages = texts.enumerated().map { place, text in
            IndexedPassage(
                number: Int32(place), text: text, inputHash: IndexFixture.inputHash(text), embedding: vector(of: text))
        }
        return indexed
    }

    private static func filter(_ random: inout SeededGenerator, _ tenant: TenantID) throws -> Filter {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: try Filter(scope: Filter.Scope(tenant: tenant, collections: ["other"]))
        case 1: try Filter(scope: Filter.Scope(tenant: tenant), must: [.texts(.wiki, ["dewiki"])])
        case 2: try Filter(scope: Filter.Scope(tenant: tenant), mustNot: [.equals(.isBot, .bool(true))])
        case 3:
            try Filter(
                scope: Filter.Scope(tenant: tenant),
                time: Filter.TimeRange(from: 1_700_000_010_000, to: 1_700_000_030_000))
        default: .all(of: tenant)
        }
    }

    private static func query(_ random: inout SeededGenerator) -> String {
        let some = text(&random)
        return switch Int.random(in: 0..<8, using: &random) {
        case 0: "\"\(some.split(separator: " ").prefix(2).joined(separator: " "))\""
        case 1: "\(some) -\(words[Int.random(in: 0..<words.count, using: &random)])"
        case 2: "title:\(words[Int.random(in: 0..<words.count, using: &random)])"
        case 3: "har* \(some)"
        case 4: "nowhere"
        default: some
        }
    }

    private static let seeds = LongTests.seeds(1...(LongTests.areWanted ? 100 : 2))

    /// `TEST_SEED` replays another run.
    @Test(arguments: seeds) func memoryFindsWhatPostgresFinds(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, tenants: [.standard, Self.acme])
        var (found, compared) = (0, 0)
        for round in 0..<10 {
            let numbers = Set(
                (0..<Int.random(in: 1...25, using: &random)).map { _ in Int.random(in: 0..<60, using: &random) })
            let documents = numbers.sorted().map {
                Self.document(
                    $0, version: Int64(round + 1), isDeleted: Int.random(in: 0..<5, using: &random) == 0, generation: 1,
                    &random)
            }
            for tenant in [.standard, Self.acme] {
                let theirs = documents.filter { $0.document.tenant == tenant }
                if !theirs.isEmpty { _ = try fixture.writer.write(theirs, timeoutMilliseconds: Self.limit) }
            }
            try Self.suppressSome(round, fixture, seed)
            // Some versions are followed one by one, others together.
            guard Int.random(in: 0..<3, using: &random) > 0 || round == 9 else { continue }
            try fixture.countWords()
            try scene.follow()
            for _ in 0..<8 {
                let count = try expectTheSame(fixture, scene, seed: seed, &random)
                found += count
                compared += 1
            }
        }
        #expect(found > compared, "\(found) documents in \(compared) searches")
        for tenant in [.standard, Self.acme] {
            let size = try #require(scene.size(of: tenant))
            #expect(size.passages > 0 && size.rows == size.documents, "\(tenant): \(size)")
        }
    }

    /// Takes a user's documents out of replies, and now and then brings some back.
    private static func suppressSome(_ round: Int, _ fixture: IndexFixture, _ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed &* 31 &+ UInt64(round))
        let store = SuppressionStore(configuration: fixture.configuration)
        let number = Int.random(in: 0..<60, using: &random)
        let target = SuppressionTarget.user(
            collection: number.isMultiple(of: 2) ? "other" : IndexFixture.collection.text, name: "User \(number)")
        let suppression = Suppression(
            id: "s-\(round)", tenant: number.isMultiple(of: 5) ? acme : .standard, target: target, reason: "a test",
            by: "ann", atMilliseconds: 1_700_000_000_000)
        try store.apply(.suppress(suppression), timeoutMilliseconds: limit)
        guard Bool.random(using: &random) else { return }
        for tenant in [.standard, acme] {
            let known = try store.list(of: tenant, timeoutMilliseconds: limit).filter { $0.lift == nil }
            guard let one = known.randomElement(using: &random) else { continue }
            try store.apply(
                .lift(id: one.suppression.id, tenant: tenant, reason: "", by: "bob", atMilliseconds: 1_700_000_000_000),
                timeoutMilliseconds: limit)
        }
    }

    /// - Returns: how many documents were found.
    private func expectTheSame(
        _ fixture: IndexFixture, _ scene: ArmsScene, seed: UInt64, _ random: inout SeededGenerator
    ) throws -> Int {
        let tenant = Bool.random(using: &random) ? TenantID.standard : Self.acme
        let filter = try Self.filter(&random, tenant)
        let text = Self.query(&random)
        var query = IndexFixture.query(text, vector: Self.vector(of: Self.text(&random)), filter: filter)
        query.vectorScan = .exact
        query.documentLimit = Int.random(in: 0..<3, using: &random) == 0 ? nil : 5
        let real = try fixture.store.candidates(for: query, timeoutMilliseconds: Self.limit)
        let armed = try scene.store.candidates(for: query, timeoutMilliseconds: Self.limit)
        let hint: Comment = "seed \(seed), \(tenant), \(text), \(filter), limit \(query.documentLimit ?? 0)"
        #expect(real.indexVersion == armed.indexVersion && real.generation == armed.generation, hint)
        let (one, other) = (Self.ordered(real, query), Self.ordered(armed, query))
        #expect(one.map(\.name) == other.map(\.name), hint)
        for (a, b) in zip(one, other) {
            // Every field that a hit shows.
            var shown = b.candidate
            (shown.vector, shown.lexical) = (a.candidate.vector, a.candidate.lexical)
            (shown.copies, shown.others) = (a.candidate.copies, a.candidate.others)
            #expect(a.candidate == shown, hint)
            #expect(a.candidate.copies == b.candidate.copies, "copies of \(a.name), \(hint)")
            #expect(abs((a.candidate.vector?.score ?? 0) - (b.candidate.vector?.score ?? 0)) < 1e-3, hint)
            #expect(abs((a.candidate.lexical?.score ?? 0) - (b.candidate.lexical?.score ?? 0)) < 1e-9, hint)
        }
        #expect(real.rest.map(\.passageID) == armed.rest.map(\.passageID), hint)
        #expect(real.vectorCount == armed.vectorCount, hint)
        return one.count
    }

    private struct Named {
        let candidate: Candidate
        var name: String {
            "\(candidate.collection)/\(candidate.docID)#\(candidate.passage) v\(candidate.version) "
                + "\(candidate.vector?.rank ?? 0) \(candidate.lexical?.rank ?? 0)"
        }
    }

    private static func ordered(_ set: CandidateSet, _ query: CandidateQuery) -> [Named] {
        query.ranking.hits(set.candidates).map { Named(candidate: $0.candidate) }
    }

    // MARK: What memory leaves to Postgres, and what makes it begin anew

    @Test func anotherGenerationIsLoadedAfterItsPromotion() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture)
        let (source, generations) = (IndexFixture.source, fixture.generations)
        _ = try fixture.writer.write(
            [Self.plain(1, "river")],
            moving: [CheckpointMove(generation: 1, source: source, expected: nil, next: 2)],
            timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        let child = try generations.create(
            parent: 1, logicVersion: "new", note: "test", timeoutMilliseconds: Self.limit)
        let range = try #require(OffsetRange(start: 1, end: 2))
        _ = try generations.copyParentRows(
            child: child, parent: 1, outside: [(source, range)], handover: [source: 2], timeoutMilliseconds: Self.limit)
        _ = try fixture.writer.write([Self.plain(2, "river", generation: child)], timeoutMilliseconds: Self.limit)
        try generations.finish(generation: child, handover: [source: 2], timeoutMilliseconds: Self.limit)
        try scene.follow()
        #expect(try Self.documents("river", scene) == ["doc-1"])
        try generations.promote(child, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        #expect(try Self.documents("river", scene) == ["doc-2"])
        try generations.promote(1, timeoutMilliseconds: Self.limit)
        try scene.follow()
        #expect(try Self.documents("river", scene) == ["doc-1"])
        #expect(scene.events.count { if case .dropped = $0 { true } else { false } } == 2)
        #expect(scene.events.count { if case .loaded = $0 { true } else { false } } == 3)
    }

    @Test func whatFindsNoRoomIsSearchedInPostgres() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, bytesMax: 1_000)
        _ = try fixture.writer.write((0..<30).map { Self.plain($0, "river \($0)") }, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        #expect(scene.size() == nil && scene.events.count == 1)
        #expect(try Self.documents("river", scene).count == 30)
        try scene.follow()
        #expect(scene.events.count == 1, "told once")
    }

    /// A tenant without room is searched in Postgres and the others go on in memory; what is given up is not tried again at once.
    @Test func aTenantWithoutRoomDoesNotKeepOthersOut() throws {
        let fixture = try IndexFixture()
        // The vectors of one tenant take a block of some megabytes, two of them more than there is room for.
        let scene = ArmsScene(fixture, tenants: [.standard, Self.acme], bytesMax: 6_000_000)
        var theirs = Self.plain(3, "river")
        theirs.document.tenant = Self.acme
        _ = try fixture.writer.write([Self.plain(1, "river")], timeoutMilliseconds: Self.limit)
        _ = try fixture.writer.write([theirs], timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        for _ in 0..<3 { try scene.follow() }
        #expect(scene.size()?.passages == 1 && scene.size(of: Self.acme) == nil)
        let told = scene.events.count { if case .tooLarge(Self.acme, _) = $0 { true } else { false } }
        let dropped = scene.events.count { if case .dropped = $0 { true } else { false } }
        #expect(told == 1 && dropped == 0, "\(scene.events)")
        _ = try fixture.writer.write([Self.plain(2, "river")], timeoutMilliseconds: Self.limit)
        try scene.follow()
        #expect(try Set(Self.documents("river", scene)) == ["doc-1", "doc-2"])
        #expect(try Self.documents("river", scene) { $0.filter = .all(of: Self.acme) } == ["doc-3"])
    }

    /// Expired documents go without an index version: the search that misses one is Postgres', and those behind it are not. Where
    /// hits are made of what is in memory, they go with the next look at the index.
    @Test(arguments: [true, false]) func whatExpiredLeavesMemory(areRowsKept: Bool) throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, bytesMax: areRowsKept ? 1 << 30 : ArmsScene.bytesWithoutRows)
        _ = try fixture.writer.write((1...4).map { Self.plain($0, "river \($0)") }, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        #expect(try Self.documents("river", scene).count == 4)
        let retention = IndexRetention(expiries: [
            .init(tenant: .standard, collection: IndexFixture.collection, days: 1)
        ])
        let removed = try IndexUpkeep(configuration: fixture.configuration).removeExpired(
            retention, nowMilliseconds: 1_700_000_000_000 + 86_400_000 + 2_500, rows: 100,
            timeoutMilliseconds: Self.limit)
        #expect(removed == 2)
        let isSeen = try Set(Self.documents("river", scene)).isSuperset(of: ["doc-1", "doc-2"])
        #expect(isSeen == areRowsKept && (scene.size()?.rows == 4) == areRowsKept)
        #expect(scene.size()?.passages == 4)
        try scene.follow()
        #expect(scene.size()?.passages == 2)
        #expect(try Set(Self.documents("river", scene)) == ["doc-3", "doc-4"])
    }

    /// A copy is the same to the model; it need not have the words that are demanded.
    @Test func copiesAreThoseOfTheFilterAlone() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture)
        var documents = (1...3).map { Self.plain($0, "river of stones") }
        documents[0].document.title = "Crane"
        _ = try fixture.writer.write(documents, timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        for text in ["title:crane", "river", "river -crane"] {
            var query = IndexFixture.query(text, vector: Self.vector(of: "river of stones"))
            (query.documentLimit, query.vectorScan) = (10, .exact)
            let copies = try [fixture.store as any RetrievalStore, scene.store].map {
                try $0.candidates(for: query, timeoutMilliseconds: Self.limit).candidates.map(\.copies)
            }
            #expect(copies[0] == copies[1] && copies[0].first == 2, "\(text): \(copies)")
        }
    }

    /// A version that is asked for is read in Postgres, and one that memory has not reached, too.
    @Test func aVersionThatIsAskedForIsRead() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture)
        let first = try fixture.writer.write([Self.plain(1, "river")], timeoutMilliseconds: Self.limit)
        try fixture.countWords()
        try scene.follow()
        let second = try fixture.writer.write([Self.plain(2, "river")], timeoutMilliseconds: Self.limit)
        #expect(try Self.documents("river", scene) == ["doc-1"])
        #expect(
            try Set(Self.documents("river", scene) { $0.indexVersionMin = second.indexVersion }) == ["doc-1", "doc-2"])
        try scene.follow()
        #expect(try Set(Self.documents("river", scene)) == ["doc-1", "doc-2"])
        #expect(try Self.documents("river", scene) { $0.indexVersion = first.indexVersion } == ["doc-1"])
    }

    private static func plain(_ number: Int, _ text: String, generation: Int64 = 1) -> IndexedDocument {
        IndexFixture.document(number, text: text, embedding: vector(of: text), generation: generation)
    }

    private static func documents(
        _ text: String, _ scene: ArmsScene, _ change: (inout CandidateQuery) -> Void = { _ in }
    ) throws -> [String] {
        var query = IndexFixture.query(text, vector: vector(of: text))
        change(&query)
        return try scene.store.candidates(for: query, timeoutMilliseconds: limit).best
    }
}
