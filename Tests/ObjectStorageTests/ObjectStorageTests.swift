import Bytes
import Files
import Hashing
import PlatformTesting
import Testing

@testable import ObjectStorage

/// The client against a real S3 server, with faults in between.
@Suite(.serialized) struct ObjectStorageTests {
    private static let key = "lake/bronze/topic=a.b/partition=0/date=2026-11-21/hour=06/0001.jsonl.zst"

    private struct Scene {
        let server: S3Server
        let folder: TemporaryFolder

        /// One for all tests, which run one after the other: each leaves no fault behind.
        private static let shared = Result { try S3Server() }

        init(_ server: S3Server? = nil) throws {
            self.server = try server ?? Self.shared.get()
            folder = try TemporaryFolder()
        }

        func storage(_ change: (inout ObjectStorageConfiguration) -> Void = { _ in }) -> ObjectStorage {
            var configuration = ObjectStorageConfiguration(
                endpoint: server.endpoint + "/", bucket: S3Server.bucket, region: S3Server.region,
                accessKeyID: S3Server.accessKeyID, secretAccessKey: S3Server.secretAccessKey)
            configuration.backoffMilliseconds = 1
            change(&configuration)
            return ObjectStorage(configuration)
        }

        /// Stores bytes as a file would be.
        func put(_ storage: ObjectStorage, _ key: String, _ bytes: [UInt8]) throws {
            try File.replace(folder.file("body"), with: bytes)
            let file = try File(folder.file("body"), .read)
            var hasher = try SHA256Hasher()
            let digest = try bytes.withUnsafeBytes { try hasher.hash($0) }
            try storage.put(key, descriptor: file.descriptor, bytes: bytes.count, sha256: digest.withBytes(Array.init))
        }
    }

    private func failure(_ body: () throws -> Void) -> ObjectStorageError? {
        do {
            try body()
            return nil
        } catch {
            return error as? ObjectStorageError
        }
    }

