import Bytes
import Files
import Glibc
import Hashing
import ObjectStorage
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

/// Moving sealed files to a real S3 server and reading them from there.
@Suite(.serialized) struct TieringTests {
    /// One for all tests, which run one after the other; each has a prefix of its own.
    private static let server = Result { try S3Server() }

    /// A lake of two generations and three hours, all sealed, whose sealed files may move.
    struct Scene {
        let server: S3Server
        let fixture: LakeFixture
        let layout: LakeLayout
        let storage: ObjectStorage

        init() throws {
            server = try TieringTests.server.get()
            fixture = try LakeFixture(in: "/dev/shm")
            try LakeRun(layout: fixture.layout, step: 4).run()
            var configuration = ObjectStorageConfiguration(
                endpoint: server.endpoint, bucket: S3Server.bucket, region: S3Server.region,
                accessKeyID: S3Server.accessKeyID, secretAccessKey: S3Server.secretAccessKey)
            configuration.backoffMilliseconds = 1
            configuration.attemptsMax = 3
            storage = ObjectStorage(configuration)
            layout = LakeLayout(
                root: fixture.layout.root,
                objects: LakeObjects(storage: storage, prefix: String(fixture.layout.root.dropFirst())))
        }

        var reader: LakeReader { LakeReader(layout: layout) }

        func tier(until cutoff: Int64 = .max, isDryRun: Bool = false) throws -> [(ListedFile, Tiering.Outcome)] {
            var told: [(ListedFile, Tiering.Outcome)] = []
            try Tiering(layout: layout).run(LakeFixture.source, until: cutoff, isDryRun: isDryRun) { listed, outcome in
                told.append((listed, outcome))
            }
            return told
        }

        /// Every line of every layer and generation by range, and some one by one.
        func everything(_ reader: LakeReader, single: [Int64] = [1, 22]) throws -> [String] {
            var lines: [String] = []
            let all = try #require(OffsetRange(start: 0, end: LakeRun.end))
            var parts = [(layer: Layer.bronze, generation: Int64?.none)]
            for layer in Layer.derived { parts += [(layer, 1), (layer, 2)] }
            for (layer, generation) in parts {
                try reader.forEachLine(
                    layer, generation: generation, source: LakeFixture.source, range: all
                ) { offset, line in
                    lines.append("\(layer) \(generation ?? 0) \(offset) \(String(decoding: line, as: UTF8.self))")
                    return true
                }
                for offset in single {
                    let found: LocatedLine?
                    if let generation {
                        found = try reader.derived(
                            layer, generation: generation, source: LakeFixture.source, offset: offset)
                    } else {
                        found = try reader.bronze(LakeFixture.source, offset: offset)
                    }
                    lines.append(
                        "one \(layer) \(generation ?? 0) \(offset) \(found.map { String(decoding: $0.line, as: UTF8.self) } ?? "-")"
                    )
                }
            }
            return lines
        }

        /// Stores bytes behind the lake's back.
        func put(_ key: String, _ bytes: [UInt8]) throws {
            let folder = try TemporaryFolder()
            try File.replace(folder.file("body"), with: bytes)
            let file = try File(folder.file("body"), .read)
            var hasher = try SHA256Hasher()
            let digest = try bytes.withUnsafeBytes { try hasher.hash($0) }
            try storage.put(
                key, descriptor: file.descriptor, bytes: bytes.count, sha256: digest.withBytes { Array($0) })
        }

        func sealedFiles() throws -> [String: [UInt8]] {
            try fixture.contents().filter { $0.key.hasSuffix(".jsonl.zst") }
        }

        func objects() throws -> [String: Int] {
            var found: [String: Int] = [:]
            try storage.forEach(prefix: layout.objects?.prefix ?? "") { object in
                found[object.key] = object.bytes
                return true
            }
            return found
        }
    }

    private func failure(_ body: () throws -> Void) -> LakeError? {
        do {
            try body()
            return nil
        } catch {
            return error as? LakeError
        }
    }

    @Test func readsAreTheSameBeforeAndAfter() throws {
        let scene = try Scene()
        let before = try scene.everything(scene.reader)
        let files = try scene.sealedFiles()
        let due = try scene.tier(isDryRun: true)
        #expect(due.count == files.count)
        #expect(try scene.objects().isEmpty)
        let moved = try scene.tier()
        #expect(moved.count == files.count)
        #expect(try scene.sealedFiles().isEmpty)
        #expect(try scene.everything(scene.reader) == before)
        // The objects are the files, under the same path, so that other tools find the same folders.
        for (path, bytes) in files {
            let key = scene.layout.root.dropFirst() + path
            #expect(try scene.storage.get(String(key), start: 0, count: bytes.count) == bytes)
        }
        #expect(try scene.tier().isEmpty)
        // A writer opens a lake whose sealed files are elsewhere.
        let writer = try PartitionWriter.open(layout: scene.layout, source: LakeFixture.source)
        #expect(writer.nextOffset == LakeRun.end)
        let without = failure { _ = try scene.fixture.reader.bronze(LakeFixture.source, offset: 1) }
        #expect("\(try #require(without))".contains("LAKE_S3_BUCKET"))
    }

