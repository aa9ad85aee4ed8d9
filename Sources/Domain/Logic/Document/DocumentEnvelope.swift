import Records

/// What the object of a document lies in.
package enum DocumentEnvelope: String, CaseIterable, Sendable {
    /// A change of a row as Debezium writes it in JSON, with its schema or without.
    /// https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-events
    case debezium
}

/// Where the parts of Debezium's envelope stand among the fields of a record.
///
/// The converter's `schemas.enable` decides whether the change is the whole value or its member `payload`, and both may be in one
/// topic. So the mapping's places are looked for in four objects: the row after the change and before it, in both of these. The
/// fields of the one that counts then are the document's, as if the record were nothing but the row.
package struct EnvelopeFields {
    /// How many places the mapping has.
    let columns: Int

    /// The object before which a mapping's place is in the envelope itself: `@source.lsn`.
    private static let mark: Character = "@"
    /// The version that the connector `postgres` gives: in the order of commits.
    package static let order = "@source.order"
    /// What stands for a large value that did not change and was not sent.
    package static let placeholder = "__debezium_unavailable_value"
    private static let placeholderBytes = Array(placeholder.utf8)

    private static let rows = ["after", "before"]
    private static let wrapping = "payload"

    /// Whether a place is in the envelope, not in the row.
    package static func isOfEnvelope(_ path: String) -> Bool {
        path.first == mark && path.dropFirst().first.map { $0 != "." } ?? false
    }

    static func isPlaceholder(_ value: FieldValue) -> Bool {
        value.kind == .string && value.text.count == placeholderBytes.count
            && value.text.elementsEqual(placeholderBytes)
    }

    /// The places of a record that are looked at: the mapping's four times, then the envelope's own.
    func paths(of mapped: [String]) -> [String] {
        var paths: [String] = []
        for outer in ["", Self.wrapping + "."] {
            for row in Self.rows {
                paths += mapped.map { path in
                    outer + (Self.isOfEnvelope(path) ? String(path.dropFirst()) : "\(row).\(path)")
                }
            }
        }
        paths.append(Self.wrapping)
        for outer in ["", Self.wrapping + "."] { paths += ["op", "after", "before"].map { outer + $0 } }
        return paths
    }

    /// What lies in the envelope.
    struct Opened {
        /// Of the row, by the mapping's places.
        let fields: EventFields
        /// What it says of the document; nil where the row's own fields do.
        let operation: GoldOperation?
    }

    /// - Returns: nil for what is about no row.
    func open(_ source: EventFields) throws(Rejection) -> Opened? {
        let own = source.from(4 * columns)
        // Without `payload.op` it is no envelope either way, and the message names the plain one.
        let isWrapped = own.value(at: 0).kind == .object && own.value(at: 4).kind != .absent
        let parts = own.from(isWrapped ? 4 : 1)
        let rows = isWrapped ? 2 * columns : 0
        let operation = parts.value(at: 0)
        guard operation.kind == .string else {
            throw Rejection(operation.kind == .absent || operation.kind == .null ? .missingField : .wrongType, "op")
        }
        switch operation.text.count == 1 ? operation.text[0] : 0 {
        case UInt8(ascii: "c"), UInt8(ascii: "u"), UInt8(ascii: "r"):
            try check(parts.value(at: 1), "after")
            return Opened(fields: source.from(rows), operation: nil)
        case UInt8(ascii: "d"):
            try check(parts.value(at: 2), "before")
            return Opened(fields: source.from(rows + columns), operation: .delete)
        case UInt8(ascii: "t"): return Opened(fields: source.from(rows), operation: .deleteBelow)
        case UInt8(ascii: "m"): return nil
        default: throw Rejection(.wrongType, "op: none of c, u, r, d, t, m")
        }
    }

    private func check(_ row: FieldValue, _ name: String) throws(Rejection) {
        guard row.kind != .object else { return }
        throw Rejection(row.kind == .absent || row.kind == .null ? .missingField : .wrongType, name)
    }
}