    private static func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    }

    /// Every version goes by itself, marks of a deletion among them; other keys that begin so are others.
    @Test func versionsGoOneByOne() throws {
        let server = try S3Server(isVersioned: true)
        let scene = try Scene(server)
        let storage = scene.storage { $0.pageObjectsMax = 2 }
        for count in 1...3 { try scene.put(storage, "a b/ü&.zst", Self.bytes(count)) }
        try scene.put(storage, "a b/ü&.zst.other", Self.bytes(4))
        try storage.delete("a b/ü&.zst")
        let versions = try storage.versions(of: "a b/ü&.zst")
        #expect(versions.count == 4 && Set(versions.map(\.id)).count == 4)
        #expect(versions.filter(\.isLatest).map(\.isDeletion) == [true])
        for version in versions.dropFirst() { try storage.delete("a b/ü&.zst", version: version.id) }
        #expect(try storage.versions(of: "a b/ü&.zst").map(\.id) == [versions[0].id])
        try storage.delete("a b/ü&.zst", version: versions[0].id)
        try storage.delete("a b/ü&.zst", version: versions[0].id)
        #expect(try storage.versions(of: "a b/ü&.zst").isEmpty)
        #expect(try storage.versions(of: "a b/ü&.zst.other").count == 1)
        // Without versions an object has one.
        let plain = try Scene()
        try plain.put(plain.storage(), "x", Self.bytes(1))
        #expect(try plain.storage().versions(of: "x").map(\.isLatest) == [true])
        try plain.storage().delete("x")
        #expect(try plain.storage().versions(of: "x").isEmpty)
    }

    @Test func storesReadsAndRemoves() throws {
        let scene = try Scene()
        let storage = scene.storage()
        let bytes = Self.bytes(300_000)
        let before = try scene.server.requests().count
        #expect(try storage.head(Self.key) == nil)
        try scene.put(storage, Self.key, bytes)
        #expect(try storage.head(Self.key) == ObjectSummary(key: Self.key, bytes: bytes.count))
        #expect(try storage.get(Self.key, start: 0, count: bytes.count) == bytes)
        #expect(try storage.get(Self.key, start: 123_456, count: 789) == Array(bytes[123_456..<124_245]))
        #expect(try storage.get(Self.key, start: 7, count: 0) == [])
        let beyond = failure { _ = try storage.get(Self.key, start: 299_999, count: 2) }
        #expect(beyond?.kind == .mismatch)
        try storage.delete(Self.key)
        try storage.delete(Self.key)
        #expect(try storage.head(Self.key) == nil)
        // Every request was signed as botocore signs it, or the proxy would have refused it.
        #expect(try scene.server.requests().dropFirst(before).allSatisfy { $0.status != 403 })
    }

    @Test func listsPageByPage() throws {
        let scene = try Scene()
        let storage = scene.storage { $0.pageObjectsMax = 2 }
        let names = ["a&b <c>", "é", "plus+plus", "a%20b", "z=1"].map { "odd/\($0)" }
        for name in names { try scene.put(storage, name, [1, 2, 3]) }
        try scene.put(storage, "other", [])
        var found: [ObjectSummary] = []
        try storage.forEach(prefix: "odd/") { object in
            found.append(object)
            return true
        }
        #expect(found == names.sorted().map { ObjectSummary(key: $0, bytes: 3) })
        var first: [String] = []
        try storage.forEach(prefix: "") { object in
            first.append(object.key)
            return first.count < 2
        }
        #expect(first.count == 2)
    }

    @Test func readsPages() throws {
        let page = { (token: String) in
            Array(
                """
                <?xml version="1.0"?><ListBucketResult xmlns="x"><IsTruncated>true</IsTruncated><Contents><Key>a%26b</Key>
                <Size>12</Size></Contents>\(token)</ListBucketResult>
                """.utf8)
        }
        let whole = try #require(ListPage(page("<NextContinuationToken>t&amp;1&#x41;</NextContinuationToken>")))
        #expect(whole.objects == [ObjectSummary(key: "a&b", bytes: 12)])
        #expect(whole.nextToken == "t&1A")
        #expect(ListPage(page("")) == nil)
        #expect(ListPage(Array("<html>".utf8)) == nil)
    }

    @Test(arguments: [S3Server.Fault.busy, .cutRequest, .lostReply]) func storesInSpiteOf(_ fault: S3Server.Fault)
        throws
    {
        let scene = try Scene()
        let storage = scene.storage()
        let bytes = Self.bytes(2_000_000)
        try scene.server.fail("PUT", fault, count: 3)
        let before = try scene.server.requests().count
        try scene.put(storage, Self.key, bytes)
        #expect(try scene.server.requests().dropFirst(before).filter { $0.method == "PUT" }.count == 4)
        #expect(try storage.get(Self.key, start: 0, count: bytes.count) == bytes)
    }

    @Test(arguments: [S3Server.Fault.busy, .lostReply, .cutReply]) func readsInSpiteOf(_ fault: S3Server.Fault) throws {
        let scene = try Scene()
        let storage = scene.storage()
        let bytes = Self.bytes(500_000)
        try scene.put(storage, Self.key, bytes)
        try scene.server.fail("GET", fault, count: 3)
        #expect(try storage.get(Self.key, start: 5, count: 400_000) == Array(bytes[5..<400_005]))
        try scene.server.fail("DELETE", .lostReply)
        try storage.delete(Self.key)
        #expect(try storage.head(Self.key) == nil)
    }

    @Test func givesUpInTimeAndSaysWhy() throws {
        let scene = try Scene()
        let storage = scene.storage { $0.attemptsMax = 3 }
        try scene.server.fail("PUT", .busy, count: 3)
        let busy = try #require(failure { try scene.put(storage, Self.key, [1]) })
        #expect(busy.kind == .unavailable && busy.status == 503 && busy.code == "SlowDown" && busy.attempts == 3)
        #expect("\(busy)".contains("lake-bucket/\(Self.key): status 503 SlowDown"))

        let hasty = scene.storage {
            $0.attemptsMax = 2
            $0.timeoutMilliseconds = 200
        }
        try scene.server.fail("GET", .hang, count: 2)
        let hung = try #require(failure { _ = try hasty.get(Self.key, start: 0, count: 1) })
        #expect(hung.kind == .unavailable && hung.status == nil && hung.attempts == 2)

        let absent = try #require(failure { _ = try storage.get("nothing", start: 0, count: 1) })
        #expect(absent.kind == .notFound && absent.code == "NoSuchKey" && absent.attempts == 1)

        let stranger = scene.storage { $0.secretAccessKey = "wrong" }
        let denied = try #require(failure { _ = try stranger.head(Self.key) })
        #expect(denied.kind == .denied && denied.status == 403)
        #expect(!"\(denied)".contains("wrong"))

        let lost = scene.storage {
            $0.endpoint = "http://127.0.0.1:1"
            $0.attemptsMax = 2
        }
        let unreachable = try #require(failure { _ = try lost.head(Self.key) })
        #expect(unreachable.kind == .unavailable && unreachable.attempts == 2)
    }

    /// A caller's own limit ends attempts, and the waits between them, whatever the configuration allows.
    @Test func aCallersTimeLimitBoundsAllAttempts() throws {
        let scene = try Scene()
        let patient = scene.storage { $0.backoffMilliseconds = 60_000 }
        try scene.put(patient, Self.key, [1, 2, 3])
        func until(_ milliseconds: Int64) -> Int64 {
            SystemClock.monotonicNanoseconds() + milliseconds * 1_000_000
        }
        #expect(try patient.get(Self.key, start: 1, count: 1, untilNanoseconds: until(50_000)) == [2])
        // It would hang for a minute, and be asked six times.
        try scene.server.fail("GET", .hang)
        let hung = try #require(
            failure { _ = try patient.get(Self.key, start: 0, count: 1, untilNanoseconds: until(300)) })
        #expect(hung.kind == .unavailable && hung.attempts == 1)
        // The wait before the second attempt would be longer than what is left.
        try scene.server.fail("GET", .busy)
        let busy = try #require(
            failure { _ = try patient.get(Self.key, start: 0, count: 1, untilNanoseconds: until(5_000)) })
        #expect(busy.kind == .unavailable && busy.attempts == 1 && busy.status == 503)
        let late = try #require(
            failure { _ = try patient.get(Self.key, start: 0, count: 1, untilNanoseconds: until(-1)) })
        #expect(late.kind == .unavailable && late.attempts == 0)
    }
}
