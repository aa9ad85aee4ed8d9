import Postgres
import Records
import Retrieval

/// The version to which a step of following goes: not beyond `$4`, and about so many documents on.
struct FindArmsStep: PostgresStatement {
    /// Documents of one step, besides those of its last version.
    static let documentsMax = 2_000
    static let name = "find_arms_step"
    static let sql = """
        SELECT CASE WHEN count(*) < \(documentsMax) THEN $4 ELSE max(s.from_version) END FROM (
            SELECT g.from_version FROM visibility g
            WHERE g.generation = $2 AND g.tenant = $1 AND g.from_version > $3 AND g.from_version <= $4
            ORDER BY g.from_version LIMIT \(documentsMax)
        ) s
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Index versions of a generation and a tenant: those after the first, up to the last.
struct ArmsSpan: Sendable {
    let tenant: TenantID
    let generation: Int64
    let after: Int64
    var upTo: Int64

    static let types: [PostgresType] = [.text, .int8, .int8, .int8]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(generation)
        parameters.append(after)
        parameters.append(upTo)
    }
}

/// Whether some versions ended, took out or brought back more documents than are worth following one by one, as where a source is
/// emptied; or whether an erasure was done with one of them, since tables only grow and would keep what it took out.
struct EndTooMany: PostgresStatement {
    static let documentsMax = 20_000
    static let name = "end_too_many"
    static let sql = """
        SELECT (SELECT count(*) FROM (
            SELECT FROM visibility g
            WHERE g.to_version > $3 AND g.to_version <= $4 AND g.generation = $2 AND g.tenant = $1 AND g.from_version <= $3
            LIMIT \(documentsMax + 1)
        ) e) + (SELECT count(*) FROM (
            SELECT FROM suppression_changes h
            WHERE h.index_version > $3 AND h.index_version <= $4 AND h.generation = $2 AND h.tenant = $1
            LIMIT \(documentsMax + 1)
        ) h) > \(documentsMax) OR EXISTS (
            SELECT FROM erasure_versions x WHERE x.index_version > $3 AND x.index_version <= $4)
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// What some versions show and the last of them still shows.
struct ListArmsShown: PostgresStatement {
    static let name = "list_arms_shown"
    static let sql = """
        SELECT \(ArmsPassageRow.columns) FROM visibility g
        JOIN documents d ON d.id = g.document_id JOIN collections c ON c.id = d.collection_id
        JOIN passages p ON p.document_id = d.id
        WHERE g.generation = $2 AND g.tenant = $1 AND g.from_version > $3 AND g.from_version <= $4
            AND (g.to_version IS NULL OR g.to_version > $4) AND g.suppression IS NULL
        ORDER BY d.id, p.number
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsPassageRow {
        try ArmsPassageRow.decode(row)
    }
}

/// What some versions ended: documents, each with the words of its passages, one a row; null where these have gone.
struct ListArmsEnded: PostgresStatement {
    static let name = "list_arms_ended"
    static let sql = """
        SELECT g.document_id, w.id FROM visibility g
        LEFT JOIN LATERAL (
            SELECT w.id FROM passages p
            JOIN passage_terms x ON x.tenant_id = \(ListArmsTerms.tenantNumber) AND x.passage_id = p.id
            CROSS JOIN LATERAL unnest(x.words) w(id)
            WHERE p.document_id = g.document_id
        ) w ON true
        WHERE g.to_version > $3 AND g.to_version <= $4 AND g.generation = $2 AND g.tenant = $1 AND g.from_version <= $3
        ORDER BY 1
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (document: Int64, word: Int32?) {
        (try row.int64(0), row.isNull(1) ? nil : try row.int32(1))
    }
}

/// What some versions took out of replies or brought back, as ``ListArmsEnded`` has it.
struct ListArmsTouched: PostgresStatement {
    static let name = "list_arms_touched"
    static let sql = """
        SELECT t.document_id, w.id FROM (
            SELECT DISTINCT h.document_id FROM suppression_changes h
            WHERE h.index_version > $3 AND h.index_version <= $4 AND h.generation = $2 AND h.tenant = $1
        ) t
        LEFT JOIN LATERAL (
            SELECT w.id FROM passages p
            JOIN passage_terms x ON x.tenant_id = \(ListArmsTerms.tenantNumber) AND x.passage_id = p.id
            CROSS JOIN LATERAL unnest(x.words) w(id)
            WHERE p.document_id = t.document_id
        ) w ON true
        ORDER BY 1
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (document: Int64, word: Int32?) {
        try ListArmsEnded.decode(row)
    }
}

/// Of these, what was shown before some versions and is shown by the last of them.
struct ListArmsRestored: PostgresStatement {
    static let name = "list_arms_restored"
    static let sql = """
        SELECT \(ArmsPassageRow.columns) FROM (
            SELECT DISTINCT h.document_id FROM suppression_changes h
            WHERE h.index_version > $3 AND h.index_version <= $4 AND h.generation = $2 AND h.tenant = $1
        ) t
        JOIN visibility g ON g.document_id = t.document_id AND g.generation = $2 AND g.tenant = $1 AND g.from_version <= $3
            AND (g.to_version IS NULL OR g.to_version > $4) AND g.suppression IS NULL
        JOIN documents d ON d.id = g.document_id JOIN collections c ON c.id = d.collection_id
        JOIN passages p ON p.document_id = d.id
        ORDER BY d.id, p.number
        """
    static let parameterTypes: [PostgresType] = ArmsSpan.types
    let span: ArmsSpan
    func bind(into parameters: inout PostgresParameters) { span.bind(into: &parameters) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsPassageRow {
        try ArmsPassageRow.decode(row)
    }
}

/// Passages by their numbers with all that a hit shows, as a version of a generation sees them.
struct FetchPassages: PostgresStatement {
    static let name = "fetch_passages"
    static let sql = """
        SELECT p.id, \(SearchSQL.columns) FROM unnest($2) WITH ORDINALITY AS n(id, place)
        JOIN passages p ON p.id = n.id AND p.tenant = $1
        JOIN documents d ON d.id = p.document_id JOIN collections k ON k.id = d.collection_id
        JOIN visibility g ON g.document_id = p.document_id AND g.generation = $3 AND g.from_version <= $4
            AND (g.to_version IS NULL OR g.to_version > $4) AND g.suppression IS NULL
        ORDER BY n.place
        """
    static let parameterTypes: [PostgresType] = [.text, .int8Array, .int8, .int8]
    let tenant: TenantID
    let passages: [Int64]
    let generation: Int64
    let version: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(passages)
        parameters.append(generation)
        parameters.append(version)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Candidate {
        var candidate = try CandidateColumns.decode(row, from: 1)
        candidate.passageID = try row.int64(0)
        return candidate
    }
}
