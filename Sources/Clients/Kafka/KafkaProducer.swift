import Bytes
import CRDKafka

/// How a producer buffers and retries. Sizes bound this process's memory.
package struct ProducerOptions: Sendable {
    /// Records in the local queue, sent and unacknowledged ones included.
    package var queueMaxRecords = 100_000
    /// Kilobytes in the local queue.
    package var queueMaxKilobytes = 65_536
    /// How long a record waits for company before its batch leaves. With an idempotent producer's five requests under
    /// way librdkafka 2.0 polls without pause until one is answered; fewer requests keep it from that.
    package var lingerMilliseconds = 5
    /// After that long without acknowledgement a record is reported as failed; 0 waits for ever.
    package var messageTimeoutMilliseconds = 300_000
    /// Largest record, in bytes.
    package var messageMaxBytes = 4_194_304
    /// What librdkafka allows at most; then only the broker's limit counts.
    package static let messageMaxBytesLimit = 1_000_000_000
    /// Bytes of records in one batch; a larger record goes alone.
    package var batchMaxBytes = 1_000_000
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    package var compression = "none"
    /// Whether only failed deliveries are reported; for callers that do not ask what became of a single record.
    package var reportsOnlyFailures = false

    package init() {}
}

/// The fate of one record.
package struct DeliveryReport: Sendable {
    /// What the caller passed to `send`.
    package var token: Int64
    package var topic: String
    package var partition: Int32
    /// The record's offset; -1 where the record was not written or the offset is not known.
    package var offset: Int64
    /// Nil when the record is acknowledged by all in-sync replicas.
    package var error: KafkaError?
    /// The record itself where it failed, so that it can be sent again.
    package var undelivered: UndeliveredRecord?
    /// How far the broker's clock is off this machine's at the least (negative: behind); nil where the broker set no time.
    package var clockOffsetMilliseconds: Int64?
}

/// Whether two clocks can both be right: the broker takes a record after it was sent and before its report is read.
package enum ClockOffset {
    /// - Parameters:
    ///   - brokerTime: what the broker wrote down, since 1970.
    ///   - sent: when the record was handed over, by this machine's clock as it is now.
    ///   - now: when its report is read.
    /// - Returns: 0 where it can be so, else how far the broker's clock is ahead, at the least; negative: behind.
    package static func milliseconds(brokerTime: Int64, sent: Int64, now: Int64) -> Int64 {
        brokerTime < sent ? brokerTime - sent : max(0, brokerTime - now)
    }
}

/// A record that was not acknowledged, copied back.
package struct UndeliveredRecord: Sendable {
    package var key: [UInt8]?
    package var value: [UInt8]?
    /// Values that were null are left out.
    package var headers: [(String, [UInt8])]
}

/// The headers of one record that is about to be sent; valid only inside the closure that received it.
package struct RecordHeaderList {
    let pointer: OpaquePointer
    /// Stands for an empty value, since a null pointer means null to Kafka.
    private let emptyAddress: UnsafeRawPointer

    init(capacity: Int, emptyAddress: UnsafeRawPointer) {
        // librdkafka ends the process itself when memory is short; it never returns null here.
        pointer = rd_kafka_headers_new(capacity)
        self.emptyAddress = emptyAddress
    }

    /// Adds one header; its bytes are copied.
    package func add(_ name: String, _ value: UnsafeRawBufferPointer) {
        var name = name
        name.withUTF8 { utf8 in
            // Only read-only lists are refused, and this one is new.
            _ = rd_kafka_header_add(
                pointer, UnsafeRawPointer(utf8.baseAddress)?.assumingMemoryBound(to: CChar.self), utf8.count,
                value.baseAddress ?? emptyAddress, value.count)
        }
    }

    /// Adds one header with a text.
    package func add(_ name: String, _ value: String) {
        var value = value
        value.withUTF8 { add(name, UnsafeRawBufferPointer($0)) }
    }

    /// Adds one header with a number as decimal text.
    package func add(_ name: String, decimal value: Int64) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            // 20 places hold the sign and the 19 digits of every 64-bit integer.
            var start = digits.count
            var rest = value.magnitude
            repeat {
                start -= 1
                digits[start] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            if value < 0 {
                start -= 1
                digits[start] = UInt8(ascii: "-")
            }
            add(name, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[start...]))
        }
    }
}

