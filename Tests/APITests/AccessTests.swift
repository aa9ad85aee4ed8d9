import Bytes
import Concurrency
import Files
import HTTPClient
import HTTPServer
import Hashing
import IndexTesting
import JSONScan
import PlatformTesting
import Records
import Synchronization
import Telemetry
import Testing

@testable import API
@testable import Access

/// Keys that a test makes and may revoke.
final class TestKeys: Sendable {
    private let keys = Mutex<[APIKey]>([])

    func read() -> [APIKey] { keys.withLock { $0 } }

    /// The text of a new key.
    func make(_ role: Role, tenant: TenantID? = nil, expiresInMilliseconds: Int64? = nil) throws -> String {
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        var hasher = try SHA256Hasher()
        let digest = try Array(text.text.utf8).withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
        let now = SystemClock.epochMilliseconds()
        keys.withLock {
            $0.append(
                APIKey(
                    id: text.id, name: "test", role: role, tenant: tenant, sha256: digest.hex,
                    createdAtMilliseconds: now,
                    expiresAtMilliseconds: expiresInMilliseconds.map { now + $0 }))
        }
        return text.text
    }

    func revoke(_ text: String) {
        let id = APIKeyText(text)?.id
        keys.withLock { keys in
            for place in keys.indices where keys[place].id == id { keys[place].revokedAtMilliseconds = 1 }
        }
    }
}

@Suite struct AccessTests {
    private let keys = TestKeys()

    private func fixture(anonymous: Bool = false, keyRate: Int = 0, addressRate: Int = 0) -> APIFixture {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = anonymous
        access.keyRate = keyRate
        access.addressRate = addressRate
        let fixture = APIFixture(access: access, readKeys: keys.read)
        fixture.api.access.use(KeyRing(keys.read()))
        fixture.fill()
        return fixture
    }

