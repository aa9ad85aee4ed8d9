-- The documents of a page. Longer titles have no room in an index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS documents_title ON documents (title, collection_id, id) WHERE octet_length(title) <= 1024
