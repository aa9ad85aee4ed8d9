import HTTPEndpoints
import Synchronization

/// How much documents on their way to the broker may hold, all requests together: what is more is refused at once, so
/// that a broker that is slow or away fills no memory, and that the producer's queue has a place for every record.
final class IntakeRoom: Sendable {
    private struct Held {
        var requests = 0
        var bytes = 0
    }

    /// What a record takes beside its value: its id and place here, its message in librdkafka. With it, what the room holds is
    /// fewer records than ``RecordPublisher/Bounds/queueMaxRecords``.
    static let recordBytes = 512

    private let held = Mutex(Held())
    private let requestsMax: Int
    private let bytesMax: Int

    init(requestsMax: Int = 256, bytesMax: Int = 64 << 20) {
        self.requestsMax = requestsMax
        self.bytesMax = bytesMax
    }

    /// Requests with documents that are under way, and the bytes that they hold.
    var load: (requests: Int, bytes: Int) { held.withLock { ($0.requests, $0.bytes) } }

    /// A request's part of the room; given back when the last reference goes.
    final class Share: Sendable {
        private let room: IntakeRoom
        private let bytes: Mutex<Int>

        fileprivate init(_ room: IntakeRoom, bytes: Int) {
            self.room = room
            self.bytes = Mutex(bytes)
        }

        deinit { room.leave(bytes: bytes.withLock { $0 }) }

        /// Takes more.
        ///
        /// - Throws: 503 where there is no room.
        func grow(by count: Int) throws(EndpointError) {
            try room.take(count)
            bytes.withLock { $0 += count }
        }
    }

    /// - Throws: 503 where there is no room for one more request of that size.
    func enter(bytes: Int) throws(EndpointError) -> Share {
        let isIn = held.withLock { held in
            guard held.requests < requestsMax else { return false }
            held.requests += 1
            return true
        }
        guard isIn else { throw Self.full }
        let share = Share(self, bytes: 0)
        try share.grow(by: bytes)
        return share
    }

    private func leave(bytes count: Int) {
        held.withLock { held in
            held.requests -= 1
            held.bytes -= count
        }
    }

    private func take(_ count: Int) throws(EndpointError) {
        let isTaken = held.withLock { held in
            guard held.bytes + count <= bytesMax else { return false }
            held.bytes += count
            return true
        }
        guard isTaken else { throw Self.full }
    }

    private static let full = EndpointError(
        status: 503, type: "busy",
        message: "too many documents are on their way to the broker; none of these was taken",
        headers: ["Retry-After": "1"])
}
