import Postgres
package import Records
import Retrieval

/// Puts one suppression in force; no number where it is known already.
struct ApplySuppression: PostgresStatement {
    static let name = "apply_suppression"
    static let sql = "SELECT medallion_suppress($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    static let parameterTypes: [PostgresType] = [
        .text, .text, .text, .text, .text, .text, .int4, .int8, .text, .text, .timestamptz,
    ]
    let suppression: Suppression

    func bind(into parameters: inout PostgresParameters) {
        let target = suppression.target
        parameters.append(IndexText.clean(suppression.id))
        parameters.append(suppression.tenant.text)
        parameters.append(target.kind.rawValue)
        parameters.append(IndexText.clean(target.name))
        parameters.append(IndexText.clean(target.collection))
        parameters.append(target.wiki.map { IndexText.clean($0) })
        if let place = target.place {
            parameters.append(place.topicPartition.partition)
        } else {
            parameters.appendNull()
        }
        parameters.append(target.place?.offset)
        parameters.append(IndexText.clean(suppression.reason))
        parameters.append(IndexText.clean(suppression.by))
        parameters.append(timestampMilliseconds: suppression.atMilliseconds)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
}

/// Lifts one; no number where it is lifted already.
struct LiftSuppression: PostgresStatement {
    static let name = "lift_suppression"
    static let sql = "SELECT medallion_lift_suppression($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .text, .timestamptz]
    let id: String
    let tenant: TenantID
    let reason: String
    let by: String
    let atMilliseconds: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(reason))
        parameters.append(IndexText.clean(by))
        parameters.append(timestampMilliseconds: atMilliseconds)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
}

/// Goes through the next documents of a suppression or a lift; no number where none is left.
struct ContinueSuppression: PostgresStatement {
    static let name = "continue_suppression"
    static let sql = "SELECT medallion_continue_suppression($1, $2)"
    static let parameterTypes: [PostgresType] = [.int8, .int4]
    let number: Int64
    let limit: Int32

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(number)
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
}

