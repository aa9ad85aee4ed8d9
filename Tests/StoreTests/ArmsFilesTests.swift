import Arms
import Files
import IndexTesting
import PlatformTesting
import Postgres
import Records
import Retrieval
import Synchronization
import Testing

@testable import Store

/// Arms are there again after a start, at the index's newest version, out of a file of the same index alone.
@Suite struct ArmsFilesTests {
    private static let limit = IndexFixture.limit

    private static func write(_ numbers: ClosedRange<Int>, to fixture: IndexFixture, version: Int64 = 1) throws {
        let documents = numbers.map {
            IndexFixture.document(
                $0, text: "river \($0)", version: version, embedding: ArmsAgreementTests.vector(of: "river \($0 % 5)"))
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        try fixture.countWords()
    }

    /// Starts a server's arms.
    private static func started(_ fixture: IndexFixture, _ folder: String) throws -> (
        scene: ArmsScene, files: ArmsFiles
    ) {
        let files = ArmsFiles(folder: folder)
        let scene = ArmsScene(fixture, files: files)
        try scene.follow()
        return (scene, files)
    }

    private static func expectTheSame(_ scene: ArmsScene, _ fixture: IndexFixture) throws {
        for text in ["river", "river 7", "riv*"] {
            var query = IndexFixture.query(text, vector: ArmsAgreementTests.vector(of: "river 1"))
            (query.documentLimit, query.vectorScan) = (60, .exact)
            let (real, armed) = (
                try fixture.store.candidates(for: query, timeoutMilliseconds: limit),
                try scene.store.candidates(for: query, timeoutMilliseconds: limit)
            )
            #expect(real.indexVersion == armed.indexVersion)
            #expect(
                query.ranking.hits(real.candidates).map { "\($0.candidate.docID) v\($0.candidate.version)" }
                    == query.ranking.hits(armed.candidates).map { "\($0.candidate.docID) v\($0.candidate.version)" })
        }
    }

    private static func wasRead(_ scene: ArmsScene) -> Bool {
        scene.events.contains { if case .read = $0 { true } else { false } }
            && !scene.events.contains { if case .loaded = $0 { true } else { false } }
    }

    private static func whyDropped(_ scene: ArmsScene) -> String? {
        for case .fileDropped(_, let why) in scene.events { return why }
        return nil
    }

    @Test func whatWasKeptIsReadAndFollowed() throws {
        let fixture = try IndexFixture()
        let folder = try TemporaryFolder()
        try Self.write(1...30, to: fixture)
        let first = try Self.started(fixture, folder.path)
        #expect(!Self.wasRead(first.scene) && Self.whyDropped(first.scene) == nil)
        first.files.write(first.scene.shared) { true }
        #expect(try Folder.list(folder.path) == [], "not at once")
        first.files.write(first.scene.shared, isLast: true) { true }
        #expect(try Folder.list(folder.path).count == 1)

        // While nobody was there.
        try Self.write(20...40, to: fixture, version: 2)
        let retention = IndexRetention(expiries: [
            .init(tenant: .standard, collection: IndexFixture.collection, days: 1)
        ])
        let removed = try IndexUpkeep(configuration: fixture.configuration).removeExpired(
            retention, nowMilliseconds: 1_700_000_000_000 + 86_400_000 + 5_500, rows: 100,
            timeoutMilliseconds: Self.limit)
        #expect(removed == 5)
        let second = try Self.started(fixture, folder.path)
        #expect(Self.wasRead(second.scene), "\(second.scene.events)")
        let size = try #require(second.scene.size())
        #expect(size.documents == 35 && size.rows == 35)
        try Self.expectTheSame(second.scene, fixture)

        second.files.write(second.scene.shared, isLast: true) { true }
        let third = try Self.started(fixture, folder.path)
        #expect(Self.wasRead(third.scene) && third.scene.size()?.hidden == size.hidden)
        try Self.write(1...10, to: fixture, version: 3)
        try third.scene.follow()
        try Self.expectTheSame(third.scene, fixture)
    }

    @Test func filesOfOtherIndexesAndDamagedOnesAreDropped() throws {
        let folder = try TemporaryFolder()
        let (fixture, other) = (try IndexFixture(), try IndexFixture())
        for fixture in [fixture, other] {
            try Self.write(1...10, to: fixture)
            let made = try Self.started(fixture, folder.path)
            made.files.write(made.scene.shared, isLast: true) { true }
        }
        let names = try Folder.list(folder.path)
        #expect(names.count == 2)
        let kept = try names.map { try File.contents(of: folder.file($0)) }
        // One index's file under the other's name.
        try File.replace(folder.file(names[0]), with: kept[1])
        try File.replace(folder.file(names[1]), with: kept[0])
        for fixture in [fixture, other] {
            let scene = try Self.started(fixture, folder.path).scene
            #expect(Self.whyDropped(scene) == "it is of another database" && scene.size()?.passages == 10)
            try Self.expectTheSame(scene, fixture)
        }
        #expect(try Folder.list(folder.path) == [])

        for (name, bytes) in zip(names, kept) {
            try File.replace(folder.file(name), with: Array(bytes.prefix(bytes.count / 2)))
        }
        let scene = try Self.started(fixture, folder.path).scene
        #expect(Self.whyDropped(scene) == "a piece is longer than the file" || Self.whyDropped(scene) == "it is cut")
        #expect(scene.size()?.passages == 10)

        // A restored backup: the same numbers of versions, another history.
        for (name, bytes) in zip(names, kept) { try File.replace(folder.file(name), with: bytes) }
        try fixture.connect().script(
            "UPDATE index_versions SET created_at = created_at + interval '1 second'", timeoutMilliseconds: Self.limit)
        #expect(Self.whyDropped(try Self.started(fixture, folder.path).scene) == "the index has another history")
        #expect(Self.wasRead(try Self.started(other, folder.path).scene))
    }

    @Test func filesThatAreOfNoUseAreRemoved() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...10, to: fixture)
        let removed = Mutex<[String]>([])
        let files = ArmsFiles(folder: folder.path) { event in
            if case .removed(let names) = event { removed.withLock { $0 += names } }
        }
        let scene = ArmsScene(fixture, files: files)
        try scene.follow()
        files.write(scene.shared, isLast: true) { true }
        let name = try #require(try Folder.list(folder.path).first)
        let strangers = ["1-1-gone-ab-1.arms", "1-1-gone-ab-2.arms.tmp", "notes.txt"]
        for name in strangers { try File.replace(folder.file(name), with: [1]) }
        files.tidy(scene.shared, tenants: [.standard])
        #expect(try Folder.list(folder.path).sorted() == [name, "notes.txt"].sorted())
        #expect(removed.withLock { $0 } == Array(strangers.prefix(2)))
        files.tidy(scene.shared, tenants: [])
        #expect(try Folder.list(folder.path) == ["notes.txt"])
    }
}
