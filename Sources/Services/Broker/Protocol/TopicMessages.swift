/// Metadata, versions 0 to 12.
struct MetadataRequest: Sendable {
    struct Topic: Sendable {
        var id = TopicID.zero
        /// nil: asked for by id.
        var name: String?
    }
    /// nil: all topics.
    var topics: [Topic]?
    var allowsAutoCreation = true

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        topics = try reader.nullableArray { reader throws(WireError) in
            var topic = Topic()
            if version >= 10 {
                topic.id = try reader.topicID()
                topic.name = try reader.nullableString()
            } else {
                topic.name = try reader.string()
            }
            try reader.tags()
            return topic
        }
        if version == 0, topics?.isEmpty == true { topics = nil }
        if version >= 4 { allowsAutoCreation = try reader.bool() }
        if (8...10).contains(version) { _ = try reader.bool() }
        if version >= 8 { _ = try reader.bool() }
        try reader.tags()
    }
}

struct MetadataResponse: Sendable {
    struct Topic: Sendable {
        var error = ErrorCode.none
        var name: String?
        var id = TopicID.zero
        var partitionCount: Int32 = 0
    }
    /// Where clients reach this broker.
    var host: String
    var port: UInt16
    var clusterID: String
    var topics: [Topic]

    /// The one broker's number.
    static let nodeID: Int32 = 1
    /// "Not asked for" (KIP-430).
    static let noOperations = Int32.min

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 3 { writer.int32(0) }
        writer.array([host]) { writer, host in
            writer.int32(Self.nodeID)
            writer.string(host)
            writer.int32(Int32(port))
            if version >= 1 { writer.nullableString(nil) }
            writer.tags()
        }
        if version >= 2 { writer.nullableString(clusterID) }
        if version >= 1 { writer.int32(Self.nodeID) }
        writer.array(topics) { writer, topic in
            writer.error(topic.error)
            if version >= 12 { writer.nullableString(topic.name) } else { writer.string(topic.name ?? "") }
            if version >= 10 { writer.topicID(topic.id) }
            if version >= 1 { writer.bool(false) }
            writer.array(0..<topic.partitionCount) { writer, index in
                writer.error(.none)
                writer.int32(index)
                writer.int32(Self.nodeID)
                if version >= 7 { writer.int32(PartitionLog.leaderEpoch) }
                writer.int32Array([Self.nodeID])
                writer.int32Array([Self.nodeID])
                if version >= 5 { writer.int32Array([]) }
                writer.tags()
            }
            if version >= 8 { writer.int32(Self.noOperations) }
            writer.tags()
        }
        if (8...10).contains(version) { writer.int32(Self.noOperations) }
        writer.tags()
    }
}

/// CreateTopics, versions 0 to 7.
struct CreateTopicsRequest: Sendable {
    struct Topic: Sendable {
        var name: String
        /// -1: the broker's default.
        var partitionCount: Int32
        /// -1: the broker's default.
        var replicationFactor: Int16
        /// Partition numbers with the brokers wanted for each.
        var assignments: [(partition: Int32, brokers: [Int32])]
        var configs: [(name: String, value: String?)]
    }
    var topics: [Topic]
    /// Only say what would happen.
    var validatesOnly = false

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let count = try reader.int32()
            let factor = try reader.int16()
            let assignments = try reader.array { reader throws(WireError) in
                let partition = try reader.int32()
                let brokers = try reader.array { reader throws(WireError) in try reader.int32() }
                try reader.tags()
                return (partition: partition, brokers: brokers)
            }
            let configs = try reader.array { reader throws(WireError) in
                let config = (name: try reader.string(), value: try reader.nullableString())
                try reader.tags()
                return config
            }
            try reader.tags()
            return Topic(
                name: name, partitionCount: count, replicationFactor: factor, assignments: assignments,
                configs: configs)
        }
        _ = try reader.int32()  // timeout
        if version >= 1 { validatesOnly = try reader.bool() }
        try reader.tags()
    }
}

struct CreateTopicsResponse: Sendable {
    struct Topic: Sendable {
        var name: String
        var id = TopicID.zero
        var error = ErrorCode.none
        var message: String?
        var partitionCount: Int32 = -1
        var configs: [TopicConfigs.Entry] = []
    }
    var topics: [Topic]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 2 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            if version >= 7 { writer.topicID(topic.id) }
            writer.error(topic.error)
            if version >= 1 { writer.nullableString(topic.message) }
            if version >= 5 {
                writer.int32(topic.partitionCount)
                writer.int16(topic.error == .none ? 1 : -1)
                writer.array(topic.configs) { writer, config in
                    writer.string(config.name)
                    writer.nullableString(config.value)
                    writer.bool(false)
                    writer.int8(config.source)
                    writer.bool(false)
                    writer.tags()
                }
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// ListOffsets, versions 1 to 7.
struct ListOffsetsRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// Milliseconds since 1970, or one of the special values below.
        var timestamp: Int64
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    static let latest: Int64 = -1
    static let earliest: Int64 = -2
    static let largestTimestamp: Int64 = -3

    var topics: [Topic]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        _ = try reader.int32()  // replica id
        if version >= 2 { _ = try reader.int8() }  // isolation level
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                let index = try reader.int32()
                if version >= 4 { _ = try reader.int32() }  // leader epoch
                let partition = Partition(index: index, timestamp: try reader.int64())
                try reader.tags()
                return partition
            }
            try reader.tags()
            return Topic(name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

struct ListOffsetsResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var error = ErrorCode.none
        var timestamp: Int64 = -1
        var offset: Int64 = -1
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var topics: [Topic]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 2 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
                writer.int64(partition.timestamp)
                writer.int64(partition.offset)
                if version >= 4 { writer.int32(partition.error == .none ? PartitionLog.leaderEpoch : -1) }
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}
