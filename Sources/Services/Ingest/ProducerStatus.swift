import Bytes
package import Health
import Synchronization

/// What a producer is doing, for `/health` and the status line.
package struct ProducerStatus: Sendable {
    package enum Phase: String, Sendable {
        /// Looking for the broker, the topic and the resume position.
        case starting
        /// Waiting for the source to accept.
        case connecting
        case streaming
        /// Between two attempts.
        case waiting
        /// Reading stands still until the broker takes more.
        case blocked
        /// An operator has it stand still.
        case paused
        case stopped
    }

    /// What it is doing.
    package var phase: Phase = .starting
    /// Whether the source's stream is open.
    package var isConnected = false
    /// When the last event arrived, milliseconds since 1970.
    package var lastEventArrivalMilliseconds: Int64?
    /// The last event's own time, milliseconds since 1970.
    package var lastEventTimeMilliseconds: Int64?
    /// The last fault in words, and when it was seen (milliseconds since 1970). It may be over.
    package var lastError: String?
    package var lastErrorMilliseconds: Int64?
    /// Everything up to this number is acknowledged.
    package var acknowledgedPosition: Int64 = 0
    /// Events sent and not yet acknowledged.
    package var inFlight = 0
    package var reconnects = 0
    /// Bytes that wait in the source; nil where that is not known.
    package var lagBytes: Int64?
    /// How far a snapshot is, or how the last one ended; nil where there is none.
    package var snapshot: SnapshotProgress?
}

/// A status that one thread changes and others read.
final class StatusBoard: Sendable {
    private let status = Mutex(ProducerStatus())

    var current: ProducerStatus { status.withLock { $0 } }

    func update(_ change: (inout ProducerStatus) -> Void) {
        status.withLock { change(&$0) }
    }

    func fail(_ message: String) {
        update { status in
            status.lastError = message
            status.lastErrorMilliseconds = SystemClock.epochMilliseconds()
        }
    }
}
