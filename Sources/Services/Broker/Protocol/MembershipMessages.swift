/// JoinGroup, versions 0 to 9.
struct JoinGroupRequest: Sendable {
    var group: String
    var sessionMilliseconds: Int32
    var rebalanceMilliseconds: Int32
    /// Empty: not known to the group yet.
    var memberID: String
    /// Not nil: a static member (KIP-345).
    var instanceID: String?
    var protocolType: String
    /// In the member's order of preference; what the metadata means is the clients' business.
    var protocols: [GroupProtocol]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        sessionMilliseconds = try reader.int32()
        rebalanceMilliseconds = version >= 1 ? try reader.int32() : sessionMilliseconds
        memberID = try reader.string()
        if version >= 5 { instanceID = try reader.nullableString() }
        protocolType = try reader.string()
        protocols = try reader.array { reader throws(WireError) in
            let found = GroupProtocol(name: try reader.string(), metadata: try reader.bytesField())
            try reader.tags()
            return found
        }
        if version >= 8 { _ = try reader.nullableString() }  // why it joins
        try reader.tags()
    }
}

extension JoinOutcome {
    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 2 { writer.int32(0) }
        writer.error(error)
        writer.int32(generation)
        if version >= 7 { writer.nullableString(protocolType) }
        writer.nullableString(version >= 7 ? protocolName : protocolName ?? "")
        writer.string(leader)
        if version >= 9 { writer.bool(skipsAssignment) }
        writer.string(memberID)
        writer.array(members) { writer, member in
            writer.string(member.id)
            if version >= 5 { writer.nullableString(member.instanceID) }
            writer.bytesField(member.metadata)
            writer.tags()
        }
        writer.tags()
    }
}

/// SyncGroup, versions 0 to 5.
struct SyncGroupRequest: Sendable {
    var group: String
    var generation: Int32
    var memberID: String
    var instanceID: String?
    var protocolType: String?
    var protocolName: String?
    /// From the leader alone.
    var assignments: [(memberID: String, assignment: [UInt8])]
}

extension SyncGroupRequest {
    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        generation = try reader.int32()
        memberID = try reader.string()
        if version >= 3 { instanceID = try reader.nullableString() }
        if version >= 5 {
            protocolType = try reader.nullableString()
            protocolName = try reader.nullableString()
        }
        assignments = try reader.array { reader throws(WireError) in
            let found = (memberID: try reader.string(), assignment: try reader.bytesField())
            try reader.tags()
            return found
        }
        try reader.tags()
    }
}

extension SyncOutcome {
    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 1 { writer.int32(0) }
        writer.error(error)
        if version >= 5 {
            writer.nullableString(protocolType)
            writer.nullableString(protocolName)
        }
        writer.bytesField(assignment)
        writer.tags()
    }
}

/// Heartbeat, versions 0 to 4.
struct HeartbeatRequest: Sendable {
    var group: String
    var generation: Int32
    var memberID: String
    var instanceID: String?
}

extension HeartbeatRequest {
    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        generation = try reader.int32()
        memberID = try reader.string()
        if version >= 3 { instanceID = try reader.nullableString() }
        try reader.tags()
    }
}

enum HeartbeatResponse {
    static func encode(_ writer: inout WireWriter, version: Int16, error: ErrorCode) {
        if version >= 1 { writer.int32(0) }
        writer.error(error)
        writer.tags()
    }
}

/// LeaveGroup, versions 0 to 5.
struct LeaveGroupRequest: Sendable {
    var group: String
    /// Before version 3 exactly one.
    var members: [(memberID: String, instanceID: String?)]

    init(_ reader: inout WireReader, version: Int16) throws(WireError) {
        group = try reader.string()
        if version <= 2 {
            members = [(try reader.string(), nil)]
        } else {
            members = try reader.array { reader throws(WireError) in
                let member = (memberID: try reader.string(), instanceID: try reader.nullableString())
                if version >= 5 { _ = try reader.nullableString() }  // why it leaves
                try reader.tags()
                return member
            }
        }
        try reader.tags()
    }
}

struct LeaveGroupResponse: Sendable {
    var error = ErrorCode.none
    var members: [(memberID: String, instanceID: String?, error: ErrorCode)]

    func encode(_ writer: inout WireWriter, version: Int16) {
        if version >= 1 { writer.int32(0) }
        guard version >= 3 else { return writer.error(error == .none ? members.first?.error ?? .none : error) }
        writer.error(error)
        writer.array(members) { writer, member in
            writer.string(member.memberID)
            writer.nullableString(member.instanceID)
            writer.error(member.error)
            writer.tags()
        }
        writer.tags()
    }
}
