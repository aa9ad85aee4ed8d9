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
        let cut = ["a piece is longer than the file", "it is cut", "it is shorter than it says"]
        #expect(Self.whyDropped(scene).map { cut.contains($0) } == true)
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
        let database = name.split(separator: "-").prefix(2).joined(separator: "-")
        let over = ["\(database)-gone-ab-1.arms", "\(database)-gone-ab-2.arms.tmp", name + ".tmp"]
        // Another server may keep its files in the same folder.
        let others = ["1-1-gone-ab-1.arms", "1-1-gone-ab-2.arms.tmp", "notes.txt"]
        for name in over + others { try File.replace(folder.file(name), with: [1]) }
        var writing = try File(folder.file("\(database)-new-ab-1.arms.tmp"), .readWrite)
        #expect(try writing.tryLock())
        files.tidy(scene.shared, tenants: [.standard])
        let written = "\(database)-new-ab-1.arms.tmp"
        #expect(try Folder.list(folder.path).sorted() == (others + [name, written]).sorted())
        #expect(removed.withLock { $0.sorted() } == over.sorted())
        files.tidy(scene.shared, tenants: [])
        #expect(try Folder.list(folder.path).sorted() == (others + [written]).sorted())
    }

    /// What is told of files, a clock, and a disk.
    private final class World: Sendable {
        let events = Mutex<[ArmsFiles.Event]>([])
        let seconds = Mutex(0)
        let free = Mutex(1 << 40)

        func files(_ folder: String) -> ArmsFiles {
            ArmsFiles(
                folder: folder, tell: { [self] event in events.withLock { $0.append(event) } },
                clock: { [self] in Int64(seconds.withLock { $0 }) * 1_000_000_000 },
                space: { [self] _ throws(FileError) in .init(free: free.withLock { $0 }, size: 100 << 30) })
        }

        func pass(_ more: Int) { seconds.withLock { $0 += more } }

        var failed: Int { events.withLock { $0.count { if case .failed = $0 { true } else { false } } } }
        var written: Int { events.withLock { $0.count { if case .written = $0 { true } else { false } } } }
    }

    @Test func aFullDiskIsAskedAnewAfterMinutes() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...10, to: fixture)
        let world = World()
        let files = world.files(folder.path + "/arms")
        let scene = ArmsScene(fixture, files: files)
        try scene.follow()
        // A gigabyte is left to others.
        world.free.withLock { $0 = 1 << 30 }
        files.write(scene.shared) { true }
        world.pass(31)
        for _ in 0..<30 {
            files.write(scene.shared) { true }
            world.pass(9)
        }
        #expect(world.failed == 1)
        #expect(try Folder.list(folder.path + "/arms") == [])
        world.pass(60)
        files.write(scene.shared) { true }
        #expect(world.failed == 2)
        world.pass(599)
        files.write(scene.shared) { true }
        #expect(world.failed == 2 && world.written == 0)
        world.free.withLock { $0 = 1 << 31 }
        world.pass(2)
        files.write(scene.shared) { true }
        #expect(world.failed == 2 && world.written == 1)

        // One that is given up half-way waits, too, and leaves nothing.
        try Self.write(1...10, to: fixture, version: 2)
        try scene.follow()
        world.pass(3_601)
        var asked = 0
        func givingUp() -> Bool {
            asked += 1
            return asked == 1
        }
        files.write(scene.shared, goesOn: givingUp)
        #expect(asked == 2)
        files.write(scene.shared) { true }
        #expect(world.written == 1)
        #expect(try Folder.list(folder.path + "/arms").count == 1)
        files.write(scene.shared, isLast: true) { true }
        #expect(world.written == 2)
    }

    @Test func textsOfExpiredDocumentsLeaveTheFileWithinMinutes() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...30, to: fixture)
        let world = World()
        let files = world.files(folder.path)
        let scene = ArmsScene(fixture, files: files)
        try scene.follow()
        files.write(scene.shared, isLast: true) { true }
        let version = try #require(scene.size()?.version)
        let retention = IndexRetention(expiries: [
            .init(tenant: .standard, collection: IndexFixture.collection, days: 1)
        ])
        let removed = try IndexUpkeep(configuration: fixture.configuration).removeExpired(
            retention, nowMilliseconds: 1_700_000_000_000 + 86_400_000 + 5_500, rows: 100,
            timeoutMilliseconds: Self.limit)
        #expect(removed == 5)
        try scene.follow()
        #expect(scene.size()?.documents == 25 && scene.size()?.version == version)
        world.pass(299)
        files.write(scene.shared) { true }
        #expect(world.written == 1)
        world.pass(2)
        files.write(scene.shared) { true }
        #expect(world.written == 2)
        let again = ArmsScene(fixture, files: world.files(folder.path))
        try again.follow()
        #expect(Self.wasRead(again) && again.size()?.documents == 25)
    }

    /// It is known before it is read how much memory it takes.
    @Test func aFileThatFindsNoRoomIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...10, to: fixture)
        let first = try Self.started(fixture, folder.path)
        first.files.write(first.scene.shared, isLast: true) { true }
        let names = try Folder.list(folder.path)
        let bytes = try #require(first.scene.size()?.bytes)
        #expect(try File.contents(of: folder.file(names[0])).count < bytes / 2)
        let scene = ArmsScene(fixture, bytesMax: bytes - 1, files: ArmsFiles(folder: folder.path))
        try scene.follow()
        #expect(!Self.wasRead(scene) && Self.whyDropped(scene) == nil)
        #expect(try Folder.list(folder.path) == names)
    }

    @Test func whereNoneAreKeptTheDatabasesAreRemoved() throws {
        let folder = try TemporaryFolder()
        let (fixture, other) = (try IndexFixture(), try IndexFixture())
        var names: [[String]] = []
        for fixture in [fixture, other] {
            try Self.write(1...10, to: fixture)
            let made = try Self.started(fixture, folder.path)
            made.files.write(made.scene.shared, isLast: true) { true }
            names.append(try Folder.list(folder.path).filter { !names.joined().contains($0) })
        }
        #expect(try ArmsFiles.removeAll(in: folder.path, of: fixture.configuration) == names[0])
        #expect(try Folder.list(folder.path) == names[1])
        #expect(try ArmsFiles.removeAll(in: folder.file("none"), of: fixture.configuration) == [])
    }

    /// Nothing is loaded in its place, the file stays, and is read when it is looked at again.
    @Test func aStopEndsTheReading() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...10, to: fixture)
        let first = try Self.started(fixture, folder.path)
        first.files.write(first.scene.shared, isLast: true) { true }
        let shared = SharedArms()
        let events = Mutex<[ArmsKeeper.Event]>([])
        let keeper = ArmsKeeper(
            configuration: fixture.configuration, shared: shared, bytesMax: 1 << 30,
            files: ArmsFiles(folder: folder.path), expiryMilliseconds: 0
        ) { event in events.withLock { $0.append(event) } }
        for last in 1...4 {
            var asked = 0
            try keeper.round(of: [.standard]) {
                asked += 1
                return asked > last
            }
            #expect(asked == last + 1)
            #expect(shared.sizes.isEmpty && events.withLock { $0.isEmpty })
        }
        try keeper.round(of: [.standard]) { false }
        #expect(shared.sizes[.standard]?.passages == 10)
        #expect(events.withLock { $0.count { if case .read = $0 { true } else { false } } } == 1)
    }

    @Test func whatCannotBeReadStays() throws {
        let folder = try TemporaryFolder()
        let fixture = try IndexFixture()
        try Self.write(1...10, to: fixture)
        let first = try Self.started(fixture, folder.path)
        first.files.write(first.scene.shared, isLast: true) { true }
        let name = try #require(try Folder.list(folder.path).first)
        // A folder is opened, and not read.
        try Folder.remove(folder.file(name))
        try Folder.create(folder.file(name))
        let scene = try Self.started(fixture, folder.path).scene
        #expect(Self.whyDropped(scene)?.hasPrefix("it cannot be read, and stays as it is") == true)
        #expect(scene.size()?.passages == 10)
    }
}
