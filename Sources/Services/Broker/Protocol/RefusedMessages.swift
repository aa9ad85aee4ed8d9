/// Requests for what this broker does not have, decoded as far as their answers need it: an answer that says no at once
/// serves a client better than a closed connection, after which it would try again and again.
struct RefusedRequest: Sendable {
    /// What is named in the request, for an answer to each.
    private(set) var names: [String] = []
    /// Entities of quotas: type and name.
    private(set) var entities: [[(type: String, name: String?)]] = []

    init(_ api: APIKey, _ reader: inout WireReader, version: Int16) throws(WireError) {
        switch api {
        case .saslHandshake: names = [try reader.string()]
        case .describeACLs: try Self.filter(&reader, version)
        case .createACLs: names = try reader.array { reader throws(WireError) in try Self.binding(&reader, version) }
        case .deleteACLs:
            names = try reader.array { reader throws(WireError) in
                try Self.filter(&reader, version)
                try reader.tags()
                return ""
            }
        case .describeClientQuotas:
            _ = try reader.array { reader throws(WireError) in
                _ = try reader.string()
                _ = try reader.int8()
                _ = try reader.nullableString()
                try reader.tags()
            }
            _ = try reader.bool()
        case .alterClientQuotas:
            entities = try reader.array { reader throws(WireError) in try Self.quota(&reader) }
            _ = try reader.bool()
        case .describeUserScramCredentials:
            let users = try reader.nullableArray { reader throws(WireError) in
                let name = try reader.string()
                try reader.tags()
                return name
            }
            names = users ?? []
        case .alterUserScramCredentials: names = try Self.credentials(&reader)
        case .describeTransactions:
            names = try reader.array { reader throws(WireError) in try reader.string() }
        case .listTransactions:
            _ = try reader.array { reader throws(WireError) in try reader.string() }
            _ = try reader.array { reader throws(WireError) in try reader.int64() }
            if version >= 1 { _ = try reader.int64() }
        case .consumerGroupHeartbeat: try Self.consumerHeartbeat(&reader, version)
        case .shareGroupHeartbeat:
            for _ in 0..<2 { _ = try reader.string() }
            _ = try reader.int32()
            _ = try reader.nullableString()
            _ = try reader.nullableArray { reader throws(WireError) in try reader.string() }
        default: return
        }
        try reader.tags()
    }

    /// A filter of access rules, without its tags.
    private static func filter(_ reader: inout WireReader, _ version: Int16) throws(WireError) {
        _ = try reader.int8()  // type of the resource
        _ = try reader.nullableString()
        if version >= 1 { _ = try reader.int8() }  // kind of pattern
        _ = try reader.nullableString()  // principal
        _ = try reader.nullableString()  // host
        _ = try reader.int8()  // operation
        _ = try reader.int8()  // permission
    }

    private static func binding(_ reader: inout WireReader, _ version: Int16) throws(WireError) -> String {
        _ = try reader.int8()
        let name = try reader.string()
        if version >= 1 { _ = try reader.int8() }
        _ = try reader.string()
        _ = try reader.string()
        _ = try reader.int8()
        _ = try reader.int8()
        try reader.tags()
        return name
    }

    private static func quota(_ reader: inout WireReader) throws(WireError) -> [(type: String, name: String?)] {
        let entity = try reader.array { reader throws(WireError) in
            let part = (type: try reader.string(), name: try reader.nullableString())
            try reader.tags()
            return part
        }
        _ = try reader.array { reader throws(WireError) in
            _ = try reader.string()
            _ = try reader.int64()  // a floating-point number
            _ = try reader.bool()
            try reader.tags()
        }
        try reader.tags()
        return entity
    }

    private static func credentials(_ reader: inout WireReader) throws(WireError) -> [String] {
        let deletions = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            _ = try reader.int8()
            try reader.tags()
            return name
        }
        let changes = try reader.array { reader throws(WireError) in
            let name = try reader.string()
            _ = try reader.int8()
            _ = try reader.int32()
            _ = try reader.nullableBytes()  // salt
            _ = try reader.nullableBytes()  // salted password
            try reader.tags()
            return name
        }
        return deletions + changes
    }

    private static func consumerHeartbeat(_ reader: inout WireReader, _ version: Int16) throws(WireError) {
        for _ in 0..<2 { _ = try reader.string() }  // group and member
        _ = try reader.int32()  // epoch
        for _ in 0..<2 { _ = try reader.nullableString() }  // instance and rack
        _ = try reader.int32()  // rebalance timeout
        _ = try reader.nullableArray { reader throws(WireError) in try reader.string() }
        if version >= 1 { _ = try reader.nullableString() }  // pattern of topics
        _ = try reader.nullableString()  // assignor
        _ = try reader.nullableArray { reader throws(WireError) in
            _ = try reader.topicID()
            _ = try reader.array { reader throws(WireError) in try reader.int32() }
            try reader.tags()
        }
    }
}

