-- Row-level security: what has text, names or attributes is shown to the tenant alone that `medallion.tenant` names. Words and
-- vectors hold numbers, so that their indexes serve searches; whatever a reply shows comes from the tables below.
-- Whoever owns the tables is not bound by policies: the indexer and commands see all tenants, services take a role that owns
-- nothing.

CREATE FUNCTION medallion_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT coalesce(current_setting('medallion.tenant', true), '') $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['documents', 'passages', 'visibility', 'deleted_documents', 'collections', 'tenants',
        'answers'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY one_tenant ON %I USING (%I = (SELECT medallion_tenant()))', name,
            CASE name WHEN 'tenants' THEN 'name' ELSE 'tenant' END);
    END LOOP;
END $$;

-- Where the role cannot be made, services go on as who they are: `medallion doctor` says so, with what a person with the rights
-- can run.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader') THEN
        CREATE ROLE medallion_reader NOLOGIN;
    END IF;
EXCEPTION
    -- Another database's migration made it at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role medallion_reader cannot be made here';
END $$;

-- Gives the role what searches need, once there is one: of what has no policy, only what tells nothing of a tenant's documents.
-- Whoever migrates calls it again, since the role may come later.
CREATE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        OR has_table_privilege('medallion_reader', 'answers', 'INSERT')
    THEN
        RETURN;
    END IF;
    BEGIN
        IF NOT pg_has_role(current_user, 'medallion_reader', 'MEMBER') THEN
            EXECUTE format('GRANT medallion_reader TO %I', current_user);
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role medallion_reader cannot be granted here';
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO medallion_reader', current_schema());
    FOREACH name IN ARRAY ARRAY['documents', 'passages', 'passage_words', 'visibility', 'collections', 'models', 'generations',
        'active_generation', 'index_versions', 'index_history', 'index_checkpoints', 'live_progress', 'lexeme_statistics']
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    FOR name IN SELECT 'vectors_' || id FROM models LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    GRANT SELECT, INSERT ON answers TO medallion_reader;
END $$;
SELECT medallion_grant_reader();
