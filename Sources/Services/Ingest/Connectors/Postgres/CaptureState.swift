import Bytes
import Files
import JSONScan

/// How far the snapshot of a table is: the connector's durable memory. The stream's place is the slot's.
struct CaptureState: Equatable, Sendable {
    /// The server's identifier of its cluster; another one has another log.
    var system: String
    var schema: String
    var table: String
    /// The number of the snapshot, as the declaration gives it.
    var snapshot: Int
    /// The version of the first rows that were read of it: when it is complete, what is older was not in the table any more.
    var version: Int64
    /// The key of the last row that has arrived; nil for none.
    var after: [String]?
    var isComplete = false

    private static let format: Int64 = 1
    private static let bytesMax = 1 << 20

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
            let schema = value["schema"]?.string, let table = value["table"]?.string,
            let snapshot = value["snapshot"]?.integer, let version = value["version"]?.integer,
            let isComplete = value["complete"]?.bool
        else { return nil }
        self.init(
            system: system, schema: schema, table: table, snapshot: Int(snapshot), version: version,
            after: value["after"]?.array?.compactMap(\.string), isComplete: isComplete)
    }

    init(
        system: String, schema: String, table: String, snapshot: Int, version: Int64, after: [String]? = nil,
        isComplete: Bool = false
    ) {
        self.system = system
        self.schema = schema
        self.table = table
        self.snapshot = snapshot
        self.version = version
        self.after = after
        self.isComplete = isComplete
    }

    func write(_ path: String) throws {
        var json = JSONWriter()
        json.beginObject()
        json.integer("format", Self.format)
        json.string("system", system)
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
        json.bool("complete", isComplete)
        json.endObject()
        try File.replace(path, with: json.bytes + [0x0A])
    }
}

/// What is to be noted once an event has arrived.
struct CaptureMilestone {
    enum Kind {
        /// A transaction ended there: the slot need not keep what lies before.
        case commit(UInt64)
        /// The snapshot was read up to the row of this key.
        case row([String])
        case snapshotComplete
    }

    /// The number of the event; everything up to it has to arrive.
    let event: Int64
    let kind: Kind
}
