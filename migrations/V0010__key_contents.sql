-- The index's tables for documents of any source: what a document says stands once, who sees it has a history, and equal inputs
-- of a model share one vector.

ALTER TABLE passages RENAME TO former_passages;
ALTER TABLE generation_passages RENAME TO former_generation_passages;
ALTER TABLE deleted_documents RENAME TO former_deleted_documents;
ALTER TABLE former_passages RENAME CONSTRAINT passages_key TO former_passages_key;
ALTER INDEX passages_pkey RENAME TO former_passages_pkey;
ALTER INDEX deleted_documents_pkey RENAME TO former_deleted_documents_pkey;
ALTER INDEX deleted_documents_oldest RENAME TO former_deleted_documents_oldest;

-- What a person was told of as refused and came into the index after all.
DELETE FROM refused_documents r USING former_generation_passages g
    WHERE g.generation = r.generation AND g.source_topic = r.source_topic AND g.source_partition = r.source_partition
        AND g.source_offset = r.source_offset;

-- Whom documents belong to. Numbers name the partitions that are a tenant's own.
CREATE TABLE tenants (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE collections (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    name   text NOT NULL,
    UNIQUE (tenant, name)
);

-- What turns texts into vectors. The name tells the precision where that matters; 0 stands for none.
CREATE TABLE models (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE,
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A generation's vectors are of one model: the first one that writes to it.
ALTER TABLE generations ADD COLUMN model_id integer;

-- What a document says: one row for each content, however many generations show it. Never updated.
CREATE SEQUENCE documents_id_sequence;
CREATE TABLE documents (
    id            bigint PRIMARY KEY,
    -- The same for all contents of one tenant, collection and doc_id: the id of the first.
    key_id        bigint NOT NULL,
    tenant        text NOT NULL,
    collection_id integer NOT NULL,
    doc_id        text NOT NULL,
    content_hash  text NOT NULL,
    model_id      integer NOT NULL,
    text_hash     text NOT NULL,
    title         text NOT NULL,
    url           text NOT NULL,
    lang          text NOT NULL,
    event_time    timestamptz NOT NULL,
    -- Five attributes that filters ask for often, where they are of the column's type; all others are in `attributes`.
    wiki          text,
    type          text,
    user_name     text,
    namespace     bigint,
    is_bot        boolean,
    attributes    jsonb NOT NULL,
    quality_flags jsonb NOT NULL
);

-- What is found on its own: a part of a document's text.
CREATE SEQUENCE passages_id_sequence;
CREATE TABLE passages (
    id           bigint PRIMARY KEY,
    document_id  bigint NOT NULL,
    tenant       text NOT NULL,
    number       integer NOT NULL CHECK (number >= 0),
    passage_hash text NOT NULL,
    -- Of the vectors of the document's model; null where nothing was embedded.
    vector_id    bigint,
    text         text NOT NULL
);

-- The words of passages, apart from their texts: a policy on this table would keep its index from being used. A partition
-- and an index for each tenant.
CREATE TABLE passage_words (
    tenant      text NOT NULL,
    passage_id  bigint NOT NULL,
    document_id bigint NOT NULL,
    words       tsvector NOT NULL
) PARTITION BY LIST (tenant);

-- Vectors are in tables `vectors_<model>`, with a partition and an HNSW index for each tenant: see medallion_prepare_vectors.
CREATE SEQUENCE vectors_id_sequence;

-- Who sees a document: index version v of a generation sees it if from_version <= v < to_version. What has ended is kept for the
-- time of the history. No foreign keys: they would double the cost of a write, and only this schema's functions write here.
CREATE TABLE visibility (
    document_id      bigint NOT NULL,
    generation       bigint NOT NULL,
    from_version     bigint NOT NULL,
    to_version       bigint,
    key_id           bigint NOT NULL,
    tenant           text NOT NULL,
    version          bigint NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    shown_at         timestamptz NOT NULL,
    lineage          jsonb NOT NULL
);

-- Which documents a generation was told to delete, and by which versions: what is older, or as old, brings nothing back,
-- whenever it comes. All deletions of a document are kept: a replay may make one of them anew, and the others hold.
CREATE TABLE deleted_documents (
    generation       bigint NOT NULL,
    collection_id    integer NOT NULL,
    doc_id           text NOT NULL,
    tenant           text NOT NULL,
    version          bigint NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    deleted_at       timestamptz NOT NULL
);

-- From which version on a generation takes documents of a topic: those below were deleted all at once.
CREATE TABLE version_floors (
    generation   bigint NOT NULL,
    source_topic text NOT NULL,
    version      bigint NOT NULL,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (generation, source_topic)
);

-- The oldest index version that can be read: rows that ended before it are gone.
CREATE TABLE index_history (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_version bigint NOT NULL
);

-- Makes what a tenant needs of its own, once.
CREATE FUNCTION medallion_prepare_tenant(of_tenant text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    number integer;
    words text;
BEGIN
    SELECT id INTO number FROM tenants WHERE name = of_tenant;
    IF number IS NOT NULL THEN
        RETURN number;
    END IF;
    -- One at a time; the lock ends with the transaction.
    PERFORM pg_advisory_xact_lock(7882826980159875179);
    INSERT INTO tenants (name) VALUES (of_tenant) ON CONFLICT DO NOTHING;
    SELECT id INTO number FROM tenants WHERE name = of_tenant;
    words := 'passage_words_t' || number;
    IF to_regclass(words) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE passage_words)', words);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (passage_id)', words);
        -- What a transaction adds waits in a list until medallion_put_documents has all of it: common words are then taken in
        -- once for all passages, which takes half the time. Searches would be slower the longer the list is.
        EXECUTE format('CREATE INDEX %I ON %I USING gin (words) WITH (fastupdate = on)', words || '_words', words);
        EXECUTE format('ALTER TABLE passage_words ATTACH PARTITION %I FOR VALUES IN (%L)', words, of_tenant);
    END IF;
    RETURN number;
END $$;

-- Makes the vectors' tables of a model and a tenant, once. Returns the model's number.
CREATE FUNCTION medallion_prepare_vectors(
    of_model text, of_dimensions integer, of_tenant text, of_m integer, of_ef_construction integer
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    number integer;
    found_dimensions integer;
    parent text;
    part text;
BEGIN
    SELECT id, dimensions INTO number, found_dimensions FROM models WHERE name = of_model;
    IF number IS NULL THEN
        PERFORM pg_advisory_xact_lock(7882826980159875179);
        INSERT INTO models (name, dimensions) VALUES (of_model, of_dimensions) ON CONFLICT DO NOTHING;
        SELECT id, dimensions INTO number, found_dimensions FROM models WHERE name = of_model;
    END IF;
    IF found_dimensions <> of_dimensions THEN
        RAISE EXCEPTION 'vectors of model % have % numbers in the index, not %', of_model, found_dimensions, of_dimensions
            USING ERRCODE = 'MD005';
    END IF;
    parent := 'vectors_' || number;
    part := parent || '_t' || tenant_number;
    IF to_regclass(part) IS NOT NULL THEN
        RETURN number;
    END IF;
    PERFORM pg_advisory_xact_lock(7882826980159875179);
    IF to_regclass(parent) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I (tenant text NOT NULL, id bigint NOT NULL, input_hash bytea NOT NULL,'
            ' embedding halfvec(%s) NOT NULL) PARTITION BY LIST (tenant)', parent, of_dimensions);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader') THEN
            EXECUTE format('GRANT SELECT ON %I TO medallion_reader', parent);
        END IF;
    END IF;
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I)', part, parent);
        -- What most reads need stays in the row instead of in the overflow table, where it fits a page with others.
        IF of_dimensions <= 1000 THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', part);
        END IF;
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', part);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I UNIQUE (input_hash)', part, part || '_input');
        EXECUTE format(
            'CREATE INDEX %I ON %I USING hnsw (embedding halfvec_cosine_ops) WITH (m = %s, ef_construction = %s)',
            format('%s_hnsw_%s_%s', part, of_m, of_ef_construction), part, of_m, of_ef_construction);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%L)', parent, part, of_tenant);
    END IF;
    RETURN number;
