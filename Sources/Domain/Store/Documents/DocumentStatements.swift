import Postgres
import Records

/// Makes one passage of a document visible to a generation, and hides what it replaces.
///
/// The content's row is shared by generations and made once. An older version than the visible one changes nothing, nor does
/// one that is not newer than the document's deletion. Fails the transaction (SQLSTATE MD004) when a vector that was to be
/// shared is not there.
struct PutPassage: PostgresStatement {
    static let name = "put_passage"
    static let sql = """
        WITH newer AS MATERIALIZED (
            SELECT 1 FROM passages p
            JOIN generation_passages g ON g.generation = $1 AND g.passage_id = p.id
            WHERE p.doc_id = $2 AND p.tenant = $3 AND p.collection = $4 AND g.to_version IS NULL
                -- Of equal versions the later record counts, also where a replay brings the earlier one again.
                AND (g.version > $5 OR g.version = $5 AND g.source_topic = $18 AND g.source_partition = $19
                    AND g.source_offset > $20)
            UNION ALL
            SELECT 1 FROM deleted_documents d
            WHERE d.generation = $1 AND d.doc_id = $2 AND d.tenant = $3 AND d.collection = $4 AND d.version >= $5
            LIMIT 1
        ), made AS (
            INSERT INTO passages (doc_id, tenant, collection, passage, content_hash, text_hash, model, lang, event_time,
                title, url, quality_flags, text, wiki, type, user_name, namespace, is_bot, attributes, embedding)
            SELECT $2, $3, $4, $6, $7, $8, $9, $11, $12, $13, $14, $15, $16, a.wiki, a.type, a.user_name, a.namespace,
                a.is_bot, a.others,
                CASE WHEN $21::halfvec IS NULL AND $9 <> '' THEN medallion_shared_vector($8, $9, $6) ELSE $21 END
            FROM medallion_split_attributes($10) a
            WHERE NOT EXISTS (SELECT FROM newer)
            ON CONFLICT (doc_id, tenant, collection, passage, content_hash, model) DO NOTHING
            RETURNING id
        ), found AS MATERIALIZED (
            SELECT id FROM made
            UNION ALL
            SELECT p.id FROM passages p
            WHERE p.doc_id = $2 AND p.tenant = $3 AND p.collection = $4 AND p.passage = $6 AND p.content_hash = $7
                AND p.model = $9
            LIMIT 1
        ), hidden AS (
            UPDATE generation_passages g SET to_version = currval('index_version_sequence')
            FROM passages p
            WHERE p.doc_id = $2 AND p.tenant = $3 AND p.collection = $4 AND g.generation = $1 AND g.passage_id = p.id
                AND g.to_version IS NULL AND (p.content_hash <> $7 OR p.model <> $9)
                AND NOT EXISTS (SELECT FROM newer)
        )
        INSERT INTO generation_passages AS g (generation, passage_id, version, logic_version, lineage, source_topic,
            source_partition, source_offset, from_version)
        SELECT $1, f.id, $5, $17 ->> 'logic_version', $17, $18, $19, $20, currval('index_version_sequence')
        FROM found f WHERE NOT EXISTS (SELECT FROM newer)
        ON CONFLICT (generation, passage_id) DO UPDATE
        SET version = excluded.version, logic_version = excluded.logic_version, lineage = excluded.lineage,
            source_topic = excluded.source_topic, source_partition = excluded.source_partition,
            source_offset = excluded.source_offset, to_version = NULL,
            from_version = CASE WHEN g.to_version IS NULL THEN g.from_version ELSE excluded.from_version END
        WHERE g.to_version IS NOT NULL OR g.version < excluded.version
        """
    static let parameterTypes: [PostgresType] =
        DocumentKeyBinding.types + [
            .int4, .text, .text, .text, .jsonb, .text, .timestamptz, .text, .text, .textArray, .text, .jsonb, .text,
            .int4, .int8, .inferred,
        ]
    let document: IndexedDocument
    let passage: IndexedPassage

