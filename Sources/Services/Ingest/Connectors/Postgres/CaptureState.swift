import Bytes
import Files
import JSONScan
import Postgres
import Records
import Sources

/// How far the snapshot of a table is: the connector's durable memory. The stream's place is the slot's.
struct CaptureState: Equatable, Sendable {
    /// The server's identifier of its cluster; another one has another log.
    var system: String
    /// The server's timeline, and up to where its log was read; written before the slot is told, so that the slot never is
    /// further on unless somebody else moved it.
    var timeline: Int64
    var confirmed: UInt64
    var identity: CaptureIdentity
    var schema: String
    var table: String
    /// The number of the snapshot, as the declaration gives it.
    var snapshot: Int
    /// The version of the first rows that were read of it: when it is complete, what is older was not in the table any more.
    var version: Int64
    /// The key of the last row that has arrived; nil for none.
    var after: [String]?
    /// By which order of keys ``after`` and that of ``request`` are; nil for not known.
    var keyOrder: [String]?
    var isComplete = false
    /// Its rows that have arrived.
    var rows = 0
    /// The reading that an operator asked for and that is not at its end.
    var request: CaptureRequest?
    /// The last requests that are over, by their ids.
    var over: [String] = []
    /// Those of them that could not be read as asked for.
    var refused: [String] = []
    /// Of the transaction at hand, what has arrived.
    var part: CapturePart?

    private static let format: Int64 = 1
    private static let bytesMax = 1 << 20
    /// More than there are requests that somebody remembers.
    private static let overMax = 2 * SourceWishes.snapshotsMax

    /// - Returns: nil where there is none.
    static func read(_ path: String) throws -> CaptureState? {
        guard Folder.exists(path) else { return nil }
        let bytes = try File.contents(of: path, bytesMax: bytesMax)
        guard let state = (try? JSONValue.parse(bytes)).flatMap({ CaptureState($0) }) else {
            throw CaptureError(
                "\(path) is damaged: restore it, or move it away and the table is read again from its beginning")
        }
        return state
    }

    private init?(_ value: JSONValue) {
        guard value["format"]?.integer == Self.format, let system = value["system"]?.string,
            let timeline = value["timeline"]?.integer,
            let confirmed = value["confirmed"]?.string.flatMap({ PostgresText.position($0) }),
            let identity = value["identity"]?.array?.compactMap({ $0.integer.flatMap { UInt32(exactly: $0) } }),
            identity.count == 3,
            let schema = value["schema"]?.string, let table = value["table"]?.string,
            let snapshot = value["snapshot"]?.integer, let version = value["version"]?.integer,
            let isComplete = value["complete"]?.bool
        else { return nil }
        self.init(
            system: system, timeline: timeline, confirmed: confirmed,
            identity: CaptureIdentity(table: identity[0], publication: identity[1], membership: identity[2]),
            schema: schema, table: table, snapshot: Int(snapshot), version: version)
        self.isComplete = isComplete
        after = value["after"]?.array?.compactMap(\.string)
        keyOrder = value["key_order"]?.array?.compactMap(\.string)
        rows = Int(value["rows"]?.integer ?? 0)
        request = value["request"].flatMap { CaptureRequest($0) }
        over = value["over"]?.array?.compactMap(\.string) ?? []
        refused = value["refused"]?.array?.compactMap(\.string) ?? []
        if let commit = value["part"]?["commit"]?.string.flatMap({ PostgresText.position($0) }),
            let count = value["part"]?["changes"]?.integer
        {
            part = CapturePart(commit: commit, count: Int(count))
        }
    }

    init(
        system: String, timeline: Int64, confirmed: UInt64, identity: CaptureIdentity, schema: String, table: String,
        snapshot: Int, version: Int64
    ) {
        self.system = system
        self.timeline = timeline
        self.confirmed = confirmed
        self.identity = identity
        self.schema = schema
        self.table = table
        self.snapshot = snapshot
        self.version = version
    }

