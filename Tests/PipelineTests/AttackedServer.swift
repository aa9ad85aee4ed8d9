import Bytes
import Concurrency
import Glibc
import Synchronization

/// A server on one thread that answers a little, and keeps count of what came from each /16 network of the loopback
/// addresses: what clients do to it, seen from the other side.
final class AttackedServer: Sendable {
    /// What came from one network.
    struct Seen: Sendable {
        var addresses: Set<UInt32> = []
        var connections = 0
        var bytes = 0
        /// Heads of whole requests, or of their beginnings.
        var heads: [String] = []
        var completeRequests = 0
        /// The most bytes that came of one body.
        var bodyBytesMax = 0
        /// The most requests that came in one piece.
        var requestsInPieceMax = 0
        /// The most pieces that one connection sent.
        var piecesMax = 0
        var headBytesMax = 0
        var malformed = 0
        var resets = 0
        /// Ends of the sending side while a reply was awaited, or before it was read.
        var halfCloses = 0
        /// Times that a client did not take what was sent.
        var blocked = 0
    }

    private struct Peer {
        let descriptor: Int32
        let network: UInt8
        var head: [UInt8] = []
        var bodyLeft = 0
        var bodyCame = 0
        var pieces = 0
        var output: [UInt8] = []
        var sent = 0
        var isDone = false

        var isSending: Bool { sent < output.count }
    }

    private static let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

    /// What lists and traces are answered with.
    static let large = String(repeating: "r", count: 20_000)

    let port: UInt16
    private let listener: Int32
    private let isLax: Bool
    private let seen = Mutex<[UInt8: Seen]>([:])
    private let isStopped = Atomic<Bool>(false)
    private let hasEnded = Atomic<Bool>(false)

