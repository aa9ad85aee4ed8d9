import Bytes
import Health
import Synchronization
import Telemetry

/// What became of the documents that were handed to this process, by source: for `GET /sources`, `/pipeline/status` and
/// metrics.
final class IntakeBoard: Sendable {
    private struct Entry {
        var accepted: Int64 = 0
        var lastMilliseconds: Int64?
        var lastError: String?
        var lastErrorMilliseconds: Int64?
    }

    private let entries = Mutex<[String: Entry]>([:])
    private let registry: MetricsRegistry

    init(_ registry: MetricsRegistry, room: IntakeRoom) {
        self.registry = registry
        registry.gauge(
            "medallion_intake_requests", help: "Requests with documents that wait for the broker's acknowledgement."
        ) { Double(room.load.requests) }
        registry.gauge("medallion_intake_bytes", help: "What those requests hold.") { Double(room.load.bytes) }
    }

    /// Takes note of documents that the broker has.
    func accepted(_ count: Int, bytes: Int, of source: String, nanoseconds: Int64) {
        entries.withLock { entries in
            entries[source, default: Entry()].accepted += Int64(count)
            entries[source]?.lastMilliseconds = SystemClock.epochMilliseconds()
        }
        registry.counter(
            "medallion_intake_documents_total",
            help: "Documents that came over HTTP and that the broker has acknowledged.", labels: [("source", source)]
        ).increment(by: count)
        registry.counter(
            "medallion_intake_documents_bytes_total", help: "Their bytes, unpacked.", labels: [("source", source)]
        ).increment(by: bytes)
        registry.histogram(
            "medallion_intake_acknowledged_seconds",
            help: "Time from a request's documents being checked to the broker's acknowledgement of all of them."
        ).observe(Double(nanoseconds) / 1e9)
    }

    /// Takes note of a request whose documents were not taken.
    ///
    /// - Parameter reason: a word of ours, of which there are few.
    func refused(_ reason: String, _ message: String, of source: String) {
        entries.withLock { entries in
            entries[source, default: Entry()].lastError = message
            entries[source]?.lastErrorMilliseconds = SystemClock.epochMilliseconds()
        }
        registry.counter(
            "medallion_intake_refused_total", help: "Requests with documents that were not taken, by the error's type.",
            labels: [("reason", reason), ("source", source)]
        ).increment()
    }

    /// What a process that takes them knows of such a source, added to what it knows anyway.
    func added(to status: SourceStatus) -> SourceStatus {
        let entry = entries.withLock { $0[status.name] ?? Entry() }
        var status = status
        status.phase = status.pause == nil ? "listening" : "paused"
        status.position = entry.accepted
        status.lastEventMilliseconds = entry.lastMilliseconds
        (status.lastError, status.lastErrorMilliseconds) = (entry.lastError, entry.lastErrorMilliseconds)
        return status
    }
}
