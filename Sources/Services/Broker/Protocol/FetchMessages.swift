/// Fetch, versions 4 to 12.
struct FetchRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var leaderEpoch: Int32 = -1
        var offset: Int64
        var bytesMax: Int32
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var waitMillisecondsMax: Int32
    var bytesMin: Int32
    var bytesMax: Int32
    /// Not 0: the client believes in a fetch session (KIP-227); none is ever given here.
    var sessionID: Int32 = 0
    var topics: [Topic]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        _ = try reader.int32()  // replica id
        waitMillisecondsMax = try reader.int32()
        bytesMin = try reader.int32()
        bytesMax = try reader.int32()
        _ = try reader.int8()  // isolation level: without transactions both read the same
        if version >= 7 {
            sessionID = try reader.int32()
            _ = try reader.int32()  // session epoch
        }
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in try Self.partition(&reader, version) }
            try reader.tags()
            return Topic(name: name, partitions: partitions)
        }
        if version >= 7 {
            _ = try reader.array { reader throws(WireError) in
                _ = try reader.string()
                _ = try reader.array { reader throws(WireError) in try reader.int32() }
                try reader.tags()
            }
        }
        if version >= 11 { _ = try reader.string() }
        try reader.tags()
    }

    private static func partition(_ reader: inout WireReader, _ version: Int16) throws(WireError) -> Partition {
        var partition = Partition(index: try reader.int32(), offset: 0, bytesMax: 0)
        if version >= 9 { partition.leaderEpoch = try reader.int32() }
        partition.offset = try reader.int64()
        if version >= 12 { _ = try reader.int32() }  // epoch of the last fetched record
        if version >= 5 { _ = try reader.int64() }  // a follower's log start offset
        partition.bytesMax = try reader.int32()
        try reader.tags()
        return partition
    }
}

struct FetchResponse: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var error: ErrorCode
        /// The high watermark; -1 with an error.
        var endOffset: Int64 = -1
        var startOffset: Int64 = -1
        var region: LogRegion?
    }
    struct Topic: Sendable {
        var name: String
        var partitions: [Partition]
    }
    var error = ErrorCode.none
    var topics: [Topic]

    /// Encodes the response as runs of bytes and parts of segment files between them.
    func encode(_ writer: inout WireWriter, version: Int16, into parts: inout [ResponsePart]) {
        writer.int32(0)
        if version >= 7 {
            writer.error(error)
            writer.int32(0)  // session id: none
        }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.error)
                writer.int64(partition.endOffset)
                writer.int64(partition.endOffset)  // last stable offset: no transactions
                if version >= 5 { writer.int64(partition.startOffset) }
                writer.nullArray()  // aborted transactions
                if version >= 11 { writer.int32(-1) }  // preferred read replica
                writer.bytesLength(partition.region?.byteCount ?? 0)
                if let region = partition.region {
                    parts.append(.bytes(writer.take()))
                    parts.append(.region(region))
                }
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
        parts.append(.bytes(writer.take()))
    }
}

/// A piece of a response.
enum ResponsePart: Sendable {
    case bytes([UInt8])
    case region(LogRegion)

    var byteCount: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .region(let region): region.byteCount
        }
    }
}
