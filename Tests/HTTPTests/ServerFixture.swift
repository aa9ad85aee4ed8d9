import HTTPServer
import Synchronization

/// One reply as it came over a raw socket.
struct RawReply {
    let status: Int
    /// Names in lower case.
    let headers: [String: String]
    let body: String
    let head: String

    /// Reads one reply by its framing; nil where it is malformed or does not come.
    init?(_ socket: RawSocket, isHead: Bool = false) {
        guard let head = socket.receive(until: "\r\n\r\n"), head.hasPrefix("HTTP/1.1 "),
            let status = Int(head.dropFirst(9).prefix(3))
        else { return nil }
        self.head = head
        self.status = status
        var headers: [String: String] = [:]
        for line in head.split(separator: "\r\n").dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        self.headers = headers
        var bytes: [UInt8] = []
        if isHead || status == 204 {
            body = ""
            return
        } else if let length = headers["content-length"].flatMap({ Int($0) }) {
            guard let all = socket.receive(exactly: length) else { return nil }
            bytes = all
        } else if headers["transfer-encoding"] == "chunked" {
            guard let all = Self.readChunks(socket) else { return nil }
            bytes = all
        } else {
            guard let all = socket.receiveToEnd() else { return nil }
            bytes = all
        }
        body = String(decoding: bytes, as: UTF8.self)
    }

    private static func readChunks(_ socket: RawSocket) -> [UInt8]? {
        var bytes: [UInt8] = []
        while let line = socket.receive(until: "\r\n") {
            guard let size = Int(line.dropLast(1), radix: 16), let chunk = socket.receive(exactly: size + 2) else {
                return nil
            }
            if size == 0 { return bytes }
            bytes += chunk.dropLast(2)
        }
        return nil
    }
}

/// What the tests' server serves.
func testRouter() -> HTTPRouter {
    var router = HTTPRouter()
    router.on(.get, "/hello", sync: { _ in .text("hello") })
    router.on(.post, "/echo", sync: { HTTPResponse(body: $0.body) })
    router.on(.get, "/item/{name}", sync: { .text($0.pathParameters["name"] ?? "?") })
    router.on(.get, "/item/fixed", sync: { _ in .text("literal") })
    router.on(.get, "/item/{name}/{part}", sync: { .text("\($0.pathParameters.count)") })
    router.on(.get, "/query", sync: { .text($0.query.map { "\($0.0)=\($0.1)" }.joined(separator: " ")) })
    router.on(
        .get, "/fault",
        sync: { _ in throw HTTPFault(status: 422, type: "out_of_range", loc: ["query", "n"], message: "n > 9") })
    router.on(
        .get, "/slow/{ms}",
        async: { request in
            try await Task.sleep(for: .milliseconds(Int(request.pathParameters["ms"] ?? "") ?? 0))
            return .text("slept \(request.pathParameters["ms"] ?? "")")
        })
    router.on(
        .get, "/count/{n}",
        stream: { request, writer in
            writer.start(headers: ["Content-Type": "text/plain"])
            for number in 0..<(Int(request.pathParameters["n"] ?? "") ?? 0) {
                try await writer.write(Array("\(number)\n".utf8))
            }
        })
    return router
}

/// Runs `body` against a server on a free port.
func withServer<T>(
    _ router: HTTPRouter = testRouter(), configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    observe: (@Sendable (HTTPExchange) -> Void)? = nil, drainSeconds: Int = 0,
    _ body: (UInt16) throws -> T
) throws -> T {
    var configuration = HTTPServerConfiguration()
    configure(&configuration)
    let server = HTTPServer(configuration: configuration, router: router, observe: observe)
    let port = try server.start()
    defer { server.stop(drainSeconds: drainSeconds) }
    return try body(port)
}
