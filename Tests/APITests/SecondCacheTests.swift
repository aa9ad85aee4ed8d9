import Arms
import Bytes
import Foundation
import Health
import JSONScan
import PlatformTesting
import Redis
import Retrieval
import Telemetry
import Testing

@testable import API

/// Replies in Redis are read like any input, and without it there is nothing to wait for.
@Suite struct SecondCacheTests {
    private static func cache(
        _ address: RedisAddress, milliseconds: Int = 10_000, registry: MetricsRegistry = MetricsRegistry()
    ) -> SecondCache {
        SecondCache(address, milliseconds: milliseconds, registry: registry, logger: Logger("test", level: .error))
    }

    private static func uses(
        isAnswer: Bool = false, _ passages: Set<Int64> = [], answers: Set<String> = [], database: String = "d"
    ) -> ReplyUses {
        ReplyUses(database: database, isAnswer: isAnswer, passages: passages, answers: answers)
    }

    /// Replies are counted by what they show, each once, and no longer once they are gone.
    @Test(.enabled(if: RedisServer.isInstalled)) func repliesAreCountedByWhatTheyShow() async throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(in: folder.path)
        let cache = Self.cache(try #require(RedisAddress("unix://\(server.socket)")))
        func expect(_ uses: ReplyUses, _ searches: Int, _ answers: Int) async throws {
            try await eventually {
                let found = await cache.count(uses, keptMilliseconds: 600_000)
                return found?.searches == searches && found?.answers == answers
            }
        }
        cache.keep(for: "a", keptMilliseconds: 600_000, Self.uses([1, 2])) { [1] }
        cache.keep(for: "b", keptMilliseconds: 600_000, Self.uses([2, 3])) { [2] }
        cache.keep(for: "c", keptMilliseconds: 600_000, Self.uses(isAnswer: true, [2], answers: ["ans_1"])) { [3] }
        try await expect(Self.uses([2]), 2, 1)
        try await expect(Self.uses([1, 2, 3], answers: ["ans_1"]), 2, 1)
        try await expect(Self.uses([3]), 1, 0)
        try await expect(Self.uses(answers: ["ans_1"]), 0, 1)
        try await expect(Self.uses([4]), 0, 0)
        // The numbers of another database's passages are others.
        try await expect(Self.uses([2], database: "e"), 0, 0)
        cache.remove("b")
        try await expect(Self.uses([2]), 1, 1)
        server.kill()
        let dead = await cache.count(Self.uses([2]), keptMilliseconds: 600_000)
        #expect(dead?.searches == nil)
    }

    @Test(.enabled(if: RedisServer.isInstalled)) func whatIsKeptIsReadUntilTheServerDies() async throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(in: folder.path)
        let address = try #require(RedisAddress("unix://\(server.socket)"))
        let cache = Self.cache(address)
        #expect(await cache.value(for: "a") == nil)
        let value = [UInt8](repeating: 7, count: 200_000)
        cache.keep(for: "a", keptMilliseconds: 600_000, Self.uses()) { value }
        try await eventually { await cache.value(for: "a") == value }
        #expect(await cache.value(for: "b") == nil)
        // What is too large is not kept at all.
        cache.keep(for: "c", keptMilliseconds: 600_000, Self.uses()) {
            [UInt8](repeating: 1, count: SecondCache.bytesMax)
        }
        #expect(try server.keys() == 1)
        cache.remove("a")
        try await eventually { try server.keys() == 0 }
        #expect(await cache.health().state == .ok)
        server.kill()
        for _ in 0..<20 { #expect(await cache.value(for: "a") == nil) }
        // Also while it rests, and nobody asks.
        #expect(await cache.health().state == .failed)
    }

