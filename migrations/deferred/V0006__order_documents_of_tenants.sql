-- The documents of a tenant by the time of their event: a search of a short time reads no others.
CREATE INDEX CONCURRENTLY IF NOT EXISTS documents_time ON documents (tenant, event_time, id)
