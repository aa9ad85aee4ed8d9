/// ElectLeaders, versions 0 to 2.
struct ElectLeadersRequest: Sendable {
    /// nil: all.
    var topics: [(name: String, partitions: [Int32])]?

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        if version >= 1 { _ = try reader.int8() }  // kind of election
        topics = try reader.nullableArray { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        _ = try reader.int32()  // timeout
        try reader.tags()
    }
}

/// AlterPartitionReassignments, version 0.
struct AlterReassignmentsRequest: Sendable {
    struct Partition: Sendable {
        var index: Int32
        /// The brokers wanted; nil to give a move up.
        var brokers: [Int32]?
    }
    var topics: [(name: String, partitions: [Partition])]

    init(_ reader: inout WireReader) throws(WireError) {
        _ = try reader.int32()  // timeout
        topics = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            let partitions = try reader.array { reader throws(WireError) in
                let index = try reader.int32()
                let brokers = try reader.nullableArray { reader throws(WireError) in try reader.int32() }
                try reader.tags()
                return Partition(index: index, brokers: brokers)
            }
            try reader.tags()
            return (name: name, partitions: partitions)
        }
        try reader.tags()
    }
}

/// The answers about topic partitions one by one: of ElectLeaders and of AlterPartitionReassignments.
struct PartitionVerdicts: Sendable {
    struct Partition: Sendable {
        var index: Int32
        var refusal: AdminRefusal?
    }
    var topics: [(name: String, partitions: [Partition])]

    func encode(_ writer: inout WireWriter, _ header: RequestHeader) {
        writer.int32(0)
        switch header.api {
        case .electLeaders:
            if header.version >= 1 { writer.error(.none) }
        default:
            writer.error(.none)
            writer.nullableString(nil)
        }
        writer.array(topics) { writer, topic in
            writer.string(topic.name)
            writer.array(topic.partitions) { writer, partition in
                writer.int32(partition.index)
                writer.error(partition.refusal?.code ?? .none)
                writer.nullableString(partition.refusal?.message)
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// ListPartitionReassignments, version 0.
struct ListReassignmentsRequest: Sendable {
    init(_ reader: inout WireReader) throws(WireError) {
        _ = try reader.int32()  // timeout
        _ = try reader.nullableArray { reader throws(WireError) in
            _ = try reader.string()
            _ = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
        }
        try reader.tags()
    }
}

enum ListReassignmentsResponse {
    /// None is under way.
    static func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.error(.none)
        writer.nullableString(nil)
        writer.array([Int]()) { _, _ in }
        writer.tags()
    }
}
