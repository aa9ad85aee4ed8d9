import Bytes
import Glibc
import Synchronization

/// Stands between clients and a broker, and spoils record batches in the replies to Fetch, as a broker does whose disk rots
/// or that takes whatever a producer sends. The broker itself need not store anything bad.
///
/// It listens on another loopback address with the broker's port, so that clients come back to it where the broker
/// advertises that address.
package final class SpoilingProxy: Sendable {
    /// What is done to a batch.
    package enum Damage: Sendable, CaseIterable {
        /// A byte changes, and the sum does not.
        case sum
        /// The batch says that its records are compressed, which they are not; the sum is right.
        case codec
        /// A record's key claims more bytes than there are; the sum is right.
        case recordLength
    }

    /// What a broker must advertise.
    package static let host = "127.0.0.2"

    package struct Failure: Error { let what: String }

    private struct Rule {
        let topic: String
        let partition: Int32
        let offset: Int64
        let damage: Damage
    }

    private let port: UInt16
    private let listener: Int32
    private let state = Mutex(State())

    private struct State {
        var rules: [Rule] = []
        var spoiled: [Int64: Int64] = [:]
        var sockets: Set<Int32> = []
        var isStopped = false
        var heldTopic: String?
        var heldCount = 0
    }

    /// - Parameter port: of a broker on 127.0.0.1.
    package init(port: UInt16) throws {
        self.port = port
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var one: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        let code = Self.withAddress(Self.host, port) { bind(listener, $0, $1) }
        guard code == 0, listen(listener, 64) == 0 else { throw Failure(what: "bind: \(errno)") }
        Self.start { [self] in accept() }
    }

    /// Ends all connections.
    package func stop() {
        let sockets = state.withLock { state in
            state.isStopped = true
            return state.sockets
        }
        shutdown(listener, Int32(SHUT_RDWR))
        for socket in sockets { shutdown(socket, Int32(SHUT_RDWR)) }
    }

    /// From now on spoils the batch that holds an offset.
    package func spoil(_ topic: String, _ partition: Int32 = 0, at offset: Int64, _ damage: Damage) {
        state.withLock {
            $0.rules.append(Rule(topic: topic, partition: partition, offset: offset, damage: damage))
        }
    }

    /// No longer spoils anything.
    package func heal() { state.withLock { $0.rules = [] } }

    /// Keeps the replies to Fetch with records of a topic back; nil lets them go.
    package func hold(_ topic: String?) { state.withLock { $0.heldTopic = topic } }

    /// How many replies were kept back so far.
    package var heldCount: Int { state.withLock { $0.heldCount } }

    /// The offsets `[first, next)` of the batches that were spoiled so far, by the first.
    package var spoiled: [Int64: Int64] { state.withLock { $0.spoiled } }

    // MARK: Connections

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard !state.withLock({ $0.isStopped }) else {
                if client >= 0 { close(client) }
                break
            }
            guard client >= 0 else {
                // One connection that came to nothing, or no descriptors for a while: others may come.
                usleep(10_000)
                continue
            }
            let broker = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard Self.withAddress("127.0.0.1", port, { connect(broker, $0, $1) }) == 0 else {
                close(client)
                close(broker)
                continue
            }
            state.withLock { $0.sockets.formUnion([client, broker]) }
            let pair = Pair(client: client, broker: broker)
            Self.start { [self] in
                forward(from: client, to: broker, pair) { frame in
                    pair.note(request: frame)
                    return frame
                }
            }
            Self.start { [self] in
                forward(from: broker, to: client, pair) { frame in answer(frame, pair) }
            }
        }
        close(listener)
    }

    /// The two ends of a connection.
    private final class Pair: Sendable {
        let client: Int32
        let broker: Int32
        private let fetches = Mutex<[Int32: Int16]>([:])
        private let openEnds = Mutex(2)

        init(client: Int32, broker: Int32) { (self.client, self.broker) = (client, broker) }

        /// Remembers the version of a Fetch by its correlation id.
        func note(request: [UInt8]) {
            var reader = Reader(bytes: request, position: 4)
            guard reader.int16() == 1 else { return }
            let version = reader.int16()
            let correlation = reader.int32()
            fetches.withLock { $0[correlation] = version }
        }

        func version(of correlation: Int32) -> Int16? { fetches.withLock { $0.removeValue(forKey: correlation) } }

        /// True for the second end.
        func end() -> Bool {
            openEnds.withLock { open in
                open -= 1
                return open == 0
            }
        }
    }

    private func forward(from source: Int32, to target: Int32, _ pair: Pair, _ change: ([UInt8]) -> [UInt8]) {
        while let head = Self.receive(source, 4) {
            var reader = Reader(bytes: head, position: 0)
            guard let body = Self.receive(source, Int(reader.int32())) else { break }
            guard Self.send(target, change(head + body)) else { break }
        }
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
        guard pair.end() else { return }
        state.withLock { $0.sockets.subtract([pair.client, pair.broker]) }
        close(pair.client)
        close(pair.broker)
    }

    // MARK: Batches

    /// Walks over a reply to Fetch of version 4 to 11.
    private func answer(_ frame: [UInt8], _ pair: Pair) -> [UInt8] {
        var reader = Reader(bytes: frame, position: 4)
        guard let version = pair.version(of: reader.int32()) else { return frame }
        var changed = frame
        reader.position += 4
        if version >= 7 { reader.position += 6 }
        for _ in 0..<max(0, reader.int32()) {
            let topic = reader.string()
            for _ in 0..<max(0, reader.int32()) {
                let partition = reader.int32()
                reader.position += 2 + 8 + 8 + (version >= 5 ? 8 : 0)
                let aborted = reader.int32()
                reader.position += max(0, Int(aborted)) * 16 + (version >= 11 ? 4 : 0)
                let size = max(0, Int(reader.int32()))
                spoil(&changed, reader.position..<reader.position + size, topic, partition)
                if size > 0 { waitWhileHeld(topic) }
                reader.position += size
            }
        }
        return changed
    }

    private func waitWhileHeld(_ topic: String) {
        func isHeld() -> Bool { state.withLock { $0.heldTopic == topic && !$0.isStopped } }
        guard isHeld() else { return }
        state.withLock { $0.heldCount += 1 }
        while isHeld() { usleep(5_000) }
    }

    private func spoil(_ frame: inout [UInt8], _ records: Range<Int>, _ topic: String, _ partition: Int32) {
        var start = records.lowerBound
        while start + 61 <= records.upperBound {
            var reader = Reader(bytes: frame, position: start)
            let base = reader.int64()
            let end = start + 12 + Int(reader.int32())
            reader.position = start + 23
            let next = base + Int64(reader.int32()) + 1
            guard end <= records.upperBound else { return }
            let rule = state.withLock { state in
                let rule = state.rules.first {
                    $0.topic == topic && $0.partition == partition && (base..<next).contains($0.offset)
                }
                if rule != nil { state.spoiled[base] = next }
                return rule
            }
            if let rule { Self.apply(rule.damage, &frame, start..<end) }
            start = end
        }
    }

    private static func apply(_ damage: Damage, _ frame: inout [UInt8], _ batch: Range<Int>) {
        switch damage {
        case .sum:
            frame[batch.upperBound - 1] ^= 0xFF
            return
        case .codec: frame[batch.lowerBound + 22] = frame[batch.lowerBound + 22] & ~7 | 4
        case .recordLength:
            // The first record: length, attributes, two deltas, then the key's length.
            var position = batch.lowerBound + 61
            skipVarint(frame, &position)
            position += 1
            skipVarint(frame, &position)
            skipVarint(frame, &position)
            for index in 0..<4 { frame[position + index] = index < 3 ? 0xFE : 0x7E }
        }
        let sum = crc32c(frame[batch.lowerBound + 21..<batch.upperBound])
        for index in 0..<4 { frame[batch.lowerBound + 17 + index] = UInt8(truncatingIfNeeded: sum >> (24 - 8 * index)) }
    }

    private static func skipVarint(_ bytes: [UInt8], _ position: inout Int) {
        while bytes[position] & 0x80 != 0 { position += 1 }
        position += 1
    }

    private static func crc32c(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var sum = ~UInt32(0)
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        return ~sum
    }

    private struct Reader {
        let bytes: [UInt8]
        var position: Int

        private mutating func integer(_ count: Int) -> UInt64 {
            guard position >= 0, position + count <= bytes.count else {
                position += count
                return 0
            }
            defer { position += count }
            return bytes[position..<position + count].reduce(0) { $0 << 8 | UInt64($1) }
        }

        mutating func int16() -> Int16 { Int16(truncatingIfNeeded: integer(2)) }
        mutating func int32() -> Int32 { Int32(truncatingIfNeeded: integer(4)) }
        mutating func int64() -> Int64 { Int64(truncatingIfNeeded: integer(8)) }

        mutating func string() -> String {
            let count = max(0, Int(int16()))
            guard position + count <= bytes.count else { return "" }
            defer { position += count }
            return String(decoding: bytes[position..<position + count], as: UTF8.self)
        }
    }

    // MARK: Sockets

    private static func start(_ body: @escaping @Sendable () -> Void) {
        // Not a task: these wait in system calls.
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

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func withAddress(
        _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr(host)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
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
}
