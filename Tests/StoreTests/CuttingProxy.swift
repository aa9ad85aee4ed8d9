import Glibc
import Synchronization

/// Stands between a client and a Postgres server on Unix sockets, and cuts a connection between any two messages of the protocol
/// (PostgreSQL manual, 54.7): after so many of the client's, of which the server then gets no more, or of the server's, which has
/// done all that it was asked and cannot say so.
final class CuttingProxy: Sendable {
    enum Cut: Sendable, Hashable {
        /// After so many messages of the client.
        case request(Int)
        /// After so many messages of the server.
        case reply(Int)
        /// Before the server says for the next time, after so many, that it is ready: what it was asked is done.
        case ready(Int)
    }

    struct Failure: Error { let what: String }

    private struct State {
        var cut: Cut?
        var requests = 0
        var replies = 0
        var readies = 0
        var isStopped = false
    }

    private let server: String
    private let listener: Int32
    private let state = Mutex(State())

    /// - Parameters:
    ///   - folder: where its own socket is to be.
    ///   - server: the path of the server's socket.
    init(folder: String, server: String) throws {
        self.server = server
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let path = Self.socketPath(folder)
        guard Self.withAddress(path, { bind(listener, $0, $1) }) == 0, listen(listener, 8) == 0 else {
            throw Failure(what: "bind \(path): \(errno)")
        }
        Self.start { [self] in accept() }
    }

    static func socketPath(_ folder: String) -> String { folder + "/.s.PGSQL.5432" }

    /// Takes no more connections.
    func stop() {
        state.withLock { $0.isStopped = true }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    /// From now on counts messages, and cuts once; nil only counts.
    func arm(_ cut: Cut?) {
        state.withLock {
            $0.cut = cut
            $0.requests = 0
            $0.replies = 0
            $0.readies = 0
        }
    }

    /// Messages since it was armed.
    var counts: (requests: Int, replies: Int, readies: Int) {
        state.withLock { ($0.requests, $0.replies, $0.readies) }
    }

    /// Whether a cut is still to come.
    var isArmed: Bool { state.withLock { $0.cut != nil } }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0, !state.withLock({ $0.isStopped }) else { break }
            let other = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            guard Self.withAddress(server, { connect(other, $0, $1) }) == 0 else {
                close(client)
                close(other)
                continue
            }
            let pair = Pair(client: client, server: other)
            Self.start { [self] in
                // The first message has no type.
                if let first = Self.message(client, hasType: false), Self.send(other, first) {
                    forward(from: client, to: other, isRequest: true)
                }
                pair.end()
            }
            Self.start { [self] in
                forward(from: other, to: client, isRequest: false)
                pair.end()
            }
        }
        close(listener)
    }

    /// The two ends of a connection; closed when neither is used any more.
    private final class Pair: Sendable {
        private let client: Int32
        private let server: Int32
        private let open = Mutex(2)

        init(client: Int32, server: Int32) { (self.client, self.server) = (client, server) }

        func end() {
            shutdown(client, Int32(SHUT_RDWR))
            shutdown(server, Int32(SHUT_RDWR))
            let isLast = open.withLock { open in
                open -= 1
                return open == 0
            }
            guard isLast else { return }
            close(client)
            close(server)
        }
    }

    private func forward(from source: Int32, to target: Int32, isRequest: Bool) {
        while let message = Self.message(source, hasType: true) {
            let isCut = state.withLock { state in
                var places: [Cut] = []
                if isRequest {
                    places.append(.request(state.requests))
                    state.requests += 1
                } else {
                    places.append(.reply(state.replies))
                    state.replies += 1
                    if message[0] == UInt8(ascii: "Z") {
                        places.append(.ready(state.readies))
                        state.readies += 1
                    }
                }
                guard let cut = state.cut, places.contains(cut) else { return false }
                state.cut = nil
                return true
            }
            if isCut || !Self.send(target, message) { return }
        }
    }

    // MARK: Sockets

    private static func message(_ socket: Int32, hasType: Bool) -> [UInt8]? {
        guard let head = receive(socket, hasType ? 5 : 4) else { return nil }
        let length = head.suffix(4).reduce(0) { $0 << 8 | Int($1) }
        guard length >= 4, let body = receive(socket, length - 4) else { return nil }
        return head + body
    }

    private static func receive(_ socket: Int32, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes[filled...].withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
            guard got > 0 else { return nil }
            filled += got
        }
        return bytes
    }

    private static func send(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
        var start = 0
        while start < bytes.count {
            let sent = bytes[start...].withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            start += sent
        }
        return true
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { buffer in
            guard bytes.count < buffer.count else { return false }
            buffer.copyBytes(from: bytes)
            return true
        }
        guard fits else { return -1 }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Not a task: these wait in system calls.
    static func start(_ body: @escaping @Sendable () -> Void) {
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
