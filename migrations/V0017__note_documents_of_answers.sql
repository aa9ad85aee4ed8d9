-- Which documents an answer was made of, so that from a bad document one finds the answers that it went into.
CREATE TABLE answer_documents (
    answer_id  text NOT NULL REFERENCES answers ON DELETE CASCADE,
    tenant     text NOT NULL,
    collection text NOT NULL,
    doc_id     text NOT NULL,
    -- Whether a sentence cites it; else it was only looked at.
    is_cited   boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (answer_id, collection, doc_id)
);
CREATE INDEX answer_documents_document ON answer_documents (doc_id, collection, created_at DESC, answer_id);
ALTER TABLE answer_documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON answer_documents USING (tenant = (SELECT medallion_tenant()));

CREATE OR REPLACE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        OR has_table_privilege('medallion_reader', 'answers', 'INSERT')
            AND has_table_privilege('medallion_reader', 'answer_documents', 'INSERT')
            AND has_table_privilege('medallion_reader', 'word_arm', 'SELECT')
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
END $$;
SELECT medallion_grant_reader();
