import HTTPServer
import PlatformTesting
import Synchronization

/// A source behind a proxy that packs the stream, flushed after each event; the stream stays open.
final class PackingServer: Sendable {
    let port: UInt16
    private let server: HTTPServer
    private let log: Log

    private final class Log: Sendable {
        let asked = Mutex(Set<String>())
    }

    /// The `Accept-Encoding` of the requests.
    var asked: Set<String> { log.asked.withLock { $0 } }

    /// - Parameter encoding: what the head says. gzip and deflate are that; anything else is sent as it is.
    init(_ encoding: String, eventCount: Int) throws {
        let texts = (1...eventCount).map { "event: message\nid: \($0)\ndata: \(Self.payload($0))\n\n" }
        let pieces = try Self.pack(texts, encoding)
        let log = Log()
        var router = HTTPRouter()
        router.on(.get, "/stream") { request, writer in
            log.asked.withLock { _ = $0.insert(request.headers["Accept-Encoding"] ?? "none") }
            writer.start(
                status: 200, headers: ["Content-Type": "text/event-stream", "Content-Encoding": encoding])
            for piece in pieces { try await writer.write(piece) }
            while !writer.isClosed { try await Task.sleep(for: .milliseconds(20)) }
        }
        self.log = log
        server = HTTPServer(configuration: HTTPServerConfiguration(), router: router)
        port = try server.start()
    }

    func stop() { server.stop(drainSeconds: 0) }

    static func payload(_ number: Int) -> String {
        #"{"meta":{"id":"\#(number)"},"wiki":"w","title":"T\#(number)","x":"packed ü😀"}"#
    }

    /// By Python's zlib, and not by this package.
    private static func pack(_ texts: [String], _ encoding: String) throws -> [[UInt8]] {
        guard let bits = ["gzip": 31, "deflate": 15][encoding] else { return texts.map { Array($0.utf8) } }
        let hex = texts.map { text in text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
        let script = """
            import zlib
            z = zlib.compressobj(wbits=\(bits))
            for text in "\(hex.joined(separator: " "))".split():
                print((z.compress(bytes.fromhex(text)) + z.flush(zlib.Z_SYNC_FLUSH)).hex())
            """
        let output = String(decoding: try PythonTool.run(["-c", script]), as: UTF8.self)
        return output.split(separator: "\n").map { line in
            let digits = Array(line.utf8)
            return stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(decoding: digits[$0...($0 + 1)], as: UTF8.self), radix: 16)
            }
        }
    }
}
