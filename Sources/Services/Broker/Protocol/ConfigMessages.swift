/// Why an administrator's request was refused.
struct AdminRefusal: Error, Equatable, Sendable {
    var code: ErrorCode
    var message: String?
}

/// What a configuration belongs to.
struct ConfigResource: Equatable, Sendable {
    static let topicType: Int8 = 2
    static let brokerType: Int8 = 4

    var type: Int8
    var name: String
}

/// DescribeConfigs, versions 0 to 4.
struct DescribeConfigsRequest: Sendable {
    /// With the names asked for; nil for all.
    var resources: [(resource: ConfigResource, names: [String]?)]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        resources = try reader.array { reader throws(WireError) in
            let resource = ConfigResource(type: try reader.int8(), name: try reader.string())
            let names = try reader.nullableArray { reader throws(WireError) in try reader.string() }
            try reader.tags()
            return (resource: resource, names: names)
        }
        if version >= 1 { _ = try reader.bool() }  // synonyms
        if version >= 3 { _ = try reader.bool() }  // documentation
        try reader.tags()
    }
}

struct DescribeConfigsResponse: Sendable {
    struct Result: Sendable {
        var resource: ConfigResource
        var refusal: AdminRefusal?
        var entries: [TopicConfigs.Entry] = []
    }
    var results: [Result]

    func encode(_ writer: inout WireWriter, version: Int16) {
        writer.int32(0)
        writer.array(results) { writer, result in
            writer.error(result.refusal?.code ?? .none)
            writer.nullableString(result.refusal?.message)
            writer.int8(result.resource.type)
            writer.string(result.resource.name)
            writer.array(result.entries) { writer, entry in
                writer.string(entry.name)
                writer.nullableString(entry.value)
                writer.bool(result.resource.type != ConfigResource.topicType || entry.isFixed)
                if version == 0 { writer.bool(entry.isDefault) }
                if version >= 1 { writer.int8(entry.source) }
                writer.bool(false)
                if version >= 1 { writer.array([]) { (_: inout WireWriter, _: Int) in } }  // synonyms
                if version >= 3 {
                    writer.int8(0)  // type: unknown
                    writer.nullableString(nil)  // documentation
                }
                writer.tags()
            }
            writer.tags()
        }
        writer.tags()
    }
}

/// IncrementalAlterConfigs, versions 0 and 1.
struct AlterConfigsRequest: Sendable {
    /// The operations of KIP-339.
    enum Operation: Int8, Sendable {
        case set = 0
        case delete = 1
        case append = 2
        case subtract = 3
    }
    struct Change: Sendable {
        var name: String
        /// nil: not one of the protocol's.
        var operation: Operation?
        var value: String?
    }
    var resources: [(resource: ConfigResource, changes: [Change])]
    /// Only say what would happen.
    var validatesOnly: Bool

    /// - Parameter isIncremental: false for AlterConfigs (versions 0 to 2), whose values are all that is to be set.
    init(_ reader: inout WireReader, isIncremental: Bool = true) throws(WireError) {
        resources = try reader.array { reader throws(WireError) in
            let resource = ConfigResource(type: try reader.int8(), name: try reader.string())
            let changes = try reader.array { reader throws(WireError) in
                let name = try reader.string()
                var operation: Operation? = .set
                if isIncremental { operation = Operation(rawValue: try reader.int8()) }
                let change = Change(name: name, operation: operation, value: try reader.nullableString())
                try reader.tags()
                return change
            }
            try reader.tags()
            return (resource: resource, changes: changes)
        }
        validatesOnly = try reader.bool()
        try reader.tags()
    }
}

struct AlterConfigsResponse: Sendable {
    var results: [(resource: ConfigResource, refusal: AdminRefusal?)]

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(results) { writer, result in
            writer.error(result.refusal?.code ?? .none)
            writer.nullableString(result.refusal?.message)
            writer.int8(result.resource.type)
            writer.string(result.resource.name)
            writer.tags()
        }
        writer.tags()
    }
}

/// DescribeCluster, versions 0 and 1.
struct DescribeClusterRequest: Sendable {
    /// 1: brokers, 2: controllers.
    var endpointType: Int8 = 1

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        _ = try reader.bool()  // authorized operations
        if version >= 1 { endpointType = try reader.int8() }
        try reader.tags()
    }
}

struct DescribeClusterResponse: Sendable {
    var clusterID: String
    var host: String
    var port: UInt16
    var endpointType: Int8

    func encode(_ writer: inout WireWriter, version: Int16) {
        writer.int32(0)
        writer.error(.none)
        writer.nullableString(nil)
        if version >= 1 { writer.int8(endpointType) }
        writer.string(clusterID)
        writer.int32(MetadataResponse.nodeID)
        writer.array([host]) { writer, host in
            writer.int32(MetadataResponse.nodeID)
            writer.string(host)
            writer.int32(Int32(port))
            writer.nullableString(nil)
            writer.tags()
        }
        writer.int32(MetadataResponse.noOperations)
        writer.tags()
    }
}
