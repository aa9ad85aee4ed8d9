import Postgres
import Records
import Retrieval

/// How far the index is, as arms in memory follow it.
struct ReadArmsState: PostgresStatement {
    struct Row: Equatable {
        /// The active generation.
        let generation: Int64
        /// The number of its vectors' model, the model's name and how many numbers a vector has; 0 where it has none.
        let model: Int32
        let modelName: String
        let dimensions: Int
        /// The newest index version.
        let version: Int64
        /// The oldest index version that can be read.
        let oldestVersion: Int64
        /// Whether all passages have their words.
        let areWordsComplete: Bool
        /// When the newest index version came to be, microseconds since 1970; 0 where there is none.
        let stamp: Int64
    }
    static let name = "read_arms_state"
    static let sql = """
        SELECT a.generation, coalesce(m.id, 0), coalesce(m.name, ''), coalesce(m.dimensions, 0),
            coalesce((SELECT max(version) FROM index_versions), 0), (SELECT oldest_version FROM index_history),
            (SELECT is_complete AND analyzer IN (0, $1) FROM word_arm),
            coalesce((SELECT \(FindArmsStamp.stamp) FROM index_versions v ORDER BY v.version DESC LIMIT 1), 0)
        FROM active_generation a JOIN generations n ON n.generation = a.generation LEFT JOIN models m ON m.id = n.model_id
        """
    static let parameterTypes: [PostgresType] = [.int4]
    func bind(into parameters: inout PostgresParameters) { parameters.append(PassageWords.version) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            generation: try row.int64(0), model: try row.int32(1), modelName: try row.text(2),
            dimensions: Int(try row.int32(3)), version: try row.int64(4), oldestVersion: try row.int64(5),
            areWordsComplete: try row.bool(6), stamp: try row.int64(7))
    }
}

/// When an index version came to be, microseconds since 1970: what tells it from the version of that number of another history, as
/// of a backup that was restored.
struct FindArmsStamp: PostgresStatement {
    static let stamp = "(extract(epoch FROM v.created_at) * 1000000)::bigint"
    static let name = "find_arms_stamp"
    static let sql = "SELECT \(stamp) FROM index_versions v WHERE v.version = $1"
    static let parameterTypes: [PostgresType] = [.int8]
    let version: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(version) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// What tells the database from others.
struct ReadArmsDatabase: PostgresStatement {
    static let name = "read_arms_database"
    static let sql = """
        SELECT (SELECT c.system_identifier FROM pg_control_system() c) || '-' || d.oid
        FROM pg_database d WHERE d.datname = current_database()
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// About how many passages a generation shows of a tenant.
struct CountArmsPassages: PostgresStatement {
    static let name = "count_arms_passages"
    static let sql = """
        SELECT coalesce(sum(t.passages), 0)::bigint FROM collections c
        JOIN collection_counts t ON t.collection_id = c.id AND t.generation = $2 WHERE c.tenant = $1
        """
    static let parameterTypes: [PostgresType] = [.text, .int8]
    let tenant: TenantID
    let generation: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(generation)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// A passage with what the arms know of its document.
struct ArmsPassageRow {
    let document: Int64
    let collection: String
    let language: String
    let eventTimeMilliseconds: Int64
    let attributes: AttributeList
    let passage: Int64
    let vector: Int64?

    static let columns = """
        d.id, c.name, d.lang, d.event_time, d.wiki, d.type, d.user_name, d.is_bot, d.namespace, d.attributes, p.id, p.vector_id
        """

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsPassageRow {
        ArmsPassageRow(
            document: try row.int64(0), collection: try row.text(1), language: try row.text(2),
            eventTimeMilliseconds: try row.timestampMilliseconds(3),
            attributes: try CandidateColumns.attributes(row, from: 4), passage: try row.int64(10),
            vector: try row.int64OrNil(11))
    }
}

/// The next documents that a generation shows at a version, by number, with their passages.
struct ListArmsDocuments: PostgresStatement {
    /// Documents of one page.
    static let documentsMax = 5_000
    static let name = "list_arms_documents"
    static let sql = """
        SELECT \(ArmsPassageRow.columns) FROM (
            SELECT g.document_id FROM visibility g
            WHERE g.document_id > $4 AND g.generation = $2 AND g.tenant = $1 AND g.from_version <= $3
                AND (g.to_version IS NULL OR g.to_version > $3) AND g.suppression IS NULL
                AND EXISTS (SELECT FROM passages p WHERE p.document_id = g.document_id)
            ORDER BY g.document_id LIMIT \(documentsMax)
        ) g JOIN documents d ON d.id = g.document_id JOIN collections c ON c.id = d.collection_id
        JOIN passages p ON p.document_id = d.id ORDER BY d.id, p.number
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .int8, .int8]
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
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsPassageRow {
        try ArmsPassageRow.decode(row)
    }
}