END $$;

-- What is there comes over. Indexes are built behind the rows: some minutes for a million passages.
DO $$
DECLARE
    former record;
    part text;
BEGIN
    INSERT INTO collections (tenant, name) SELECT DISTINCT tenant, collection FROM former_passages ORDER BY 1, 2;
    INSERT INTO collections (tenant, name) SELECT DISTINCT tenant, collection FROM former_deleted_documents ORDER BY 1, 2
        ON CONFLICT DO NOTHING;
    -- Names of models tell numbers and precision from now on.
    FOR former IN SELECT DISTINCT model, tenant FROM former_passages ORDER BY 1, 2 LOOP
        PERFORM medallion_prepare_tenant(former.tenant);
        IF former.model <> '' THEN
            PERFORM medallion_prepare_vectors(former.model || '/384/float', 384, former.tenant, 16, 64);
            SELECT format('vectors_%s_t%s', m.id, t.id) INTO part FROM models m, tenants t
            WHERE m.name = former.model || '/384/float' AND t.name = former.tenant;
            EXECUTE format('DROP INDEX %I', part || '_hnsw_16_64');
        END IF;
    END LOOP;

    CREATE TEMPORARY TABLE former_documents ON COMMIT DROP AS
        SELECT min(p.id) AS id, p.doc_id, c.id AS collection_id, p.content_hash, coalesce(m.id, 0) AS model_id
        FROM former_passages p
        JOIN collections c ON c.tenant = p.tenant AND c.name = p.collection
        LEFT JOIN models m ON m.name = p.model || '/384/float'
        GROUP BY p.doc_id, c.id, p.content_hash, coalesce(m.id, 0);
    INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
            event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
        SELECT f.id, min(f.id) OVER (PARTITION BY f.doc_id, f.collection_id), p.tenant, f.collection_id, f.doc_id,
            f.content_hash, f.model_id, p.text_hash, p.title, p.url, p.lang, p.event_time, p.wiki, p.type, p.user_name,
            p.namespace, p.is_bot, p.attributes, to_jsonb(p.quality_flags)
        FROM former_documents f JOIN former_passages p ON p.id = f.id;
    PERFORM setval('documents_id_sequence', coalesce((SELECT max(id) FROM documents), 0) + 1, false);

    -- The input's own hash is not known here; passages of one text and number had one vector.
    CREATE TEMPORARY TABLE former_vectors ON COMMIT DROP AS
        SELECT nextval('vectors_id_sequence') AS id, v.* FROM (
            SELECT DISTINCT ON (p.tenant, p.model, p.text_hash, p.passage) p.tenant, p.model, p.text_hash, p.passage, p.embedding
            FROM former_passages p WHERE p.embedding IS NOT NULL
            ORDER BY p.tenant, p.model, p.text_hash, p.passage, p.id) v;
    FOR former IN SELECT id, name FROM models LOOP
        EXECUTE format(
            'INSERT INTO %I (tenant, id, input_hash, embedding) SELECT tenant, id,'
            ' sha256(convert_to(text_hash || '' '' || passage, ''UTF8'')), embedding FROM former_vectors WHERE model || ''/384/float'' = $1',
            'vectors_' || former.id) USING former.name;
    END LOOP;
    FOR former IN
        SELECT c.relname AS part FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN models m
            ON i.inhparent = to_regclass('vectors_' || m.id)
    LOOP
        EXECUTE format(
            'CREATE INDEX %I ON %I USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)',
            former.part || '_hnsw_16_64', former.part);
    END LOOP;

    INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
        SELECT p.id, f.id, p.tenant, p.passage, p.text_hash, v.id, p.text
        FROM former_passages p
        JOIN collections c ON c.tenant = p.tenant AND c.name = p.collection
        LEFT JOIN models m ON m.name = p.model || '/384/float'
        JOIN former_documents f ON f.doc_id = p.doc_id AND f.collection_id = c.id AND f.content_hash = p.content_hash
            AND f.model_id = coalesce(m.id, 0)
        LEFT JOIN former_vectors v ON p.embedding IS NOT NULL AND v.tenant = p.tenant AND v.model = p.model
            AND v.text_hash = p.text_hash AND v.passage = p.passage;
    PERFORM setval('passages_id_sequence', coalesce((SELECT max(id) FROM passages), 0) + 1, false);
    INSERT INTO passage_words (tenant, passage_id, document_id, words)
        SELECT p.tenant, p.id, p.document_id, f.words FROM passages p JOIN former_passages f ON f.id = p.id;

    -- The first passage's row stands for its document: all were written together. Of what a former program showed twice, the
    -- newest stays.
    INSERT INTO visibility (document_id, generation, from_version, to_version, key_id, tenant, version, source_topic,
            source_partition, source_offset, shown_at, lineage)
        SELECT p.document_id, g.generation, g.from_version,
            CASE WHEN g.to_version IS NULL AND row_number() OVER (
                PARTITION BY g.generation, d.key_id, g.to_version IS NULL
                ORDER BY g.version DESC, g.source_offset DESC, d.id DESC) > 1 THEN g.from_version ELSE g.to_version END,
            d.key_id, d.tenant, g.version, g.source_topic, g.source_partition, g.source_offset,
            coalesce(v.created_at, d.event_time), g.lineage
        FROM former_generation_passages g
        JOIN passages p ON p.id = g.passage_id AND p.number = 0
        JOIN documents d ON d.id = p.document_id
        LEFT JOIN index_versions v ON v.version = g.from_version;

    INSERT INTO deleted_documents (generation, collection_id, doc_id, tenant, version, source_topic, source_partition,
            source_offset, deleted_at)
        SELECT f.generation, c.id, f.doc_id, f.tenant, f.version, f.source_topic, f.source_partition, f.source_offset,
            f.deleted_at
        FROM former_deleted_documents f JOIN collections c ON c.tenant = f.tenant AND c.name = f.collection;

    -- Where several models wrote, the last one goes on writing.
    UPDATE generations g SET model_id = m.model_id FROM (
        SELECT DISTINCT ON (v.generation) v.generation, d.model_id
        FROM visibility v JOIN documents d ON d.id = v.document_id
        WHERE d.model_id > 0 ORDER BY v.generation, v.from_version DESC, v.document_id DESC) m
    WHERE m.generation = g.generation;

    -- What ended before now was overwritten where it was shown again, so nothing before now can be read.
    INSERT INTO index_history (oldest_version) SELECT coalesce(max(version), 0) FROM index_versions;
