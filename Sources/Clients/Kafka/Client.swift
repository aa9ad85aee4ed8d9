import CRDKafka
import Synchronization

/// Owns one `rd_kafka_t` and its main event queue.
///
/// librdkafka promises that its handle and queues may be used from any thread at the same time ("librdkafka is
/// completely thread-safe", INTRODUCTION.md, "Threads and callbacks"), and both pointers never change.
final class Client: @unchecked Sendable {
    let handle: OpaquePointer
    let mainQueue: OpaquePointer
    let configuration: KafkaConfiguration
    private let inbox: ErrorInbox

    init(_ conf: consuming Conf, type: rd_kafka_type_t, configuration: KafkaConfiguration) throws(KafkaError) {
        let inbox = ErrorInbox(subject: configuration.brokers)
        handle = try conf.makeClient(type, errors: inbox, secrets: configuration.secrets)
        self.inbox = inbox
        self.configuration = configuration
        mainQueue = rd_kafka_queue_get_main(handle)
        if configuration.logHandler != nil { rd_kafka_set_log_queue(handle, mainQueue) }
    }

    /// Waits for librdkafka's threads to end, for a while. Everything that holds a queue or topic of this client also holds the
    /// client, so they are gone by now, as librdkafka demands.
    deinit {
        let (queue, handle) = (UInt(bitPattern: mainQueue), UInt(bitPattern: handle))
        // The client tells the inbox of its errors until its very end.
        let hasEnded = BoundedEnd.run { [inbox] in
            if let queue = OpaquePointer(bitPattern: queue) { rd_kafka_queue_destroy(queue) }
            if let handle = OpaquePointer(bitPattern: handle) { rd_kafka_destroy(handle) }
            withExtendedLifetime(inbox) {}
        }
        if !hasEnded {
            configuration.logHandler?(
                KafkaLogLine(
                    severity: 4, facility: "DESTROY",
                    message: "a client did not end within \(BoundedEnd.millisecondsMax / 1_000) s and is left behind"))
        }
    }

    /// The last error that concerned the client as a whole.
    var lastError: KafkaError? { inbox.last }

    /// Polls `queue` and hands every event to `body` until the queue is empty, `body` says stop, or `limit` events.
    ///
    /// - Parameter timeoutMilliseconds: for the first event; the others must be there already.
    func drain(
        _ queue: OpaquePointer, timeoutMilliseconds: Int, limit: Int = 10_000,
        _ body: (_ event: OpaquePointer, _ type: rd_kafka_event_type_t) -> Bool
    ) {
        var timeout = Int32(clamping: timeoutMilliseconds)
        for _ in 0..<limit {
            guard let event = rd_kafka_queue_poll(queue, timeout) else { return }
            defer { rd_kafka_event_destroy(event) }
            let type = rd_kafka_event_type(event)
            switch type {
            case RD_KAFKA_EVENT_LOG: log(event)
            case RD_KAFKA_EVENT_STATS:
                if let text = rd_kafka_event_stats(event) {
                    configuration.statisticsHandler?(Array(String(cString: text).utf8))
                }
            default: if !body(event, type) { return }
            }
            timeout = 0
        }
    }

    /// The errors that concerned the whole client and that nobody read yet.
    func takeErrors() -> [KafkaError] { inbox.take() }

    /// Drains logs and errors that concern the whole client; returns the errors. Not for a producer's client, whose
    /// queue also holds delivery reports.
    func drainErrors() -> [KafkaError] {
        if rd_kafka_queue_length(mainQueue) > 0 {
            drain(mainQueue, timeoutMilliseconds: 0, limit: 1_000) { event, type in
                if type == RD_KAFKA_EVENT_ERROR { self.record(errorEvent: event) }
                return true
            }
        }
        return inbox.take()
    }

    /// Reads an error event.
    func record(errorEvent event: OpaquePointer) {
        inbox.add(
            rd_kafka_event_error(event), rd_kafka_event_error_string(event).map { String(cString: $0) }, handle)
    }

    func remember(_ error: KafkaError) {
        inbox.remember(error)
    }

    private func log(_ event: OpaquePointer) {
        var facility: UnsafePointer<CChar>?
        var message: UnsafePointer<CChar>?
        var severity: Int32 = 0
        guard rd_kafka_event_log(event, &facility, &message, &severity) == 0 else { return }
        configuration.logHandler?(
            KafkaLogLine(
                severity: Int(severity), facility: facility.map { String(cString: $0) } ?? "",
                message: message.map { String(cString: $0) } ?? ""))
    }

    /// Asks the leader for the first offset and the next offset of a topic partition. Blocks up to the timeout.
    func watermarks(topic: String, partition: Int32, timeoutMilliseconds: Int) throws(KafkaError) -> Watermarks {
        var low: Int64 = 0
        var high: Int64 = 0
        let code = rd_kafka_query_watermark_offsets(
            handle, topic, partition, &low, &high, Int32(clamping: timeoutMilliseconds))
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw KafkaError(code, operation: "list offsets", subject: "\(topic)[\(partition)]")
        }
        return Watermarks(low: low, high: high)
    }
}

/// Errors that concern a client as a whole, until someone reads them.
///
/// Those of the main queue arrive as events. Those that lie in a queue of records (a topic that is gone) are only
/// handed to librdkafka's error callback while a batch is read, on the reading thread; it does nothing but `add`.
final class ErrorInbox: Sendable {
    private let subject: String
    private let state = Mutex(State())

    private struct State {
        var last: KafkaError?
        var unread: [KafkaError] = []
    }

    /// Unread errors are kept up to this number; the oldest go first.
    private static let unreadMax = 100

    init(subject: String) {
        self.subject = subject
    }

    var last: KafkaError? { state.withLock { $0.last } }

    func add(_ code: rd_kafka_resp_err_t, _ reason: String?, _ handle: OpaquePointer?) {
        var (code, reason) = (code, reason)
        let isFatal = code == RD_KAFKA_RESP_ERR__FATAL
        if isFatal {
            var buffer = [CChar](repeating: 0, count: 512)
            let original = rd_kafka_fatal_error(handle, &buffer, buffer.count)
            if original != RD_KAFKA_RESP_ERR_NO_ERROR { (code, reason) = (original, text(buffer)) }
        }
        var error = KafkaError(code, operation: "client", subject: subject, reason: reason)
        if isFatal {
            error.kind = .fatal
            error.isRetriable = false
        }
        state.withLock { [error] state in
            state.last = error
            if state.unread.count >= Self.unreadMax { state.unread.removeFirst() }
            state.unread.append(error)
        }
    }

    func remember(_ error: KafkaError) {
        state.withLock { $0.last = error }
    }

    func take() -> [KafkaError] {
        state.withLock { state in
            guard !state.unread.isEmpty else { return [] }
            defer { state.unread = [] }
            return state.unread
        }
    }
}

/// The offsets `[low, high)` that a topic partition's log holds.
package struct Watermarks: Sendable, Equatable {
    /// The first offset in the log.
    package var low: Int64
    /// The offset that the next record will get.
    package var high: Int64

    package init(low: Int64, high: Int64) {
        self.low = low
        self.high = high
    }
}
