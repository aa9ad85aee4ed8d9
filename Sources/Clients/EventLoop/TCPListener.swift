import CEvent
import Glibc

/// A listening TCP socket whose connections live on one loop.
///
/// `@unchecked Sendable`, because the socket is opened before the initialiser publishes the object, and everything
/// mutable is touched on the loop's thread only, behind ``EventLoop/assertInLoop()`` or in closures posted to it.
package final class TCPListener: @unchecked Sendable {
    package let loop: EventLoop
    /// The bound port, also when 0 was asked for.
    package let port: UInt16
    private let descriptor: Int32
    private let connectionsMax: Int
    private let tls: TLSContext?
    private let onAccept: @Sendable (TCPConnection) -> Void
    private let makePlace: (@Sendable () -> Bool)?

    private var event: OpaquePointer?
    private var isAccepting = false
    private var isOver = false
    private var connections = 0
    /// Accepted per turn at most, so that a storm of new connections does not starve the old ones.
    private static let acceptsPerTurnMax = 64
    /// The pause after running out of descriptors or places.
    private static let retryMilliseconds = 100

    /// Binds and listens at once, so that a taken port is an error here; accepts from the loop's next turn on.
    ///
    /// May be called on any thread; `onAccept` runs on the loop's and sets the connection's closures.
    /// - Parameters:
    ///   - host: a numeric address or a name that the machine itself resolves; `0.0.0.0` for all of IPv4.
    ///   - port: 0 for a free one.
    ///   - reusePort: SO_REUSEPORT, for one listener per loop on one port.
    ///   - connectionsMax: further ones wait in the kernel's backlog, unless `makePlace` closes some.
    ///   - tls: encrypts every connection; nil for none.
    ///   - makePlace: called on the loop's thread when another waits while all places are taken; closes some
    ///     connections, or returns false.
    package init(
        loop: EventLoop, host: String, port: UInt16, reusePort: Bool = false, connectionsMax: Int = 10_000,
        tls: TLSContext? = nil, makePlace: (@Sendable () -> Bool)? = nil,
        onAccept: @escaping @Sendable (TCPConnection) -> Void
    ) throws(EventLoopError) {
        let (descriptor, boundPort) = try openListeningSocket(host: host, port: port, reusePort: reusePort)
        self.loop = loop
        self.descriptor = descriptor
        self.port = boundPort
        self.connectionsMax = connectionsMax
        self.tls = tls
        self.onAccept = onAccept
        self.makePlace = makePlace
        loop.execute { self.begin() }
    }

    /// Finds out whether somebody listens there: with SO_REUSEPORT a second process would bind without an error and take
    /// a part of the connections.
    ///
    /// - Throws: when the address cannot be bound.
    package static func checkIsFree(host: String, port: UInt16) throws(EventLoopError) {
        let (descriptor, _) = try openListeningSocket(host: host, port: port, reusePort: false)
        Glibc.close(descriptor)
    }

    deinit {
        // The loop keeps a reference from `begin` to `end`, so this is a listener whose loop never ran.
        if !isOver { Glibc.close(descriptor) }
    }

    private func begin() {
        guard !isOver else { return }
        event = loop.newEvent(
            descriptor, EV_READ | EV_PERSIST,
            { _, _, context in
                guard let context else { return }
                Unmanaged<TCPListener>.fromOpaque(context).takeUnretainedValue().acceptSome()
            }, Unmanaged.passUnretained(self).toOpaque())
        loop.add(self)
        updateAccepting()
    }

    /// Stops listening; accepted connections stay. Any thread; done by the loop's next turn.
    package func close() {
        loop.execute { self.end() }
    }

    func end() {
        loop.assertInLoop()
        guard !isOver else { return }
        isOver = true
        if let event { event_free(event) }
        event = nil
        Glibc.close(descriptor)
        loop.remove(self)
    }

    private func updateAccepting() {
        let mustAccept = !isOver && (connections < connectionsMax || makePlace != nil)
        guard mustAccept != isAccepting, let event else { return }
        isAccepting = mustAccept
        if mustAccept { event_add(event, nil) } else { event_del(event) }
    }

    private func acceptSome() {
        // Once per turn, since only now it is known that another waits.
        if connections >= connectionsMax, let makePlace, !makePlace() { return pauseAccepting() }
        for _ in 0..<Self.acceptsPerTurnMax where !isOver && connections < connectionsMax {
            var address = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = medallion_accept(descriptor, &address, &length)
            guard accepted >= 0 else {
                // Most errors concern the one connection (it was reset while it waited); these concern all of them,
                // and would come back at once.
                let code = errno
                if [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(code), makePlace?() != true { pauseAccepting() }
                if code == EAGAIN || !isAccepting { return }
                continue
            }
            setSocketOption(accepted, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
            let session = tls?.session(over: accepted)
            guard tls == nil || session != nil else {
                Glibc.close(accepted)
                continue
            }
            connections += 1
            let connection = TCPConnection(
                loop: loop, descriptor: accepted, tls: session, peer: numericAddress(of: &address, length: length),
                onEnd: { self.connectionEnded() })
            if connection.start() { onAccept(connection) }
        }
        updateAccepting()
    }

    private func connectionEnded() {
        connections -= 1
        updateAccepting()
    }

    private func pauseAccepting() {
        guard isAccepting, let event else { return }
        isAccepting = false
        event_del(event)
        loop.schedule(afterMilliseconds: Self.retryMilliseconds) { self.updateAccepting() }
    }
}

// MARK: Sockets

@discardableResult
func setSocketOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
    var value = value
    return setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
}

/// `127.0.0.1:54012` or `[::1]:54012`; `?` for a family that is neither.
private func numericAddress(of address: inout sockaddr_storage, length: socklen_t) -> String {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let code = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
            getnameinfo(
                address, length, &host, socklen_t(host.count), &service, socklen_t(service.count),
                NI_NUMERICHOST | NI_NUMERICSERV)
        }
    }
    guard code == 0 else { return "?" }
    let (hostText, serviceText) = (text(host), text(service))
    return hostText.utf8.contains(UInt8(ascii: ":")) ? "[\(hostText)]:\(serviceText)" : "\(hostText):\(serviceText)"
}

