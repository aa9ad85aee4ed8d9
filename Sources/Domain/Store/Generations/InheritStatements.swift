import Postgres
import Records

/// What a child takes over from its parent: what the parent shows below the handover, but for the ranges that a replay writes
/// anew.
struct Inheritance {
    let child: Int64
    let parent: Int64
    let handover: [TopicPartition: Int64]
    let ranges: [(source: TopicPartition, offsets: OffsetRange)]

    static let parameterTypes: [PostgresType] = [
        .int8, .int8, .textArray, .int4Array, .int8Array, .textArray, .int4Array, .int8Array, .int8Array,
    ]

    func bind(into parameters: inout PostgresParameters) {
        let sorted = handover.sorted { $0.key < $1.key }
        parameters.append(child)
        parameters.append(parent)
        parameters.append(sorted.map(\.key.topic))
        parameters.append(sorted.map(\.key.partition))
        parameters.append(sorted.map(\.value))
        parameters.append(ranges.map(\.source.topic))
        parameters.append(ranges.map(\.source.partition))
        parameters.append(ranges.map(\.offsets.start))
        parameters.append(ranges.map(\.offsets.end))
    }

    /// Joins each row of a table to the handover of its topic partition, as `h`.
    fileprivate static func handovers(of table: String) -> String {
        """
        JOIN unnest($3::text[], $4::int[], $5::bigint[]) AS h(topic, partition, next_offset)
            ON h.topic = \(table).source_topic AND h.partition = \(table).source_partition
        """
    }

    /// Whether the child's own logic decides what a row's record makes: it lies in a range that the replay writes anew, or the
    /// stream job feeds it to the child.
    fileprivate static func isTheChilds(_ table: String) -> String {
        """
        (\(table).source_offset >= h.next_offset OR EXISTS (
            SELECT FROM unnest($6::text[], $7::int[], $8::bigint[], $9::bigint[])
                AS r(topic, partition, start_offset, end_offset)
            WHERE r.topic = \(table).source_topic AND r.partition = \(table).source_partition
                AND \(table).source_offset >= r.start_offset AND \(table).source_offset < r.end_offset))
        """
    }
}

/// Gives a child what its parent's index lacks, and the deletions that it knows of, where the child shows what its parent shows.
struct InheritRefusals: PostgresStatement {
    static let name = "inherit_refusals"
    static let sql = """
        INSERT INTO refused_documents (generation, source_topic, source_partition, source_offset, doc_id, code, reason,
            gold_line, refused_at)
        SELECT $1, d.source_topic, d.source_partition, d.source_offset, d.doc_id, d.code, d.reason, d.gold_line,
            d.refused_at
        FROM refused_documents d
        \(Inheritance.handovers(of: "d"))
        WHERE d.generation = $2 AND NOT \(Inheritance.isTheChilds("d"))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = Inheritance.parameterTypes
    let inheritance: Inheritance

    func bind(into parameters: inout PostgresParameters) { inheritance.bind(into: &parameters) }
}

/// Gives a child the deletions that its parent knows of, where the child shows what its parent shows.
struct InheritDeletions: PostgresStatement {
    static let name = "inherit_deletions"
    static let sql = """
        INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic,
            source_partition, source_offset, deleted_at)
        SELECT $1, d.collection_id, d.doc_id, d.tenant, d.version, d.source_topic, d.source_partition, d.source_offset,
            d.deleted_at
        FROM deleted_documents d
        \(Inheritance.handovers(of: "d"))
        WHERE d.generation = $2 AND NOT \(Inheritance.isTheChilds("d"))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = Inheritance.parameterTypes
    let inheritance: Inheritance

    func bind(into parameters: inout PostgresParameters) { inheritance.bind(into: &parameters) }
}