/// The answers to ``RefusedRequest``: nothing of the kind is there, or it cannot be.
enum Refusals {
    /// As a client treats it that may not use them: as final. librdkafka and Java's client repeat what they ask of a
    /// transaction coordinator after most other errors, for as long as their caller waits.
    static let transactions = AdminRefusal(
        code: .transactionalIDAuthorizationFailed, message: "this broker has no transactions")
    /// What Kafka answers without an authorizer.
    static let security = AdminRefusal(
        code: .securityDisabled, message: "this broker has no access control: keep it on a private network")
    static let users = AdminRefusal(code: .resourceNotFound, message: "this broker has no users")
    static let quotas = AdminRefusal(code: .invalidRequest, message: "this broker has no quotas")
    /// What Kafka answers where the new protocol is switched off; clients take it as final.
    static let consumerGroups = AdminRefusal(
        code: .unsupportedVersion,
        message: "this broker has consumer groups of the classic protocol only: set group.protocol=classic")
    static let shareGroups = AdminRefusal(
        code: .unsupportedVersion, message: "this broker has no share groups: use a consumer group")

    static func encode(_ request: RefusedRequest, _ writer: inout WireWriter, _ header: RequestHeader) {
        switch header.api {
        case .saslHandshake:
            writer.error(.unsupportedSASLMechanism)
            writer.array([Int]()) { _, _ in }
            return
        case .describeACLs: none(&writer, security)
        case .createACLs, .deleteACLs:
            writer.int32(0)
            writer.array(request.names) { writer, _ in
                writer.refusal(security)
                if header.api == .deleteACLs { writer.array([Int]()) { _, _ in } }
                writer.tags()
            }
        case .describeClientQuotas: none(&writer, nil)
        case .alterClientQuotas: alterQuotas(request, &writer)
        case .describeUserScramCredentials, .alterUserScramCredentials: encodeUsers(request, &writer, header)
        case .describeTransactions:
            writer.int32(0)
            writer.array(request.names) { writer, name in transaction(name, &writer) }
        case .listTransactions:
            writer.int32(0)
            writer.error(.none)
            for _ in 0..<2 { writer.array([Int]()) { _, _ in } }  // unknown filters, transactions
        case .consumerGroupHeartbeat: heartbeat(&writer, consumerGroups)
        default: heartbeat(&writer, shareGroups)
        }
        writer.tags()
    }

    /// No results, with or without a reason.
    private static func none(_ writer: inout WireWriter, _ refusal: AdminRefusal?) {
        writer.int32(0)
        writer.refusal(refusal)
        writer.array([Int]()) { _, _ in }
    }

    private static func alterQuotas(_ request: RefusedRequest, _ writer: inout WireWriter) {
        writer.int32(0)
        writer.array(request.entities) { writer, entity in
            writer.refusal(quotas)
            writer.array(entity) { writer, part in
                writer.string(part.type)
                writer.nullableString(part.name)
                writer.tags()
            }
            writer.tags()
        }
    }

    private static func encodeUsers(_ request: RefusedRequest, _ writer: inout WireWriter, _ header: RequestHeader) {
        writer.int32(0)
        let isDescription = header.api == .describeUserScramCredentials
        if isDescription { writer.refusal(nil) }
        writer.array(request.names) { writer, name in
            writer.string(name)
            writer.refusal(users)
            if isDescription { writer.array([Int]()) { _, _ in } }
            writer.tags()
        }
    }

    private static func transaction(_ name: String, _ writer: inout WireWriter) {
        writer.error(.transactionalIDNotFound)
        writer.string(name)
        writer.string("")  // state
        writer.int32(0)
        writer.int64(-1)
        writer.int64(-1)
        writer.int16(-1)
        writer.array([Int]()) { _, _ in }
        writer.tags()
    }

    private static func heartbeat(_ writer: inout WireWriter, _ refusal: AdminRefusal) {
        writer.int32(0)
        writer.refusal(refusal)
        writer.nullableString(nil)  // member
        writer.int32(0)
        writer.int32(0)
        writer.int8(-1)  // no assignment
    }
}

extension WireWriter {
    /// An error code and its message.
    mutating func refusal(_ refusal: AdminRefusal?) {
        error(refusal?.code ?? .none)
        nullableString(refusal?.message)
    }
}
