/// FindCoordinator, versions 0 to 4.
struct FindCoordinatorRequest: Sendable {
    static let groupKeyType: Int8 = 0
    static let transactionKeyType: Int8 = 1

    var keyType = Self.groupKeyType
    var keys: [String]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        keys = version <= 3 ? [try reader.string()] : []
        if version >= 1 { keyType = try reader.int8() }
        if version >= 4 { keys = try reader.array { reader throws(WireError) in try reader.string() } }
        try reader.tags()
    }
}

struct FindCoordinatorResponse: Sendable {
    var keys: [String]
    var error: ErrorCode
    var message: String?
    var host: String
    var port: UInt16

    func encode(_ writer: inout WireWriter, version: Int16) {
        let isFound = error == .none
        if version >= 1 { writer.int32(0) }
        if version >= 4 {
            writer.array(keys) { writer, key in
                writer.string(key)
                writer.int32(isFound ? MetadataResponse.nodeID : -1)
                writer.string(isFound ? host : "")
                writer.int32(isFound ? Int32(port) : -1)
                writer.error(error)
                writer.nullableString(message)
                writer.tags()
            }
        } else {
            writer.error(error)
            if version >= 1 { writer.nullableString(message) }
            writer.int32(isFound ? MetadataResponse.nodeID : -1)
            writer.string(isFound ? host : "")
            writer.int32(isFound ? Int32(port) : -1)
        }
        writer.tags()
    }
}

/// InitProducerId, versions 0 to 4.
struct InitProducerIDRequest: Sendable {
    var transactionalID: String?

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        transactionalID = try reader.nullableString()
        _ = try reader.int32()  // transaction timeout
        if version >= 3 {
            _ = try reader.int64()  // present id and epoch: only of use with a transactional id
            _ = try reader.int16()
        }
        try reader.tags()
    }
}

struct InitProducerIDResponse: Sendable {
    var error: ErrorCode
    var producerID: Int64

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.error(error)
        writer.int64(error == .none ? producerID : -1)
        writer.int16(error == .none ? 0 : -1)
        writer.tags()
    }
}

/// OffsetCommit, versions 2 to 8.
struct OffsetCommitRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var offset: Int64
        var leaderEpoch: Int32 = -1
        var metadata: String?
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var group: String
    /// -1: from a consumer that assigns its topic partitions itself.
    var generation: Int32
    var memberID: String
    var instanceID: String?
    var topics: [Topic]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        generation = try reader.int32()
        memberID = try reader.string()
        if version >= 7 { instanceID = try reader.nullableString() }
        if version <= 4 { _ = try reader.int64() }  // retention: offsets are kept as long as the group
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                var partition = Partition(index: try reader.int32(), offset: try reader.int64())
                if version >= 6 { partition.leaderEpoch = try reader.int32() }
                partition.metadata = try reader.nullableString()
                try reader.tags()
                return partition
            }
            try reader.tags()
            return Topic(name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

struct OffsetCommitResponse: Sendable {
    struct Topic: Sendable {
        var name: String
        var partitions: [(index: Int32, error: ErrorCode)]
    }
    var topics: [Topic]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 3 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// OffsetFetch, versions 1 to 7.
struct OffsetFetchRequest: Sendable {
    var group: String
    /// nil: all that the group ever committed.
    var topics: [(name: String, partitions: [Int32])]?

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        topics = try reader.nullableArray { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        if version >= 7 { _ = try reader.bool() }  // require stable: without transactions every offset is
        try reader.tags()
    }
}

struct OffsetFetchResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// nil: nothing committed.
        var committed: CommittedOffset?
    }
    var topics: [(name: String, partitions: [Partition])]
    var error = ErrorCode.none

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 3 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.int64(partition.committed?.offset ?? -1)
                if version >= 5 { writer.int32(partition.committed?.leaderEpoch ?? -1) }
                writer.nullableString(partition.committed?.metadata ?? "")
                writer.error(.none)
                writer.tags()
            }
            writer.tags()
        }
        if version >= 2 { writer.error(error) }
        writer.tags()
    }
}
