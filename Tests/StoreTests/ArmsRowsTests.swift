import Bytes
import IndexTesting
import Postgres
import Records
import Retrieval
import Testing

@testable import Arms
@testable import Store

/// What hits show comes out of memory, and where there is no room for it, out of Postgres.
@Suite struct ArmsRowsTests {
    private static let limit = IndexFixture.limit

    /// One that cannot reach its database.
    private static func cutOff(_ scene: ArmsScene) -> ArmedStore {
        let nowhere = PostgresConfiguration(dsn: "host=127.0.0.1 port=1 dbname=none")
        return ArmedStore(SearchStore(configuration: nowhere, model: "test"), shared: scene.shared)
    }

    private static func write(_ numbers: ClosedRange<Int>, to fixture: IndexFixture, version: Int64 = 1) throws {
        let documents = numbers.map {
            IndexFixture.document(
                $0, text: "river \($0)", version: version, embedding: ArmsAgreementTests.vector(of: "river"))
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        try fixture.countWords()
    }

    @Test func pagesNeedNoDatabase() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture)
        try Self.write(1...30, to: fixture)
        try scene.follow()
        try Self.write(20...35, to: fixture, version: 2)
        try scene.follow()
        let alone = Self.cutOff(scene)
        for text in ["river", "riv*", "river -rive*", "title:title 7"] {
            for change: (inout CandidateQuery) -> Void in [
                { _ in }, { $0.options.order = .time }, { $0.options.grouping = .title }, { $0.documentLimit = nil },
            ] {
                var query = IndexFixture.query(text)
                query.documentLimit = 10
                change(&query)
                let (real, armed) = (
                    try scene.store.candidates(for: query, timeoutMilliseconds: Self.limit),
                    try alone.candidates(for: query, timeoutMilliseconds: Self.limit)
                )
                #expect(real.candidates == armed.candidates, "\(text)")
                #expect(armed.candidates.isEmpty == (text == "river -rive*"))
            }
        }
        let reader = ArmsReader(shared: scene.shared, model: "test")
        func query(_ text: String, _ change: (inout CandidateQuery) -> Void = { _ in }) -> CandidateQuery {
            var query = IndexFixture.query(text)
            query.documentLimit = 10
            change(&query)
            return query
        }
        for text in ["river", "riv*", "25"] {
            let (read, armed) = (
                reader.candidates(for: query(text)),
                try alone.candidates(for: query(text), timeoutMilliseconds: Self.limit)
            )
            #expect(reader.mayAnswer(query(text)))
            #expect(read?.candidates == armed.candidates && read?.rest == armed.rest, "\(text)")
            #expect(read?.indexVersion == armed.indexVersion && read?.ageMilliseconds == nil)
        }
        // Those take texts, or all passages of words.
        for text in ["\"river 7\"", "river -flood", "river -rive*", "title:title 7"] {
            #expect(reader.candidates(for: query(text)) == nil, "\(text)")
        }
        // And those another version than memory has, all vectors, or any number of rows; which is known beforehand.
        for change: (inout CandidateQuery) -> Void in [
            { $0.indexVersion = 1 }, { $0.vectorScan = .exact }, { $0.documentLimit = nil },
            { $0.options.order = .time }, { $0.options.grouping = .title }, { $0.readsCandidate = true },
        ] {
            #expect(!reader.mayAnswer(query("river", change)))
            #expect(reader.candidates(for: query("river", change)) == nil)
        }
        // It does not wait for who changes the arms.
        scene.shared.current(of: .standard).held?.index.change { _ in
            #expect(reader.mayAnswer(query("river")))
            for text in ["river", "riv*"] { #expect(reader.candidates(for: query(text)) == nil, "\(text)") }
        }
        #expect(reader.candidates(for: query("river")) != nil)
        scene.shared.isUpToDate(.standard, at: SystemClock.monotonicNanoseconds() - 5_000_000_000)
        #expect(reader.candidates(for: query("river")) == nil)
        scene.shared.isUpToDate(.standard, at: SystemClock.monotonicNanoseconds())
        let newest = try alone.candidates(for: IndexFixture.query("25"), timeoutMilliseconds: Self.limit)
        #expect(newest.candidates.map(\.version) == [2])
    }

