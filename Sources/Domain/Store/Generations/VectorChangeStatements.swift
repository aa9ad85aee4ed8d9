import Postgres
import Records

/// A content and one of its passages.
struct FormerContentRow {
    let key: Int64
    let documentID: Int64
    let tenant: TenantID
    /// Nil where it has none.
    let passage: EmbeddedContent.Passage?

    /// What a statement selects of the contents `n`.
    fileprivate static let columns = """
        SELECT n.key_id, n.document_id, d.tenant, p.id, p.text
        FROM n JOIN documents d ON d.id = n.document_id LEFT JOIN passages p ON p.document_id = d.id
        ORDER BY n.key_id, p.number
        """

    fileprivate init(_ row: borrowing PostgresRow, _ operation: String) throws(PostgresError) {
        (key, documentID) = (try row.int64(0), try row.int64(1))
        guard let tenant = TenantID(try row.text(2)) else {
            throw PostgresError(
                kind: .decode, operation: operation, server: "index", message: "a document of no tenant")
        }
        self.tenant = tenant
        passage = row.isNull(3) ? nil : EmbeddedContent.Passage(id: try row.int64(3), text: try row.text(4))
    }
}

/// The next contents that a generation shows whose vectors are not of its model, by the keys of their documents.
struct ListFormerContents: PostgresStatement {
    static let name = "list_former_contents"
    static let sql = """
        WITH n AS MATERIALIZED (
            SELECT g.key_id, g.document_id FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.generation = $1 AND g.to_version IS NULL AND g.key_id > $2
                AND d.model_id <> (SELECT o.model_id FROM generations o WHERE o.generation = $1)
            ORDER BY g.key_id LIMIT $3
        )
        \(FormerContentRow.columns)
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8, .int8]
    let generation: Int64
    let after: Int64
    let most: Int
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(after)
        parameters.append(Int64(most))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> FormerContentRow {
        try FormerContentRow(row, name)
    }
}

/// How many contents a generation shows whose vectors are not of its model.
struct CountFormerContents: PostgresStatement {
    static let name = "count_former_contents"
    static let sql = """
        SELECT count(*) FROM visibility g JOIN documents d ON d.id = g.document_id
        WHERE g.generation = $1 AND g.to_version IS NULL
            AND d.model_id <> (SELECT o.model_id FROM generations o WHERE o.generation = $1)
        """
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// The next contents that a generation shows of records outside of some ranges, by the keys of their documents.
struct ListShownContents: PostgresStatement {
    static let name = "list_shown_contents"
    static let sql = """
        WITH n AS MATERIALIZED (
            SELECT g.key_id, g.document_id FROM visibility g
            WHERE g.generation = $1 AND g.to_version IS NULL AND g.key_id > $2
                AND NOT EXISTS (
                    SELECT FROM unnest($4::text[], $5::int[], $6::bigint[], $7::bigint[])
                        AS r(topic, partition, start_offset, end_offset)
                    WHERE r.topic = g.source_topic AND r.partition = g.source_partition
                        AND g.source_offset >= r.start_offset AND g.source_offset < r.end_offset)
            ORDER BY g.key_id LIMIT $3
        )
        \(FormerContentRow.columns)
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8, .int8, .textArray, .int4Array, .int8Array, .int8Array]
    let generation: Int64
    let after: Int64
    let most: Int
    let ranges: [(source: TopicPartition, offsets: OffsetRange)]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(after)
        parameters.append(Int64(most))
        parameters.append(ranges.map(\.source.topic))
        parameters.append(ranges.map(\.source.partition))
        parameters.append(ranges.map(\.offsets.start))
        parameters.append(ranges.map(\.offsets.end))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> FormerContentRow {
        try FormerContentRow(row, name)
    }
}

/// Shows contents of a tenant with vectors of the generation's model: see `medallion_reembed` of the migrations. One row.
struct Reembed: PostgresStatement {
    static let name = "reembed"
    static let sql = "SELECT medallion_reembed($1, $2, $3, $4, $5, $6, $7)"
    static let parameterTypes: [PostgresType] = [
        .int8, .int4, .text, .int8Array, .int8Array, .int8Array, .textArray,
    ]
    let generation: Int64
    /// The model's number in the index.
    let model: Int32
    let tenant: TenantID
    private var documents: [Int64] = []
    private var refused: [Int64] = []
    private var passages: [Int64] = []
    private var inputHashes: [String] = []

    private init(generation: Int64, model: Int32, tenant: TenantID) {
        (self.generation, self.model, self.tenant) = (generation, model, tenant)
    }

    /// One for each tenant.
    static func statements(of change: ChangedVectors, generation: Int64, model: Int32) -> [Reembed] {
        var statements: [TenantID: Reembed] = [:]
        var place = 0
        for content in change.contents {
            let hashes = change.inputHashes[place..<place + content.passages.count]
            place += content.passages.count
            var statement =
                statements[content.tenant] ?? Reembed(generation: generation, model: model, tenant: content.tenant)
            statement.documents.append(content.documentID)
            if hashes.contains(where: { change.refused.contains(VectorInput(tenant: content.tenant, hash: $0)) }) {
                statement.refused.append(content.documentID)
            } else {
                statement.passages += content.passages.map(\.id)
                statement.inputHashes += hashes
            }
            statements[content.tenant] = statement
        }
        return statements.sorted { $0.key.text < $1.key.text }.map(\.value)
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(model)
        parameters.append(tenant.text)
        parameters.append(documents)
        parameters.append(refused)
        parameters.append(passages)
        parameters.append(inputHashes)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