END $$;

ALTER TABLE documents ADD CONSTRAINT documents_key UNIQUE (doc_id, collection_id, content_hash, model_id);
CREATE INDEX documents_event_time ON documents (event_time);
CREATE INDEX documents_wiki ON documents (wiki, event_time);
ALTER TABLE passages ADD CONSTRAINT passages_key UNIQUE (document_id, number);
CREATE INDEX passages_vector ON passages (vector_id, id DESC) INCLUDE (document_id, tenant) WHERE vector_id IS NOT NULL;
-- With all that a search asks of most rows.
ALTER TABLE visibility ADD PRIMARY KEY (document_id, generation, from_version) INCLUDE (to_version, tenant);
-- A generation shows one content of a document.
CREATE UNIQUE INDEX visibility_current ON visibility (generation, key_id) WHERE to_version IS NULL;
CREATE INDEX visibility_newest ON visibility (generation, tenant, from_version DESC, document_id DESC);
CREATE INDEX visibility_source ON visibility (generation, source_topic, source_partition, source_offset);
CREATE INDEX visibility_ended ON visibility (to_version) WHERE to_version IS NOT NULL;
ALTER TABLE deleted_documents ADD PRIMARY KEY (generation, doc_id, collection_id, version);
CREATE INDEX deleted_documents_oldest ON deleted_documents (deleted_at);
-- Rows come and go: their room is given back often, in small pieces.
-- Searches read two indexes without their tables, where the tables were looked through since they were written.
ALTER TABLE visibility SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE passages SET (autovacuum_vacuum_insert_scale_factor = 0.05);
ALTER TABLE index_versions SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000);

DROP TABLE former_passages, former_generation_passages, former_deleted_documents;
DROP FUNCTION medallion_shared_vector(text, text, integer);
