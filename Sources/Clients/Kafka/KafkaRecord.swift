import CRDKafka

/// One consumed record. It borrows memory of librdkafka: it and every buffer that it lends are valid only inside the
/// closure that received the batch.
package struct KafkaRecord {
    let message: UnsafeMutablePointer<rd_kafka_message_t>

    /// Who set the record's time.
    package enum TimestampType: Sendable, Equatable {
        case none
        /// The producer.
        case createTime
        /// The broker.
        case logAppendTime
    }

    /// The topic's name; made anew at each call.
    package var topic: String {
        message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? ""
    }

    /// The number of the topic partition.
    package var partition: Int32 { message.pointee.partition }

    /// The record's offset in its topic partition.
    package var offset: Int64 { message.pointee.offset }

    /// Milliseconds since 1970; -1 where there is none.
    package var timestampMilliseconds: Int64 { timestamp.milliseconds }

    /// The record's time in milliseconds since 1970 (-1: none), and who set it.
    package var timestamp: (milliseconds: Int64, type: TimestampType) {
        var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let milliseconds = rd_kafka_message_timestamp(message, &type)
        switch type {
        case RD_KAFKA_TIMESTAMP_CREATE_TIME: return (milliseconds, .createTime)
        case RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME: return (milliseconds, .logAppendTime)
        default: return (-1, .none)
        }
    }

    /// Nil where the record has no key; an empty key is an empty buffer.
    package var key: UnsafeRawBufferPointer? {
        guard let start = message.pointee.key else { return nil }
        return UnsafeRawBufferPointer(start: start, count: message.pointee.key_len)
    }

    /// Nil is a tombstone; an empty value is an empty buffer.
    package var value: UnsafeRawBufferPointer? {
        guard let start = message.pointee.payload else { return nil }
        return UnsafeRawBufferPointer(start: start, count: message.pointee.len)
    }

    /// The number of headers.
    package var headerCount: Int {
        headerList.map { rd_kafka_header_cnt($0) } ?? 0
    }

    /// Hands every header over in its order; names may repeat, a null value is nil.
    package func forEachHeader(
        _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeRawBufferPointer?) throws -> Void
    ) rethrows {
        guard let list = headerList else { return }
        var index = 0
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let start = name
        {
            let count = Int(cStringLength(start))
            try start.withMemoryRebound(to: UInt8.self, capacity: count) { bytes in
                try body(
                    UnsafeBufferPointer(start: bytes, count: count),
                    value.map { UnsafeRawBufferPointer(start: $0, count: size) })
            }
            index += 1
        }
    }

    /// The value of the last header of that name; nil where there is none or its value is null.
    package func header(_ name: String) -> UnsafeRawBufferPointer? {
        guard let list = headerList else { return nil }
        var value: UnsafeRawPointer?
        var size = 0
        guard rd_kafka_header_get_last(list, name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let value else {
            return nil
        }
        return UnsafeRawBufferPointer(start: value, count: size)
    }

    /// A header's value as text; broken UTF-8 is repaired.
    package func headerText(_ name: String) -> String? {
        header(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// All headers, copied.
    package var headers: [(name: String, value: [UInt8]?)] {
        var result: [(name: String, value: [UInt8]?)] = []
        forEachHeader { name, value in
            result.append((String(decoding: name, as: UTF8.self), value.map { Array($0) }))
        }
        return result
    }

    private var headerList: OpaquePointer? {
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        return list
    }

    private func cStringLength(_ start: UnsafePointer<CChar>) -> Int {
        var count = 0
        while start[count] != 0 { count += 1 }
        return count
    }
}

/// What one read of a consumer returned: records, and news that are not records.
package struct RecordBatch: ~Copyable {
    private let messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>
    /// Faults of this read, those of the whole client included. After a fault that is not retriable (offset out of
    /// range, topic gone) the topic partition delivers nothing until it is assigned or sought anew.
    package let errors: [KafkaError]
    /// Topic partitions whose end was reached, with their next offset; only with ``ConsumerOptions/reportsEnd``.
    package let ends: [(topic: String, partition: Int32, offset: Int64)]
    /// Where bytes of the log could not be read: for each topic partition the first place. Neither the records nor the
    /// errors of that topic partition behind it are to be relied on; see ``UnreadablePlace``.
    package let unreadable: [UnreadablePlace]

    init(
        messages: UnsafeMutableBufferPointer<UnsafeMutablePointer<rd_kafka_message_t>?>, errors: [KafkaError],
        ends: [(topic: String, partition: Int32, offset: Int64)], unreadable: [UnreadablePlace]
    ) {
        self.messages = messages
        self.errors = errors
        self.ends = ends
        self.unreadable = unreadable
    }

    /// The number of records.
    package var count: Int { messages.count }

    /// Whether there are no records; there may be errors or ends.
    package var isEmpty: Bool { messages.isEmpty }

    /// - Parameter index: 0 ..< ``count``.
    package subscript(index: Int) -> KafkaRecord {
        guard let message = messages[index] else { preconditionFailure("a batch holds no empty places") }
        return KafkaRecord(message: message)
    }
}
