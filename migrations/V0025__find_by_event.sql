-- From an event to the answers that it went into, and from an answer to its events, also once the index shows and holds the
-- documents no more: an answer keeps what it saw of each document.

-- Null in rows from before.
ALTER TABLE answer_documents
    ADD COLUMN version          bigint,
    ADD COLUMN content_hash     text,
    -- The Bronze record that the document was made from.
    ADD COLUMN source_topic     text,
    ADD COLUMN source_partition integer,
    ADD COLUMN source_offset    bigint,
    -- The index version that showed it to the answer's generation, and the times of that transaction.
    ADD COLUMN from_version     bigint,
    ADD COLUMN embedded_at      timestamptz,
    ADD COLUMN indexed_at       timestamptz,
    ADD COLUMN searchable_at    timestamptz;
-- Without the rows from before, so that it is made in a moment.
CREATE INDEX answer_documents_source ON answer_documents (source_topic, source_partition, source_offset, created_at DESC, answer_id)
    WHERE source_topic IS NOT NULL;

ALTER TABLE index_versions
    -- When the vectors of the transaction's documents were there; null where nothing was embedded for it.
    ADD COLUMN embedded_at   timestamptz,
    -- When its commit had returned: from then on a search finds what it brought.
    ADD COLUMN searchable_at timestamptz;
