package import Bytes
import Files
import Glibc
package import JSONScan
import PlatformTesting
import Synchronization

/// What a real server said, as `tools/record_servers.py` recorded it.
package struct Recording: Sendable {
    package struct Exchange: Sendable {
        package let name: String
        package let path: String
        /// What was asked.
        package let body: JSONValue
        /// The reply, its head included, in the pieces in which it came.
        package let pieces: [[UInt8]]
    }

    package enum Server: String, Sendable, CaseIterable { case llamaCpp = "llama_cpp", transformers }

    package struct Failure: Error { let what: String }

    package let version: String
    package let exchanges: [Exchange]

    package static let folder = PackageRoot.path + "/Tests/Recorded"

    package init(of server: Server) throws {
        let json = try JSONValue.parse(File.contents(of: "\(Self.folder)/\(server.rawValue).json"))
        version = json["version"]?.string ?? ""
        exchanges = (json["exchanges"]?.array ?? []).map { exchange in
            Exchange(
                name: exchange["name"]?.string ?? "", path: exchange["path"]?.string ?? "",
                body: exchange["body"] ?? .null,
                // A character is a byte.
                pieces: (exchange["pieces"]?.array ?? []).map { piece in
                    (piece.string ?? "").unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
                })
        }
    }

    package func exchange(_ name: String) throws -> Exchange {
        guard let exchange = exchanges.first(where: { $0.name == name }) else {
            throw Failure(what: "no exchange \(name) was recorded")
        }
        return exchange
    }
}

/// Plays recorded replies to whoever asks, byte for byte: one reply a connection.
package final class RecordedServer: Sendable {
    package let port: UInt16
    private let listener: Int32
    private let state: Mutex<State>

    private struct State {
        var replies: [[[UInt8]]]
        var asked: [JSONValue] = []
        var isStopped = false
    }

    /// - Parameters:
    ///   - exchanges: in their order; the last one is for all that follow.
    ///   - pieceBytes: how the replies are cut instead of as they came; nil leaves them as they came.
    package init(_ exchanges: [Recording.Exchange], pieceBytes: Int? = nil) throws {
        let replies = exchanges.map { exchange -> [[UInt8]] in
            guard let pieceBytes else { return exchange.pieces }
            let all = Array(exchange.pieces.joined())
            return stride(from: 0, to: all.count, by: pieceBytes).map { start in
                Array(all[start..<min(all.count, start + pieceBytes)])
            }
        }
        state = Mutex(State(replies: replies))
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 16) == 0
                    ? getsockname(listener, address, &size) : -1
            }
        }
        guard code == 0 else { throw Recording.Failure(what: "listen: \(errno)") }
        port = address.sin_port.bigEndian
        Self.start { [self] in serve() }
    }

    package var url: SecretURL { SecretURL("http://127.0.0.1:\(port)/v1") }
    /// The bodies of the requests so far.
    package var asked: [JSONValue] { state.withLock { $0.asked } }

    package func stop() {
        state.withLock { $0.isStopped = true }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func serve() {
        while true {
            let client = accept(listener, nil, nil)
            guard !state.withLock({ $0.isStopped }) else {
                if client >= 0 { close(client) }
                break
            }
            guard client >= 0 else {
                usleep(10_000)
                continue
            }
            Self.start { [self] in
                reply(client)
                close(client)
            }
        }
        close(listener)
    }

    private func reply(_ client: Int32) {
        var (one, limit) = (Int32(1), timeval(tv_sec: 10, tv_usec: 0))
        setsockopt(client, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(client, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard let body = Self.body(client), let json = try? JSONValue.parse(body) else { return }
        let pieces = state.withLock { state in
            state.asked.append(json)
            return state.replies.count > 1 ? state.replies.removeFirst() : state.replies[0]
        }
        for piece in pieces {
            guard send(client, piece, piece.count, Int32(MSG_NOSIGNAL)) == piece.count else { return }
        }
        shutdown(client, Int32(SHUT_WR))
        // Until the client is done, or a reply that it has not read yet would be lost.
        var rest = [UInt8](repeating: 0, count: 4_096)
        while recv(client, &rest, rest.count, 0) > 0 {}
    }

    /// The body of a request, which tells its length.
    private static func body(_ client: Int32) -> [UInt8]? {
        var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 65_536))
        while bytes.count < 4 << 20 {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
                let length = head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                let count = length.flatMap { Int($0.dropFirst(15).filter(\.isNumber)) } ?? 0
                if bytes.count - end.upperBound >= count { return Array(bytes[end.upperBound...].prefix(count)) }
                if head.contains("expect: 100-continue") { _ = send(client, continued, continued.count, 0) }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
        return nil
    }

    private static let continued = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Not a task: these wait in system calls.
    private static func start(_ body: @escaping @Sendable () -> Void) {
        let box = Unmanaged.passRetained(Body(run: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        if code == 0 { pthread_detach(thread) } else { box.release() }
    }
}