/// Suppressions and lifts whose documents have not all been gone through.
struct ListUnfinishedSuppressions: PostgresStatement {
    static let name = "list_unfinished_suppressions"
    static let sql = "SELECT s.number FROM suppressions s WHERE s.done_document IS NOT NULL ORDER BY s.number"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// A suppression as the index knows it.
package struct SuppressionRecord: Sendable, Equatable {
    /// How a suppression ended.
    package struct Lift: Sendable, Equatable {
        package var reason: String
        package var by: String
        package var atMilliseconds: Int64
        /// The index version from which on it applies no more.
        package var indexVersion: Int64

        package init(reason: String, by: String, atMilliseconds: Int64, indexVersion: Int64) {
            self.reason = reason
            self.by = by
            self.atMilliseconds = atMilliseconds
            self.indexVersion = indexVersion
        }
    }

    /// Its place in the order in which the index got to know them.
    package var number: Int64
    package var suppression: Suppression
    /// The index version from which on it applies.
    package var indexVersion: Int64
    /// Nil while it is in force.
    package var lift: Lift?
    /// Whether all documents have been gone through, for it or for its lift.
    package var isApplied: Bool

    package init(
        number: Int64, suppression: Suppression, indexVersion: Int64, lift: Lift? = nil, isApplied: Bool = true
    ) {
        self.isApplied = isApplied
        self.number = number
        self.suppression = suppression
        self.indexVersion = indexVersion
        self.lift = lift
    }

    static let columns = """
        s.number, s.id, s.tenant, s.kind, s.name, s.collection, s.wiki, s.source_partition, s.source_offset, s.reason,
            s.suppressed_by, s.suppressed_at, s.from_version, s.lift_reason, s.lifted_by, s.lifted_at, s.lift_version,
            s.done_document IS NULL
        """

    /// Nil for one that a newer program wrote.
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SuppressionRecord? {
        let partition = row.isNull(7) ? nil : try row.int32(7)
        guard let tenant = TenantID(try row.text(2)),
            let kind = SuppressionTarget.Kind(rawValue: try row.text(3)),
            let target = SuppressionTarget(
                kind: kind, name: try row.text(4), collection: try row.text(5), wiki: try row.textOrNil(6),
                partition: partition, offset: try row.int64OrNil(8))
        else { return nil }
        var record = SuppressionRecord(
            number: try row.int64(0),
            suppression: Suppression(
                id: try row.text(1), tenant: tenant, target: target, reason: try row.text(9), by: try row.text(10),
                atMilliseconds: try row.timestampMilliseconds(11)), indexVersion: try row.int64(12))
        record.isApplied = try row.bool(17)
        if let at = try row.timestampMillisecondsOrNil(15) {
            record.lift = Lift(
                reason: try row.textOrNil(13) ?? "", by: try row.textOrNil(14) ?? "", atMilliseconds: at,
                indexVersion: try row.int64OrNil(16) ?? 0)
        }
        return record
    }
}

/// A tenant's suppressions, the newest first.
struct ListSuppressions: PostgresStatement {
    static let name = "list_suppressions"
    static let sql = """
        SELECT \(SuppressionRecord.columns) FROM suppressions s
        WHERE s.tenant = $1 AND s.number < $2 ORDER BY s.number DESC LIMIT $3
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .int8]
    let tenant: TenantID
    let before: Int64
    let limit: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(before)
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SuppressionRecord? {
        try SuppressionRecord.decode(row)
    }
}

/// A tenant's suppression of an id.
struct FindSuppression: PostgresStatement {
    static let name = "find_suppression"
    static let sql = "SELECT \(SuppressionRecord.columns) FROM suppressions s WHERE s.id = $1 AND s.tenant = $2"
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SuppressionRecord? {
        try SuppressionRecord.decode(row)
    }
}

/// A number that grows with every suppression, every lift and every erasure.
struct ReadSuppressionState: PostgresStatement {
    static let name = "read_suppression_state"
    static let sql = """
        SELECT greatest(0, (SELECT max(from_version) FROM suppressions), (SELECT max(lift_version) FROM suppressions),
            (SELECT max(index_version) FROM erasure_versions))
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// What is in force, of all tenants.
struct ListSuppressionsInForce: PostgresStatement {
    static let name = "list_suppressions_in_force"
    static let sql = """
        SELECT \(SuppressionRecord.columns) FROM suppressions s WHERE s.lifted_at IS NULL ORDER BY s.number
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SuppressionRecord? {
        try SuppressionRecord.decode(row)
    }
}

/// Where to go on reading the suppressions' topic.
struct ReadSuppressionPosition: PostgresStatement {
    static let name = "read_suppression_position"
    static let sql = "SELECT next_offset FROM suppression_positions WHERE topic = $1"
    static let parameterTypes: [PostgresType] = [.text]
    let topic: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(topic) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Keeps that.
struct KeepSuppressionPosition: PostgresStatement {
    static let name = "keep_suppression_position"
    static let sql = """
        INSERT INTO suppression_positions (topic, next_offset) VALUES ($1, $2)
        ON CONFLICT (topic) DO UPDATE SET next_offset = excluded.next_offset
        """
    static let parameterTypes: [PostgresType] = [.text, .int8]
    let topic: String
    let nextOffset: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(topic)
        parameters.append(nextOffset)
    }
}

/// Documents that a stored answer of the session's tenant was made of and that are suppressed now.
struct FindSuppressedOfAnswer: PostgresStatement {
    static let name = "find_suppressed_of_answer"
    static let sql = "SELECT collection, doc_id FROM medallion_suppressed_of_answer($1)"
    static let parameterTypes: [PostgresType] = [.text]
    let id: String

    func bind(into parameters: inout PostgresParameters) { parameters.append(IndexText.clean(id)) }

    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> GivenAnswer.SuppressedDocument {
        GivenAnswer.SuppressedDocument(collection: try row.text(0), docID: try row.text(1))
    }
}
