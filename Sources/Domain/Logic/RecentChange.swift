import Bytes
import Records

typealias RecentChange = SilverLine.RecentChange

/// The fields that the transform reads, in the order of the paths given to the parser.
package enum RecentChangeField: Int, CaseIterable {
    case schema, meta, id, time, uri, domain, type, namespace, title, comment, user, bot, minor, wiki
    case length, lengthOld, lengthNew, revision, revisionOld, revisionNew

    /// The dotted path of the field in the event.
    package var path: String {
        switch self {
        case .schema: "$schema"
        case .meta: "meta"
        case .id: "meta.id"
        case .time: "meta.dt"
        case .uri: "meta.uri"
        case .domain: "meta.domain"
        case .type: "type"
        case .namespace: "namespace"
        case .title: "title"
        case .comment: "comment"
        case .user: "user"
        case .bot: "bot"
        case .minor: "minor"
        case .wiki: "wiki"
        case .length: "length"
        case .lengthOld: "length.old"
        case .lengthNew: "length.new"
        case .revision: "revision"
        case .revisionOld: "revision.old"
        case .revisionNew: "revision.new"
        }
    }

    /// The paths of all fields, by raw value.
    package static let paths = allCases.map(\.path)
}

/// Checks a parsed event against the rules and gives it its types.
enum RecentChangeReader {
    /// 2001-01-15T00:00:00Z, the first day of Wikipedia.
    private static let earliestMilliseconds: Int64 = 979_516_800_000
    private static let futureMillisecondsMax: Int64 = 86_400_000

    /// - Parameters:
    ///   - brokerMilliseconds: when the broker received the event.
    ///   - boundsTexts: whether ``TextBounds`` hold.
    /// - Returns: the change, and the rules that it breaks without being rejected.
    static func read(
        _ source: EventFields, brokerMilliseconds: Int64, boundsTexts: Bool
    ) throws(Rejection) -> (change: RecentChange, flags: QualityFlags) {
        let eventID = try text(source, .id)
        guard !eventID.isEmpty else { throw Rejection(.missingField, RecentChangeField.id.path) }
        try checkSchema(try text(source, .schema))
        let time = try text(source, .time)
        guard let eventTime = CivilTime.epochMilliseconds(rfc3339: time) else {
            throw Rejection(.invalidTime, RecentChangeField.time.path)
        }
        guard eventTime >= earliestMilliseconds, eventTime <= brokerMilliseconds + futureMillisecondsMax else {
            throw Rejection(.absurdTime, RecentChangeField.time.path)
        }
        let domain = try text(source, .domain)
        let type = try text(source, .type)
        let title = try text(source, .title)
        let user = try text(source, .user)
        let wiki = try text(source, .wiki)
        let isBot = try bool(source, .bot, required: true)
        let namespace = try integer(source, .namespace)
        try checkObject(source, .length)
        try checkObject(source, .revision)
        var flags: QualityFlags = []
        if namespace == nil { flags.insert(.namespaceMissing) }
        if !isKnownType(type) { flags.insert(.unknownType) }
        if title.isEmpty { flags.insert(.emptyTitle) }
        let change = RecentChange(
            eventID: eventID, eventTimeMilliseconds: eventTime, wiki: wiki, domain: domain, type: type,
            namespace: namespace, title: title, pageURL: try optionalText(source, .uri), user: user, isBot: isBot,
            isMinor: try bool(source, .minor, required: false), comment: try optionalText(source, .comment),
            lengthOld: try integer(source, .lengthOld), lengthNew: try integer(source, .lengthNew),
            revisionOld: try integer(source, .revisionOld), revisionNew: try integer(source, .revisionNew))
        if boundsTexts { try TextBounds.check(change) }
        return (change, flags)
    }

    private static func checkSchema(_ schema: UnsafeBufferPointer<UInt8>) throws(Rejection) {
        guard schema.count > knownSchemas.count, schema.starts(with: knownSchemas) else {
            throw Rejection(.unknownSchema, String(decoding: schema.prefix(100), as: UTF8.self))
        }
    }

    private static func isKnownType(_ type: UnsafeBufferPointer<UInt8>) -> Bool {
        knownRecentChangeTypes.contains { $0.elementsEqual(type) }
    }

    private static func text(
        _ source: EventFields, _ field: RecentChangeField
    ) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
        let value = source.value(at: field.rawValue)
        switch value.kind {
        case .string: return value.text
        case .absent: throw Rejection(.missingField, field.path)
        default: throw Rejection(.wrongType, field.path)
        }
    }

    private static func optionalText(
        _ source: EventFields, _ field: RecentChangeField
    ) throws(Rejection) -> UnsafeBufferPointer<UInt8> {
        let value = source.value(at: field.rawValue)
        switch value.kind {
        case .string: return value.text
        case .absent, .null: return UnsafeBufferPointer(start: nil, count: 0)
        default: throw Rejection(.wrongType, field.path)
        }
    }

    private static func integer(
        _ source: EventFields, _ field: RecentChangeField
    ) throws(Rejection) -> Int64? {
        let value = source.value(at: field.rawValue)
        switch value.kind {
        case .integer: return value.integer
        case .absent, .null: return nil
        default: throw Rejection(.wrongType, field.path)
        }
    }

    private static func bool(
        _ source: EventFields, _ field: RecentChangeField, required: Bool
    ) throws(Rejection) -> Bool {
        let value = source.value(at: field.rawValue)
        switch value.kind {
        case .bool: return value.integer != 0
        case .absent where required: throw Rejection(.missingField, field.path)
        case .absent: return false
        case .null where !required: return false
        default: throw Rejection(.wrongType, field.path)
        }
    }

    private static func checkObject(_ source: EventFields, _ field: RecentChangeField) throws(Rejection) {
        switch source.value(at: field.rawValue).kind {
        case .object, .absent, .null: return
        default: throw Rejection(.wrongType, field.path)
        }
    }
}

private let knownSchemas = Array("/mediawiki/recentchange/1.".utf8)
private let knownRecentChangeTypes = ["edit", "new", "log", "categorize", "external"].map { Array($0.utf8) }