    @Test func oneLineIsOneRangeRequestOfOneFrame() throws {
        let scene = try Scene()
        _ = try scene.tier()
        let before = try scene.server.requests().count
        let found = try #require(
            try scene.reader.derived(.gold, generation: 2, source: LakeFixture.source, offset: 22))
        #expect(found.path.hasPrefix("s3://lake-bucket/"))
        let requests = try scene.server.requests().dropFirst(before)
        #expect(requests.count == 1)
        #expect(requests.allSatisfy { $0.method == "GET" && $0.status == 206 })
    }

    @Test func verifyReadsObjectsToo() throws {
        let scene = try Scene()
        let count = try scene.tier().count
        func verify() throws -> (report: VerifyReport, findings: [VerifyFinding]) {
            var findings: [VerifyFinding] = []
            let report = try LakeVerifier(layout: scene.layout) { findings.append($0) }.run()
            return (report, findings)
        }
        let sound = try verify()
        #expect(sound.findings.isEmpty && sound.report.filesTiered == count)
        // Copies of logs are nobody's truth.
        let victim = try #require(
            try scene.objects().sorted { $0.key < $1.key }.first { $0.key.hasSuffix(".zst") })
        let bytes = try scene.storage.get(victim.key, start: 0, count: victim.value)
        var spoilt = bytes
        spoilt[spoilt.count / 2] ^= 1
        try scene.put(victim.key, spoilt)
        #expect(try verify().findings.contains { $0.place.contains("s3://") || $0.place.contains("bronze") })
        try scene.storage.delete(victim.key)
        #expect(try !verify().findings.isEmpty)
        try scene.put(victim.key, bytes)
        try scene.put((scene.layout.objects?.prefix ?? "") + "gold/stranger", [1])
        #expect(try verify().findings.map(\.problem) == ["no log knows this object"])
    }

    @Test func onlyWhatIsOldEnoughGoes() throws {
        let scene = try Scene()
        let hour = LakeFixture.hourMilliseconds
        let moved = try scene.tier(until: 2 * hour)
        #expect(!moved.isEmpty)
        #expect(moved.allSatisfy { $0.0.name.hour.number < 2 })
        #expect(try scene.sealedFiles().keys.allSatisfy { $0.contains("hour=02") })
    }

    @Test(arguments: [S3Server.Fault.busy, .cutRequest, .lostReply, .spoilRequest])
    func storesInSpiteOf(_ fault: S3Server.Fault) throws {
        let scene = try Scene()
        let before = try scene.everything(scene.reader, single: [])
        try scene.server.fail("PUT", fault, count: 2, skip: 3)
        try scene.server.fail("GET", .cutReply, count: 2, skip: 4)
        try scene.server.fail("GET", .spoilReply, skip: 5)
        _ = try scene.tier()
        #expect(try scene.sealedFiles().isEmpty)
        #expect(try scene.everything(scene.reader, single: []) == before)
    }

    @Test func whatCannotBeVerifiedStaysHere() throws {
        let scene = try Scene()
        let files = try scene.sealedFiles()
        try scene.server.fail("PUT", .spoilRequest, count: 3)
        let error = try #require(failure { _ = try scene.tier() })
        #expect("\(error)".contains("the local file stays"))
        #expect(try scene.sealedFiles() == files)
        try scene.server.fail("PUT", .busy, count: 3)
        #expect(try #require(failure { _ = try scene.tier() }).isRetriable)
        #expect(try scene.sealedFiles() == files)
        _ = try scene.tier()
        #expect(try scene.sealedFiles().isEmpty)
    }

    @Test func aFileThatIsNotWhatItsSealSaysIsRefused() throws {
        let scene = try Scene()
        let victim = try #require(try scene.tier(isDryRun: true).first?.0.name)
        let path = scene.layout.dataFile(victim)
        var bytes = try File.contents(of: path)
        bytes[bytes.count / 2] ^= 4
        try File.replace(path, with: bytes)
        let outcomes = try scene.tier()
        let refused = outcomes.filter { if case .refused = $0.1 { true } else { false } }
        #expect(refused.map(\.0.name) == [victim])
        #expect(try File.contents(of: path) == bytes)
        #expect(try scene.sealedFiles().count == 1)
    }

    @Test func twoAtOnceAreRefused() throws {
        let scene = try Scene()
        let lock = try UpkeepLock(LakeFixture.source, in: scene.layout)
        let error = try #require(failure { _ = try scene.tier() })
        guard case .locked = error else {
            Issue.record("\(error)")
            return
        }
        withExtendedLifetime(lock) {}
    }

    /// Refuses the change number `left`, and all after it: what a process does that is killed there.
    final class Killer: FileWitness {
        private let left: AtomicCount
        init(after count: Int) { left = AtomicCount(count) }

        func willMake(_ change: FileChange) throws(FileError) {
            guard left.takeOne() else { throw FileError("killed", "\(change)", code: 5) }
        }
    }

    /// The first files' changes in short, those of a whole hour in the long form.
    @Test func killedAtAnyChangeItLeavesTheFileOrAVerifiedObject() throws {
        let isLong = getenv("MEDALLION_LONG_TESTS") != nil
        var kills = 0
        for step in stride(from: 0, to: isLong ? 1_000 : 16, by: isLong ? 1 : 2) {
            let scene = try Scene()
            let files = try scene.sealedFiles()
            let before = try scene.everything(scene.reader, single: [])
            let hour = LakeFixture.hourMilliseconds
            var isKilled = false
            FileWatch.$witness.withValue(Killer(after: step)) {
                do { _ = try scene.tier(until: hour) } catch { isKilled = true }
            }
            let objects = try scene.objects()
            let left = try scene.sealedFiles()
            for (path, bytes) in files where left[path] == nil {
                #expect(objects[String(scene.layout.root.dropFirst() + path)] == bytes.count)
            }
            #expect(try scene.everything(scene.reader, single: []) == before)
            _ = try scene.tier(until: hour)
            #expect(try scene.sealedFiles().keys.allSatisfy { !$0.contains("hour=00") })
            #expect(try scene.everything(scene.reader, single: []) == before)
            guard isKilled else { break }
            kills += 1
        }
        #expect(kills >= 8)
    }

    /// Without the lake's folder the bucket leads from an offset to its line, and says what retention gave up.
    @Test func theBucketAloneHasTheEvents() throws {
        let scene = try Scene()
        let (source, objects) = (LakeFixture.source, try #require(scene.layout.objects))
        let stored = StoredLake(objects: objects, untilNanoseconds: nil)
        #expect(try stored.generations().isEmpty && stored.bronze(source, offset: 3) == nil)
        _ = try scene.tier()
        #expect(try stored.generations() == GenerationLog(layout: scene.layout).read())
        for offset in 0..<LakeRun.end {
            let (found, own) = (
                try #require(try stored.bronze(source, offset: offset)), try scene.reader.bronze(source, offset: offset)
            )
            #expect(found.line == own.line && found.path == own.path)
            #expect(found.frameStart == own.frameStart && found.frameEnd == own.frameEnd)
        }
        #expect(try stored.bronze(source, offset: LakeRun.end) == nil)
        #expect(try stored.bronze(TopicPartition(topic: source.topic, partition: 9), offset: 3) == nil)
        // One that may not wait for it is told where it lies.
        let near = LakeReader(layout: scene.layout, readsObjects: false)
        let error = #expect(throws: LakeError.self) { try near.bronze(source, offset: 3) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("lies in the object storage"))

        #expect(try stored.expiry(source, offset: 3) == nil)
        _ = try Retention(layout: scene.layout, windowOffsets: 0, windowMilliseconds: 0).apply(
            .bronze, [source], .endedBy(LakeFixture.hourMilliseconds), reason: "older than 1h", now: 5)
        #expect(try stored.expiry(source, offset: 3)?.reason == "older than 1h")
        #expect(try stored.bronze(source, offset: 3) == nil)
        #expect(try stored.expiry(source, offset: 20) == nil && stored.bronze(source, offset: 20) != nil)
    }

    /// Reading ends with the caller's time, however slow the storage is.
    @Test func theBucketIsGivenUpInTime() throws {
        let scene = try Scene()
        _ = try scene.tier()
        let late = StoredLake(
            objects: try #require(scene.layout.objects), untilNanoseconds: SystemClock.monotonicNanoseconds() - 1)
        #expect(throws: LakeError.self) { try late.bronze(LakeFixture.source, offset: 3) }
        #expect(throws: LakeError.self) { try late.generations() }
    }
}

/// A count that goes down to nothing.
final class AtomicCount: Sendable {
    private let left: Mutex<Int>

    init(_ count: Int) { left = Mutex(count) }

    func takeOne() -> Bool {
        left.withLock { left in
            left -= 1
            return left >= 0
        }
    }
}
