-- Replays as they run, so that one that was killed goes on where it ended, and any process may pause or slow it.
CREATE TABLE replays (
    generation   bigint PRIMARY KEY REFERENCES generations ON DELETE CASCADE,
    -- Names joined by commas, which no topic's name has.
    topics       text NOT NULL,
    -- What was asked for; all of it null: everything. Broker times, else offsets of one topic partition.
    since        timestamptz,
    until        timestamptz,
    partition    int,
    start_offset bigint,
    end_offset   bigint,
    state        text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    phase        text NOT NULL,
    is_paused    boolean NOT NULL,
    -- Records a second; 0 for any number.
    rate         int NOT NULL,
    wanted       bigint NOT NULL,
    done         bigint NOT NULL,
    added        bigint NOT NULL DEFAULT 0,
    changed      bigint NOT NULL DEFAULT 0,
    removed      bigint NOT NULL DEFAULT 0,
    unchanged    bigint NOT NULL DEFAULT 0,
    embedded     bigint NOT NULL DEFAULT 0,
    inherited    bigint NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    -- Of the key that began it; empty for a command.
    key_id       text NOT NULL,
    started_at   timestamptz NOT NULL,
    -- By the process that makes it, once a second.
    changed_at   timestamptz NOT NULL
);

-- Next source offsets to go into the index. The counts above are of what lies before them.
CREATE TABLE replay_positions (
    generation  bigint NOT NULL REFERENCES replays ON DELETE CASCADE,
    topic       text NOT NULL,
    partition   int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (generation, topic, partition)
);

-- Queries whose hits or answers are compared before and after a replay.
CREATE TABLE golden_queries (
    tenant     text NOT NULL,
    name       text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('search', 'answer')),
    query      text NOT NULL,
    -- The body of the request beside the query.
    options    jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, name)
);
ALTER TABLE golden_queries ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON golden_queries USING (tenant = (SELECT medallion_tenant()));
