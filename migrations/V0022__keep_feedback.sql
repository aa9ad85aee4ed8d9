-- What readers said of answers. It goes with its answer.
CREATE TABLE answer_feedback (
    answer_id text NOT NULL REFERENCES answers ON DELETE CASCADE,
    tenant    text NOT NULL,
    -- Of the key that said so; empty without one.
    key_id    text NOT NULL,
    given_at  timestamptz NOT NULL,
    is_up     boolean NOT NULL,
    note      text NOT NULL,
    PRIMARY KEY (answer_id, key_id)
);
ALTER TABLE answer_feedback ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON answer_feedback USING (tenant = (SELECT medallion_tenant()));

-- Lists of a tenant's answers, the newest first.
CREATE INDEX answers_of_tenant ON answers (tenant, created_at, answer_id);

CREATE OR REPLACE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        OR has_table_privilege('medallion_reader', 'answers', 'INSERT')
            AND has_table_privilege('medallion_reader', 'answer_documents', 'INSERT')
            AND has_table_privilege('medallion_reader', 'answer_feedback', 'INSERT')
            AND has_table_privilege('medallion_reader', 'word_arm', 'SELECT')
            AND has_table_privilege('medallion_reader', 'postings', 'SELECT')
            AND has_table_privilege('medallion_reader', 'passage_terms', 'SELECT')
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
    FOREACH name IN ARRAY ARRAY['documents', 'passages', 'words', 'passage_terms', 'postings', 'word_counts', 'collection_counts',
        'word_arm', 'visibility', 'tenants', 'collections', 'models', 'generations', 'active_generation', 'index_versions',
        'index_history', 'index_checkpoints', 'live_progress']
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    FOR name IN SELECT 'vectors_' || id FROM models LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    GRANT SELECT, INSERT ON answers, answer_documents TO medallion_reader;
    GRANT SELECT, INSERT, UPDATE (given_at, is_up, note) ON answer_feedback TO medallion_reader;
END $$;
SELECT medallion_grant_reader();
