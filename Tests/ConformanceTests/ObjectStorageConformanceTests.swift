import Bytes
import Files
import Hashing
import ObjectStorage
import PlatformTesting
import Testing

/// What the lake asks of a storage of objects.
protocol StoredObjects: Sendable {
    func put(_ key: String, descriptor: Int32, bytes: Int, sha256: [UInt8], contentType: String) throws
    func get(_ key: String, start: Int, count: Int, untilNanoseconds: Int64?) throws -> [UInt8]
    func head(_ key: String, untilNanoseconds: Int64?) throws -> ObjectSummary?
    func delete(_ key: String) throws
    func forEach(prefix: String, untilNanoseconds: Int64?, _ body: (ObjectSummary) -> Bool) throws
}

extension ObjectStorage: StoredObjects {}

/// Holds every storage of objects to what ``ObjectStorage`` says. Faults on the way there are tried in `ObjectStorageTests`.
@Suite(.serialized) struct ObjectStorageConformanceTests {
    enum Kind: CaseIterable, Sendable {
        /// The client over a real S3 server, with small pages.
        case s3
    }

    private static let server = Result { try S3Server() }

    private static func storage(_ kind: Kind) throws -> any StoredObjects {
        switch kind {
        case .s3:
            var configuration = ObjectStorageConfiguration(
                endpoint: try server.get().endpoint, bucket: S3Server.bucket, region: S3Server.region,
                accessKeyID: S3Server.accessKeyID, secretAccessKey: S3Server.secretAccessKey)
            configuration.pageObjectsMax = 3
            return ObjectStorage(configuration)
        }
    }

    /// Characters that mean something in URLs, in signatures, in XML or to a shell, and others than ASCII's.
    private static let oddNames = [
        "a&b <c>", "é", "e\u{301}", "plus+plus", "a%20b", "a%2Fb", "z=1", "question?mark", "hash#mark", "semi;colon",
        "quote'\"", "back\\slash", "star*", "(round) [square] {curly}", "co,mma:colon@at", "~tilde!", "$dollar", "|^`",
        " begins and ends with a space ", "日本語", "🦊", ".hidden", "dots...", "]]>", "&amp;",
        String(repeating: "long-", count: 160),
    ]

