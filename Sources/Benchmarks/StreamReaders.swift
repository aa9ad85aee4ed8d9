import Bytes
import Console
import Glibc

/// Many clients of `GET /stream` on one thread.
///
/// Blocks; confined to one thread.
final class StreamReaders {
    /// One client.
    private struct Reader {
        let descriptor: Int32
        var body = StreamBody()
        var ids = EventIDs()
        var hasStarted = false
        var isOver = false
    }

    private var readers: [Reader] = []
    private var polled: [pollfd] = []
    private var space = [UInt8](repeating: 0, count: 262_144)
    /// When an event came to the first client.
    private var firstSeen: [UInt64: Int64] = [:]
    /// Milliseconds between its coming to the first client and to each other one.
    private(set) var spread = Sample()
    private(set) var bytes = 0

    deinit {
        for reader in readers { close(reader.descriptor) }
    }

    /// Connects and asks.
    ///
    /// - Throws: ``Failure`` where the server takes no connection.
    func add(_ count: Int, port: UInt16) throws {
        for _ in 0..<count {
            let descriptor = try LoopbackSocket.connect(port: port)
            LoopbackSocket.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", to: descriptor)
            readers.append(Reader(descriptor: descriptor))
            polled.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
    }

    /// Clients that were refused, or whose connection has ended.
    var overCount: Int { readers.count(where: \.isOver) }

    /// Clients that got a reply of 200.
    var startedCount: Int { readers.count(where: \.hasStarted) }

    /// The ids' hashes of each client.
    var sequences: [[UInt64]] { readers.map(\.ids.hashes) }

    /// Reads what comes for so long.
    ///
    /// - Returns: events that came to all clients together.
    @discardableResult
    func read(milliseconds: Int) -> Int {
        let end = SystemClock.monotonicNanoseconds() + Int64(milliseconds) * 1_000_000
        var count = 0
        while true {
            let left = (end - SystemClock.monotonicNanoseconds()) / 1_000_000
            guard left > 0 else { return count }
            guard poll(&polled, nfds_t(polled.count), Int32(min(left, 100))) > 0 else { continue }
            let now = SystemClock.monotonicNanoseconds()
            for place in polled.indices where polled[place].revents != 0 { count += take(place, now: now) }
        }
    }

    private func take(_ place: Int, now: Int64) -> Int {
        let got = recv(readers[place].descriptor, &space, space.count, Int32(MSG_DONTWAIT))
        guard got > 0 else {
            if got == 0 || (errno != EAGAIN && errno != EINTR) {
                readers[place].isOver = true
                polled[place].fd = -1
            }
            return 0
        }
        bytes += got
        let before = readers[place].ids.hashes.count
        for piece in readers[place].body.read(space[..<got]) { readers[place].ids.read(piece) }
        readers[place].hasStarted = readers[place].body.status == 200
        if let status = readers[place].body.status, status != 200 {
            readers[place].isOver = true
            polled[place].fd = -1
        }
        for id in readers[place].ids.hashes[before...] {
            if let first = firstSeen[id] {
                spread.add(Double(now - first) / 1e6)
            } else {
                firstSeen[id] = now
            }
        }
        return readers[place].ids.hashes.count - before
    }
}

/// What a reply in chunks holds (RFC 9112, 7.1).
struct StreamBody {
    /// Of the reply; nil until its head has come.
    private(set) var status: Int?
    /// The part of the head, or of the line with a chunk's size, that has come.
    private var line: [UInt8] = []
    /// Bytes of the chunk and its line end that are still to come.
    private var left = 0

    /// - Returns: the parts of `bytes` that belong to the body.
    mutating func read(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = bytes
        while !rest.isEmpty {
            if left > 0 {
                // The last two bytes are the line end.
                let taken = min(left, rest.count)
                let data = min(taken, max(0, left - 2))
                if data > 0 { pieces.append(rest.prefix(data)) }
                left -= taken
                rest = rest.dropFirst(taken)
                continue
            }
            guard let end = rest.firstIndex(of: 0x0A) else {
                line += rest
                break
            }
            line += rest[...end]
            rest = rest[(end + 1)...]
            if status != nil {
                // The chunk of size 0 ends the body; what comes behind it is no chunk.
                left = (Int(String(decoding: line.dropLast(2), as: UTF8.self), radix: 16) ?? 0) + 2
                line.removeAll(keepingCapacity: true)
            } else if line.suffix(4).elementsEqual([0x0D, 0x0A, 0x0D, 0x0A]) {
                status =
                    String(decoding: line, as: UTF8.self).split(separator: " ").dropFirst().first.flatMap { Int($0) }
                    ?? 0
                line.removeAll(keepingCapacity: true)
            }
        }
        return pieces
    }
}

/// The `id:` lines of an event stream, as hashes.
struct EventIDs {
    /// In the order of their coming.
    private(set) var hashes: [UInt64] = []
    /// The part of a line whose end has not come yet.
    private var rest: [UInt8] = []

    mutating func read(_ bytes: ArraySlice<UInt8>) {
        var start = bytes.startIndex
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            rest += bytes[start..<end]
            if rest.starts(with: "id: ".utf8) { hashes.append(Self.hash(rest)) }
            rest.removeAll(keepingCapacity: true)
            start = end + 1
        }
        rest += bytes[start...]
    }

    /// FNV-1a.
    private static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

/// Bare sockets to this machine.
enum LoopbackSocket {
    /// - Throws: ``Failure`` with the system's reason.
    static func connect(port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, code == 0 else {
            let reason = String(cString: strerror(errno))
            if descriptor >= 0 { close(descriptor) }
            throw Failure("no connection to port \(port): \(reason)")
        }
        return descriptor
    }

    /// False where the peer has gone.
    @discardableResult
    static func send(_ text: String, to descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        return Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }
}
