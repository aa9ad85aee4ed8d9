import Bytes
import Glibc
import Testing

@testable import HTTPServer

/// What one TCP exchange must come to; every case says whole bytes and looks at raw replies.
@Suite struct HTTPFramingTests {
    /// Requests that two readers could take differently, or that are simply wrong, and the status that refuses them.
    static let refused: [(name: String, request: String, status: Int)] = [
        (
            "Content-Length twice",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400
        ),
        (
            "equal Content-Length twice",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400
        ),
        ("Content-Length list", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
        ("Content-Length +3", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        ("Content-Length -3", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
        ("Content-Length 0x3", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
        ("Content-Length empty", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        ("Content-Length huge", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (
            "both lengths",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
        ),
        ("unknown coding", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        ("gzip, chunked", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("chunked, gzip", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (
            "chunked twice", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            400
        ),
        (
            "Transfer-Encoding twice",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400
        ),
        ("chunked in HTTP/1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (
            "vertical tab before chunked",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", 400
        ),
        (
            "chunk size 0x3",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400
        ),
        (
            "chunk size -3",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 400
        ),
        (
            "chunk size empty",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n", 400
        ),
        (
            "chunk size with blank",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n", 400
        ),
        (
            "chunk size huge",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400
        ),
        (
            "chunk over the limit", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
            413
        ),
        (
            "chunk without CRLF",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n", 400
        ),
        (
            "chunk line ends in LF",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400
        ),
        (
            "bad trailer", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
            400
        ),
        ("bare LF", "GET /hello HTTP/1.1\nHost: a\n\n", 400),
        ("bare LF in a field", "GET /hello HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        ("bare CR in a field", "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400),
        ("NUL in a field", "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400),
        ("folded line", "GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
        ("field before any name", "GET /hello HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        ("blank before colon", "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("no name", "GET /hello HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
        ("no colon", "GET /hello HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
        ("no Host", "GET /hello HTTP/1.1\r\n\r\n", 400),
        ("two Hosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("Host with a path", "GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("Host with a blank", "GET /hello HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("two blanks in the request line", "GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("tab in the request line", "GET\t/hello HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("blank after the version", "GET /hello HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("no version", "GET /hello\r\nHost: a\r\n\r\n", 400),
        ("lower-case version", "GET /hello http/1.1\r\nHost: a\r\n\r\n", 400),
        ("HTTP/2.0", "GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("relative target", "GET hello HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("fragment", "GET /hello#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("raw UTF-8 target", "GET /h\u{e9}llo HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("escape of NUL", "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("escape of broken UTF-8", "GET /a%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("TLS hello", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\r\n\r\n", 400),
        ("method with a bracket", "G(T /hello HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("only CRs in a line", "\r\r\n\r\n", 400),
        ("only empty lines", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n", 400),
        ("other expectation", "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: more\r\nContent-Length: 1\r\n\r\na", 417),
        ("long target", "GET /" + String(repeating: "a", count: 9_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("endless target", "GET /" + String(repeating: "a", count: 20_000), 414),
        (
            "large head", "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 17_000) + "\r\n\r\n",
            431
        ),
        (
            "many fields",
            "GET /hello HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 101) + "\r\n", 431
        ),
        ("large body", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413),
    ]

    @Test(arguments: refused.map(\.name))
    func refuses(_ name: String) throws {
        let item = try #require(Self.refused.first { $0.name == name })
        try withServer { port in
            let socket = try RawSocket(port: port)
            // A second request rides along: nothing may take it for one of its own.
            socket.send(item.request + (item.request.hasSuffix("\n") ? "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" : ""))
            let reply = try #require(RawReply(socket))
            #expect(reply.status == item.status)
            #expect(reply.headers["connection"] == "close")
            #expect(reply.body.hasPrefix(#"{"error":{"type":""#), "\(reply.body)")
            #expect(socket.receiveToEnd() == [], "nothing after the refusal")
        }
    }

    static let limits = HTTPParserLimits(headBytesMax: 16_384, targetBytesMax: 8_192, headerCountMax: 100)

    @Test func theSameRefusalsComeWhenBytesArriveOneByOne() throws {
        // A bound is noticed earlier or later by how much came at once; what is read does not depend on it.
        for item in Self.refused where item.status == 400 || item.status == 501 {
            let bytes = Array(item.request.utf8)
            #expect(outcome(bytes, step: bytes.count) == outcome(bytes, step: 1), "\(item.name)")
        }
    }

    /// Requests with bytes changed, dropped, doubled and spliced at random: nothing crashes, and the way they are cut
    /// into pieces never changes what is read. `TEST_SEED` replays another run.
    @Test func mutatedRequestsAreReadTheSameInAnyPieces() throws {
        let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261
        var random = SeededGenerator(seed: seed)
        let sources = Self.refused.map { Array($0.request.utf8) }.filter { $0.count < 500 }
        for _ in 0..<4_000 {
            var bytes = sources[Int.random(in: 0..<sources.count, using: &random)]
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(bytes[place], at: place)
                default:
                    let other = sources[Int.random(in: 0..<sources.count, using: &random)]
                    bytes = bytes[..<place] + other.suffix(Int.random(in: 0...other.count, using: &random))
                }
            }
            let whole = outcome(bytes, step: max(1, bytes.count))
            let pieces = outcome(bytes, step: Int.random(in: 1...7, using: &random))
            #expect(whole == pieces, "seed \(seed): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
        }
    }

    /// What reading `bytes` in pieces of `step` comes to: a refusal's status, `head` and body, or `more`.
    private func outcome(_ bytes: [UInt8], step: Int) -> String {
        var parser = HTTPHeadParser(limits: Self.limits)
        var decoder = ChunkedDecoder()
        var head: HTTPRequestHead?
        var body: [UInt8] = []
        var used = 0
        var end = 0
        do {
            while end < bytes.count {
                end = min(bytes.count, end + step)
                if head == nil {
                    let found = try bytes[..<end].withUnsafeBytes { try parser.parse($0) }
                    guard let found else { continue }
                    head = found.head
                    used = found.count
                }
                guard let head, head.framing == .chunked else { break }
                used += try bytes[used..<end].withUnsafeBytes {
                    try decoder.decode($0, into: &body, bytesMax: 1_048_576)
                }
                if decoder.isDone { break }
            }
        } catch {
            return "refused \((error as? HTTPFault)?.status ?? -1)"
        }
        guard let head else { return "more" }
        let isWhole = head.framing != .chunked || decoder.isDone
        return "\(head.method) \(head.path) \(head.framing) \(isWhole ? "\(used) \(body)" : "more")"
    }

    @Test func goodRequestsAreReadWhateverTheirShape() throws {
        let good: [(request: String, body: String)] = [
            ("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello"),
            ("\r\nGET /hello HTTP/1.1\r\nHOST:a:80\r\n\r\n", "hello"),
            ("GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", "hello"),
            ("GET /hello HTTP/1.1\r\nHost: [::1]:8080\r\nX-Empty:\r\nX-Tab:\ta\tb\t\r\n\r\n", "hello"),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\r\nc", "ab\r\nc"),
            ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", ""),
            ("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", ""),
            (
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                    + "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n", "abc0123456789"
            ),
            ("GET /item/a%2Fb%20c HTTP/1.1\r\nHost: a\r\n\r\n", "a/b c"),
            ("GET /query?a=1&b=x+y%26&c HTTP/1.1\r\nHost: a\r\n\r\n", "a=1 b=x y& c="),
        ]
        try withServer { port in
            for (request, body) in good {
                let whole = try RawSocket(port: port)
                whole.send(request)
                #expect(RawReply(whole)?.body == body, "\(request)")
                let single = try RawSocket(port: port)
                for byte in request.utf8 { single.send([byte]) }
                #expect(RawReply(single)?.body == body, "\(request)")
                // All of them on one connection, in order.
            }
            let pipelined = try RawSocket(port: port)
            pipelined.send(good.map(\.request).joined())
            for (request, body) in good { #expect(RawReply(pipelined)?.body == body, "\(request)") }
        }
    }
}