/// Gives a child the floors of versions that its parent has.
struct InheritFloors: PostgresStatement {
    static let name = "inherit_floors"
    static let sql = """
        INSERT INTO version_floors AS f (generation, source_topic, version, changed_at)
        SELECT $1, source_topic, version, changed_at FROM version_floors WHERE generation = $2
        ON CONFLICT (generation, source_topic) DO UPDATE SET version = excluded.version
        WHERE f.version < excluded.version
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let child: Int64
    let parent: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(child)
        parameters.append(parent)
    }
}

/// Hides what a generation shows and was told to delete: the replay may have written it before it took over its parent's
/// deletions. Within an index transaction.
struct HideDeleted: PostgresStatement {
    static let name = "hide_deleted"
    static let sql = """
        UPDATE visibility g SET to_version = currval('index_version_sequence')
        WHERE g.generation = $1 AND g.to_version IS NULL AND (
            EXISTS (
                SELECT FROM documents d JOIN deleted_documents m
                    ON m.generation = $1 AND m.doc_id = d.doc_id AND m.collection_id = d.collection_id
                WHERE d.id = g.document_id AND m.version >= g.version)
            OR EXISTS (
                SELECT FROM version_floors f
                WHERE f.generation = $1 AND f.source_topic = g.source_topic AND f.version > g.version))
        """
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64

    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
}

/// One step of showing a child what its parent shows: the parent's next documents by their keys. Within an index transaction,
/// so that it sees what the replay and the indexer wrote to the child, and they see what it wrote.
///
/// Of a document whose newest version the child's own logic makes anew the child gets the one before: that logic may make nothing.
/// One row: the last key of the step, null behind the last one, and how many documents it showed.
struct InheritDocuments: PostgresStatement {
    /// Keys of one step: some 100 ms.
    static let keysMax = 5_000
    static let name = "inherit_documents"
    static let sql = """
        WITH keys AS MATERIALIZED (
            SELECT g.key_id, g.document_id, g.from_version, g.source_topic, g.source_partition, g.source_offset
            FROM visibility g
            WHERE g.generation = $2 AND g.to_version IS NULL AND g.key_id > $10
            ORDER BY g.key_id LIMIT \(keysMax)
        ), kept AS (
            SELECT k.document_id, k.from_version FROM keys k
            \(Inheritance.handovers(of: "k"))
            WHERE NOT \(Inheritance.isTheChilds("k"))
            UNION ALL
            SELECT f.document_id, f.from_version FROM keys k
            \(Inheritance.handovers(of: "k"))
            JOIN documents d ON d.id = k.document_id
            CROSS JOIN LATERAL (
                SELECT g.document_id, g.from_version
                FROM medallion_visibility_of(d.doc_id, d.collection_id, $2) g
                \(Inheritance.handovers(of: "g"))
                WHERE g.to_version IS NOT NULL AND NOT \(Inheritance.isTheChilds("g"))
                ORDER BY g.version DESC, g.from_version DESC LIMIT 1
            ) f
            WHERE \(Inheritance.isTheChilds("k"))
        )
        SELECT (SELECT max(key_id) FROM keys), coalesce((
            SELECT medallion_inherit($1, $2, array_agg(n.document_id), array_agg(n.from_version)) FROM kept n), 0)
        """
    static let parameterTypes = Inheritance.parameterTypes + [.int8]
    struct Row {
        let lastKey: Int64?
        let shown: Int64
    }
    let inheritance: Inheritance
    let afterKey: Int64

    func bind(into parameters: inout PostgresParameters) {
        inheritance.bind(into: &parameters)
        parameters.append(afterKey)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(lastKey: try row.int64OrNil(0), shown: try row.int64(1))
    }
}

/// The same for documents that the parent deleted by a record of which the child's own logic may make nothing. One step takes the
/// next markers by document id. One row: the last marker, null behind the last, and how many documents it showed.
struct InheritUndeleted: PostgresStatement {
    static let name = "inherit_undeleted"
    static let sql = """
        WITH markers AS MATERIALIZED (
            SELECT m.doc_id, m.collection_id, m.version, m.source_topic, m.source_partition, m.source_offset
            FROM deleted_documents m
            WHERE m.generation = $2 AND (m.doc_id, m.collection_id, m.version) > ($10, $11, $12)
            ORDER BY m.doc_id, m.collection_id, m.version LIMIT \(InheritDocuments.keysMax)
        ), kept AS (
            SELECT DISTINCT f.document_id, f.from_version FROM markers k
            \(Inheritance.handovers(of: "k"))
            CROSS JOIN LATERAL (
                SELECT g.document_id, g.from_version
                FROM medallion_visibility_of(k.doc_id, k.collection_id, $2) g
                \(Inheritance.handovers(of: "g"))
                WHERE g.to_version IS NOT NULL AND NOT \(Inheritance.isTheChilds("g"))
                ORDER BY g.version DESC, g.from_version DESC LIMIT 1
            ) f
            WHERE \(Inheritance.isTheChilds("k"))
                -- What the parent shows elsewhere is not for this to judge.
                AND NOT EXISTS (
                    SELECT FROM medallion_visibility_of(k.doc_id, k.collection_id, $2) c WHERE c.to_version IS NULL)
        )
        SELECT l.doc_id, l.collection_id, l.version, coalesce((
            SELECT medallion_inherit($1, $2, array_agg(n.document_id), array_agg(n.from_version)) FROM kept n), 0)
        FROM (VALUES (1)) one LEFT JOIN (
            SELECT doc_id, collection_id, version FROM markers ORDER BY doc_id DESC, collection_id DESC, version DESC LIMIT 1
        ) l ON true
        """
    static let parameterTypes = Inheritance.parameterTypes + [.text, .int4, .int8]
    struct Marker {
        let docID: String
        let collection: Int32
        let version: Int64

        static let beforeAll = Marker(docID: "", collection: .min, version: .min)
    }
    struct Row {
        let last: Marker?
        let shown: Int64
    }
    let inheritance: Inheritance
    let after: Marker

    func bind(into parameters: inout PostgresParameters) {
        inheritance.bind(into: &parameters)
        parameters.append(after.docID)
        parameters.append(after.collection)
        parameters.append(after.version)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        var last: Marker?
        if let docID = try row.textOrNil(0) {
            last = Marker(docID: docID, collection: try row.int32(1), version: try row.int64(2))
        }
        return Row(last: last, shown: try row.int64(3))
    }
}

/// What kept a copy from being made: the model of a child's vectors, where the parent has another's. No row where both agree or
/// one has none.
struct CompareModels: PostgresStatement {
    static let name = "compare_models"
    static let sql = """
        SELECT m.name, n.name
        FROM generations c JOIN generations p ON p.generation = $2
        JOIN models m ON m.id = c.model_id JOIN models n ON n.id = p.model_id
        WHERE c.generation = $1 AND c.model_id <> p.model_id
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let child: Int64
    let parent: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(child)
        parameters.append(parent)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> (child: String, parent: String) {
        (try row.text(0), try row.text(1))
    }
}

/// A child whose vectors have no model yet takes its parent's, whose documents it shows.
struct InheritModel: PostgresStatement {
    static let name = "inherit_model"
    static let sql = """
        UPDATE generations c SET model_id = p.model_id FROM generations p
        WHERE c.generation = $1 AND p.generation = $2 AND c.model_id IS NULL
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let child: Int64
    let parent: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(child)
        parameters.append(parent)
    }
}