    private static func bytes(_ count: Int, seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 ^ $0 >> 8) }
    }

    /// Stores bytes as a file would be, by default with their own hash.
    private func put(
        _ storage: any StoredObjects, _ key: String, _ bytes: [UInt8], hashOf hashed: [UInt8]? = nil
    ) throws {
        let folder = try TemporaryFolder()
        try File.replace(folder.file("body"), with: bytes)
        let file = try File(folder.file("body"), .read)
        var hasher = try SHA256Hasher()
        let digest = try (hashed ?? bytes).withUnsafeBytes { try hasher.hash($0).withBytes(Array.init) }
        try storage.put(key, descriptor: file.descriptor, bytes: bytes.count, sha256: digest, contentType: "text/plain")
    }

    private func get(_ storage: any StoredObjects, _ key: String, start: Int = 0, count: Int) throws -> [UInt8] {
        try storage.get(key, start: start, count: count, untilNanoseconds: nil)
    }

    private func list(_ storage: any StoredObjects, _ prefix: String) throws -> [ObjectSummary] {
        var found: [ObjectSummary] = []
        try storage.forEach(prefix: prefix, untilNanoseconds: nil) { object in
            found.append(object)
            return true
        }
        return found
    }

    private func kind(_ body: () throws -> Void) -> ObjectStorageError.Kind? {
        do {
            try body()
            return nil
        } catch { return (error as? ObjectStorageError)?.kind }
    }

    @Test("an object is what was put last, whole, until it is deleted", arguments: Kind.allCases)
    func objects(kind: Kind) throws {
        let storage = try Self.storage(kind)
        let key = "objects/topic=a.b/partition=0/0001.jsonl.zst"
        for (size, seed) in [(300_000, 1), (17, 2), (0, 3), (1, 4)] {
            let bytes = Self.bytes(size, seed: seed)
            try put(storage, key, bytes)
            #expect(try storage.head(key, untilNanoseconds: nil) == ObjectSummary(key: key, bytes: size))
            #expect(try get(storage, key, count: size) == bytes)
            #expect(try list(storage, "objects/") == [ObjectSummary(key: key, bytes: size)])
        }
        try storage.delete(key)
        #expect(try storage.head(key, untilNanoseconds: nil) == nil)
        #expect(try list(storage, "objects/").isEmpty)
        try put(storage, key, [7])
        #expect(try get(storage, key, count: 1) == [7])
        try storage.delete(key)
    }

    @Test("an object that is not there is nil, an error by name, or fine", arguments: Kind.allCases)
    func missing(kind: Kind) throws {
        let storage = try Self.storage(kind)
        try put(storage, "missing/there", [1])
        for key in ["missing/absent", "missing", "missing/", "missing/there/below", "missing/ther"] {
            #expect(try storage.head(key, untilNanoseconds: nil) == nil, "\(key)")
            #expect(self.kind { _ = try get(storage, key, count: 1) } == .notFound, "\(key)")
            try storage.delete(key)
        }
        #expect(try get(storage, "missing/there", count: 1) == [1])
        try storage.delete("missing/there")
        try storage.delete("missing/there")
    }

    @Test("ranges are exact, and one that reaches beyond the end is an error", arguments: Kind.allCases)
    func ranges(kind: Kind) throws {
        let storage = try Self.storage(kind)
        let bytes = Self.bytes(8_000_000)
        try put(storage, "ranges/large", bytes)
        for (start, count) in [(0, 1), (7_999_999, 1), (65_535, 2), (123_456, 789_012), (0, 8_000_000), (5, 0)] {
            #expect(try get(storage, "ranges/large", start: start, count: count) == Array(bytes[start..<start + count]))
        }
        var parts: [UInt8] = []
        while parts.count < bytes.count {
            parts += try get(
                storage, "ranges/large", start: parts.count, count: min(900_001, bytes.count - parts.count))
        }
        #expect(parts == bytes)
        for (start, count) in [(7_999_999, 2), (0, 8_000_001), (8_000_000, 1), (9_000_000, 10)] {
            let found = self.kind { _ = try get(storage, "ranges/large", start: start, count: count) }
            #expect(found != nil && found != .unavailable, "\(start), \(count): the same call brings the same")
        }
        try storage.delete("ranges/large")
    }

    @Test("a name may hold anything, and names that look alike are different objects", arguments: Kind.allCases)
    func names(kind: Kind) throws {
        let storage = try Self.storage(kind)
        for (index, name) in Self.oddNames.enumerated() { try put(storage, "odd/\(name)", Self.bytes(index + 1)) }
        for (index, name) in Self.oddNames.enumerated() {
            #expect(try storage.head("odd/\(name)", untilNanoseconds: nil)?.bytes == index + 1, "\(name)")
            #expect(try get(storage, "odd/\(name)", count: index + 1) == Self.bytes(index + 1), "\(name)")
        }
        // The bytes of names, since Swift takes two forms of é for the same.
        let wanted = Self.oddNames.map { Array("odd/\($0)".utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        #expect(try list(storage, "odd/").map { Array($0.key.utf8) } == wanted)
        for name in Self.oddNames { try storage.delete("odd/\(name)") }
        #expect(try list(storage, "odd/").isEmpty)
    }

    @Test(
        "a listing holds what begins with the prefix, in order, and ends when it is told to", arguments: Kind.allCases)
    func listings(kind: Kind) throws {
        let storage = try Self.storage(kind)
        let keys = (0..<10).map { "list/a/\($0)" } + ["list/a", "list/ab/0", "list/b/0"]
        for key in keys.reversed() { try put(storage, key, [1, 2, 3]) }
        func names(_ prefix: String) throws -> [String] { try list(storage, prefix).map(\.key) }
        #expect(try names("list/") == keys.sorted())
        #expect(try names("list/a/") == (0..<10).map { "list/a/\($0)" })
        #expect(try names("list/a") == keys.sorted().dropLast())
        #expect(try names("list/c").isEmpty)
        #expect(try Set(names("")).isSuperset(of: keys))
        for count in 1...keys.count {
            var seen: [String] = []
            try storage.forEach(prefix: "list/", untilNanoseconds: nil) { object in
                seen.append(object.key)
                return seen.count < count
            }
            #expect(seen == Array(keys.sorted().prefix(count)))
        }
        for key in keys { try storage.delete(key) }
    }

    /// A copy that was spoiled on its way must not stand for the file.
    @Test("bytes that do not match their hash are not stored", arguments: Kind.allCases)
    func hashes(kind: Kind) throws {
        let storage = try Self.storage(kind)
        #expect(self.kind { try put(storage, "hash/spoiled", [1, 2, 3], hashOf: [1, 2, 4]) } != nil)
        #expect(try storage.head("hash/spoiled", untilNanoseconds: nil) == nil)
        try put(storage, "hash/kept", [1, 2, 3])
        #expect(self.kind { try put(storage, "hash/kept", [4, 5], hashOf: [4]) } != nil)
        #expect(try get(storage, "hash/kept", count: 3) == [1, 2, 3])
        try storage.delete("hash/kept")
    }

    @Test("threads may share one, and each finds what it put", arguments: Kind.allCases)
    func sharing(kind: Kind) async throws {
        let storage = try Self.storage(kind)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    for round in 0..<5 {
                        let bytes = Self.bytes(10_000 + thread, seed: round)
                        try put(storage, "shared/\(thread)", bytes)
                        #expect(try get(storage, "shared/\(thread)", count: bytes.count) == bytes)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try list(storage, "shared/").map(\.bytes) == [10_000, 10_001, 10_002, 10_003])
        for thread in 0..<4 { try storage.delete("shared/\(thread)") }
    }
}
