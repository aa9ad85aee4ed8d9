/// DeleteTopics, versions 0 to 6.
struct DeleteTopicsRequest: Sendable {
    /// By name, or by id where the name is nil.
    var topics: [(name: String?, id: TopicID)]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        topics = try reader.array { reader throws(WireError) in
            guard version >= 6 else { return (try reader.string(), TopicID.zero) }
            let topic = (name: try reader.nullableString(), id: try reader.topicID())
            try reader.tags()
            return topic
        }
        _ = try reader.int32()  // timeout
        try reader.tags()
    }
}

struct DeleteTopicsResponse: Sendable {
    struct Topic: Sendable {
        var name: String?
        var id: TopicID
        var error = ErrorCode.none
        var message: String?
    }
    var topics: [Topic]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 1 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.nullableString(version >= 6 ? topic.name : topic.name ?? "")
            if version >= 6 { writer.topicID(topic.id) }
            writer.error(topic.error)
            if version >= 5 { writer.nullableString(topic.message) }
            writer.tags()
        }
        writer.tags()
    }
}

/// CreatePartitions, versions 0 to 3.
struct CreatePartitionsRequest: Sendable {
    struct Topic: Sendable {
        var name: String
        /// How many there shall be in all.
        var count: Int32
        /// The brokers wanted for each new one; nil for no wish.
        var assignments: [[Int32]]?
    }
    var topics: [Topic]
    /// Only say what would happen.
    var validatesOnly: Bool

    init(_ reader: inout WireReader) throws(WireError) {
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let count = try reader.int32()
            let assignments = try reader.nullableArray { reader throws(WireError) in
                let brokers = try reader.array { reader throws(WireError) in try reader.int32() }
                try reader.tags()
                return brokers
            }
            try reader.tags()
            return Topic(name: name, count: count, assignments: assignments)
        }
        _ = try reader.int32()  // timeout
        validatesOnly = try reader.bool()
        try reader.tags()
    }
}

struct CreatePartitionsResponse: Sendable {
    var topics: [(name: String, refusal: AdminRefusal?)]

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.error(topic.refusal?.code ?? .none)
            writer.nullableString(topic.refusal?.message)
            writer.tags()
        }
        writer.tags()
    }
}

/// DeleteRecords, versions 0 to 2.
struct DeleteRecordsRequest: Sendable {
    /// "All that there is now."
    static let highWatermark: Int64 = -1

    var topics: [(name: String, partitions: [(index: Int32, offset: Int64)])]

    init(_ reader: inout WireReader) throws(WireError) {
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                let partition = (index: try reader.int32(), offset: try reader.int64())
                try reader.tags()
                return partition
            }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        _ = try reader.int32()  // timeout
        try reader.tags()
    }
}

struct DeleteRecordsResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// The first offset that is left; -1 with an error.
        var startOffset: Int64 = -1
        var error = ErrorCode.none
    }
    var topics: [(name: String, partitions: [Partition])]

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.int64(partition.startOffset)
                writer.error(partition.error)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// OffsetForLeaderEpoch, versions 0 to 4.
struct OffsetForLeaderEpochRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// What the client believes to be the current epoch; -1 for no belief.
        var currentEpoch: Int32 = -1
        /// The epoch whose end is asked for.
        var epoch: Int32
    }
    var topics: [(name: String, partitions: [Partition])]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        if version >= 3 { _ = try reader.int32() }  // replica id
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                var partition = Partition(index: try reader.int32(), epoch: -1)
                if version >= 2 { partition.currentEpoch = try reader.int32() }
                partition.epoch = try reader.int32()
                try reader.tags()
                return partition
            }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

struct OffsetForLeaderEpochResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var error = ErrorCode.none
        /// -1: no such epoch.
        var epoch: Int32 = -1
        var endOffset: Int64 = -1
    }
    var topics: [(name: String, partitions: [Partition])]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 2 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.error(partition.error)
                writer.int32(partition.index)
                if version >= 1 { writer.int32(partition.epoch) }
                writer.int64(partition.endOffset)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}
