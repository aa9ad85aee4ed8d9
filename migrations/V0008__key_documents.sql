-- Documents of any collection: keyed by tenant, collection and id, with the attributes of their collection, and deleted as
-- well as put.

-- The new key is built while nobody writes: some seconds for each million passages.
ALTER TABLE passages ADD COLUMN tenant text NOT NULL DEFAULT 'default';
ALTER TABLE passages DROP CONSTRAINT passages_doc_id_passage_content_hash_model_key;
ALTER TABLE passages ADD CONSTRAINT passages_key
    UNIQUE (doc_id, tenant, collection, passage, content_hash, model);

-- Attributes are in `attributes`, but for five that filters ask for often: those are in columns where they are of the
-- column's type, whatever the collection. Rows from before need no change.
ALTER TABLE passages
    ALTER COLUMN wiki DROP NOT NULL, ALTER COLUMN type DROP NOT NULL, ALTER COLUMN user_name DROP NOT NULL,
    ALTER COLUMN is_bot DROP NOT NULL;

CREATE FUNCTION medallion_split_attributes(
    attributes jsonb, OUT wiki text, OUT type text, OUT user_name text, OUT namespace bigint, OUT is_bot boolean,
    OUT others jsonb
) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    others := attributes;
    IF jsonb_typeof(attributes -> 'wiki') = 'string' THEN
        wiki := attributes ->> 'wiki';
        others := others - 'wiki';
    END IF;
    IF jsonb_typeof(attributes -> 'type') = 'string' THEN
        type := attributes ->> 'type';
        others := others - 'type';
    END IF;
    IF jsonb_typeof(attributes -> 'user') = 'string' THEN
        user_name := attributes ->> 'user';
        others := others - 'user';
    END IF;
    IF jsonb_typeof(attributes -> 'is_bot') = 'boolean' THEN
        is_bot := (attributes -> 'is_bot')::boolean;
        others := others - 'is_bot';
    END IF;
    -- Others of 19 digits have no room in 64 bits, so all of them stay where they are.
    IF jsonb_typeof(attributes -> 'namespace') = 'number' AND attributes ->> 'namespace' ~ '^-?[0-9]{1,18}$' THEN
        namespace := (attributes ->> 'namespace')::bigint;
        others := others - 'namespace';
    END IF;
END $$;

-- Which documents a generation was told to delete, and by which version: what is older, or as old, brings nothing back,
-- whenever it comes.
CREATE TABLE deleted_documents (
    generation       bigint NOT NULL,
    tenant           text NOT NULL,
    collection       text NOT NULL,
    doc_id           text NOT NULL,
    version          bigint NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    deleted_at       timestamptz NOT NULL,
    PRIMARY KEY (generation, doc_id, tenant, collection)
);
CREATE INDEX deleted_documents_oldest ON deleted_documents (deleted_at);
