/// The requests this broker answers, with exactly the versions that are implemented. ``APICatalog`` says what each is answered
/// with; docs/broker.md has the same table.
enum APIKey: Int16, CaseIterable, Sendable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
    case describeGroups = 15
    case listGroups = 16
    case saslHandshake = 17
    case apiVersions = 18
    case createTopics = 19
    case deleteTopics = 20
    case deleteRecords = 21
    case initProducerID = 22
    case offsetForLeaderEpoch = 23
    case describeACLs = 29
    case createACLs = 30
    case deleteACLs = 31
    case describeConfigs = 32
    case alterConfigs = 33
    case describeLogDirs = 35
    case createPartitions = 37
    case deleteGroups = 42
    case electLeaders = 43
    case incrementalAlterConfigs = 44
    case alterPartitionReassignments = 45
    case listPartitionReassignments = 46
    case offsetDelete = 47
    case describeClientQuotas = 48
    case alterClientQuotas = 49
    case describeUserScramCredentials = 50
    case alterUserScramCredentials = 51
    case describeCluster = 60
    case describeProducers = 61
    case describeTransactions = 65
    case listTransactions = 66
    case consumerGroupHeartbeat = 68
    case shareGroupHeartbeat = 76

    /// What the protocol guide says of an API, as far as it is implemented.
    struct Traits: Sendable {
        /// For logs and metrics.
        let name: String
        let versions: ClosedRange<Int16>
        /// The first version with compact lengths and tagged fields.
        let firstFlexibleVersion: Int16

        init(_ name: String, _ versions: ClosedRange<Int16>, flexibleFrom firstFlexibleVersion: Int16) {
            self.name = name
            self.versions = versions
            self.firstFlexibleVersion = firstFlexibleVersion
        }
    }

    /// Produce versions 0 to 2 carry older record formats, which are refused by an error code in the reply; librdkafka
    /// switches compression off for a broker that does not list version 0.
    var traits: Traits {
        switch self {
        case .produce: Traits("Produce", 0...10, flexibleFrom: 9)
        case .fetch: Traits("Fetch", 4...12, flexibleFrom: 12)
        case .listOffsets: Traits("ListOffsets", 1...7, flexibleFrom: 6)
        case .metadata: Traits("Metadata", 0...12, flexibleFrom: 9)
        case .offsetCommit: Traits("OffsetCommit", 2...8, flexibleFrom: 8)
        case .offsetFetch: Traits("OffsetFetch", 1...7, flexibleFrom: 6)
        case .findCoordinator: Traits("FindCoordinator", 0...4, flexibleFrom: 3)
        case .joinGroup: Traits("JoinGroup", 0...9, flexibleFrom: 6)
        case .heartbeat: Traits("Heartbeat", 0...4, flexibleFrom: 4)
        case .leaveGroup: Traits("LeaveGroup", 0...5, flexibleFrom: 4)
        case .syncGroup: Traits("SyncGroup", 0...5, flexibleFrom: 4)
        case .describeGroups: Traits("DescribeGroups", 0...5, flexibleFrom: 5)
        case .listGroups: Traits("ListGroups", 0...5, flexibleFrom: 3)
        case .saslHandshake: Traits("SaslHandshake", 0...1, flexibleFrom: 2)
        case .apiVersions: Traits("ApiVersions", 0...3, flexibleFrom: 3)
        case .createTopics: Traits("CreateTopics", 0...7, flexibleFrom: 5)
        case .deleteTopics: Traits("DeleteTopics", 0...6, flexibleFrom: 4)
        case .deleteRecords: Traits("DeleteRecords", 0...2, flexibleFrom: 2)
        case .initProducerID: Traits("InitProducerId", 0...4, flexibleFrom: 2)
        case .offsetForLeaderEpoch: Traits("OffsetForLeaderEpoch", 0...4, flexibleFrom: 4)
        case .describeACLs: Traits("DescribeAcls", 0...3, flexibleFrom: 2)
        case .createACLs: Traits("CreateAcls", 0...3, flexibleFrom: 2)
        case .deleteACLs: Traits("DeleteAcls", 0...3, flexibleFrom: 2)
        case .describeConfigs: Traits("DescribeConfigs", 0...4, flexibleFrom: 4)
        case .alterConfigs: Traits("AlterConfigs", 0...2, flexibleFrom: 2)
        case .describeLogDirs: Traits("DescribeLogDirs", 0...4, flexibleFrom: 2)
        case .createPartitions: Traits("CreatePartitions", 0...3, flexibleFrom: 2)
        case .deleteGroups: Traits("DeleteGroups", 0...2, flexibleFrom: 2)
        case .electLeaders: Traits("ElectLeaders", 0...2, flexibleFrom: 2)
        case .incrementalAlterConfigs: Traits("IncrementalAlterConfigs", 0...1, flexibleFrom: 1)
        case .alterPartitionReassignments: Traits("AlterPartitionReassignments", 0...0, flexibleFrom: 0)
        case .listPartitionReassignments: Traits("ListPartitionReassignments", 0...0, flexibleFrom: 0)
        case .offsetDelete: Traits("OffsetDelete", 0...0, flexibleFrom: 1)
        case .describeClientQuotas: Traits("DescribeClientQuotas", 0...1, flexibleFrom: 1)
        case .alterClientQuotas: Traits("AlterClientQuotas", 0...1, flexibleFrom: 1)
        case .describeUserScramCredentials: Traits("DescribeUserScramCredentials", 0...0, flexibleFrom: 0)
        case .alterUserScramCredentials: Traits("AlterUserScramCredentials", 0...0, flexibleFrom: 0)
        case .describeCluster: Traits("DescribeCluster", 0...1, flexibleFrom: 0)
        case .describeProducers: Traits("DescribeProducers", 0...0, flexibleFrom: 0)
        case .describeTransactions: Traits("DescribeTransactions", 0...0, flexibleFrom: 0)
        case .listTransactions: Traits("ListTransactions", 0...1, flexibleFrom: 0)
        case .consumerGroupHeartbeat: Traits("ConsumerGroupHeartbeat", 0...1, flexibleFrom: 0)
        case .shareGroupHeartbeat: Traits("ShareGroupHeartbeat", 1...1, flexibleFrom: 0)
        }
    }

    var versions: ClosedRange<Int16> { traits.versions }
    var firstFlexibleVersion: Int16 { traits.firstFlexibleVersion }
    var name: String { traits.name }
}

