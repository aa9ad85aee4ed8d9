import Postgres
import Records

/// The place from which passages are still to be cut into words.
package struct WordCursor: Sendable, Equatable {
    /// Passages with smaller ids are left.
    var below: Int64
}

/// One step of counting: see `medallion_count_words` of the migrations.
struct CountWords: PostgresStatement {
    /// Changes of one step: some tenths of a second.
    static let rowsMax: Int32 = 2_000
    static let name = "count_words"
    static let sql = "SELECT medallion_count_words(\(rowsMax))"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// One step of joining short rows of postings: see `medallion_join_postings` of the migrations.
struct JoinPostings: PostgresStatement {
    /// Passages whose words one step looks at: it holds the lock of index transactions for some tens of milliseconds at most.
    static let passagesMax = 500
    static let name = "join_postings"
    static let sql = "SELECT medallion_join_postings($1, \(passagesMax))"
    static let parameterTypes: [PostgresType] = [.int8]
    let after: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(after) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// Notes whether all passages have their words by this program's way of cutting. One row: what is to be looked through, up to a
/// passage of id 0 where nothing is.
struct BeginCutting: PostgresStatement {
    static let name = "begin_cutting"
    static let sql = """
        UPDATE word_arm a SET is_complete = a.is_complete AND (a.analyzer = $1 OR p.id IS NULL), analyzer = $1
        FROM (SELECT max(id) AS id FROM passages) p
        RETURNING CASE WHEN a.is_complete THEN 0 ELSE coalesce(p.id + 1, 0) END
        """
    static let parameterTypes: [PostgresType] = [.int4]
    func bind(into parameters: inout PostgresParameters) { parameters.append(PassageWords.version) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> WordCursor {
        WordCursor(below: try row.int64(0))
    }
}

/// Notes that all passages have their words.
struct EndCutting: PostgresStatement {
    static let name = "end_cutting"
    static let sql = "UPDATE word_arm SET is_complete = true WHERE analyzer = $1"
    static let parameterTypes: [PostgresType] = [.int4]
    func bind(into parameters: inout PostgresParameters) { parameters.append(PassageWords.version) }
}

/// Passages without words, or with words by another way of cutting, newest first.
struct ListUncutPassages: PostgresStatement {
    struct Row: Sendable {
        let id: Int64
        let tenant: String
        let title: String
        let text: String
        let language: String
        let collection: String
        let attributes: AttributeList
    }
    /// Passages of one step.
    static let rowsMax = 500
    static let name = "list_uncut_passages"
    static let sql = """
        SELECT p.id, p.tenant, d.title, p.text, d.lang, c.name, d.wiki, d.type, d.user_name, d.is_bot, d.namespace,
            d.attributes
        FROM passages p JOIN documents d ON d.id = p.document_id JOIN collections c ON c.id = d.collection_id
        WHERE p.id < $1 AND NOT EXISTS (
            SELECT FROM passage_terms x WHERE x.tenant_id = (SELECT t.id FROM tenants t WHERE t.name = p.tenant)
                AND x.passage_id = p.id AND x.analyzer = $2)
        ORDER BY p.id DESC LIMIT \(rowsMax)
        """
    static let parameterTypes: [PostgresType] = [.int8, .int4]
    let cursor: WordCursor
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(cursor.below)
        parameters.append(PassageWords.version)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            id: try row.int64(0), tenant: try row.text(1), title: try row.text(2), text: try row.text(3),
            language: try row.text(4), collection: try row.text(5),
            attributes: try CandidateColumns.attributes(row, from: 6))
    }
}

/// Takes the lock of index transactions, without being one: no document is shown or hidden.
struct LockIndex: PostgresStatement {
    static let name = "lock_index"
    static let sql = "SELECT pg_advisory_xact_lock(7882826980159875177)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

/// Gives passages their words: see `medallion_replace_words` of the migrations.
struct ReplaceWords: PostgresStatement {
    static let name = "replace_words"
    static let sql = "SELECT medallion_replace_words($3, $1, $2, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    static let parameterTypes: [PostgresType] = [.int4, .int8Array, .text] + PassageWords.types.dropFirst()
    let tenant: String
    /// In ascending order.
    let passages: [Int64]
    let words: PassageWords
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(PassageWords.version)
        parameters.append(passages)
        parameters.append(tenant)
        words.bindArrays(into: &parameters)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
