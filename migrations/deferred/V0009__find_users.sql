-- The documents that came of one user.
CREATE INDEX CONCURRENTLY IF NOT EXISTS documents_user ON documents (user_name, collection_id, id)
    WHERE octet_length(user_name) <= 1024
