/// Produce, versions 0 to 10.
struct ProduceRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// Where the batches lie in the frame; nil for null.
        var records: Range<Int>?
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var transactionalID: String?
    /// 0: no answer wanted; 1 and -1 mean the same with one broker.
    var acks: Int16
    var topics: [Topic]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        if version >= 3 { transactionalID = try reader.nullableString() }
        acks = try reader.int16()
        _ = try reader.int32()  // timeout: there are no replicas to wait for
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                let partition = Partition(index: try reader.int32(), records: try reader.nullableBytes())
                try reader.tags()
                return partition
            }
            try reader.tags()
            return Topic(name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

struct ProduceResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var error: ErrorCode
        var baseOffset: Int64 = -1
        /// Milliseconds since 1970; -1 where the topic keeps the client's time.
        var appendTime: Int64 = -1
        var logStartOffset: Int64 = -1
        var message: String?
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var topics: [Topic]

    func encode(_ writer: inout WireWriter, version: Int16) {
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
                writer.int64(partition.baseOffset)
                if version >= 2 { writer.int64(partition.appendTime) }
                if version >= 5 { writer.int64(partition.logStartOffset) }
                if version >= 8 {
                    writer.array([Int]()) { _, _ in }  // record errors: a batch is taken or refused whole
                    writer.nullableString(partition.message)
                }
                writer.tags()
            }
            writer.tags()
        }
        if version >= 1 { writer.int32(0) }
        writer.tags()
    }
}
