import Bytes
import Glibc
import HTTPServer
import Testing

/// Damaged requests over real sockets: whatever comes, the server replies in HTTP or closes, keeps no connection, and goes on.
///
/// `TEST_SEED` replays another run; `FUZZ_SECONDS` makes it last.
@Suite struct FuzzTests {
    private static let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 4_711
    private static let seconds = getenv("FUZZ_SECONDS").flatMap { Int64(String(cString: $0)) }

    @Test func damagedRequestsNeitherHangNorEndTheServer() throws {
        var random = SeededGenerator(seed: Self.seed)
        var configuration = HTTPServerConfiguration()
        configuration.loops = 2
        configuration.requestMillisecondsMax = 2_000
        configuration.idleMillisecondsMax = 2_000
        let server = HTTPServer(configuration: configuration, router: testRouter())
        let port = try server.start()
        defer { server.stop(drainSeconds: 0) }
        let end = SystemClock.monotonicNanoseconds() + (Self.seconds ?? 0) * 1_000_000_000
        var rounds = 0
        while rounds < 5_000 || SystemClock.monotonicNanoseconds() < end {
            rounds += 1
            let socket = try RawSocket(port: port)
            let bytes = Self.conversation(&random)
            var start = 0
            while start < bytes.count {
                let stop = min(bytes.count, start + Int.random(in: 1...max(1, bytes.count), using: &random))
                guard socket.send(Array(bytes[start..<stop])) else { break }
                start = stop
            }
            switch Int.random(in: 0..<10, using: &random) {
            case 0: socket.reset()
            case 1: break  // Left open until it is dropped.
            default:
                socket.finishSending()
                let reply = try #require(socket.receiveToEnd(), "seed \(Self.seed), round \(rounds): it hangs")
                #expect(
                    reply.isEmpty || reply.starts(with: Array("HTTP/1.1 ".utf8)),
                    "seed \(Self.seed), round \(rounds): \(String(decoding: reply.prefix(100), as: UTF8.self))")
            }
            guard rounds.isMultiple(of: 100) else { continue }
            let sound = try RawSocket(port: port)
            sound.send("GET /item/\(rounds) HTTP/1.1\r\nHost: a\r\n\r\n")
            try #require(RawReply(sound)?.body == "\(rounds)", "seed \(Self.seed), round \(rounds)")
        }
        for _ in 0..<5_000 where server.connectionCount > 0 { usleep(1_000) }
        #expect(server.connectionCount == 0, "seed \(Self.seed)")
    }

    /// Some requests, damaged at random.
    private static func conversation(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) { bytes += request(&random) }
        for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
            case 3: bytes.removeLast(bytes.count - place)
            default: bytes.insert(contentsOf: bytes.suffix(20), at: place)
            }
        }
        return bytes
    }

    private static func request(_ random: inout SeededGenerator) -> [UInt8] {
        let method = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "BREW"].randomElement(using: &random) ?? "GET"
        let path =
            [
                "/hello", "/echo", "/item/a%20b", "/query?a=1&b=%2", "/count/50", "/slow/3", "/fault", "*", "//",
                "/%00",
                "http://a/hello",
            ].randomElement(using: &random) ?? "/"
        let fields = [
            "Host: a", "Host: b", "Content-Length: 5", "Content-Length: 0", "Transfer-Encoding: chunked",
            "Connection: close", "Connection: keep-alive", "Expect: 100-continue", "X-A: \u{e9}", "X:",
            "Content-Length: 99999999999", " folded",
        ]
        var lines = ["\(method) \(path) HTTP/1.\(Int.random(in: 0...1, using: &random))", "Host: a"]
        for _ in 0..<Int.random(in: 0...3, using: &random) { lines.append(fields.randomElement(using: &random) ?? "") }
        let body = ["", "hello", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffff\r\n"].randomElement(using: &random) ?? ""
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
    }
}
