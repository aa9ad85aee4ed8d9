/// DescribeLogDirs, versions 0 to 4.
struct DescribeLogDirsRequest: Sendable {
    /// Topic partitions by topic; nil for all.
    var topics: [String: Set<Int32>]?

    init(_ reader: inout WireReader) throws(WireError) {
        let topics = try reader.nullableArray { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
            return (name, Set(partitions))
        }
        self.topics = topics.map { named in Dictionary(named, uniquingKeysWith: { $0.union($1) }) }
        try reader.tags()
    }
}

struct DescribeLogDirsResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// Of its log segments.
        var byteCount: Int64
    }
    /// The one folder there is.
    var folder: String
    var topics: [(name: String, partitions: [Partition])]
    /// Of the file system; -1 where it does not say.
    var totalBytes: Int64
    var usableBytes: Int64

    func encode(_ writer: inout WireWriter, version: Int16) {
        writer.int32(0)
        if version >= 3 { writer.error(.none) }
        writer.array([folder]) { writer, folder in
            writer.error(.none)
            writer.string(folder)
            writer.array(topics) { writer, topic in
                writer.string(topic.name)
                writer.array(topic.partitions) { writer, partition in
                    writer.int32(partition.index)
                    writer.int64(partition.byteCount)
                    writer.int64(0)  // how far a copy is behind
                    writer.bool(false)  // whether it is such a copy
                    writer.tags()
                }
                writer.tags()
            }
            if version >= 4 {
                writer.int64(totalBytes)
                writer.int64(usableBytes)
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// DescribeProducers, version 0.
struct DescribeProducersRequest: Sendable {
    var topics: [(name: String, partitions: [Int32])]

    init(_ reader: inout WireReader) throws(WireError) {
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

struct DescribeProducersResponse: Sendable {
    struct Producer: Sendable {
        var id: Int64
        var epoch: Int32
        var lastSequence: Int32
        /// Milliseconds since 1970.
        var lastSeen: Int64
    }
    struct Partition: Sendable {
        var index: Int32
        var error = ErrorCode.none
        var producers: [Producer] = []
    }
    var topics: [(name: String, partitions: [Partition])]

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
                writer.nullableString(nil)
                writer.array(partition.producers) { writer, producer in
                    writer.int64(producer.id)
                    writer.int32(producer.epoch)
                    writer.int32(producer.lastSequence)
                    writer.int64(producer.lastSeen)
                    writer.int32(-1)  // a transaction coordinator's epoch
                    writer.int64(-1)  // where a transaction begins
                    writer.tags()
                }
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// OffsetDelete, version 0.
struct OffsetDeleteRequest: Sendable {
    var group: String
    var topics: [(name: String, partitions: [Int32])]

    init(_ reader: inout WireReader) throws(WireError) {
        group = try reader.string()
        topics = try reader.array { reader throws(WireError) in
            (
                name: try reader.string(),
                partitions: try reader.array { reader throws(WireError) in try reader.int32() }
            )
        }
    }
}

struct OffsetDeleteResponse: Sendable {
    /// Of the group as a whole.
    var error: ErrorCode
    var topics: [(name: String, partitions: [(index: Int32, error: ErrorCode)])] = []

    func encode(_ writer: inout WireWriter) {
        writer.error(error)
        writer.int32(0)
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
            }
        }
    }
}