    /// An erasure takes all of them, and nobody else's keys.
    @Test(.enabled(if: RedisServer.isInstalled)) func allOfThemAreForgotten() async throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(in: folder.path)
        let address = try #require(RedisAddress("unix://\(server.socket)"))
        let client = RedisClient(address)
        #expect(try client.removeAll(prefix: SecondCache.prefix, milliseconds: 10_000) == 0)
        let cache = Self.cache(address)
        for name in ["a", "b", "c"] { cache.keep(for: name, keptMilliseconds: 600_000, Self.uses()) { [7] } }
        try await eventually { try server.keys() == 3 }
        for index in 0..<2_000 {
            try client.set(
                [1], of: Array("\(SecondCache.prefix)\(index)".utf8), keptMilliseconds: 600_000, milliseconds: 10_000)
        }
        try client.set([1], of: Array("other:reply:".utf8), keptMilliseconds: 600_000, milliseconds: 10_000)
        #expect(try client.removeAll(prefix: SecondCache.prefix, milliseconds: 10_000) == 2_003)
        #expect(try server.keys() == 1)
    }

    /// Where more is asked than it has time for, the rest ends at once without a value, and says nothing of the server.
    @Test(.enabled(if: RedisServer.isInstalled)) func aCrowdEndsAtOnce() async throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(in: folder.path)
        let registry = MetricsRegistry()
        let address = try #require(RedisAddress("unix://\(server.socket)"))
        let cache = Self.cache(address, milliseconds: 30_000, registry: registry)
        cache.keep(for: "a", keptMilliseconds: 600_000, Self.uses()) { [7] }
        try await eventually { await cache.value(for: "a") == [7] }
        func count(_ outcome: String) -> Int {
            let text = String(decoding: registry.render(), as: UTF8.self)
            let name = #"medallion_cache_redis_calls_total{outcome="\#(outcome)"} "#
            return text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count)) }
                ?? -1
        }
        let before = count("done")
        try server.pause(milliseconds: 1_500)
        let found = await withTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<200 { group.addTask { await cache.value(for: "a") } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        // One is on its way and 64 wait.
        #expect(count("crowded") >= 135 && count("crowded") == found.count { $0 == nil })
        #expect(count("done") - before == found.count { $0 == [7] })
        #expect(count("failed") == 0 && count("resting") == 0)
        #expect(await cache.value(for: "a") == [7])
    }

    /// The server says more than it may, or something else.
    @Test(.enabled(if: RedisServer.isInstalled)) func repliesHaveBounds() async throws {
        let folder = try TemporaryFolder()
        let server = try RedisServer(in: folder.path)
        let address = try #require(RedisAddress("unix://\(server.socket)"))
        let client = RedisClient(address)
        let key = Array("k".utf8)
        try client.set([UInt8](repeating: 9, count: 100_000), of: key, keptMilliseconds: 600_000, milliseconds: 10_000)
        #expect(try client.value(of: key, bytesMax: 100_000, milliseconds: 10_000)?.count == 100_000)
        let error = #expect(throws: RedisError.self) {
            try client.value(of: key, bytesMax: 50_000, milliseconds: 10_000)
        }
        #expect(error?.kind == .badReply)
        // The connection that the rest was to come on is given up.
        #expect(try client.value(of: key, bytesMax: 100_000, milliseconds: 10_000)?.count == 100_000)
        var other = address
        other.password = "nobody asked"
        let refused = #expect(throws: RedisError.self) {
            try RedisClient(other).value(of: key, bytesMax: 100, milliseconds: 10_000)
        }
        #expect(refused?.kind == .refused && refused.map { !"\($0)".contains("nobody asked") } == true)
    }

    /// Replies the same to whatever it is sent, once.
    private static func serve(_ reply: String, at path: String) throws {
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let status = withUnsafePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(status == 0 && listen(listener, 1) == 0)
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let connection = accept(listener, nil, nil)
            _ = read(connection, &buffer, buffer.count)
            _ = write(connection, reply, reply.utf8.count)
            // Until the other side leaves.
            while read(connection, &buffer, buffer.count) > 0 {}
            close(connection)
            close(listener)
        }
    }

    /// For a list as long as its head says no memory is taken, and nobody waits for the rest of it.
    @Test(arguments: ["*2\r\n", "*2000000000\r\n", "%1\r\n", "nothing\r\n"])
    func onlyTextsAreRead(reply: String) throws {
        let folder = try TemporaryFolder()
        try Self.serve(reply, at: folder.file("s"))
        let client = RedisClient(try #require(RedisAddress("unix://\(folder.file("s"))")))
        let error = #expect(throws: RedisError.self) {
            try client.value(of: [1], bytesMax: 100, milliseconds: 30_000)
        }
        #expect(error?.kind == .badReply && error?.detail == "it is no text")
    }

    /// Some servers say what they were sent.
    @Test func aRefusalDoesNotTellThePassword() throws {
        let folder = try TemporaryFolder()
        try Self.serve("-ERR unknown command, with args beginning with: 'nobody asked'\r\n", at: folder.file("s"))
        var address = try #require(RedisAddress("unix://\(folder.file("s"))"))
        address.password = "nobody asked"
        let error = #expect(throws: RedisError.self) {
            try RedisClient(address).value(of: [1], bytesMax: 100, milliseconds: 30_000)
        }
        #expect(error?.kind == .refused && error?.detail == "ERR")
    }

    @Test func aServerThatIsAwayIsNotAskedForever() async throws {
        let address = try #require(RedisAddress("unix:///nowhere/redis.sock"))
        let cache = Self.cache(address)
        for _ in 0..<100 { #expect(await cache.value(for: "a") == nil) }
    }

    @Test func onlyWhatWasSealedForAKeyIsOpened() throws {
        let value = Array(#"{"a":1}"#.utf8)
        let sealed = try #require(SecondCache.sealed(value, "key"))
        #expect(SecondCache.opened(sealed, "key") == value)
        #expect(SecondCache.opened(sealed, "other") == nil)
        #expect(SecondCache.opened([], "key") == nil && SecondCache.opened(value, "key") == nil)
        for place in sealed.indices {
            var damaged = sealed
            damaged[place] ^= 1
            #expect(SecondCache.opened(damaged, "key") == nil)
            #expect(SecondCache.opened(Array(sealed.prefix(place)), "key") == nil)
        }
    }

    private static let place = RankedPassage(
        passageID: 7, vector: ArmPlace(rank: 1, score: 0.25), lexical: ArmPlace(rank: 2, score: 3.5))

    private static func reply() -> SharedReply {
        var shown = ResultProbe.Shown(passages: [7], places: [place], isShort: true)
        shown.depth = 2
        let seed = ResultSeed(
            vector: [0.5, -0.25], places: [place], shown: shown,
            counts: ResultSeed.Counts(words: [3, 4], passages: 10, length: 5.5), version: 9,
            stamp: 1_700_000_000_000_000)
        var reply = SharedReply(
            madeAtMilliseconds: 5, generation: 3, notes: [.lexicalBounded], isReranked: false, seed: seed)
        reply.answer = SharedReply.SharedAnswer(
            id: "ans_1", sentences: Array(#"[{"text":"Ja \"so\".","citations":[1]}]"#.utf8),
            citations: Array(#"[{"n":1}]"#.utf8), isRefused: false, name: "extractive", model: nil)
        (reply.hits, reply.nextCursor) = (Array(#"[{"doc_id":"a"}]"#.utf8), "next")
        return reply
    }

    @Test func aReplyIsReadAsItWasWritten() throws {
        let reply = Self.reply()
        let read = try #require(SharedReply(json: reply.json()))
        #expect(read.seed == reply.seed && read.hits == reply.hits && read.nextCursor == "next")
        #expect(read.madeAtMilliseconds == 5 && read.generation == 3 && read.notes == [.lexicalBounded])
        let answer = try #require(read.answer)
        #expect(answer.id == "ans_1" && answer.name == "extractive" && answer.model == nil && !answer.isRefused)
        #expect(answer.spoken == [.init(text: "Ja \"so\".", citations: [1])])
        #expect(answer.citations == reply.answer?.citations)
    }

    /// Whatever stands there is either read or refused.
    @Test func hostileRepliesDoNoHarm() throws {
        let whole = Self.reply().json()
        var random = SeededGenerator(seed: 11)
        for _ in 0..<3_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
                }
            }
            guard let read = SharedReply(json: bytes) else { continue }
            // What is passed on is JSON.
            for part in [read.hits, read.answer?.sentences, read.answer?.citations].compactMap(\.self) {
                #expect((try? JSONValue.parse(part))?.array != nil)
            }
        }
        for text in ["", "{}", "[]", #"{"made_at":1}"#, "\u{0}"] { #expect(SharedReply(json: Array(text.utf8)) == nil) }
    }

    @Test(arguments: [
        ("redis://h", "h", 6_379, "", "", 0), ("redis://h:7/3", "h", 7, "", "", 3),
        ("redis://u:p%40s@h:7", "h", 7, "u", "p@s", 0), ("redis://:secret@[::1]:7/0", "::1", 7, "", "secret", 0),
        ("unix:///run/redis.sock", "/run/redis.sock", 0, "", "", 0),
    ]) func addressesAreRead(text: String, host: String, port: Int, user: String, password: String, database: Int)
        throws
    {
        let address = try #require(RedisAddress(text))
        #expect(address.host == host && address.port == port && address.user == user)
        #expect(address.password == password && address.database == database)
    }

    @Test(arguments: [
        "", "redis://", "redis://h:0", "redis://h:x", "redis://h/x", "redis://p@h", "unix://relative", "http://h",
        "redis://u:%zz@h", "redis://a b",
    ]) func otherAddressesAreRefused(text: String) { #expect(RedisAddress(text) == nil) }
}
