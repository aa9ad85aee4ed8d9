/// One way of dividing topic partitions that a member can take part in.
struct GroupProtocol: Equatable, Sendable {
    var name: String
    /// The clients' own; the broker only hands it to the leader.
    var metadata: [UInt8]
}

/// Identifies a request that waits for its answer; the network side knows whose it is.
typealias GroupRequestToken = Int

/// A member of a consumer group.
struct GroupMember: Sendable {
    let id: String
    /// Order of joining: the first is the leader.
    let number: Int
    var instanceID: String?
    var clientID: String
    var clientHost: String
    var sessionMilliseconds: Int64
    var rebalanceMilliseconds: Int64
    var protocols: [GroupProtocol]
    var assignment: [UInt8] = []
    /// A JoinGroup that waits for the others.
    var joining: GroupRequestToken?
    /// A SyncGroup that waits for the leader.
    var syncing: GroupRequestToken?
    /// Sent a SyncGroup in this generation, or did not take part in its join.
    var hasSynced = false
    /// When the session is over unless the member is heard of (monotonic milliseconds).
    var deadline: Int64

    func metadata(of name: String?) -> [UInt8] { protocols.first { $0.name == name }?.metadata ?? [] }

    /// What the member keeps in memory, about.
    var byteCount: Int {
        Self.byteCount(ids: [id, instanceID ?? "", clientID, clientHost], protocols, assignment)
    }

    fileprivate static func byteCount(ids: [String], _ protocols: [GroupProtocol], _ assignment: [UInt8]) -> Int {
        let texts = ids.reduce(0) { $0 + $1.utf8.count }
        return protocols.reduce(512 + texts + assignment.count) { $0 + 64 + $1.metadata.count + $1.name.utf8.count }
    }
}

/// What a JoinGroup request says of the member.
struct GroupJoin: Sendable {
    /// Empty for a member that has no id yet.
    var memberID = ""
    var instanceID: String?
    var clientID = ""
    var clientHost = ""
    var sessionMilliseconds: Int64
    var rebalanceMilliseconds: Int64
    var protocolType = "consumer"
    var protocols: [GroupProtocol]
    /// The client joins again with the id it is given (KIP-394).
    var mustJoinTwice = false
    /// The client understands "you lead, but assign nothing" (KIP-814).
    var knowsSkippedAssignment = false

    /// What the member would keep in memory, about.
    var byteCount: Int {
        let ids = [memberID, instanceID ?? "", clientID, clientHost, protocolType]
        return GroupCoordinator.newMemberIDBytesMax + GroupMember.byteCount(ids: ids, protocols, [])
    }
}

/// The answer to a JoinGroup.
struct JoinOutcome: Sendable {
    struct Member: Equatable, Sendable {
        var id: String
        var instanceID: String?
        var metadata: [UInt8]
    }
    var error = ErrorCode.none
    var generation: Int32 = -1
    var protocolType: String?
    var protocolName: String?
    var leader = ""
    var skipsAssignment = false
    var memberID: String
    /// For the leader alone.
    var members: [Member] = []
}

/// The answer to a SyncGroup.
struct SyncOutcome: Sendable {
    var error = ErrorCode.none
    var protocolType: String?
    var protocolName: String?
    var assignment: [UInt8] = []
}

/// An answer that became ready.
enum GroupReply: Sendable {
    case join(JoinOutcome)
    case sync(SyncOutcome)
}

/// A group for the answers of ListGroups and DescribeGroups.
struct GroupDescription: Sendable {
    struct Member: Sendable {
        var id: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var metadata: [UInt8]
        var assignment: [UInt8]
    }
    var id: String
    var state: ConsumerGroup.State
    var protocolType = ""
    var protocolName = ""
    var members: [Member] = []
}
