CREATE INDEX CONCURRENTLY IF NOT EXISTS passages_embedding
    ON passages USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