    func bind(into parameters: inout PostgresParameters) {
        let gold = document.document
        DocumentKeyBinding.bind(document, into: &parameters)
        parameters.append(passage.number)
        parameters.append(gold.contentHash)
        parameters.append(passage.hash ?? gold.textHash)
        parameters.append(document.model)
        parameters.append(jsonb: IndexText.json(gold.attributes))
        parameters.append(IndexText.clean(gold.lang))
        parameters.append(timestampMilliseconds: gold.eventTimeMilliseconds)
        parameters.append(IndexText.clean(gold.title))
        parameters.append(IndexText.clean(gold.url))
        parameters.append(gold.qualityFlags.map { IndexText.clean($0) })
        parameters.append(IndexText.clean(passage.text))
        parameters.append(jsonb: IndexText.json(gold.lineage))
        parameters.append(document.source.topic)
        parameters.append(document.source.partition)
        parameters.append(document.sourceOffset)
        parameters.append(halfVector: passage.embedding)
    }
}

/// Hides a document from a generation, and keeps a marker, so that older versions bring nothing back. A newer version that is
/// visible stays.
struct DeleteDocument: PostgresStatement {
    static let name = "delete_document"
    static let sql = """
        WITH newer AS MATERIALIZED (
            SELECT 1 FROM passages p
            JOIN generation_passages g ON g.generation = $1 AND g.passage_id = p.id
            WHERE p.doc_id = $2 AND p.tenant = $3 AND p.collection = $4 AND g.to_version IS NULL AND g.version > $5
            LIMIT 1
        ), hidden AS (
            UPDATE generation_passages g SET to_version = currval('index_version_sequence')
            FROM passages p
            WHERE p.doc_id = $2 AND p.tenant = $3 AND p.collection = $4 AND g.generation = $1 AND g.passage_id = p.id
                AND g.to_version IS NULL AND NOT EXISTS (SELECT FROM newer)
        )
        INSERT INTO deleted_documents AS d (generation, doc_id, tenant, collection, version, source_topic,
            source_partition, source_offset, deleted_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
        ON CONFLICT (generation, doc_id, tenant, collection) DO UPDATE
        SET version = excluded.version, source_topic = excluded.source_topic,
            source_partition = excluded.source_partition, source_offset = excluded.source_offset,
            deleted_at = excluded.deleted_at
        WHERE d.version < excluded.version
        """
    static let parameterTypes: [PostgresType] = DocumentKeyBinding.types + [.text, .int4, .int8]
    let document: IndexedDocument

    func bind(into parameters: inout PostgresParameters) {
        DocumentKeyBinding.bind(document, into: &parameters)
        parameters.append(document.source.topic)
        parameters.append(document.source.partition)
        parameters.append(document.sourceOffset)
    }
}

/// The first parameters of both: generation, id, tenant, collection, version.
private enum DocumentKeyBinding {
    static let types: [PostgresType] = [.int8, .text, .text, .text, .int8]

    static func bind(_ document: IndexedDocument, into parameters: inout PostgresParameters) {
        let gold = document.document
        parameters.append(document.generation)
        // As it is: one with U+0000 is refused, since two ids must not become one.
        parameters.append(gold.docID)
        parameters.append(gold.tenant.text)
        parameters.append(gold.collection.text)
        parameters.append(gold.version)
    }
}

/// Forgets deletions that are so long ago that no copy of the document is on its way any more.
struct RemoveDeletionMarkers: PostgresStatement {
    /// Days that a marker is kept: longer than topics usually keep their records.
    static let daysMax = 30
    /// Markers that go in one step.
    static let rowsMax = 5_000
    static let name = "remove_deletion_markers"
    static let sql = """
        DELETE FROM deleted_documents WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM deleted_documents d
            WHERE d.deleted_at < clock_timestamp() - interval '\(daysMax) days'
                -- A replay could show again what is only hidden.
                AND NOT EXISTS (
                    SELECT FROM passages p JOIN generation_passages g ON g.passage_id = p.id
                    WHERE p.doc_id = d.doc_id AND p.tenant = d.tenant AND p.collection = d.collection)
            ORDER BY d.deleted_at LIMIT \(rowsMax)))
        """
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}
