import Postgres
import Records

/// What the statements that copy from a parent share: their parameters are those of ``CopyParentRows``.
private enum Inheritance {
    /// Joins each row of a table to the handover of its topic partition, as `h`.
    static func handovers(of table: String) -> String {
        """
        JOIN unnest($3::text[], $4::int[], $5::bigint[]) AS h(topic, partition, next_offset)
            ON h.topic = \(table).source_topic AND h.partition = \(table).source_partition
        """
    }

    /// Whether a row's record lies in a range that the replay writes anew.
    static func isReplayed(_ table: String) -> String {
        """
        EXISTS (
            SELECT FROM unnest($6::text[], $7::int[], $8::bigint[], $9::bigint[])
                AS r(topic, partition, start_offset, end_offset)
            WHERE r.topic = \(table).source_topic AND r.partition = \(table).source_partition
                AND \(table).source_offset >= r.start_offset AND \(table).source_offset < r.end_offset)
        """
    }
}

/// Shows a child all that its parent shows below the handover, but for the ranges that a replay writes anew.
struct CopyParentRows: PostgresStatement {
    static let name = "copy_parent_rows"
    static let sql = """
        INSERT INTO generation_passages (generation, passage_id, version, logic_version, lineage, source_topic,
            source_partition, source_offset, from_version)
        SELECT $1, g.passage_id, g.version, g.logic_version, g.lineage, g.source_topic, g.source_partition,
            g.source_offset, g.from_version
        FROM generation_passages g
        \(Inheritance.handovers(of: "g"))
        WHERE g.generation = $2 AND g.to_version IS NULL AND g.source_offset < h.next_offset
            AND NOT \(Inheritance.isReplayed("g"))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .int8, .textArray, .int4Array, .int8Array, .textArray, .int4Array, .int8Array, .int8Array,
    ]
    let child: Int64
    let parent: Int64
    let handover: [TopicPartition: Int64]
    let ranges: [(source: TopicPartition, offsets: OffsetRange)]

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
}

/// Gives a child what its parent's index lacks, where the child shows what its parent shows.
struct CopyParentRefusals: PostgresStatement {
    static let name = "copy_parent_refusals"
    static let sql = """
        INSERT INTO refused_documents (generation, source_topic, source_partition, source_offset, doc_id, code, reason,
            gold_line, refused_at)
        SELECT $1, d.source_topic, d.source_partition, d.source_offset, d.doc_id, d.code, d.reason, d.gold_line,
            d.refused_at
        FROM refused_documents d
        \(Inheritance.handovers(of: "d"))
        WHERE d.generation = $2 AND d.source_offset < h.next_offset
            AND NOT \(Inheritance.isReplayed("d"))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = CopyParentRows.parameterTypes
    let rows: CopyParentRows

    func bind(into parameters: inout PostgresParameters) { rows.bind(into: &parameters) }
}