/// An idempotent producer with acks=all.
///
/// `send` never blocks; `poll` and `flush` block up to their timeout. All may be called from any thread, because
/// librdkafka's handle is thread-safe, but reports go to whichever thread polls.
package final class KafkaProducer: Sendable {
    private let client: Client

    /// - Throws: ``KafkaError`` of kind `configuration` that names the property.
    package init(_ configuration: KafkaConfiguration, options: ProducerOptions = ProducerOptions()) throws(KafkaError) {
        let conf = try Conf(
            configuration,
            properties: [
                ("enable.idempotence", "true"), ("acks", "all"),
                ("queue.buffering.max.messages", String(options.queueMaxRecords)),
                ("queue.buffering.max.kbytes", String(options.queueMaxKilobytes)),
                ("linger.ms", String(options.lingerMilliseconds)),
                ("message.timeout.ms", String(options.messageTimeoutMilliseconds)),
                ("message.max.bytes", String(options.messageMaxBytes)),
                ("batch.size", String(options.batchMaxBytes)),
                ("compression.codec", options.compression),
                ("delivery.report.only.error", options.reportsOnlyFailures ? "true" : "false"),
                // The Java clients' choice of a topic partition for a key.
                ("partitioner", "murmur2_random"),
            ])
        client = try Client(conf, type: RD_KAFKA_PRODUCER, configuration: configuration)
    }

    /// Records and requests that are not reported yet, delivery reports waiting for `poll` included.
    package var pendingCount: Int { Int(rd_kafka_outq_len(client.handle)) }

    /// The last error that concerned the client as a whole (brokers down, fatal), seen while polling. It may be over.
    package var lastError: KafkaError? { client.lastError }

    /// The errors that concerned the client as a whole since the last call, seen while polling.
    package func takeErrors() -> [KafkaError] { client.takeErrors() }

    /// Queues one record; its bytes are copied.
    ///
    /// - Parameters:
    ///   - partition: nil lets librdkafka choose by the key's hash.
    ///   - value: nil is a tombstone; an empty buffer is an empty value.
    ///   - timestampMilliseconds: since 1970; nil is now. A topic with LogAppendTime replaces it.
    ///   - token: comes back in the delivery report.
    /// - Throws: ``KafkaError``; kind `queueFull` (retriable) where the bounded queue has no room: `poll`, then again.
    @_disfavoredOverload
    package func send(
        topic: String, partition: Int32? = nil, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
        headers: [(String, [UInt8])] = [], timestampMilliseconds: Int64? = nil, token: Int64 = 0
    ) throws(KafkaError) {
        try send(
            topic: topic, partition: partition, key: key, value: value, headerCount: headers.count,
            timestampMilliseconds: timestampMilliseconds, token: token
        ) { list in
            for (name, bytes) in headers { bytes.withUnsafeBytes { list.add(name, $0) } }
        }
    }

    /// The same with headers that are written straight into librdkafka's list.
    ///
    /// - Parameters:
    ///   - headerCount: how many `addHeaders` adds; 0 skips it.
    ///   - addHeaders: adds them in order; called once.
    package func send(
        topic: String, partition: Int32? = nil, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?,
        headerCount: Int, timestampMilliseconds: Int64? = nil, token: Int64 = 0,
        addHeaders: (RecordHeaderList) -> Void
    ) throws(KafkaError) {
        var list: OpaquePointer?
        if headerCount > 0 {
            let new = RecordHeaderList(capacity: headerCount, emptyAddress: emptyAddress)
            addHeaders(new)
            list = new.pointer
        }
        let error = topic.withCString { name in
            var fields = (
                rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(),
                rd_kafka_vu_t(), rd_kafka_vu_t()
            )
            fields.0.vtype = RD_KAFKA_VTYPE_TOPIC
            fields.0.u.cstr = name
            fields.1.vtype = RD_KAFKA_VTYPE_PARTITION
            fields.1.u.i32 = partition ?? RD_KAFKA_PARTITION_UA
            fields.2.vtype = RD_KAFKA_VTYPE_MSGFLAGS
            fields.2.u.i = RD_KAFKA_MSG_F_COPY
            fields.3.vtype = RD_KAFKA_VTYPE_KEY
            fields.3.u.mem = memory(key)
            fields.4.vtype = RD_KAFKA_VTYPE_VALUE
            fields.4.u.mem = memory(value)
            fields.5.vtype = RD_KAFKA_VTYPE_OPAQUE
            fields.5.u.ptr = UnsafeMutableRawPointer(bitPattern: Int(token))
            fields.6.vtype = RD_KAFKA_VTYPE_TIMESTAMP
            fields.6.u.i64 = timestampMilliseconds ?? 0
            fields.7.vtype = RD_KAFKA_VTYPE_HEADERS
            fields.7.u.headers = list
            let count = list == nil ? 7 : 8
            return withUnsafePointer(to: &fields) { pointer in
                pointer.withMemoryRebound(to: rd_kafka_vu_t.self, capacity: 8) { array in
                    rd_kafka_produceva(client.handle, array, count)
                }
            }
        }
        if let error {
            // librdkafka takes the list over only on success.
            if let list { rd_kafka_headers_destroy(list) }
            throw KafkaError(consuming: error, operation: "produce", subject: topic)
        }
    }

    /// The same for arrays; see ``send(topic:partition:key:value:headers:timestampMilliseconds:token:)``.
    package func send(
        topic: String, partition: Int32? = nil, key: [UInt8]?, value: [UInt8]?, headers: [(String, [UInt8])] = [],
        timestampMilliseconds: Int64? = nil, token: Int64 = 0
    ) throws(KafkaError) {
        var failure: KafkaError?
        Self.withBytes(of: key) { keyBytes in
            Self.withBytes(of: value) { valueBytes in
                do throws(KafkaError) {
                    try send(
                        topic: topic, partition: partition, key: keyBytes, value: valueBytes, headers: headers,
                        timestampMilliseconds: timestampMilliseconds, token: token)
                } catch { failure = error }
            }
        }
        if let failure { throw failure }
    }

    /// Collects delivery reports: waits up to the timeout for the first, then takes what is there.
    ///
    /// Must be called regularly, because unread reports keep their place in the bounded queue.
    /// - Parameter limit: events (batches of reports) to take at most.
    package func poll(timeoutMilliseconds: Int, limit: Int = 1_000) -> [DeliveryReport] {
        var reports: [DeliveryReport] = []
        client.drain(client.mainQueue, timeoutMilliseconds: timeoutMilliseconds, limit: limit) { event, type in
            switch type {
            case RD_KAFKA_EVENT_DR: Self.append(event, to: &reports)
            case RD_KAFKA_EVENT_ERROR: client.record(errorEvent: event)
            default: break
            }
            return true
        }
        return reports
    }

    /// Polls until every record is reported or the timeout has passed; `pendingCount` tells which.
    package func flush(timeoutMilliseconds: Int) -> [DeliveryReport] {
        let clock = ContinuousClock()
        let deadline = clock.now + .milliseconds(timeoutMilliseconds)
        var reports: [DeliveryReport] = []
        while pendingCount > 0 {
            let left = clock.now.duration(to: deadline) / .milliseconds(1)
            guard left > 0 else { break }
            reports += poll(timeoutMilliseconds: Int(min(left + 1, 100)))
        }
        return reports
    }

    /// Throws away records that are not acknowledged; each is reported as failed by the next polls.
    package func purge() {
        rd_kafka_purge(client.handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    }

    private static func append(_ event: OpaquePointer, to reports: inout [DeliveryReport]) {
        reports.reserveCapacity(reports.count + rd_kafka_event_message_count(event))
        let now = SystemClock.epochMilliseconds()
        while let message = rd_kafka_event_message_next(event) {
            let record = message.pointee
            let topic = record.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? ""
            var error: KafkaError?
            var undelivered: UndeliveredRecord?
            if record.err != RD_KAFKA_RESP_ERR_NO_ERROR {
                // rd_kafka_message_errstr would take the payload of a produced record for a text.
                error = KafkaError(record.err, operation: "produce", subject: "\(topic)[\(record.partition)]")
                let view = KafkaRecord(message: UnsafeMutablePointer(mutating: message))
                undelivered = UndeliveredRecord(
                    key: view.key.map { Array($0) }, value: view.value.map { Array($0) },
                    headers: view.headers.compactMap { header in header.value.map { (header.name, $0) } })
            }
            reports.append(
                DeliveryReport(
                    token: Int64(Int(bitPattern: record._private)), topic: topic, partition: record.partition,
                    offset: error == nil ? record.offset : -1, error: error, undelivered: undelivered,
                    clockOffsetMilliseconds: error == nil ? clockOffset(of: message, now: now) : nil))
        }
    }

    private static func clockOffset(of message: UnsafePointer<rd_kafka_message_t>, now: Int64) -> Int64? {
        let time = KafkaRecord(message: UnsafeMutablePointer(mutating: message)).timestamp
        // By the clock that never steps, up to this call; -1 where it is not known.
        let waited = rd_kafka_message_latency(message)
        guard time.type == .logAppendTime, time.milliseconds > 0, waited >= 0 else { return nil }
        return ClockOffset.milliseconds(brokerTime: time.milliseconds, sent: now - waited / 1_000 - 1, now: now)
    }

    /// A null pointer means null to Kafka, so that an empty value needs some address; nothing is read from it.
    private var emptyAddress: UnsafeRawPointer { UnsafeRawPointer(client.handle) }

    private func memory(_ bytes: UnsafeRawBufferPointer?) -> rd_kafka_vu_s.__Unnamed_union_u.__Unnamed_struct_mem {
        guard let bytes else { return .init(ptr: nil, size: 0) }
        return .init(ptr: UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? emptyAddress), size: bytes.count)
    }

    private static func withBytes(of array: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> Void) {
        if let array { array.withUnsafeBytes { body($0) } } else { body(nil) }
    }
}
