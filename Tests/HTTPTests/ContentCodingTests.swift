import EventLoop
import Glibc
import PlatformTesting
import Synchronization
import Testing

@testable import HTTPClient

/// Bodies that a proxy packed, whether asked to or not. The packed bytes come from Python's zlib and from `zstd`, not from
/// this package's wrappers.
@Suite struct ContentCodingTests {
    /// Bodies by encoding, packed by somebody else; see ``packed``.
    private struct Packed {
        var text: [UInt8]
        var bodies: [String: [UInt8]]
    }

    /// Events as they are, and packed in each way: flushed after each event, as proxies do for event streams.
    private static let packed: Packed? = {
        let script = """
            import json, subprocess, sys, zlib, gzip
            events = [b"id: %d\\ndata: {\\"title\\": \\"Page %d\\", \\"note\\": \\"\\xc3\\xa4 and more of it\\"}\\n\\n" % (n, n) for n in range(300)]
            text = b"".join(events)
            def flushed(bits):
                z = zlib.compressobj(wbits=bits)
                return b"".join(z.compress(e) + z.flush(zlib.Z_SYNC_FLUSH) for e in events) + z.flush()
            def zstd(b): return subprocess.run(["zstd", "-qc"], input=b, stdout=subprocess.PIPE, check=True).stdout
            half = len(text) // 2
            bodies = {"gzip": flushed(31), "x-gzip": gzip.compress(text), "deflate": flushed(15), "DEFLATE": flushed(-15),
                      "zstd": zstd(text), "gzip, gzip": gzip.compress(gzip.compress(text)),
                      "gzip ,identity,\\tzstd": zstd(gzip.compress(text)), "GZIP": gzip.compress(text[:half]) + gzip.compress(text[half:]),
                      "Zstd": zstd(text[:half]) + zstd(text[half:]), "gzip,": gzip.compress(text) + bytes(512),
                      "identity": text, "": text}
            for name, body in [("text", text)] + list(bodies.items()): print(json.dumps([name, body.hex()]))
            """
        guard let output = try? PythonTool.run(["-c", script]) else { return nil }
        var packed = Packed(text: [], bodies: [:])
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
            guard parts.count == 5, let bytes = bytes(hex: parts[3]) else { return nil }
            let name = String(parts[1]).replacing("\\t", with: "\t")
            if name == "text" { packed.text = bytes } else { packed.bodies[name] = bytes }
        }
        return packed
    }()

    private static func bytes(hex: Substring) -> [UInt8]? {
        let digits = Array(hex.utf8)
        guard digits.count % 2 == 0 else { return nil }
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16)
        }
    }

    /// What comes out: an object, because the compiler fails over variables that nested closures of a test change.
    private final class Output {
        /// The first of them.
        var bytes: [UInt8] = []
        var count = 0
        var pieces = 0
        var largest = 0

        func countHead() -> Bool {
            pieces += 1
            return true
        }

        func take(_ piece: UnsafeRawBufferPointer) {
            if count < 100_000 { bytes.append(contentsOf: piece) }
            count += piece.count
            pieces += 1
            largest = max(largest, piece.count)
        }
    }

    /// Feeds the decoder with `body`.
    private func feed(_ decoder: ContentDecoder, _ body: [UInt8], into output: Output) throws {
        try body.withUnsafeBytes { bytes in try decoder.feed(bytes) { output.take($0) } }
    }

    private func headers(_ encoding: String) -> HTTPClientHeaders {
        var headers = HTTPClientHeaders()
        headers.fields = [("Content-Type", "text/event-stream"), ("content-encoding", encoding)]
        return headers
    }

    /// What comes out of a body that comes in pieces of `size` bytes.
    private func unpack(_ body: [UInt8], _ encoding: String, pieces size: Int) throws -> (bytes: [UInt8], isWhole: Bool)
    {
        guard let decoder = try ContentDecoder(headers(encoding)) else { return (body, true) }
        let output = Output()
        var rest = body[...]
        while !rest.isEmpty {
            try feed(decoder, Array(rest.prefix(size)), into: output)
            rest = rest.dropFirst(size)
        }
        return (output.bytes, decoder.isWhole)
    }

    @Test("Every encoding gives the same bytes, however the body is cut, and says where it ends too soon")
    func encodings() throws {
        let packed = try #require(Self.packed)
        #expect(packed.bodies.count == 12 && packed.text.count > 10_000)
        for (name, body) in packed.bodies {
            for size in [1, 7, 1_000, body.count] {
                let unpacked = try unpack(body, name, pieces: size)
                #expect(unpacked.bytes == packed.text && unpacked.isWhole, "\(name) in pieces of \(size)")
            }
            guard !["", "identity", "gzip,"].contains(name) else { continue }
            for length in [1, 5, body.count / 3, body.count - 3] {
                let cut = try unpack(Array(body.prefix(length)), name, pieces: 100)
                #expect(!cut.isWhole, "\(name) cut after \(length) bytes")
                #expect(packed.text.starts(with: cut.bytes), "\(name) cut after \(length) bytes")
            }
        }
    }

    @Test("What was flushed after an event comes out before the next event comes in", arguments: ["gzip", "deflate"])
    func flushed(encoding: String) throws {
        let script = """
            import zlib
            z = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}["\(encoding)"])
            for n in range(20): print((z.compress(b"data: event %d\\n\\n" % n) + z.flush(zlib.Z_SYNC_FLUSH)).hex())
            """
        let output = try PythonTool.run(["-c", script])
        let decoder = try #require(try ContentDecoder(headers(encoding)))
        for (number, line) in String(decoding: output, as: UTF8.self).split(separator: "\n").enumerated() {
            let output = Output()
            try feed(decoder, try #require(Self.bytes(hex: line)), into: output)
            let text = String(decoding: output.bytes, as: UTF8.self)
            #expect(text == "data: event \(number)\n\n")
        }
        #expect(!decoder.isWhole)
    }

    @Test("Damaged bodies and encodings that are not known are told apart")
    func faults() throws {
        let packed = try #require(Self.packed)
        func fault(_ encoding: String, _ body: [UInt8]) -> ContentFault? {
            do {
                _ = try unpack(body, encoding, pieces: 1_000)
                return nil
            } catch {
                return error as? ContentFault
            }
        }
        /// A body with a byte changed that stands so far before its end.
        func spoiled(_ encoding: String, fromEnd distance: Int) throws -> [UInt8] {
            var body = try #require(packed.bodies[encoding])
            body[body.count - distance] ^= 1
            return body
        }
        for encoding in ["br", "compress", "snappy", "gzip, br", "br, gzip", "gzip, gzip, gzip, gzip"] {
            let named = encoding.hasPrefix("br") || encoding.hasSuffix("br") ? "br" : encoding
            #expect(fault(encoding, packed.text) == .unknown(named))
        }
        for encoding in ["gzip", "deflate", "zstd"] {
            #expect(fault(encoding, packed.text) == .damaged(encoding), "plain text called \(encoding)")
        }
        #expect(try fault("x-gzip", spoiled("x-gzip", fromEnd: 6)) == .damaged("x-gzip"), "the sum")
        #expect(try fault("deflate", spoiled("deflate", fromEnd: 2)) == .damaged("deflate"), "the sum")
        let more = try #require(packed.bodies["x-gzip"]) + Array("and more that is no member".utf8)
        #expect(fault("x-gzip", more) == .damaged("x-gzip"))
    }

    @Test(
        "A few bytes that would become gigabytes are given up early, in pieces that never grow",
        arguments: ["gzip", "zstd", "gzip, gzip"])
    func bomb(encoding: String) throws {
        let script = """
            import subprocess, sys, zlib
            zeros = bytes(1 << 20)
            def gz(chunks):
                z = zlib.compressobj(9, wbits=31)
                for c in chunks: yield z.compress(c)
                yield z.flush()
            def zs(count):
                p = subprocess.Popen(["zstd", "-qc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                for _ in range(count): p.stdin.write(zeros)
                p.stdin.close()
                return p.stdout.read()
            name = "\(encoding)"
            body = zs(256) if name == "zstd" else b"".join(gz(zeros for _ in range(128)))
            if name == "gzip, gzip": body = b"".join(gz([body]))
            sys.stdout.write(body.hex())
            """
        let printed = try PythonTool.run(["-c", script])
        let body = try #require(Self.bytes(hex: Substring(decoding: printed, as: UTF8.self)))
        #expect(body.count < 200_000)
        let decoder = try #require(try ContentDecoder(headers(encoding)))
        let output = Output()
        #expect(throws: ContentFault.tooMuch(encoding)) { try feed(decoder, body, into: output) }
        #expect(output.count <= 2 * (ContentDecoder.bytesFree + ContentDecoder.ratioMax * body.count))
        #expect(output.largest <= 131_072)
    }

    // MARK: Over the wire

    private func kind(_ body: () throws -> Void) -> HTTPClientError? {
        do {
            try body()
            return nil
        } catch {
            return error as? HTTPClientError
        }
    }

    private func stream(
        _ request: HTTPClientRequest, shouldStop: () -> Bool = { false }, onHead: (Int) -> Bool = { _ in true },
        onBytes: (UnsafeRawBufferPointer) -> Void = { _ in }
    ) throws -> StreamEnd {
        try HTTPClient().stream(
            request, connectTimeoutMilliseconds: 5_000, stallTimeoutMilliseconds: 5_000, shouldStop: shouldStop,
            onHead: { status, _ in onHead(status) }, onBytes: onBytes)
    }

    private static func request(
        _ server: Replier, headers: [(name: String, value: String)] = [], coding: ContentCoding = .undone,
        bodyBytesMax: Int = 1 << 20
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(server.port)/", headers: headers)
        request.contentCoding = coding
        request.bodyBytesMax = bodyBytesMax
        return request
    }

    @Test("Replies and streams ask for identity and are unpacked; what cannot be is named, and told before it begins")
    func overTheWire() throws {
        let packed = try #require(Self.packed)
        for encoding in ["gzip", "deflate", "zstd", ""] {
            let server = try Replier(encoding, try #require(packed.bodies[encoding]))
            defer { server.stop() }
            let reply = try HTTPClient().request(Self.request(server), timeoutMilliseconds: 5_000)
            #expect(reply.body == packed.text)
            #expect(server.asked.contains("\r\naccept-encoding: identity\r\n"))
            let output = Output()
            let end = try stream(Self.request(server), onBytes: { output.take($0) })
            #expect(end == .finished && output.bytes == packed.text)
            if !encoding.isEmpty {
                let small = Self.request(server, bodyBytesMax: packed.text.count - 1)
                let error = kind { _ = try HTTPClient().request(small, timeoutMilliseconds: 5_000) }
                #expect(error?.kind == .bodyTooLarge)
            }
            let own = Self.request(server, headers: [("accept-Encoding", "gzip;q=1")])
            let asked = try HTTPClient().request(own, timeoutMilliseconds: 5_000)
            #expect(asked.body == packed.text)
            #expect(server.asked.contains("\r\naccept-encoding: gzip;q=1\r\n") && !server.asked.contains("identity"))
            let stored = Self.request(server, coding: .asStored)
            let raw = try HTTPClient().request(stored, timeoutMilliseconds: 5_000)
            #expect(raw.body == packed.bodies[encoding])
            #expect(!server.asked.contains("accept-encoding"))
        }
        let server = try Replier("br", packed.text)
        defer { server.stop() }
        let request = Self.request(server)
        let whole = kind { _ = try HTTPClient().request(request, timeoutMilliseconds: 5_000) }
        #expect(whole?.kind == .contentEncoding && whole?.isRetriable == false)
        #expect(whole?.description.contains("Content-Encoding: br") == true)
        let heads = Output()
        let streamed = kind { _ = try stream(request, onHead: { _ in heads.countHead() }) }
        #expect(streamed?.kind == .contentEncoding && heads.pieces == 0)
    }

    @Test("A refusal keeps its status, whatever its body is packed in")
    func refusals() throws {
        let packed = try #require(Self.packed)
        let server = try Replier("br", packed.text, status: "503 Service Unavailable")
        defer { server.stop() }
        let reply = try HTTPClient().request(Self.request(server), timeoutMilliseconds: 5_000)
        #expect(reply.status == 503 && reply.body.isEmpty)
        let end = try stream(Self.request(server), onHead: { $0 == 200 })
        #expect(end == .declined)
    }

    @Test("A body that is cut or damaged is no success, and what came before is handed over")
    func cutsAndDamages() throws {
        let packed = try #require(Self.packed)
        let whole = try #require(packed.bodies["gzip"])
        let cutting = try Replier("gzip", Array(whole.dropLast(9)))
        defer { cutting.stop() }
        let request = Self.request(cutting)
        let error = kind { _ = try HTTPClient().request(request, timeoutMilliseconds: 5_000) }
        #expect(error?.kind == .damagedBody)
        let output = Output()
        let cut = kind { _ = try stream(request, onBytes: { output.take($0) }) }
        #expect(cut?.kind == .cut && cut?.isRetriable == true)
        #expect(output.bytes == packed.text, "what came before the cut")
        let lying = try Replier("gzip", packed.text)
        defer { lying.stop() }
        let lie = Self.request(lying)
        #expect(kind { _ = try stream(lie) }?.kind == .damagedBody)
    }

    @Test("A stop is heard between the pieces that are unpacked")
    func stops() throws {
        let script = "import gzip; print(gzip.compress(bytes(1 << 20)).hex())"
        let zeros = String(decoding: try PythonTool.run(["-c", script]), as: UTF8.self).filter { !$0.isNewline }
        let server = try Replier("gzip", try #require(Self.bytes(hex: Substring(zeros))))
        defer { server.stop() }
        let output = Output()
        let end = try stream(
            Self.request(server), shouldStop: { output.pieces > 0 }, onBytes: { output.take($0) })
        #expect(end == .stopped && output.pieces == 1)
    }
}

/// Replies to everybody with one body, and keeps what was asked last.
private final class Replier: Sendable {
    let port: UInt16
    private let loop: EventLoop
    private let listener: TCPListener
    private let log = Log()

    private final class Log: Sendable {
        let text = Mutex("")
    }

    /// The head of the last request, in small letters.
    var asked: String { log.text.withLock { $0 } }

    init(_ encoding: String, _ body: [UInt8], status: String = "200 OK") throws {
        let loop = try EventLoop(name: "replier")
        try loop.start()
        let coding = encoding.isEmpty ? "" : "Content-Encoding: \(encoding)\r\n"
        let reply = Array("HTTP/1.1 \(status)\r\n\(coding)Connection: close\r\n\r\n".utf8) + body
        let log = log
        listener = try TCPListener(loop: loop, host: "127.0.0.1", port: 0) { connection in
            connection.onRead = { bytes in
                let text = String(decoding: bytes, as: UTF8.self).lowercased()
                log.text.withLock { $0 = text }
                connection.write(reply)
                connection.finish()
                return bytes.count
            }
        }
        port = listener.port
        self.loop = loop
    }

    func stop() { loop.stop() }
}
