-- Vectors are linked into their graph behind the write, which is most of what a new one costs. Until then they are in a partition
-- beside the graph's, whose rows a search compares one by one: `vectors_<model>_of_t<tenant>` has both, `vectors_<model>_t<tenant>`
-- with the graph and `vectors_<model>_t<tenant>_new`.

-- Writers and those who make tables wait, and this for them, before it takes any table: what they began with the functions of before
-- has then ended. Who builds graphs is kept away by the migrator: waiting for one in here, where a snapshot is held, would be for ever.
SELECT pg_advisory_xact_lock(7882826980159875177);
SELECT pg_advisory_xact_lock(7882826980159875179);

-- Makes the partition of new vectors of a tenant beside the one that has the graph, and puts both into the model's table, also where
-- the functions of before made that table or put the latter into it. Within the lock of preparations.
CREATE FUNCTION medallion_attach_vectors(of_parent text, of_part text, of_both text, of_tenant text, of_dimensions integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    fresh text := of_part || '_new';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = of_parent::regclass AND attname = 'is_linked') THEN
        EXECUTE format('ALTER TABLE %I ADD COLUMN is_linked boolean NOT NULL DEFAULT true', of_parent);
    END IF;
    IF EXISTS (SELECT FROM pg_inherits WHERE inhrelid = of_part::regclass AND inhparent = of_parent::regclass) THEN
        EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', of_parent, of_part);
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I)', fresh, of_parent);
    IF of_dimensions <= 1000 THEN
        EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', fresh);
    END IF;
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', fresh);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I UNIQUE (input_hash)', fresh, fresh || '_input');
    -- Rows stay for seconds: who links them gives their room back, and the server's own cleaner does where that one is away. Nothing is
    -- planned by its statistics, since no plan for it has a choice.
    EXECUTE format(
        'ALTER TABLE %I SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,'
        ' autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000, vacuum_truncate = off)', fresh);
    EXECUTE format('CREATE TABLE %I (LIKE %I) PARTITION BY LIST (is_linked)', of_both, of_parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%L)', of_parent, of_both, of_tenant);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (true)', of_both, of_part);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (false)', of_both, fresh);
END $$;

