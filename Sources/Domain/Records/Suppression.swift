package import Bytes

/// What is taken out of replies: whatever came of an event, a page, a document or a user.
package enum SuppressionTarget: Sendable, Hashable {
    /// One record of a source's topic.
    case event(TopicPartition, offset: Int64)
    /// Events with an id, wherever they stand.
    case eventID(String)
    /// Documents with a title; only a wiki's where one is named.
    case page(collection: String, title: String, wiki: String?)
    case document(collection: String, docID: String)
    /// Documents whose attribute `user` is that.
    case user(collection: String, name: String)

    /// The kinds, as the format and the API name them.
    package enum Kind: String, Sendable, CaseIterable {
        case event
        case eventID = "event_id"
        case page
        case document
        case user
    }

    /// The target's kind.
    package var kind: Kind {
        switch self {
        case .event: .event
        case .eventID: .eventID
        case .page: .page
        case .document: .document
        case .user: .user
        }
    }

    /// What it is found by: the topic, event id, title, document's id or user.
    package var name: String {
        switch self {
        case .event(let place, _): place.topic
        case .eventID(let name), .page(_, let name, _), .document(_, let name), .user(_, let name): name
        }
    }

    /// Empty for events.
    package var collection: String {
        switch self {
        case .event, .eventID: ""
        case .page(let collection, _, _), .document(let collection, _), .user(let collection, _): collection
        }
    }

    /// Of a page, where one is named.
    package var wiki: String? {
        if case .page(_, _, let wiki) = self { wiki } else { nil }
    }

    /// Of an event.
    package var place: (topicPartition: TopicPartition, offset: Int64)? {
        if case .event(let place, let offset) = self { (place, offset) } else { nil }
    }

    /// Puts a target together from its parts.
    ///
    /// - Returns: nil where a part is missing that the kind needs, or longer than ``Suppression/nameBytesMax``.
    package init?(
        kind: Kind, name: String, collection: String = "", wiki: String? = nil, partition: Int32? = nil,
        offset: Int64? = nil
    ) {
        guard !name.isEmpty, [name, collection, wiki ?? ""].allSatisfy({ $0.utf8.count <= Suppression.nameBytesMax })
        else { return nil }
        switch kind {
        case .event:
            guard let partition, let offset, partition >= 0, offset >= 0, TopicPartition.isTopicName(name) else {
                return nil
            }
            self = .event(TopicPartition(topic: name, partition: partition), offset: offset)
        case .eventID: self = .eventID(name)
        case .page where !collection.isEmpty: self = .page(collection: collection, title: name, wiki: wiki)
        case .document where !collection.isEmpty: self = .document(collection: collection, docID: name)
        case .user where !collection.isEmpty: self = .user(collection: collection, name: name)
        case .page, .document, .user: return nil
        }
    }

    /// For people.
    package var words: String {
        switch self {
        case .event(let place, let offset): "event \(place.topic)/\(place.partition)/\(offset)"
        case .eventID(let id): "event id \(id)"
        case .page(let collection, let title, let wiki):
            "page \(title) of \(collection)" + (wiki.map { " (\($0))" } ?? "")
        case .document(let collection, let id): "document \(id) of \(collection)"
        case .user(let collection, let name): "user \(name) of \(collection)"
        }
    }
}

