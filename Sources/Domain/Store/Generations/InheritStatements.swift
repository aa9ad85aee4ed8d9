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

    /// Joins each row of a table, which has `doc_id` and `collection_id`, to what the parent showed of that document before the
    /// records that are the child's, as `f`; a document that it never showed before drops out.
    fileprivate static func versionBefore(of table: String) -> String {
        """
        CROSS JOIN LATERAL (
            SELECT g.document_id, g.from_version
            FROM medallion_visibility_of(\(table).doc_id, \(table).collection_id, $2) g
            \(handovers(of: "g"))
            WHERE g.to_version IS NOT NULL AND NOT \(isTheChilds("g"))
            ORDER BY g.version DESC, g.from_version DESC LIMIT 1
        ) f
        """
    }
}

/// A deletion in the order in which steps read a generation's.
struct DeletionMarker {
    let docID: String
    let collection: Int32
    let version: Int64

    static let beforeAll = DeletionMarker(docID: "", collection: .min, version: .min)
    static let parameterTypes: [PostgresType] = [.text, .int4, .int8]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(docID)
        parameters.append(collection)
        parameters.append(version)
    }

    /// From the first three columns; nil where they are null.
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> DeletionMarker? {
        guard let docID = try row.textOrNil(0) else { return nil }
        return DeletionMarker(docID: docID, collection: try row.int32(1), version: try row.int64(2))
    }
}

/// Gives a child what its parent's index lacks, where the child shows what its parent shows.
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

/// One step of giving a child the deletions that its parent knows of, where the child shows what its parent shows: the next markers.
/// One row: the last marker of the step; none behind the last.
struct InheritDeletions: PostgresStatement {
    static let name = "inherit_deletions"
    static let sql = """
        WITH markers AS MATERIALIZED (
            SELECT d.* FROM deleted_documents d
            WHERE d.generation = $2 AND (d.doc_id, d.collection_id, d.version) > ($10, $11, $12)
            ORDER BY d.doc_id, d.collection_id, d.version LIMIT \(InheritDocuments.keysMax)
        ), copied AS (
            INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic,
                source_partition, source_offset, deleted_at)
            SELECT $1, d.collection_id, d.doc_id, d.tenant, d.version, d.source_topic, d.source_partition, d.source_offset,
                d.deleted_at
            FROM markers d
            \(Inheritance.handovers(of: "d"))
            WHERE NOT \(Inheritance.isTheChilds("d"))
            ON CONFLICT DO NOTHING
        )
        SELECT doc_id, collection_id, version FROM markers ORDER BY doc_id DESC, collection_id DESC, version DESC LIMIT 1
        """
    static let parameterTypes = Inheritance.parameterTypes + DeletionMarker.parameterTypes
    let inheritance: Inheritance
    let after: DeletionMarker