private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func openListeningSocket(
    host: String, port: UInt16, reusePort: Bool
) throws(EventLoopError) -> (descriptor: Int32, port: UInt16) {
    let subject = "\(host):\(port)"
    var hints = addrinfo()
    hints.ai_flags = AI_PASSIVE
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, "\(port)", &hints, &found)
    defer { if let found { freeaddrinfo(found) } }
    guard code == 0, let info = found?.pointee else {
        throw EventLoopError(
            operation: "getaddrinfo", subject: subject,
            hint: "\(gai_strerror(code).map { String(cString: $0) } ?? "no address"); give an address of this machine")
    }
    let type = info.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(info.ai_family, type, info.ai_protocol)
    guard descriptor >= 0 else { throw EventLoopError(operation: "socket", subject: subject, code: errno) }
    setSocketOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    if reusePort { setSocketOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
    guard bind(descriptor, info.ai_addr, info.ai_addrlen) == 0 else {
        let error = errno
        close(descriptor)
        throw EventLoopError(operation: "bind", subject: subject, code: error, hint: bindHint(error))
    }
    guard listen(descriptor, 1_024) == 0 else {
        let error = errno
        close(descriptor)
        throw EventLoopError(operation: "listen", subject: subject, code: error, hint: bindHint(error))
    }
    return (descriptor, boundPort(of: descriptor) ?? port)
}

private func bindHint(_ code: Int32) -> String {
    switch code {
    case EADDRINUSE:
        "another process listens there; stop it, or set another port by the setting that ends in _LISTEN; see "
            + "docs/troubleshooting.md"
    case EACCES: "ports below 1024 need privileges; choose another port"
    case EADDRNOTAVAIL: "this machine has no such address"
    default: ""
    }
}

private func boundPort(of descriptor: Int32) -> UInt16? {
    var address = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &address) { pointer -> UInt16? in
        let code = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        guard code == 0 else { return nil }
        // The port is at the same place for both families.
        return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
    }
}
