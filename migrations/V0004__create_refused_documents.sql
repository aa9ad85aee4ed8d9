-- Documents that the index lacks because something refused them for what they hold: why, and the Gold line.
CREATE TABLE refused_documents (
    generation       bigint NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    -- Its beginning, without U+0000: for people. The line has all of it.
    doc_id           text NOT NULL,
    -- Postgres' SQLSTATE, or MSG_SIZE_TOO_LARGE where the Gold topic did not take it.
    code             text NOT NULL,
    reason           text NOT NULL,
    -- Null where the line did not come as far as this; the lake has it.
    gold_line        bytea,
    refused_at       timestamptz NOT NULL,
    PRIMARY KEY (generation, source_topic, source_partition, source_offset)
);
