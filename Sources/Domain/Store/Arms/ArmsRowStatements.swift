import Postgres
import Records
import Retrieval

/// A passage with what a hit shows of it.
struct ArmsRow {
    let document: Int64
    let passage: Candidate

    static let columns = "d.id, \(SearchSQL.columns)"
    /// Passages of one page.
    static let passagesMax = 4_000

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsRow {
        ArmsRow(document: try row.int64(0), passage: try CandidateColumns.decode(row, from: 1))
    }
}

/// The next documents that a generation shows at a version, by number, with what hits show of their passages. Where a page is full,
/// the last document may lack some.
struct ListArmsRows: PostgresStatement {
    /// Documents of one page.
    static let documentsMax = 1_000
    static let name = "list_arms_rows"
    static let sql = """
        SELECT \(ArmsRow.columns) FROM (
            SELECT g.document_id, g.version, g.lineage FROM visibility g
            WHERE g.document_id > $4 AND g.generation = $2 AND g.tenant = $1 AND g.from_version <= $3
                AND (g.to_version IS NULL OR g.to_version > $3) AND g.suppression IS NULL
                AND EXISTS (SELECT FROM passages p WHERE p.document_id = g.document_id)
            ORDER BY g.document_id LIMIT \(documentsMax)
        ) g JOIN documents d ON d.id = g.document_id JOIN collections k ON k.id = d.collection_id
        JOIN passages p ON p.document_id = d.id ORDER BY d.id, p.number LIMIT \(ArmsRow.passagesMax)
        """
    static let parameterTypes: [PostgresType] = ListArmsDocuments.parameterTypes
    let tenant: TenantID
    let generation: Int64
    let version: Int64
    let after: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(generation)
        parameters.append(version)
        parameters.append(after)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsRow { try ArmsRow.decode(row) }
}

/// Some documents that a generation shows at a version, with what hits show of their passages. Where the page is full, the last one
/// may lack some.
struct FindArmsRows: PostgresStatement {
    static let name = "find_arms_rows"
    static let sql = """
        SELECT \(ArmsRow.columns) FROM unnest($2) n(id)
        JOIN visibility g ON g.document_id = n.id AND g.generation = $3 AND g.from_version <= $4
            AND (g.to_version IS NULL OR g.to_version > $4) AND g.suppression IS NULL
        JOIN documents d ON d.id = n.id AND d.tenant = $1 JOIN collections k ON k.id = d.collection_id
        JOIN passages p ON p.document_id = d.id ORDER BY d.id, p.number LIMIT \(ArmsRow.passagesMax)
        """
    static let parameterTypes: [PostgresType] = [.text, .int8Array, .int8, .int8]
    let tenant: TenantID
    let documents: [Int64]
    let generation: Int64
    let version: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(documents)
        parameters.append(generation)
        parameters.append(version)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsRow { try ArmsRow.decode(row) }
}

/// Those of some documents that a generation does not show at a version.
struct FindArmsGone: PostgresStatement {
    static let name = "find_arms_gone"
    // The limit keeps the planner from reading all that is shown.
    static let sql = """
        SELECT n.id FROM unnest($2) n(id)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM visibility g
            WHERE g.document_id = n.id AND g.generation = $3 AND g.tenant = $1 AND g.from_version <= $4
                AND (g.to_version IS NULL OR g.to_version > $4) AND g.suppression IS NULL
            LIMIT 1
        ) v ON true
        WHERE v.is_there IS NULL
        """
    static let parameterTypes: [PostgresType] = FindArmsRows.parameterTypes
    let tenant: TenantID
    let documents: [Int64]
    let generation: Int64
    let version: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(documents)
        parameters.append(generation)
        parameters.append(version)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