/// One decision to take something out of replies: who, when and why.
package struct Suppression: Sendable, Equatable {
    /// Made by who asks for it, so that it is told from others wherever it comes along, and however often.
    package var id: String
    package var tenant: TenantID
    package var target: SuppressionTarget
    package var reason: String
    /// The name of a key, or of an account of the machine.
    package var by: String
    /// Milliseconds since 1970.
    package var atMilliseconds: Int64

    package init(
        id: String, tenant: TenantID, target: SuppressionTarget, reason: String, by: String, atMilliseconds: Int64
    ) {
        self.id = id
        self.tenant = tenant
        self.target = target
        self.reason = reason
        self.by = by
        self.atMilliseconds = atMilliseconds
    }

    /// A new id: `s-` and 16 hexadecimal digits.
    package static func makeID(using generator: inout some RandomNumberGenerator) -> String {
        let digits = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        return "s-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Whether a text has the form of what ``makeID(using:)`` makes.
    package static func isID(_ text: String) -> Bool {
        text.utf8.count == 18 && text.hasPrefix("s-")
            && text.utf8.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// Bytes of a reason at most, and of an entry's id and of who it is by.
    package static let textBytesMax = 2_048
    /// Bytes of a title, an id, a user, a collection or a wiki at most: the index's own indexes hold no longer ones.
    package static let nameBytesMax = 1_024
}

/// One record of the suppressions' topic, and one of the lake's log (`schemas/suppression.schema.json`).
package enum SuppressionEntry: Sendable, Equatable {
    case suppress(Suppression)
    /// Ends the suppression of that id.
    case lift(id: String, tenant: TenantID, reason: String, by: String, atMilliseconds: Int64)

    /// The record's members, in their order.
    package static let fields = [
        "kind", "id", "tenant", "target", "name", "collection", "wiki", "partition", "offset", "reason", "by", "at_ms",
    ]

    /// The suppression's id.
    package var id: String {
        switch self {
        case .suppress(let suppression): suppression.id
        case .lift(let id, _, _, _, _): id
        }
    }

    /// Whose documents it is about.
    package var tenant: TenantID {
        switch self {
        case .suppress(let suppression): suppression.tenant
        case .lift(_, let tenant, _, _, _): tenant
        }
    }

    /// One JSON object.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        append(to: &json)
        json.endObject()
        return json.bytes
    }

    /// Appends the members to an object that is open.
    package func append(to json: inout JSONWriter) {
        func text(_ name: StaticString, _ value: String) {
            json.key(name)
            json.string(value)
        }
        switch self {
        case .suppress(let suppression):
            let target = suppression.target
            text("kind", "suppress")
            text("id", suppression.id)
            text("tenant", suppression.tenant.text)
            text("target", target.kind.rawValue)
            text("name", target.name)
            text("collection", target.collection)
            json.key("wiki")
            if let wiki = target.wiki { json.string(wiki) } else { json.null() }
            json.key("partition")
            if let place = target.place { json.integer(Int64(place.topicPartition.partition)) } else { json.null() }
            json.key("offset")
            if let place = target.place { json.integer(place.offset) } else { json.null() }
            text("reason", suppression.reason)
            text("by", suppression.by)
            json.key("at_ms")
            json.integer(suppression.atMilliseconds)
        case .lift(let id, let tenant, let reason, let by, let at):
            text("kind", "lift")
            text("id", id)
            text("tenant", tenant.text)
            text("reason", reason)
            text("by", by)
            json.key("at_ms")
            json.integer(at)
        }
    }

    /// Reads one record; members that it does not know are passed over.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) {
        var texts: [String: String] = [:]
        var numbers: [String: Int64] = [:]
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: bytes) { name, value in
                guard let name = name.string else { return }
                texts[name] = value.string
                numbers[name] = value.integer
            }
        } catch {
            throw RecordFormatError("suppression", field: "line", reason: "is not JSON: \(error)")
        }
        func text(_ name: String) throws(RecordFormatError) -> String {
            guard let text = texts[name] else {
                throw RecordFormatError("suppression", field: name, reason: "is not a string")
            }
            return text
        }
        let (id, reason, by) = (try text("id"), try text("reason"), try text("by"))
        guard let tenant = TenantID(try text("tenant")) else {
            throw RecordFormatError("suppression", field: "tenant", reason: "is no name of a tenant")
        }
        for (field, text) in [("id", id), ("reason", reason), ("by", by)]
        where text.utf8.count > Suppression.textBytesMax {
            throw RecordFormatError(
                "suppression", field: field, reason: "has more than \(Suppression.textBytesMax) bytes")
        }
        guard !id.isEmpty else { throw RecordFormatError("suppression", field: "id", reason: "is empty") }
        guard let at = numbers["at_ms"] else {
            throw RecordFormatError("suppression", field: "at_ms", reason: "is not an integer")
        }
        switch try text("kind") {
        case "lift": self = .lift(id: id, tenant: tenant, reason: reason, by: by, atMilliseconds: at)
        case "suppress":
            guard let kind = SuppressionTarget.Kind(rawValue: try text("target")) else {
                throw RecordFormatError("suppression", field: "target", reason: "is no kind of target")
            }
            let target = SuppressionTarget(
                kind: kind, name: try text("name"), collection: texts["collection"] ?? "", wiki: texts["wiki"],
                partition: numbers["partition"].flatMap { Int32(exactly: $0) }, offset: numbers["offset"])
            guard let target else {
                throw RecordFormatError(
                    "suppression", field: "name", reason: "names no \(kind.rawValue), or is too long")
            }
            self = .suppress(
                Suppression(id: id, tenant: tenant, target: target, reason: reason, by: by, atMilliseconds: at))
        default: throw RecordFormatError("suppression", field: "kind", reason: "is neither suppress nor lift")
        }
    }
}