    func bind(into parameters: inout PostgresParameters) {
        inheritance.bind(into: &parameters)
        after.bind(into: &parameters)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> DeletionMarker? {
        try DeletionMarker.decode(row)
    }
}

/// Gives a child the floors of versions that its parent has, where the child shows what its parent shows, and those of a time when
/// floors did not know their records.
struct InheritFloors: PostgresStatement {
    static let name = "inherit_floors"
    static let sql = """
        INSERT INTO version_floors (generation, source_topic, version, source_partition, source_offset, changed_at)
        SELECT $1, d.source_topic, d.version, d.source_partition, d.source_offset, d.changed_at
        FROM version_floors d
        LEFT \(Inheritance.handovers(of: "d"))
        WHERE d.generation = $2
            AND (d.source_offset < 0 OR h.next_offset IS NOT NULL AND NOT \(Inheritance.isTheChilds("d")))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = Inheritance.parameterTypes
    let inheritance: Inheritance

    func bind(into parameters: inout PostgresParameters) { inheritance.bind(into: &parameters) }
}

/// One step of hiding what a generation shows and was told to delete: the replay may have written it before it took over its parent's
/// deletions. The next documents by their keys, within an index transaction. One row: the last key of the step, null behind the last.
struct HideDeleted: PostgresStatement {
    static let name = "hide_deleted"
    static let sql = """
        WITH keys AS MATERIALIZED (
            SELECT g.key_id, g.document_id, g.generation, g.from_version, g.source_topic, g.version FROM visibility g
            WHERE g.generation = $1 AND g.to_version IS NULL AND g.key_id > $2
            ORDER BY g.key_id LIMIT \(InheritDocuments.keysMax)
        ), hidden AS (
            UPDATE visibility g SET to_version = currval('index_version_sequence') FROM keys k
            -- Not the parameter: a planner that knows of no row of a new generation would look for it alone, once for each key.
            WHERE g.document_id = k.document_id AND g.generation = k.generation AND g.from_version = k.from_version AND (
                EXISTS (
                    SELECT FROM documents d JOIN deleted_documents m
                        ON m.generation = $1 AND m.doc_id = d.doc_id AND m.collection_id = d.collection_id
                    WHERE d.id = k.document_id AND m.version >= k.version)
                OR EXISTS (
                    SELECT FROM version_floors f
                    WHERE f.generation = $1 AND f.source_topic = k.source_topic AND f.version > k.version))
        )
        SELECT max(key_id) FROM keys
        """
    static let parameterTypes: [PostgresType] = [.int8, .int8]
    let generation: Int64
    let afterKey: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(afterKey)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
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
            \(Inheritance.versionBefore(of: "d"))
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
            \(Inheritance.versionBefore(of: "k"))
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
    static let parameterTypes = Inheritance.parameterTypes + DeletionMarker.parameterTypes
    struct Row {
        let last: DeletionMarker?
        let shown: Int64
    }
    let inheritance: Inheritance
    let after: DeletionMarker

    func bind(into parameters: inout PostgresParameters) {
        inheritance.bind(into: &parameters)
        after.bind(into: &parameters)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(last: try DeletionMarker.decode(row), shown: try row.int64(3))
    }
}

/// The same for documents that the parent hid because of a floor, of whose record the child's own logic may make nothing. One step
/// takes the parent's next rows, shown or ended, and none where it has no such floor. One row: the last row of the step, null behind
/// the last, and how many documents it showed.
struct InheritUntruncated: PostgresStatement {
    static let name = "inherit_untruncated"
    private static let floor = """
        SELECT FROM version_floors f \(Inheritance.handovers(of: "f"))
        WHERE f.generation = $2 AND \(Inheritance.isTheChilds("f"))
        """
    static let sql = """
        WITH passed AS MATERIALIZED (
            SELECT g.document_id, g.from_version, g.to_version, g.key_id, g.source_topic, g.version FROM visibility g
            WHERE g.generation = $2 AND (g.document_id, g.from_version) > ($10, $11) AND EXISTS (\(floor))
            ORDER BY g.document_id, g.from_version LIMIT \(InheritDocuments.keysMax)
        ), hidden AS (
            SELECT DISTINCT d.doc_id, d.collection_id FROM passed p JOIN documents d ON d.id = p.document_id
            WHERE p.to_version IS NOT NULL
                AND EXISTS (\(floor) AND f.source_topic = p.source_topic AND f.version > p.version)
                -- What the parent shows elsewhere is not for this to judge.
                AND NOT EXISTS (
                    SELECT FROM visibility c WHERE c.generation = $2 AND c.key_id = p.key_id AND c.to_version IS NULL)
        ), kept AS (
            SELECT f.document_id, f.from_version FROM hidden k
            \(Inheritance.versionBefore(of: "k"))
        )
        SELECT l.document_id, l.from_version, coalesce((
            SELECT medallion_inherit($1, $2, array_agg(n.document_id), array_agg(n.from_version)) FROM kept n), 0)
        FROM (VALUES (1)) one LEFT JOIN (
            SELECT document_id, from_version FROM passed ORDER BY document_id DESC, from_version DESC LIMIT 1
        ) l ON true
        """
    static let parameterTypes = Inheritance.parameterTypes + [.int8, .int8]
    struct Place {
        let document: Int64
        let fromVersion: Int64

        static let beforeAll = Place(document: .min, fromVersion: .min)
    }
    struct Row {
        let last: Place?
        let shown: Int64
    }
    let inheritance: Inheritance
    let after: Place

    func bind(into parameters: inout PostgresParameters) {
        inheritance.bind(into: &parameters)
        parameters.append(after.document)
        parameters.append(after.fromVersion)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        var last: Place?
        if let document = try row.int64OrNil(0) { last = Place(document: document, fromVersion: try row.int64(1)) }
        return Row(last: last, shown: try row.int64(2))
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