    /// Whether a declaration asks for a snapshot that was not begun.
    ///
    /// - Throws: ``CaptureError`` where what was read before cannot be gone on with.
    func isOutdated(by declaration: PostgresDeclaration) throws(CaptureError) -> Bool {
        guard snapshot >= declaration.snapshot else { return true }
        guard snapshot == declaration.snapshot else {
            throw CaptureError(
                "snapshot \(snapshot) was read before, and \(declaration.snapshot) is declared: set \"snapshot\" back to "
                    + "\(snapshot), or to a higher number for a new one")
        }
        guard (schema, table) == (declaration.schema, declaration.table) else {
            throw CaptureError(
                "what was read before is \(schema).\(table): give the source of another table another name")
        }
        return false
    }

    /// Notes that a request is over.
    mutating func end(_ id: String, isRefused: Bool = false) {
        if request?.id == id { request = nil }
        guard !over.contains(id) else { return }
        over.append(id)
        if over.count > Self.overMax { over.removeFirst() }
        if isRefused { refused.append(id) }
        refused.removeAll { !over.contains($0) }
    }

    func write(_ path: String) throws {
        var json = JSONWriter()
        json.beginObject()
        json.integer("format", Self.format)
        json.string("system", system)
        json.integer("timeline", timeline)
        json.string("confirmed", PostgresText.position(confirmed))
        json.key("identity")
        json.beginArray()
        for number in [identity.table, identity.publication, identity.membership] { json.integer(number) }
        json.endArray()
        json.string("schema", schema)
        json.string("table", table)
        json.integer("snapshot", snapshot)
        json.integer("version", version)
        if let after {
            json.key("after")
            json.beginArray()
            for text in after { json.string(text) }
            json.endArray()
        }
        if let keyOrder {
            json.key("key_order")
            json.beginArray()
            for text in keyOrder { json.string(text) }
            json.endArray()
        }
        json.integer("rows", rows)
        json.bool("complete", isComplete)
        if let request {
            json.key("request")
            request.write(to: &json)
        }
        json.key("over")
        json.beginArray()
        for id in over { json.string(id) }
        json.endArray()
        json.key("refused")
        json.beginArray()
        for id in refused { json.string(id) }
        json.endArray()
        if let part {
            json.key("part")
            json.beginObject()
            json.string("commit", PostgresText.position(part.commit))
            json.integer("changes", part.count)
            json.endObject()
        }
        json.endObject()
        try File.replace(path, with: json.bytes + [0x0A])
    }
}

/// How many of a transaction's changes have arrived. They are numbered alike whenever they are read.
struct CapturePart: Equatable, Sendable {
    var commit: UInt64
    var count: Int
}

/// A reading of the table, or of a part of it, that an operator asked for while changes are followed.
struct CaptureRequest: Equatable, Sendable {
    let id: String
    let range: SourceKeyRange
    /// The version of the first rows that were read of it: when all of the table was read, what is older was not in it any more.
    var version: Int64
    /// The key of the last row, and how many there were.
    var after: [String]?
    var rows = 0

    init(id: String, range: SourceKeyRange, version: Int64) {
        self.id = id
        self.range = range
        self.version = version
    }

    init?(_ value: JSONValue) {
        guard let id = value["id"]?.string, let version = value["version"]?.integer else { return nil }
        self.init(
            id: id, range: SourceKeyRange(from: value["from"]?.string, to: value["to"]?.string), version: version)
        after = value["after"]?.array?.compactMap(\.string)
        rows = Int(value["rows"]?.integer ?? 0)
    }

    func write(to json: inout JSONWriter) {
        json.beginObject()
        json.string("id", id)
        if let from = range.from { json.string("from", from) }
        if let to = range.to { json.string("to", to) }
        json.integer("version", version)
        if let after {
            json.key("after")
            json.beginArray()
            for text in after { json.string(text) }
            json.endArray()
        }
        json.integer("rows", rows)
        json.endObject()
    }
}

/// What is to be noted once an event has arrived.
struct CaptureMilestone {
    enum Kind {
        /// A transaction ended there: the slot need not keep what lies before.
        case commit(UInt64)
        /// A transaction was read so far.
        case part(CapturePart)
        /// The snapshot was read up to the row of this key; so many rows were read of it.
        case row([String], count: Int)
        case snapshotComplete
        /// What an operator asked for was read so far.
        case requested(CaptureRequest)
        /// What an operator asked for, by its id, is at its end.
        case requestComplete(String)
    }

    /// The number of the event; everything up to it has to arrive.
    let event: Int64
    let kind: Kind
}