    /// - Parameter isLax: whether it answers 200 to what it should refuse.
    init(isLax: Bool = false) throws {
        self.isLax = isLax
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | listen(descriptor, 4_096) | getsockname(descriptor, $0, &length)
            }
        }
        guard code == 0 else { throw PipelineFailure("no port for a server (errno \(errno))") }
        port = UInt16(bigEndian: address.sin_port)
        guard Threads.start(name: "attacked", { [self] in serve() }) else { throw PipelineFailure("no thread") }
    }

    /// Ends it.
    ///
    /// - Returns: what came from 127.x.0.0/16, by x.
    func stop() -> [UInt8: Seen] {
        isStopped.store(true, ordering: .relaxed)
        for _ in 0..<1_000 where !hasEnded.load(ordering: .acquiring) { Pause.milliseconds(5) }
        return seen.withLock { $0 }
    }

    private func serve() {
        var peers: [Peer] = []
        var polled: [pollfd] = []
        var space = [UInt8](repeating: 0, count: 65_536)
        while !isStopped.load(ordering: .relaxed) {
            polled = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            for peer in peers {
                let events = peer.isSending ? POLLIN | POLLOUT : POLLIN
                polled.append(pollfd(fd: peer.isDone ? -1 : peer.descriptor, events: Int16(events), revents: 0))
            }
            guard poll(&polled, nfds_t(polled.count), 50) > 0 else { continue }
            var isAnyDone = false
            for place in peers.indices where polled[place + 1].revents != 0 {
                work(&peers[place], &space)
                isAnyDone = isAnyDone || peers[place].isDone
            }
            if isAnyDone {
                for peer in peers where peer.isDone { close(peer.descriptor) }
                peers.removeAll(where: \.isDone)
            }
            while let peer = accept() { peers.append(peer) }
        }
        for peer in peers { close(peer.descriptor) }
        close(listener)
        hasEnded.store(true, ordering: .releasing)
    }

    private func accept() -> Peer? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.accept(listener, $0, &length) }
        }
        guard descriptor >= 0 else { return nil }
        let host = UInt32(bigEndian: address.sin_addr.s_addr)
        let network = UInt8(truncatingIfNeeded: host >> 16)
        note(network) { seen in
            seen.connections += 1
            seen.addresses.insert(host)
        }
        // Little, so that a client that does not read is noticed.
        var bytes: Int32 = 16_384
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
        return Peer(descriptor: descriptor, network: network)
    }

    private func note(_ network: UInt8, _ body: (inout Seen) -> Void) {
        seen.withLock { body(&$0[network, default: Seen()]) }
    }

    // MARK: One client

    private func work(_ peer: inout Peer, _ space: inout [UInt8]) {
        let count = recv(peer.descriptor, &space, space.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            take(space[..<count], &peer)
        } else if count == 0 {
            // Only shut on its side where the reply can still be sent.
            note(peer.network) { $0.halfCloses += peer.isSending ? 1 : 0 }
            flush(&peer)
            peer.isDone = true
        } else if errno == EAGAIN || errno == EINTR {
            // A moment after the request, so that the end of the client's side is seen before the reply.
            flush(&peer)
        } else {
            note(peer.network) { $0.resets += 1 }
            peer.isDone = true
        }
    }

    private func flush(_ peer: inout Peer) {
        guard peer.isSending else { return }
        let count = peer.output.withUnsafeBytes { bytes in
            send(peer.descriptor, bytes.baseAddress.map { $0 + peer.sent }, bytes.count - peer.sent, Self.sendFlags)
        }
        peer.sent += max(0, count)
        if peer.isSending {
            note(peer.network) { $0.blocked += 1 }
        } else {
            peer.output.removeAll(keepingCapacity: true)
            peer.sent = 0
        }
    }

    private func take(_ bytes: ArraySlice<UInt8>, _ peer: inout Peer) {
        var rest = bytes
        var requests = 0
        peer.pieces += 1
        while !rest.isEmpty {
            if peer.bodyLeft > 0 {
                let taken = min(peer.bodyLeft, rest.count)
                peer.bodyLeft -= taken
                peer.bodyCame += taken
                rest = rest.dropFirst(taken)
                if peer.bodyLeft == 0 { requests += answer(&peer) }
                continue
            }
            guard let line = rest.firstIndex(of: 0x0A) else {
                peer.head += rest
                break
            }
            peer.head += rest[...line]
            rest = rest[(line + 1)...]
            if peer.head.suffix(4).elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) {
                peer.bodyLeft = Self.bodyBytes(peer.head)
                peer.bodyCame = 0
                if peer.bodyLeft == 0 { requests += answer(&peer) }
            } else if peer.head.first.map({ $0 >= 0x80 }) == true {
                note(peer.network) { $0.malformed += 1 }
                peer.head = []
                peer.output += Self.reply(400, "")
                break
            }
        }
        let (pieces, head, body) = (peer.pieces, peer.head.count, peer.bodyCame)
        note(peer.network) { seen in
            seen.bytes += bytes.count
            seen.piecesMax = max(seen.piecesMax, pieces)
            seen.headBytesMax = max(seen.headBytesMax, head)
            seen.bodyBytesMax = max(seen.bodyBytesMax, body)
            seen.requestsInPieceMax = max(seen.requestsInPieceMax, requests)
        }
    }

    /// The request is there.
    ///
    /// - Returns: 1.
    private func answer(_ peer: inout Peer) -> Int {
        let count = peer.head.count
        let head = String(decoding: peer.head.prefix(20_000), as: UTF8.self)
        peer.head = []
        note(peer.network) { seen in
            seen.completeRequests += 1
            seen.headBytesMax = max(seen.headBytesMax, count)
            if seen.heads.count < 500 { seen.heads.append(head) }
        }
        if head.hasPrefix("GET /stream") {
            peer.output += Array("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 0:1\n\n".utf8)
        } else {
            let status = isLax ? 200 : status(head, bytes: count)
            let isLarge = head.contains("limit=200 ") || head.hasPrefix("GET /trace")
            peer.output += Self.reply(status, isLarge ? Self.large : "{}")
        }
        return 1
    }

    /// As the API is to decide it.
    private func status(_ head: String, bytes: Int) -> Int {
        if bytes > 16_384 { return 431 }
        guard head.contains("\r\nHost: 127.0.0.1:\(port)\r\n"), !head.contains("orwarded") else { return 403 }
        if head.contains("\r\nAuthorization: ") { return 401 }
        if head.hasPrefix("POST ") {
            return head.contains("\r\nContent-Type: application/json\r\n") ? 200 : 415
        }
        return ["/events", "/live", "/trace", "/metrics"].contains { head.hasPrefix("GET " + $0) } ? 200 : 404
    }

    private static func bodyBytes(_ head: [UInt8]) -> Int {
        let name = "Content-Length: "
        for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n") where line.hasPrefix(name) {
            return Int(line.dropFirst(name.count)) ?? 0
        }
        return 0
    }

    private static func reply(_ status: Int, _ body: String) -> [UInt8] {
        Array("HTTP/1.1 \(status) Whatever\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }
}
