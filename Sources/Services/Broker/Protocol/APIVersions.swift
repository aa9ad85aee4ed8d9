/// The requests this broker answers, with exactly the versions that are implemented; docs/broker.md has the same table.
enum APIKey: Int16, CaseIterable, Sendable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case apiVersions = 18
    case createTopics = 19
    case initProducerID = 22

    /// Produce versions 0 to 2 carry older record formats, which are refused by an error code in the reply; librdkafka
    /// switches compression off for a broker that does not list version 0.
    var versions: ClosedRange<Int16> {
        switch self {
        case .produce: 0...10
        case .fetch: 4...12
        case .listOffsets: 1...7
        case .metadata: 0...12
        case .offsetCommit: 2...8
        case .offsetFetch: 1...7
        case .findCoordinator: 0...4
        case .apiVersions: 0...3
        case .createTopics: 0...7
        case .initProducerID: 0...4
        }
    }

    /// The first version with compact lengths and tagged fields.
    var firstFlexibleVersion: Int16 {
        switch self {
        case .produce: 9
        case .fetch: 12
        case .listOffsets: 6
        case .metadata: 9
        case .offsetCommit: 8
        case .offsetFetch: 6
        case .findCoordinator: 3
        case .apiVersions: 3
        case .createTopics: 5
        case .initProducerID: 2
        }
    }

    /// For logs and metrics.
    var name: String {
        switch self {
        case .produce: "Produce"
        case .fetch: "Fetch"
        case .listOffsets: "ListOffsets"
        case .metadata: "Metadata"
        case .offsetCommit: "OffsetCommit"
        case .offsetFetch: "OffsetFetch"
        case .findCoordinator: "FindCoordinator"
        case .apiVersions: "ApiVersions"
        case .createTopics: "CreateTopics"
        case .initProducerID: "InitProducerId"
        }
    }
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
            throw WireError(reason: "API key \(key) is not served here", position: 0)
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
