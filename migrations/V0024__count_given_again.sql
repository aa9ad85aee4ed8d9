-- How often an answer was given again, out of a server's cache.
ALTER TABLE answers ADD COLUMN hits bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        OR has_table_privilege('medallion_reader', 'answers', 'INSERT')
            AND has_column_privilege('medallion_reader', 'answers', 'hits', 'UPDATE')
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
    GRANT UPDATE (hits) ON answers TO medallion_reader;
    GRANT SELECT, INSERT, UPDATE (given_at, is_up, note) ON answer_feedback TO medallion_reader;
END $$;
SELECT medallion_grant_reader();