/// The head of a request.
struct RequestHeader: Sendable, Equatable {
    var api: APIKey
    var version: Int16
    var correlationID: Int32
    var clientID: String?

    var isFlexible: Bool { version >= api.firstFlexibleVersion }

    /// What the first bytes of a frame ask for.
    enum Outcome: Equatable {
        case request(RequestHeader)
        /// ApiVersions in a version from the future: answered in version 0, so that the client can choose again.
        case unsupportedAPIVersions(correlationID: Int32)
    }

    /// Reads the head; `reader` then stands at the body and knows whether it is flexible.
    static func decode(_ reader: inout WireReader) throws(WireError) -> Outcome {
        let key = try reader.int16()
        let version = try reader.int16()
        let correlationID = try reader.int32()
        guard let api = APIKey(rawValue: key) else {
            let name = APICatalog.unserved[key].map { " (\($0))" } ?? ""
            throw WireError(reason: "API key \(key)\(name) is not served here", position: 0)
        }
        guard api.versions.contains(version) else {
            if api == .apiVersions { return .unsupportedAPIVersions(correlationID: correlationID) }
            throw WireError(
                reason: "\(api.name) version \(version) is not served here (\(api.versions.lowerBound) to "
                    + "\(api.versions.upperBound) are)", position: 2)
        }
        // The client id keeps its plain length in flexible headers too.
        let clientID = try reader.nullableString()
        reader.isFlexible = version >= api.firstFlexibleVersion
        try reader.tags()
        return .request(RequestHeader(api: api, version: version, correlationID: correlationID, clientID: clientID))
    }
}

enum APIVersionsResponse {
    static func encode(_ writer: inout WireWriter, version: Int16, error: ErrorCode) {
        writer.error(error)
        writer.array(APIKey.allCases.sorted { $0.rawValue < $1.rawValue }) { writer, api in
            writer.int16(api.rawValue)
            writer.int16(api.versions.lowerBound)
            writer.int16(api.versions.upperBound)
            writer.tags()
        }
        if version >= 1 { writer.int32(0) }
        writer.tags()
    }
}
