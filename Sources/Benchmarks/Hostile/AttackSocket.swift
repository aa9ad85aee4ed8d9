import Glibc

/// A non-blocking TCP socket of this machine to itself, from an address of one's choice.
enum AttackSocket {
    /// Begins a connection to 127.0.0.1.
    ///
    /// - Parameters:
    ///   - source: an address of the loopback network, as a number in host order.
    ///   - receiveBufferBytes: SO_RCVBUF; nil leaves it to the kernel.
    /// - Returns: nil where the machine has no socket or port left.
    static func open(port: UInt16, source: UInt32, receiveBufferBytes: Int?) -> Int32? {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, kind, 0)
        guard descriptor >= 0 else { return nil }
        if let receiveBufferBytes { set(descriptor, SOL_SOCKET, SO_RCVBUF, Int32(receiveBufferBytes)) }
        // Else each bind takes one of the ports for all of that address' connections.
        set(descriptor, Int32(IPPROTO_IP), 24, 1)  // IP_BIND_ADDRESS_NO_PORT
        let isBound = withAddress(source, port: 0) { Glibc.bind(descriptor, $0, $1) } == 0
        let code = isBound ? withAddress(0x7F00_0001, port: port) { Glibc.connect(descriptor, $0, $1) } : -1
        guard isBound, code == 0 || errno == EINPROGRESS else {
            Glibc.close(descriptor)
            return nil
        }
        return descriptor
    }

    /// What became of a connection that was begun; 0 where it stands.
    static func fault(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    /// Ends it with a reset, as a client does that is killed with data unread.
    static func reset(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(descriptor)
    }

    private static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func withAddress(
        _ host: UInt32, port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = host.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
