-- The documents of a collection in the order of their ids, for lists that go on where a page ended.
CREATE INDEX CONCURRENTLY IF NOT EXISTS documents_list ON documents (collection_id, doc_id COLLATE "C", id)