/// Gives a child the deletions that its parent knows of, where the child shows what its parent shows.
struct CopyParentDeletions: PostgresStatement {
    static let name = "copy_parent_deletions"
    static let sql = """
        INSERT INTO deleted_documents (generation, doc_id, tenant, collection, version, source_topic, source_partition,
            source_offset, deleted_at)
        SELECT $1, d.doc_id, d.tenant, d.collection, d.version, d.source_topic, d.source_partition, d.source_offset,
            d.deleted_at
        FROM deleted_documents d
        \(Inheritance.handovers(of: "d"))
        WHERE d.generation = $2 AND d.source_offset < h.next_offset
            AND NOT \(Inheritance.isReplayed("d"))
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = CopyParentRows.parameterTypes
    let rows: CopyParentRows

    func bind(into parameters: inout PostgresParameters) { rows.bind(into: &parameters) }
}

/// Shows a child of each document what the parent has hidden for something that the child does not have, such as a version
/// within the range that a replay makes anew: it may not come again. To be run behind the other copies.
struct CopyReplacedRows: PostgresStatement {
    static let name = "copy_replaced_rows"
    static let sql = """
        INSERT INTO generation_passages (generation, passage_id, version, logic_version, lineage, source_topic,
            source_partition, source_offset, from_version)
        SELECT $1, b.passage_id, b.version, b.logic_version, b.lineage, b.source_topic, b.source_partition,
            b.source_offset, b.from_version
        FROM (
            SELECT g.*, rank() OVER (
                PARTITION BY p.doc_id, p.tenant, p.collection
                ORDER BY g.version DESC, g.from_version DESC, p.content_hash, p.model) AS place
            FROM generation_passages g
            \(Inheritance.handovers(of: "g"))
            JOIN passages p ON p.id = g.passage_id
            WHERE g.generation = $2 AND g.to_version IS NOT NULL AND g.source_offset < h.next_offset
                AND NOT \(Inheritance.isReplayed("g"))
                AND NOT EXISTS (
                    SELECT FROM passages o JOIN generation_passages c ON c.generation = $1 AND c.passage_id = o.id
                    WHERE o.doc_id = p.doc_id AND o.tenant = p.tenant AND o.collection = p.collection)
                AND NOT EXISTS (
                    SELECT FROM deleted_documents d
                    WHERE d.generation = $1 AND d.doc_id = p.doc_id AND d.tenant = p.tenant
                        AND d.collection = p.collection AND d.version >= g.version)
                -- What the parent shows or deleted elsewhere is not for this to judge.
                AND EXISTS (
                    SELECT FROM (
                        SELECT c.source_topic, c.source_partition, c.source_offset
                        FROM passages o JOIN generation_passages c ON c.generation = $2 AND c.passage_id = o.id
                        WHERE o.doc_id = p.doc_id AND o.tenant = p.tenant AND o.collection = p.collection
                            AND c.to_version IS NULL
                        UNION ALL
                        SELECT d.source_topic, d.source_partition, d.source_offset FROM deleted_documents d
                        WHERE d.generation = $2 AND d.doc_id = p.doc_id AND d.tenant = p.tenant
                            AND d.collection = p.collection
                    ) s WHERE \(Inheritance.isReplayed("s")))
        ) b WHERE b.place = 1
        ON CONFLICT DO NOTHING
        """
    static let parameterTypes = CopyParentRows.parameterTypes
    let rows: CopyParentRows

    func bind(into parameters: inout PostgresParameters) { rows.bind(into: &parameters) }
}

/// Documents of which a generation shows two contents, or one that it was told to delete.
///
/// A copy of the parent's rows does not see what a replay and the indexer write meanwhile, nor do they see the copy.
struct FindDoubleDocuments: PostgresStatement {
    struct Row {
        let docID: String
        let tenant: String
        let collection: String
    }
    /// Documents of one step.
    static let rowsMax = 5_000
    static let name = "find_double_documents"
    static let sql = """
        (SELECT p.doc_id, p.tenant, p.collection
        FROM generation_passages g JOIN passages p ON p.id = g.passage_id
        WHERE g.generation = $1 AND g.to_version IS NULL
        GROUP BY p.doc_id, p.tenant, p.collection
        HAVING min(p.content_hash) <> max(p.content_hash) OR min(p.model) <> max(p.model)
        LIMIT \(rowsMax))
        UNION
        (SELECT d.doc_id, d.tenant, d.collection
        FROM deleted_documents d
        WHERE d.generation = $1 AND EXISTS (
            SELECT FROM passages p JOIN generation_passages g ON g.generation = $1 AND g.passage_id = p.id
            WHERE p.doc_id = d.doc_id AND p.tenant = d.tenant AND p.collection = d.collection
                AND g.to_version IS NULL AND g.version <= d.version)
        LIMIT \(rowsMax))
        """
    static let parameterTypes: [PostgresType] = [.int8]
    let generation: Int64

    func bind(into parameters: inout PostgresParameters) { parameters.append(generation) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(docID: try row.text(0), tenant: try row.text(1), collection: try row.text(2))
    }
}

/// Hides of each of some documents all contents but the newest, and that, too, where it was deleted. Within an index transaction.
struct HideReplacedContents: PostgresStatement {
    static let name = "hide_replaced_contents"
    static let sql = """
        WITH best AS MATERIALIZED (
            SELECT DISTINCT ON (p.doc_id, p.tenant, p.collection)
                p.doc_id, p.tenant, p.collection, p.content_hash, p.model, g.version
            FROM unnest($2::text[], $3::text[], $4::text[]) AS k(doc_id, tenant, collection)
            JOIN passages p ON p.doc_id = k.doc_id AND p.tenant = k.tenant AND p.collection = k.collection
            JOIN generation_passages g ON g.generation = $1 AND g.passage_id = p.id AND g.to_version IS NULL
            ORDER BY p.doc_id, p.tenant, p.collection, g.version DESC, g.source_offset DESC, p.content_hash, p.model
        )
        UPDATE generation_passages g SET to_version = currval('index_version_sequence')
        FROM best b
        JOIN passages p ON p.doc_id = b.doc_id AND p.tenant = b.tenant AND p.collection = b.collection
        LEFT JOIN deleted_documents d ON d.generation = $1 AND d.doc_id = b.doc_id AND d.tenant = b.tenant
            AND d.collection = b.collection
        WHERE g.generation = $1 AND g.passage_id = p.id AND g.to_version IS NULL
            AND (p.content_hash <> b.content_hash OR p.model <> b.model OR d.version >= b.version)
        """
    static let parameterTypes: [PostgresType] = [.int8, .textArray, .textArray, .textArray]
    let generation: Int64
    let documents: [FindDoubleDocuments.Row]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(generation)
        parameters.append(documents.map(\.docID))
        parameters.append(documents.map(\.tenant))
        parameters.append(documents.map(\.collection))
    }
}
