/// ListGroups, versions 0 to 5.
struct ListGroupsRequest: Sendable {
    /// Empty: all.
    var states: [String] = []
    /// Empty: all.
    var types: [String] = []

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        if version >= 4 { states = try reader.array { reader throws(WireError) in try reader.string() } }
        if version >= 5 { types = try reader.array { reader throws(WireError) in try reader.string() } }
        try reader.tags()
    }
}

struct ListGroupsResponse: Sendable {
    /// The only kind there is here; KIP-848 calls its successor "consumer".
    static let groupType = "classic"

    var groups: [GroupDescription]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 1 { writer.int32(0) }
        writer.error(.none)
        writer.array(groups) { writer, group in
            writer.string(group.id)
            writer.string(group.protocolType)
            if version >= 4 { writer.string(group.state.rawValue) }
            if version >= 5 { writer.string(Self.groupType) }
            writer.tags()
        }
        writer.tags()
    }
}

/// DescribeGroups, versions 0 to 5.
struct DescribeGroupsRequest: Sendable {
    var groups: [String]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        groups = try reader.array { reader throws(WireError) in try reader.string() }
        if version >= 3 { _ = try reader.bool() }  // authorized operations
        try reader.tags()
    }
}

struct DescribeGroupsResponse: Sendable {
    var groups: [GroupDescription]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 1 { writer.int32(0) }
        writer.array(groups) { writer, group in
            writer.error(.none)
            writer.string(group.id)
            writer.string(group.state.rawValue)
            writer.string(group.protocolType)
            writer.string(group.protocolName)
            writer.array(group.members) { writer, member in
                writer.string(member.id)
                if version >= 4 { writer.nullableString(member.instanceID) }
                writer.string(member.clientID)
                writer.string(member.clientHost)
                writer.bytesField(member.metadata)
                writer.bytesField(member.assignment)
                writer.tags()
            }
            if version >= 3 { writer.int32(MetadataResponse.noOperations) }
            writer.tags()
        }
        writer.tags()
    }
}

/// DeleteGroups, versions 0 to 2.
struct DeleteGroupsRequest: Sendable {
    var groups: [String]

    init(_ reader: inout WireReader) throws(WireError) {
        groups = try reader.array { reader throws(WireError) in try reader.string() }
        try reader.tags()
    }
}

struct DeleteGroupsResponse: Sendable {
    var results: [(group: String, error: ErrorCode)]

    func encode(_ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(results) { writer, result in
            writer.string(result.group)
            writer.error(result.error)
            writer.tags()
        }
        writer.tags()
    }
}