    /// What would hold a thread for long is left to lanes, and so is what would mostly be searched twice.
    @Test func onlyWhatIsBoundedIsSearchedOnTheThreadThatAsks() {
        func isQuick(_ vectors: Int, _ passages: Int, documents: Int = 1_600, rows: Int? = 1_600) -> Bool {
            ArmsReader.isQuick(
                ArmsExtent(
                    dimensions: 384, vectors: vectors, passages: passages, documents: documents, rows: rows))
        }
        #expect(isQuick(200_000, 200_000) && isQuick(0, 0, documents: 0, rows: 0))
        #expect(!isQuick(200_001, 200_000) && !isQuick(200_000, 200_001))
        #expect(!isQuick(1, 1, rows: nil))
        #expect(isQuick(1, 1, rows: 1_500) && !isQuick(1, 1, rows: 1_499))
    }

    /// While Postgres cannot be reached, searches go on up to a limit, and say how old what they see is.
    @Test func searchesOutliveTheirDatabase() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, staleMilliseconds: 60_000)
        try Self.write(1...3, to: fixture)
        try scene.follow()
        let alone = Self.cutOff(scene)
        func age(_ seconds: Int64, isAway: Bool) throws -> Int64? {
            scene.shared.isUpToDate(.standard, at: SystemClock.monotonicNanoseconds() - seconds * 1_000_000_000)
            scene.shared.note(isAway: isAway)
            let found = try alone.candidates(for: IndexFixture.query("river"), timeoutMilliseconds: Self.limit)
            #expect(found.candidates.count == 3)
            return found.ageMilliseconds
        }
        #expect(try age(0, isAway: false) == nil)
        // Nobody has noticed it yet.
        #expect(try (5_000..<50_000).contains(age(5, isAway: false) ?? 0))
        #expect(try (5_000..<50_000).contains(age(5, isAway: true) ?? 0))
        #expect(throws: IndexError.self) { try age(61, isAway: true) }
        #expect(throws: IndexError.self) { try age(61, isAway: false) }
        // What is Postgres' fails at once.
        scene.shared.isUpToDate(.standard, at: SystemClock.monotonicNanoseconds())
        #expect(throws: IndexError.self) {
            try alone.candidates(for: IndexFixture.query("\"river 1\""), timeoutMilliseconds: Self.limit)
        }
        let strict = ArmsScene(fixture)
        try strict.follow()
        strict.shared.isUpToDate(.standard, at: SystemClock.monotonicNanoseconds() - 5_000_000_000)
        #expect(throws: IndexError.self) {
            try Self.cutOff(strict).candidates(for: IndexFixture.query("river"), timeoutMilliseconds: Self.limit)
        }
    }

    /// Rows are given up before arms.
    @Test func rowsGiveWayToArms() throws {
        let fixture = try IndexFixture()
        let scene = ArmsScene(fixture, bytesMax: ArmsScene.bytesWithoutRows)
        try Self.write(1...30, to: fixture)
        try scene.follow()
        #expect(scene.size()?.passages == 30 && scene.size()?.rows == 0 && scene.size()?.rowBytes == 0)
        #expect(
            scene.events.count { if case .rowsGivenUp(.standard, _) = $0 { true } else { false } } == 1,
            "\(scene.events)")
        let found = try scene.store.candidates(for: IndexFixture.query("river"), timeoutMilliseconds: Self.limit)
        #expect(found.candidates.count == 30)
        try Self.write(31...40, to: fixture)
        try scene.follow()
        #expect(scene.size()?.passages == 40 && scene.size()?.rows == 0)
        #expect(scene.events.count == 2, "told once: \(scene.events)")
    }
}
