import Bytes

/// Rows whose primary key lies in a range, both ends included; without one it is open.
package struct SourceKeyRange: Sendable, Hashable {
    /// As the database reads it for the key's type.
    package var from: String?
    package var to: String?

    package init(from: String? = nil, to: String? = nil) {
        self.from = from
        self.to = to
    }

    /// Whether it is the whole table.
    package var isWhole: Bool { from == nil && to == nil }

    /// Bytes of an end at most.
    package static let textBytesMax = 1_024
}

/// What an operator asks of a source: who, when and why. One record of the topic of such requests.
package struct SourceRequest: Sendable, Equatable {
    /// What is asked for.
    package enum Action: Sendable, Equatable {
        /// Nothing is read, and nothing taken, until it is resumed.
        case pause
        case resume
        /// The table is read again while its changes are followed.
        case snapshot(SourceKeyRange)
        /// Snapshots that were asked for before are not wanted any more: the one of an id, or with nil all of them.
        case giveUp(String?)

        /// As the format names it.
        package var word: String {
            switch self {
            case .pause: "pause"
            case .resume: "resume"
            case .snapshot: "snapshot"
            case .giveUp: "give_up"
            }
        }
    }

    /// Made by who asks, so that a request is told from others wherever it comes along, and however often.
    package var id: String
    /// The source's name.
    package var source: String
    package var action: Action
    /// Why; empty where nobody said.
    package var reason: String
    /// The name of a key, or of an account of the machine.
    package var by: String
    /// Milliseconds since 1970.
    package var atMilliseconds: Int64

    package init(
        id: String, source: String, action: Action, reason: String, by: String, atMilliseconds: Int64
    ) {
        self.id = id
        self.source = source
        self.action = action
        self.reason = reason
        self.by = by
        self.atMilliseconds = atMilliseconds
    }

    /// Bytes of an id, a reason, a source's name and of who it is by, at most.
    package static let textBytesMax = 1_024

    /// A new id: `r-` and 16 hexadecimal digits.
    package static func makeID(using generator: inout some RandomNumberGenerator) -> String {
        let digits = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        return "r-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// One JSON object.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("action", action.word)
        json.string("id", id)
        json.string("source", source)
        json.string("reason", reason)
        json.string("by", by)
        json.integer("at_ms", atMilliseconds)
        if case .snapshot(let range) = action {
            json.key("from")
            if let from = range.from { json.string(from) } else { json.null() }
            json.key("to")
            if let to = range.to { json.string(to) } else { json.null() }
        }
        if case .giveUp(let id) = action {
            json.key("request")
            if let id { json.string(id) } else { json.null() }
        }
        json.endObject()
        return json.bytes
    }

    /// Reads one record; members that it does not know are passed over.
    ///
    /// - Throws: ``RecordFormatError`` naming what it lacks.
    package init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) {
        let (texts, at) = try Self.members(of: bytes)
        // No key of a database holds it, and no statement.
        for name in ["from", "to"] where texts[name]?.utf8.contains(0) == true {
            throw RecordFormatError("source request", field: name, reason: "holds U+0000")
        }
        guard let id = texts["id"], !id.isEmpty, let source = texts["source"], !source.isEmpty, let at else {
            throw RecordFormatError("source request", field: "id", reason: "id, source or at_ms is missing")
        }
        let action: Action
        switch texts["action"] {
        case "pause": action = .pause
        case "resume": action = .resume
        case "snapshot": action = .snapshot(SourceKeyRange(from: texts["from"], to: texts["to"]))
        case "give_up": action = .giveUp(texts["request"])
        default:
            throw RecordFormatError(
                "source request", field: "action", reason: "is none of pause, resume, snapshot and give_up")
        }
        self.init(
            id: id, source: source, action: action, reason: texts["reason"] ?? "", by: texts["by"] ?? "",
            atMilliseconds: at)
    }

    /// The texts of a record's object, by their names, and its time.
    static func members(
        of bytes: UnsafeRawBufferPointer
    ) throws(RecordFormatError) -> (texts: [String: String], at: Int64?) {
        var texts: [String: String] = [:]
        var at: Int64?
        do throws(JSONLineError) {
            try JSONLine.forEachMember(of: bytes) { name, value in
                guard let name = name.string else { return }
                texts[name] = value.string
                if name == "at_ms" { at = value.integer }
            }
        } catch {
            throw RecordFormatError("source request", field: "line", reason: "is not JSON: \(error)")
        }
        for (name, text) in texts where text.utf8.count > textBytesMax {
            throw RecordFormatError("source request", field: name, reason: "has more than \(textBytesMax) bytes")
        }
        return (texts, at)
    }
}
