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
    private let lastErrorState = Mutex<(error: KafkaError, count: Int)?>(nil)

    init(_ conf: consuming Conf, type: rd_kafka_type_t, configuration: KafkaConfiguration) throws(KafkaError) {
        handle = try conf.makeClient(type)
        self.configuration = configuration
        mainQueue = rd_kafka_queue_get_main(handle)
        if configuration.logHandler != nil { rd_kafka_set_log_queue(handle, mainQueue) }
    }

    /// Waits for librdkafka's threads to end. Everything that holds a queue or topic of this client also holds the
    /// client, so they are gone by now, as librdkafka demands.
    deinit {
        rd_kafka_queue_destroy(mainQueue)
        rd_kafka_destroy(handle)
    }

    /// The last error that concerned the client as a whole, and how many there were.
    var lastError: (error: KafkaError, count: Int)? { lastErrorState.withLock { $0 } }

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
            default: if !body(event, type) { return }
            }
            timeout = 0
        }
    }

    /// Drains logs and errors that concern the whole client; returns the errors.
    func drainErrors() -> [KafkaError] {
        guard rd_kafka_queue_length(mainQueue) > 0 else { return [] }
        var errors: [KafkaError] = []
        drain(mainQueue, timeoutMilliseconds: 0, limit: 1_000) { event, type in
            if type == RD_KAFKA_EVENT_ERROR { errors.append(self.record(errorEvent: event)) }
            return true
        }
        return errors
    }

    /// Reads an error event and remembers it as the last one.
    func record(errorEvent event: OpaquePointer) -> KafkaError {
        var code = rd_kafka_event_error(event)
        var reason = rd_kafka_event_error_string(event).map { String(cString: $0) }
        let isFatal = rd_kafka_event_error_is_fatal(event) != 0 || code == RD_KAFKA_RESP_ERR__FATAL
        if isFatal {
            var buffer = [CChar](repeating: 0, count: 512)
            let original = rd_kafka_fatal_error(handle, &buffer, buffer.count)
            if original != RD_KAFKA_RESP_ERR_NO_ERROR { (code, reason) = (original, text(buffer)) }
        }
        var error = KafkaError(code, operation: "client", subject: configuration.brokers, reason: reason)
        if isFatal {
            error.kind = .fatal
            error.isRetriable = false
        }
        remember(error)
        return error
    }

    func remember(_ error: KafkaError) {
        lastErrorState.withLock { state in state = (error, (state?.count ?? 0) + 1) }
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