-- As before, with a partition of new vectors.
CREATE OR REPLACE FUNCTION medallion_prepare_vectors(
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
    IF to_regclass(part) IS NOT NULL AND to_regclass(part || '_new') IS NOT NULL THEN
        RETURN number;
    END IF;
    PERFORM pg_advisory_xact_lock(7882826980159875179);
    IF to_regclass(parent) IS NULL THEN
        EXECUTE format(
            'CREATE TABLE %I (tenant text NOT NULL, id bigint NOT NULL, input_hash bytea NOT NULL, embedding halfvec(%s) NOT NULL,'
            ' is_linked boolean NOT NULL DEFAULT true) PARTITION BY LIST (tenant)', parent, of_dimensions);
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
    END IF;
    -- Alone where one who had begun before this was there, and waited for its lock, made the other.
    IF to_regclass(part || '_new') IS NULL THEN
        PERFORM medallion_attach_vectors(parent, part, parent || '_of_t' || tenant_number, of_tenant, of_dimensions);
    END IF;
    RETURN number;
END $$;

-- All vectors of now are in their graphs. What is attached is read once: a second for each gigabyte or so.
DO $$
DECLARE
    model record;
    part record;
BEGIN
    FOR model IN SELECT 'vectors_' || id AS name, dimensions FROM models ORDER BY id LOOP
        CONTINUE WHEN to_regclass(model.name) IS NULL;
        FOR part IN
            SELECT c.relname AS name, t.id AS number, t.name AS tenant
            FROM tenants t JOIN pg_class c ON c.oid = to_regclass(format('%s_t%s', model.name, t.id)) ORDER BY t.id
        LOOP
            PERFORM medallion_attach_vectors(
                model.name, part.name, format('%s_of_t%s', model.name, part.number), part.tenant, model.dimensions);
        END LOOP;
    END LOOP;
END $$;

-- Links some new vectors of a model and a tenant whose numbers are greater than one, the oldest first: they leave their partition and
-- come into the graph's. What another one links or removes at the moment is passed over. Returns how many, and the greatest number of
-- them. Both partitions by their names: through the model's table each step would take locks on those of all tenants.
CREATE FUNCTION medallion_link_vectors(
    of_model integer, of_tenant integer, of_after bigint, of_rows integer, OUT linked bigint, OUT last_id bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    part text := format('vectors_%s_t%s', of_model, of_tenant);
BEGIN
    EXECUTE format(
        'WITH picked AS MATERIALIZED ('
        ' SELECT v.id FROM %1$I v WHERE v.id > $1 ORDER BY v.id LIMIT $2 FOR UPDATE SKIP LOCKED'
        '), gone AS ('
        ' DELETE FROM %1$I v USING picked p WHERE v.id = p.id RETURNING v.tenant, v.id, v.input_hash, v.embedding'
        '), made AS ('
        ' INSERT INTO %2$I (tenant, id, input_hash, embedding, is_linked)'
        ' SELECT g.tenant, g.id, g.input_hash, g.embedding, true FROM gone g RETURNING id'
        ') SELECT count(*), max(m.id) FROM made m', part || '_new', part)
    INTO linked, last_id USING of_after, of_rows;
END $$;

-- How many vectors of each model and tenant are new, counted up to a number, the least number of them, and since when the oldest of the
-- first hundred has been shown: null where nothing shows them. No lock is kept on a partition that has never had one.
CREATE FUNCTION medallion_new_vectors(of_most bigint)
RETURNS TABLE (model_id integer, tenant_id integer, vectors bigint, first_id bigint, oldest_shown_at timestamptz)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    fresh text;
BEGIN
    FOR model_id, tenant_id IN
        SELECT m.id, t.id FROM models m CROSS JOIN tenants t
        WHERE pg_relation_size(to_regclass(format('vectors_%s_t%s_new', m.id, t.id))) > 0 ORDER BY m.id, t.id
    LOOP
        fresh := format('vectors_%s_t%s_new', model_id, tenant_id);
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I v LIMIT $1) n', fresh) INTO vectors USING of_most;
        CONTINUE WHEN vectors = 0;
        EXECUTE format(
            'WITH first AS MATERIALIZED (SELECT v.id FROM %I v ORDER BY v.id LIMIT 100)'
            ' SELECT (SELECT min(f.id) FROM first f), min(g.shown_at) FROM first f JOIN passages p ON p.vector_id = f.id'
            ' JOIN visibility g ON g.document_id = p.document_id', fresh)
        INTO first_id, oldest_shown_at;
        RETURN NEXT;
    END LOOP;
END $$;

-- As before, but for vectors that are linked meanwhile: a removal that meets one waits, finds it gone, and comes again.
CREATE OR REPLACE FUNCTION medallion_remove_unused_vectors(of_model integer, of_tenants text[], of_input_hashes text[])
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    unused record;
BEGIN
    FOR unused IN EXECUTE format(
        'SELECT v.tenant, array_agg(v.id) AS ids FROM %I v'
        ' JOIN unnest($1, $2) AS i(tenant, input_hash) ON v.tenant = i.tenant AND v.input_hash = decode(i.input_hash, ''hex'')'
        ' WHERE NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id) GROUP BY v.tenant', 'vectors_' || of_model)
        USING of_tenants, of_input_hashes
    LOOP
        PERFORM medallion_remove_vectors(of_model, unused.tenant, unused.ids);
    END LOOP;
END $$;

-- Removes those of some vectors that no passage refers to. Within an index transaction, so that none begins to.
CREATE FUNCTION medallion_remove_vectors(of_model integer, of_tenant text, of_vectors bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
BEGIN
    FOR turn IN 1..2 LOOP
        EXECUTE format(
            'DELETE FROM %I v WHERE v.tenant = $1 AND v.id = ANY ($2)'
            ' AND NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)', 'vectors_' || of_model)
        USING of_tenant, of_vectors;
    END LOOP;
END $$;

-- As before, likewise.
CREATE OR REPLACE FUNCTION medallion_remove_unseen(of_documents bigint[]) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    gone bigint[];
    vector_ids bigint[];
    removed bigint;
    model record;
BEGIN
    SELECT array_agg(d.id) INTO gone FROM documents d
    WHERE d.id = ANY (of_documents) AND NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
    IF gone IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM medallion_count_documents(gone);
    PERFORM medallion_remove_words(p.tenant_id, p.ids) FROM (
        SELECT t.id AS tenant_id, array_agg(p.id) AS ids FROM passages p JOIN tenants t ON t.name = p.tenant
        WHERE p.document_id = ANY (gone) GROUP BY t.id) p;
    WITH removed_passages AS (
        DELETE FROM passages p WHERE p.document_id = ANY (gone) RETURNING p.vector_id
    )
    SELECT array_agg(DISTINCT p.vector_id) FILTER (WHERE p.vector_id IS NOT NULL) INTO vector_ids FROM removed_passages p;
    IF vector_ids IS NOT NULL THEN
        FOR model IN SELECT DISTINCT d.model_id AS id, d.tenant FROM documents d WHERE d.id = ANY (gone) AND d.model_id > 0 LOOP
            PERFORM medallion_remove_vectors(model.id, model.tenant, vector_ids);
        END LOOP;
    END IF;
    DELETE FROM documents d WHERE d.id = ANY (gone);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
