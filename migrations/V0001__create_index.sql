-- The retrieval index: passages shared by generations, who sees them, and how far the index is.

CREATE EXTENSION IF NOT EXISTS vector;

-- Texts are in many languages, so words stay as they are; English stop words are left out because they would match
-- a large part of all texts and help nobody.
CREATE TEXT SEARCH DICTIONARY medallion_words (TEMPLATE = pg_catalog.simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION medallion (COPY = pg_catalog.simple);
ALTER TEXT SEARCH CONFIGURATION medallion ALTER MAPPING REPLACE simple WITH medallion_words;

-- One row per passage of a document's content and embedding model; never updated.
CREATE TABLE passages (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    doc_id        text NOT NULL,
    passage       integer NOT NULL CHECK (passage >= 0),
    content_hash  text NOT NULL,
    text_hash     text NOT NULL,
    -- Empty where nothing was embedded.
    model         text NOT NULL,
    collection    text NOT NULL,
    wiki          text NOT NULL,
    lang          text NOT NULL,
    type          text NOT NULL,
    namespace     bigint,
    user_name     text NOT NULL,
    is_bot        boolean NOT NULL,
    event_time    timestamptz NOT NULL,
    title         text NOT NULL,
    url           text NOT NULL,
    quality_flags text[] NOT NULL,
    attributes    jsonb NOT NULL,
    text          text NOT NULL,
    words         tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('medallion', title), 'B') || setweight(to_tsvector('medallion', text), 'C')) STORED,
    embedding     halfvec(384),
    UNIQUE (doc_id, passage, content_hash, model)
);
-- 776 bytes that most reads need: kept in the row instead of in the overflow table.
ALTER TABLE passages ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX passages_text_hash ON passages (text_hash, model, passage);
CREATE INDEX passages_event_time ON passages (event_time);
CREATE INDEX passages_wiki ON passages (wiki, event_time);
-- A pending list would make searches slower the more was written lately.
CREATE INDEX passages_words ON passages USING gin (words) WITH (fastupdate = off);

-- Who sees a passage: index version v of a generation sees it if from_version <= v < to_version.
-- No foreign keys: they would double the cost of a write, and only this schema's statements write here.
CREATE TABLE generation_passages (
    generation       bigint NOT NULL,
    passage_id       bigint NOT NULL,
    version          bigint NOT NULL,
    logic_version    text NOT NULL,
    lineage          jsonb NOT NULL,
    source_topic     text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    from_version     bigint NOT NULL,
    to_version       bigint,
    PRIMARY KEY (generation, passage_id)
);
CREATE INDEX generation_passages_source
    ON generation_passages (generation, source_topic, source_partition, source_offset);
CREATE INDEX generation_passages_recent ON generation_passages (generation, from_version DESC);

-- One row per index transaction. An advisory lock makes numbers become visible in order.
CREATE SEQUENCE index_version_sequence;
CREATE TABLE index_versions (
    version    bigint PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE generations (
    generation    bigint PRIMARY KEY,
    parent        bigint,
    -- building: a replay writes it; fed: complete, and the stream job keeps it so; retired: fed no longer.
    state         text NOT NULL CHECK (state IN ('building', 'fed', 'retired')),
    logic_version text NOT NULL,
    note          text NOT NULL,
    created_at    timestamptz NOT NULL
);
INSERT INTO generations VALUES (1, NULL, 'fed', '', 'the first generation', now());

CREATE TABLE active_generation (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation  bigint NOT NULL REFERENCES generations,
    promoted_at timestamptz NOT NULL
);
INSERT INTO active_generation VALUES (true, 1, now());

-- Next source offset per generation, moved in the same transaction as the rows.
CREATE TABLE index_checkpoints (
    generation  bigint NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (generation, topic, partition)
);

-- Where to go on reading a Gold topic. A hint: what lies below a checkpoint is skipped anyway.
CREATE TABLE gold_positions (
    topic       text NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- Share of passages that hold a word, for common words only; refreshed from the planner's statistics.
CREATE TABLE lexeme_statistics (
    lexeme    text PRIMARY KEY,
    frequency double precision NOT NULL
);

-- Answers as they were given. json, not jsonb: the reply's bytes are kept.
CREATE TABLE answers (
    answer_id     text PRIMARY KEY,
    question      text NOT NULL,
    created_at    timestamptz NOT NULL,
    generation    bigint NOT NULL,
    index_version bigint NOT NULL,
    is_refused    boolean NOT NULL,
    request       json NOT NULL,
    reply         json NOT NULL,
    retrieved     json NOT NULL
);
CREATE INDEX answers_created_at ON answers (created_at);