/// A number with the half-precision numbers of its vector.
private func vectorRow(
    _ row: borrowing PostgresRow
) throws(PostgresError) -> (id: Int64, halves: [UInt16]) {
    let halves = row.withBytes(1) { bytes -> [UInt16]? in
        guard let bytes, bytes.count >= 4 else { return nil }
        let count = Int(bytes[0]) << 8 | Int(bytes[1])
        guard bytes.count == 4 + 2 * count else { return nil }
        return (0..<count).map { UInt16(bytes[4 + 2 * $0]) << 8 | UInt16(bytes[5 + 2 * $0]) }
    }
    guard let halves else {
        throw PostgresError(kind: .decode, operation: "read a vector", server: "index", message: "no halfvec")
    }
    return (try row.int64(0), halves)
}

/// The next vectors of a model and a tenant, by number.
struct ListArmsVectors: PostgresStatement {
    static let rowsMax = 10_000
    static let name = "list_arms_vectors"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.text, .int8]
    let model: Int32
    let tenant: TenantID
    let after: Int64

    var text: StatementText {
        StatementText(name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }
    private static func make(model: Int32) -> String {
        """
        SELECT v.id, v.embedding FROM vectors_\(model) v WHERE v.tenant = $1 AND v.id > $2 ORDER BY v.id LIMIT \(rowsMax)
        """
    }
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(after)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: Int64, halves: [UInt16]) {
        try vectorRow(row)
    }
}

/// Some vectors by their numbers.
struct FindArmsVectors: PostgresStatement {
    static let name = "find_arms_vectors"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.text, .int8Array]
    let model: Int32
    let tenant: TenantID
    let ids: [Int64]

    var text: StatementText {
        StatementText(name: "\(Self.name)_\(model)", sql: Self.make(model: model), types: Self.parameterTypes)
    }
    private static func make(model: Int32) -> String {
        "SELECT v.id, v.embedding FROM vectors_\(model) v WHERE v.tenant = $1 AND v.id = ANY ($2)"
    }
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(ids)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: Int64, halves: [UInt16]) {
        try vectorRow(row)
    }
}

/// The next words of a tenant, by number.
struct ListArmsWords: PostgresStatement {
    static let rowsMax = 20_000
    static let name = "list_arms_words"
    static let sql = "SELECT w.id, w.text FROM words w WHERE w.tenant = $1 AND w.id > $2 ORDER BY w.id LIMIT \(rowsMax)"
    static let parameterTypes: [PostgresType] = [.text, .int4]
    let tenant: TenantID
    let after: Int32
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(after)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: Int32, text: String) {
        (try row.int32(0), try row.text(1))
    }
}

/// Some words by their numbers.
struct FindArmsWords: PostgresStatement {
    static let name = "find_arms_words"
    static let sql = "SELECT w.id, w.text FROM words w WHERE w.tenant = $1 AND w.id = ANY ($2)"
    static let parameterTypes: [PostgresType] = [.text, .int4Array]
    let tenant: TenantID
    let ids: [Int32]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(ids)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (id: Int32, text: String) {
        (try row.int32(0), try row.text(1))
    }
}

/// The words of a passage.
struct ArmsTerms {
    let passage: Int64
    /// Numbers of its words, each once.
    let words: [Int32]
    /// Of each word.
    let weights: [Int32]

    static let columns = "x.passage_id, x.words, x.weights"

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsTerms {
        ArmsTerms(passage: try row.int64(0), words: try row.int32s(1), weights: try row.int32s(2))
    }
}

/// The words of the next passages of a tenant, by number.
struct ListArmsTerms: PostgresStatement {
    /// Passages of one page, of some forty words each.
    static let rowsMax = 2_000
    static let name = "list_arms_terms"
    static let sql = """
        SELECT \(ArmsTerms.columns) FROM passage_terms x
        WHERE x.tenant_id = \(tenantNumber) AND x.passage_id > $2 ORDER BY x.passage_id LIMIT \(rowsMax)
        """
    static let tenantNumber = "(SELECT t.id FROM tenants t WHERE t.name = $1)"
    static let parameterTypes: [PostgresType] = [.text, .int8]
    let tenant: TenantID
    let after: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(after)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsTerms {
        try ArmsTerms.decode(row)
    }
}

/// The words of some passages, in the order of these.
struct FindArmsTerms: PostgresStatement {
    static let name = "find_arms_terms"
    static let sql = """
        SELECT \(ArmsTerms.columns) FROM unnest($2) WITH ORDINALITY AS n(id, place)
        CROSS JOIN LATERAL (
            SELECT x.passage_id, x.words, x.weights FROM passage_terms x
            WHERE x.tenant_id = \(ListArmsTerms.tenantNumber) AND x.passage_id = n.id LIMIT 1
        ) x
        ORDER BY n.place
        """
    static let parameterTypes: [PostgresType] = [.text, .int8Array]
    let tenant: TenantID
    let passages: [Int64]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(passages)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ArmsTerms {
        try ArmsTerms.decode(row)
    }
}