    private func ask(
        _ fixture: APIFixture, _ target: String, _ headers: HTTPHeaders = [:], method: HTTPMethod = .get,
        from address: String? = nil
    ) async -> HTTPResponse {
        var headers = headers
        if method == .post { headers.add("Content-Type", "application/json") }
        return await fixture.reply(
            HTTPRequest(
                method: method, target: target, headers: headers,
                body: method == .post ? Array(#"{"query": "golden gate"}"#.utf8) : [],
                client: address.flatMap { IPAddress($0) }))
    }

    /// Every operation of the document, with a path that can be asked.
    private static let operations: [(method: HTTPMethod, target: String, isOpen: Bool, isAdmins: Bool)] = [
        (.post, "/search", false, false), (.post, "/search/batch", false, false), (.post, "/answer", false, false),
        (.get, "/answers", false, false), (.get, "/answers/ans_1", false, false),
        (.get, "/answers/ans_1/trace", false, false),
        (.post, "/answers/ans_1/feedback", false, false), (.get, "/events/recent", false, false),
        (.get, "/stream", false, false), (.get, "/trace/d-bridge", false, false),
        (.get, "/impact?event_id=d-bridge", false, false), (.get, "/metrics", false, false),
        (.get, "/pipeline/status", false, false), (.get, "/history", false, false),
        (.get, "/keys", false, true), (.post, "/keys", false, true), (.delete, "/keys/x", false, true),
        (.get, "/health", true, false),
        (.get, "/ready", true, false), (.get, "/live", true, false), (.get, "/", true, false),
        (.get, "/docs", true, false), (.get, "/openapi.json", true, false), (.get, "/page/page.js", true, false),
        (.post, "/suppressions", false, false), (.get, "/suppressions", false, false),
        (.delete, "/suppressions/s-1?reason=x", false, false),
        (.post, "/ingest/hooks", false, false), (.post, "/documents", false, false),
        (.put, "/documents/a", false, false), (.delete, "/documents/a", false, false),
        (.get, "/documents", false, false), (.get, "/documents/a", false, false), (.get, "/collections", false, false),
        (.get, "/sources", false, false), (.post, "/sources/a/pause", false, false),
        (.post, "/sources/a/resume", false, false), (.post, "/sources/a/snapshot", false, false),
        (.post, "/sources/a/give-up", false, false), (.get, "/sources/a/requests", false, false),
        (.post, "/v1/chat/completions", false, false), (.get, "/v1/models", false, false),
        (.get, "/v1/models/medallion", false, false), (.post, "/mcp", false, false),
        (.get, "/generations", false, false),
        (.post, "/generations/2/promote", false, false), (.post, "/generations/2/prune", false, false),
        (.get, "/logics", false, false), (.get, "/quarantine/record?topic=t&partition=0&offset=3", false, false),
        (.get, "/replays", false, false), (.post, "/replays", false, false), (.get, "/replays/2", false, false),
        (.get, "/replays/2/progress", false, false), (.patch, "/replays/2", false, false),
        (.delete, "/replays/2", false, false), (.get, "/quarantine", false, false),
        (.post, "/quarantine/redrive", false, false), (.post, "/quarantine/discard", false, false),
        (.get, "/golden", false, false), (.post, "/golden", false, false), (.delete, "/golden/x", false, false),
        (.post, "/generations/2/golden", false, false),
    ]
    /// Paths of those that take the role `write`, by their beginnings.
    private static let writers = [
        "/generations", "/logics", "/replays", "/quarantine", "/golden", "/suppressions", "/ingest",
    ]
    /// Paths whose role `write` is for methods other than GET alone.
    private static let readable = ["/golden", "/documents", "/sources"]

    @Test func eachRoleMayDoWhatIsDocumented() async throws {
        let (reader, writer, admin) = (try keys.make(.read), try keys.make(.write), try keys.make(.admin))
        let (closed, open) = (fixture(), fixture(anonymous: true))
        #expect(Self.operations.count == closed.api.endpoints().descriptions.count)
        for one in Self.operations {
            func status(_ fixture: APIFixture, _ key: String?) async -> Int {
                let headers: HTTPHeaders = key.map { ["Authorization": "Bearer \($0)"] } ?? [:]
                return await ask(fixture, one.target, headers, method: one.method).status
            }
            let refusals = [401, 403]
            #expect(await status(closed, nil) == 401 || one.isOpen, "\(one.target)")
            #expect(await !refusals.contains(status(closed, nil)) || !one.isOpen, "\(one.target)")
            let takesWrite =
                (Self.writers + Self.readable).contains { one.target.hasPrefix($0) }
                && !(one.method == .get && Self.readable.contains { one.target.hasPrefix($0) })
            #expect(await (status(open, nil) == 401) == (one.isAdmins || takesWrite), "\(one.target)")
            for key in [reader, writer] {
                let isRefused = one.isAdmins || takesWrite && key == reader
                #expect(await (status(closed, key) == 403) == isRefused, "\(one.target)")
                #expect(await status(closed, key) != 401, "\(one.target)")
            }
            #expect(await !refusals.contains(status(closed, admin)), "\(one.target)")
            // A wrong key is told so, even where none is needed.
            #expect(await (status(open, "mdl_wrong") == 401) == !one.isOpen, "\(one.target)")
        }
    }

    @Test func wrongKeysAreRefusedWhateverIsWrong() async throws {
        let key = try keys.make(.read)
        let expired = try keys.make(.read, expiresInMilliseconds: -1)
        let revoked = try keys.make(.admin)
        keys.revoke(revoked)
        let fixture = fixture()
        let last = key.last == "A" ? "B" : "A"
        for wrong in [
            "", " ", "x", expired, revoked, key.dropLast() + last, key + "A", String(key.dropLast()), key.uppercased(),
            "\(key) \(key)", "mdl_" + String(repeating: "a", count: 56), String(repeating: "a", count: 8_000),
            "mdl_\u{e9}",
        ] {
            for headers in [["Authorization": "Bearer \(wrong)"], ["X-API-Key": wrong]] as [HTTPHeaders] {
                let reply = await ask(fixture, "/events/recent", headers)
                #expect(reply.status == 401, "\(wrong)")
                #expect(reply.headers["WWW-Authenticate"]?.hasPrefix("Bearer ") == true)
                #expect(wrong.count < 5 || !String(decoding: reply.body, as: UTF8.self).contains(wrong))
            }
        }
        for headers in [
            ["Authorization": "Bearer \(key)"], ["authorization": "bearer  \(key)"], ["X-API-Key": key],
            ["Authorization": "Basic YTpi", "X-API-Key": key],
        ] as [HTTPHeaders] {
            #expect(await ask(fixture, "/events/recent", headers).status == 200)
        }
    }

    @Test func theListOfKeysHoldsNoSecret() async throws {
        let admin = try keys.make(.admin)
        let reply = await ask(fixture(), "/keys", ["X-API-Key": admin])
        let list = try JSONValue.parse(reply.body)["keys"]?.array
        #expect(list?.count == 1 && list?[0]["role"]?.string == "admin")
        #expect(list?[0].keys == ["id", "name", "role", "tenant", "created_at", "expires_at", "revoked_at"])
        #expect(!String(decoding: reply.body, as: UTF8.self).contains(keys.read()[0].sha256))
    }

    @Test func withoutAListOfKeysNobodyIsTakenForAnother() async throws {
        let key = try keys.make(.read)
        let early = APIFixture(readKeys: keys.read)
        #expect(await ask(early, "/events/recent", ["X-API-Key": key]).status == 503, "not read yet")
        #expect(await ask(early, "/live", ["X-API-Key": key]).status == 200)
        #expect(await ask(APIFixture(), "/events/recent", ["X-API-Key": key]).status == 401, "there are no keys here")
    }

    @Test func keysAndAddressesAreCountedApart() throws {
        let (first, second) = (try keys.make(.read), try keys.make(.read))
        var configuration = AccessConfiguration()
        configuration.keyRate = 2
        configuration.addressRate = 1
        let now = Mutex<Int64>(0)
        let access = AccessGuard(
            configuration, hasKeys: true, metrics: MetricsRegistry(), clock: { now.withLock { $0 } })
        access.use(KeyRing(keys.read()))
        func admitted(_ count: Int, _ key: String?, from address: String) -> Int {
            (0..<count).count { _ in
                let request = HTTPRequest(
                    target: "/metrics", headers: key.map { ["X-API-Key": $0] } ?? [:], client: IPAddress(address))
                do {
                    try access.admit(request, .open)
                    return true
                } catch {
                    let error = error as? APIError
                    #expect(error?.status == 429 && error?.headers["Retry-After"] == "1")
                    return false
                }
            }
        }
        // Twice the rate at once.
        #expect(admitted(3, first, from: "192.0.2.1") == 3)
        #expect(admitted(3, first, from: "192.0.2.2") == 1, "the key is counted, wherever it comes from")
        #expect(admitted(1, second, from: "192.0.2.1") == 1)
        #expect(admitted(1, nil, from: "192.0.2.1") == 1)
        #expect(admitted(3, "mdl_wrong", from: "192.0.2.1") == 1, "guesses count against the address")
        #expect(admitted(1, nil, from: "192.0.2.3") == 1)
        #expect(admitted(3, nil, from: "2001:db8::1") == 2)
        #expect(admitted(1, nil, from: "2001:db8::ffff") == 0, "one network")
        now.withLock { $0 += 1_000_000_000 }
        #expect(admitted(3, first, from: "192.0.2.1") == 2)
        #expect(admitted(3, nil, from: "192.0.2.1") == 1)
        // Probes are never counted.
        for _ in 0..<30 {
            try access.admit(HTTPRequest(target: "/live", client: IPAddress("192.0.2.1")), .probe)
        }
    }

    /// Over any stretch of time a bucket lets at most its burst and the rate's share through, and about that much where
    /// more is asked for. `TEST_SEED` replays another run.
    @Test(arguments: LongTests.seeds(1...20)) func bucketsKeepTheirRate(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (rate, burst) = (Double.random(in: 0.5...2_000, using: &random), Double.random(in: 1...50, using: &random))
        var now: Int64 = 1_000_000
        var bucket = TokenBucket(burst: burst, nowNanoseconds: now)
        var admitted: [Int64] = []
        for _ in 0..<3_000 {
            now += Int64(Double.random(in: 0...1, using: &random) * 1e9 / rate)
            if let wait = bucket.take(rate: rate, burst: burst, nowNanoseconds: now) {
                #expect(wait > 0 && Double(wait) <= 1e9 / rate + 1)
                // Who waits that long is let in.
                var later = bucket
                #expect(later.take(rate: rate, burst: burst, nowNanoseconds: now + wait) == nil)
            } else {
                admitted.append(now)
            }
        }
        for start in stride(from: 0, to: admitted.count, by: 97) {
            for end in stride(from: start, to: admitted.count, by: 89) {
                let seconds = Double(admitted[end] - admitted[start]) / 1e9
                #expect(Double(end - start + 1) <= burst + seconds * rate + 1e-6, "seed \(seed)")
            }
        }
        #expect(Double(admitted.count) >= 0.95 * min(3_000, Double(now) / 1e9 * rate), "seed \(seed)")
    }

    @Test func aFloodOfCallersIsBounded() {
        var table = BucketTable<Int>(ratePerSecond: 1, burst: 2, callersMax: 100)
        for caller in 0..<100_000 {
            #expect(table.take(caller, nowNanoseconds: 0) == nil)
            #expect(table.count <= 200)
        }
        // Those of late are still known.
        #expect(table.take(99_999, nowNanoseconds: 0) == nil)
        #expect(table.take(99_999, nowNanoseconds: 0) != nil)
    }

    @Test func textsOfKeysAreTakenApart() throws {
        var random = SeededGenerator(seed: 5)
        let texts = (0..<200).map { _ in APIKeyText(using: &random) }
        #expect(Set(texts.map(\.id)).count == 200 && Set(texts.map(\.text)).count == 200)
        for text in texts { #expect(APIKeyText(text.text) == text) }
        #expect(KeyRing.isEqual("abc", "abc") && !KeyRing.isEqual("abc", "abd") && !KeyRing.isEqual("abc", "ab"))
        #expect(Role.read < .write && Role.write < .admin)
    }
}
