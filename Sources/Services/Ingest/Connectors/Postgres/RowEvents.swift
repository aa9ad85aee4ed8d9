import Bytes
import Logic

/// A row by the names of its columns.
struct CapturedRow {
    let columns: [LogRelation.Column]
    var values: [LogValue]

    /// The values of some columns, in their order; nil where one is not there.
    func values(of names: [String]) -> [[UInt8]]? {
        var found: [[UInt8]] = []
        for name in names {
            guard let index = columns.firstIndex(where: { $0.name == name }), values.indices.contains(index),
                case .text(let text) = values[index]
            else { return nil }
            found.append(text)
        }
        return found
    }
}

/// Where a change comes from, for its envelope.
struct ChangeOrigin {
    /// Of the change; of a row of a snapshot, the snapshot's.
    var position: UInt64
    var commit: UInt64
    var transaction: UInt32?
    /// Of the commit, in milliseconds since 1970.
    var milliseconds: Int64
    var isSnapshot: Bool
    var version: Int64
}

/// Writes changes as Debezium does in JSON without a schema, with one member more: `source.order`, the document's version
/// (``CaptureOrder``). The same change gets the same bytes whenever it is read.
///
/// https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
struct RowEvents {
    let source: String
    let database: String
    let schema: String
    let table: String
    /// The primary key's columns, in its order.
    let keys: [String]
    let kinds: [UInt32: ColumnKind]

    /// Of what is about the whole table: one key, so that a copy comes to the topic partition of the first, where it is found.
    static let keyOfTable = Array("{}".utf8)

    private func kind(of column: LogRelation.Column) -> ColumnKind {
        kinds[column.type] ?? ColumnKind(type: column.type)
    }

    /// The key of a record: `{"id":7}`; nil where a column of it is not there.
    func key(of row: CapturedRow) -> [UInt8]? {
        guard let values = row.values(of: keys) else { return nil }
        var json = JSONWriter(capacity: 64)
        json.beginObject()
        for (name, value) in zip(keys, values) {
            guard let column = row.columns.first(where: { $0.name == name }) else { return nil }
            json.key(dynamic: name)
            kind(of: column).write(value, to: &json)
        }
        json.endObject()
        return json.bytes
    }

    /// - Parameter operation: `c`, `u`, `r`, `d` or `t`.
    func value(
        _ operation: String, before: CapturedRow?, after: CapturedRow?, _ origin: ChangeOrigin
    ) -> [UInt8] {
        var json = JSONWriter(capacity: 1_024)
        json.beginObject()
        json.key("before")
        write(before, to: &json)
        json.key("after")
        write(after, to: &json)
        json.key("source")
        json.beginObject()
        json.string("version", "medallion")
        json.string("connector", "postgresql")
        json.string("name", source)
        json.integer("ts_ms", origin.milliseconds)
        json.string("snapshot", origin.isSnapshot ? "true" : "false")
        json.string("db", database)
        json.string("schema", schema)
        json.string("table", table)
        json.key("txId")
        if let transaction = origin.transaction { json.integer(transaction) } else { json.null() }
        json.integer("lsn", origin.position)
        json.integer("commit_lsn", origin.commit)
        json.integer("order", origin.version)
        json.endObject()
        json.string("op", operation)
        json.integer("ts_ms", origin.milliseconds)
        json.endObject()
        return json.bytes
    }

    private func write(_ row: CapturedRow?, to json: inout JSONWriter) {
        guard let row else { return json.null() }
        json.beginObject()
        for (column, value) in zip(row.columns, row.values) {
            json.key(dynamic: column.name)
            switch value {
            case .null: json.null()
            case .unchanged: json.string(EnvelopeFields.placeholder)
            case .text(let text): kind(of: column).write(text, to: &json)
            }
        }
        json.endObject()
    }
}
