-- What came of an event, by its id. Longer ids have no room in an index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS visibility_event ON visibility ((lineage #>> '{parents,0,event_id}'))
    WHERE octet_length(lineage #>> '{parents,0,event_id}') <= 1024
