CREATE INDEX CONCURRENTLY IF NOT EXISTS generation_passages_newest
    ON generation_passages (generation, from_version DESC, passage_id DESC)
