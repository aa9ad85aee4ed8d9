import Postgres
package import Records

/// What an audit takes out of a generation's index, in the index transaction that writes the right documents in its place.
package struct AuditHiding: Sendable {
    package var generation: Int64
    /// Numbers of contents that are to be shown no more.
    package var documents: [Int64] = []
    /// Of these the contents are damaged: they are found no more by who writes the documents again.
    package var damaged: [Int64] = []
    /// The number of the model of ``vectors``; 0 for none.
    package var model: Int32
    /// Vectors that are wrong: nobody shares them any more.
    package var vectors: [Int64] = []

    package init(generation: Int64, model: Int32) {
        self.generation = generation
        self.model = model
    }
}

/// Within an index transaction: hides documents that a generation shows, and where their contents are damaged takes these out of
/// the way of what is written in their place.
struct HideAudited: PostgresStatement {
    static let name = "hide_audited"
    static let sql = "SELECT medallion_hide_audited($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.int8, .int8Array, .int8Array, .int4, .int8Array]
    let hiding: AuditHiding
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(hiding.generation)
        parameters.append(hiding.documents)
        parameters.append(hiding.damaged)
        parameters.append(hiding.model)
        parameters.append(hiding.vectors)
    }
}

/// Where a generation shows documents that have one of some vectors.
struct ReadVectorPlaces: PostgresStatement {
    static let name = "read_vector_places"
    static let sql = """
        SELECT DISTINCT g.source_topic, g.source_partition, g.source_offset
        FROM passages p JOIN documents d ON d.id = p.document_id AND d.model_id = $2
        JOIN visibility g ON g.document_id = d.id AND g.generation = $1 AND g.to_version IS NULL
        WHERE p.vector_id = ANY ($3) LIMIT 10000
        """
    static let parameterTypes: [PostgresType] = [.int8, .int4, .int8Array]
    let generation: Int64
    let model: Int32
    let vectors: [Int64]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(model)
        parameters.append(vectors)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditedPlace {
        AuditedPlace(
            source: TopicPartition(topic: try row.text(0), partition: try row.int32(1)), offset: try row.int64(2))
    }
}

/// A source's record.
package struct AuditedPlace: Sendable, Hashable {
    package var source: TopicPartition
    package var offset: Int64
}

/// Rows that a finished generation shows of offsets that neither its checkpoints nor the lake's ranges cover.
struct CountRowsOutside: PostgresStatement {
    static let name = "count_rows_outside"
    static let sql = """
        SELECT count(*) FROM visibility g
        WHERE g.generation = $1 AND g.to_version IS NULL
            AND EXISTS (SELECT FROM generations n WHERE n.generation = $1 AND n.state <> 'created')
            AND NOT EXISTS (
                SELECT FROM index_checkpoints c
                LEFT JOIN unnest($2, $3, $4) AS r(topic, partition, first)
                    ON r.topic = c.topic AND r.partition = c.partition
                WHERE c.generation = $1 AND c.topic = g.source_topic AND c.partition = g.source_partition
                    AND g.source_offset < c.next_offset AND g.source_offset >= coalesce(r.first, 0))
        """
    static let parameterTypes: [PostgresType] = [.int8, .textArray, .int4Array, .int8Array]
    let generation: Int64
    let ranges: [(source: TopicPartition, range: OffsetRange)]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(ranges.map(\.source.topic))
        parameters.append(ranges.map(\.source.partition))
        parameters.append(ranges.map(\.range.start))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

/// The tables in which rows may be that nothing refers to, in the order in which they are removed.
enum OrphanKind: String, CaseIterable {
    case documents, passages, words, postings, vectors
}

/// A row that nothing refers to.
struct Orphan {
    /// The number of its tenant, 0 where it is not needed.
    let owner: Int32
    let id: Int64
    /// Of postings.
    let word: Int32
}

/// Some of the rows of a kind that nothing refers to; read outside of an index transaction, since it looks at whole tables.
struct ReadOrphans: PostgresStatement {
    static let name = "read_orphans"
    static let sql = make(.postings, model: 1)
    static let parameterTypes: [PostgresType] = [.int8]
    let kind: OrphanKind
    let model: Int32
    let limit: Int64

    var text: StatementText {
        StatementText(
            name: "\(Self.name)_\(kind)_\(model)", sql: Self.make(kind, model: model), types: Self.parameterTypes)
    }

    private static func make(_ kind: OrphanKind, model: Int32) -> String {
        switch kind {
        case .documents:
            """
            SELECT 0, d.id, 0 FROM documents d WHERE NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id) LIMIT $1
            """
        case .passages:
            """
            SELECT 0, p.id, 0 FROM passages p WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = p.document_id) LIMIT $1
            """
        case .words:
            """
            SELECT x.tenant_id, x.passage_id, 0 FROM passage_terms x
            WHERE NOT EXISTS (SELECT FROM passages p WHERE p.id = x.passage_id) LIMIT $1
            """
        case .postings:
            """
            SELECT o.tenant_id, o.last_passage, o.word_id FROM postings o
            WHERE EXISTS (SELECT FROM unnest(o.passages) AS n(id) WHERE NOT EXISTS (
                SELECT FROM passages p WHERE p.id = n.id)) LIMIT $1
            """
        case .vectors:
            """
            SELECT t.id, v.id, 0 FROM vectors_\(model) v JOIN tenants t ON t.name = v.tenant
            WHERE NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id) LIMIT $1
            """
        }
    }

    func bind(into parameters: inout PostgresParameters) { parameters.append(limit) }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Orphan {
        Orphan(owner: try row.int32(0), id: try row.int64(1), word: try row.int32(2))
    }
}

/// Removes some of what ``ReadOrphans`` read, within an index transaction, as far as still nothing refers to it.
struct RemoveOrphans: PostgresStatement {
    static let name = "remove_orphans"
    static let sql = "SELECT medallion_remove_orphans($1, $2, $3, $4, $5)"
    static let parameterTypes: [PostgresType] = [.text, .int4, .int4Array, .int8Array, .int4Array]
    let kind: OrphanKind
    let model: Int32
    let orphans: ArraySlice<Orphan>
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(kind.rawValue)
        parameters.append(model)
        parameters.append(orphans.map(\.owner))
        parameters.append(orphans.map(\.id))
        parameters.append(orphans.map(\.word))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
