SET hnsw.ef_search=100; SET hnsw.iterative_scan=relaxed_order; SET plan_cache_mode=force_generic_plan; SET enable_seqscan=off; SET enable_sort=off; SET jit=off;
CREATE INDEX IF NOT EXISTS generation_passages_newest ON generation_passages (generation, from_version DESC, passage_id DESC);
PREPARE r(int8,int8,text[],text[],text[],bool,timestamptz,timestamptz,text,int8,int8,int8) AS         WITH snapshot AS MATERIALIZED (
            SELECT coalesce($10, (SELECT generation FROM active_generation)) AS generation
        ), found AS MATERIALIZED (
            SELECT         p.doc_id, g.version, p.passage, p.collection, p.title, p.url, p.text, p.event_time, p.wiki, p.lang, p.type,
        p.user_name, p.is_bot, g.lineage
        , g.from_version, g.passage_id,
                (SELECT v.created_at FROM index_versions v WHERE v.version = g.from_version) AS created_at
            FROM (
                SELECT g.passage_id, g.version, g.lineage, g.from_version, g.to_version
                FROM generation_passages g WHERE         g.generation = (SELECT generation FROM snapshot) AND g.from_version > coalesce($2, -1)
            AND (g.from_version, g.passage_id)
                < (coalesce($11, 9223372036854775807), coalesce($12, 9223372036854775807))
        
                ORDER BY g.from_version DESC, g.passage_id DESC LIMIT 2000
            ) g
            CROSS JOIN LATERAL (
                SELECT * FROM passages p WHERE p.id = g.passage_id AND p.passage = 0 AND         ($3::text[] IS NULL OR p.wiki = ANY ($3)) AND ($4::text[] IS NULL OR p.lang = ANY ($4))
        AND ($5::text[] IS NULL OR p.type = ANY ($5)) AND ($6::boolean IS NULL OR p.is_bot = $6)
        AND ($7::timestamptz IS NULL OR p.event_time >= $7) AND ($8::timestamptz IS NULL OR p.event_time < $8)
        AND ($9::text IS NULL OR p.collection = $9)
         LIMIT 1
            ) p
            WHERE g.to_version IS NULL
            ORDER BY g.from_version DESC, g.passage_id DESC LIMIT $1
        ), edge AS MATERIALIZED (
            SELECT e.from_version, e.passage_id
            FROM (
                SELECT g.from_version, g.passage_id FROM generation_passages g WHERE         g.generation = (SELECT generation FROM snapshot) AND g.from_version > coalesce($2, -1)
            AND (g.from_version, g.passage_id)
                < (coalesce($11, 9223372036854775807), coalesce($12, 9223372036854775807))
        
                ORDER BY g.from_version DESC, g.passage_id DESC OFFSET 1999 LIMIT 1
            ) e
            WHERE (SELECT count(*) FROM found) < $1
        )
        SELECT s.generation, f.*, e.from_version, e.passage_id
        FROM snapshot s LEFT JOIN found f ON true LEFT JOIN edge e ON true
        ;
\echo == after=newest
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,4020,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
\echo == lang=zz
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,NULL,NULL,'{zz}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
\echo == cursor
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,20,1950);
\echo == unfiltered
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
\echo == after old
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
\echo == isbot
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS) EXECUTE r(101,NULL,NULL,NULL,NULL,true,NULL,NULL,NULL,NULL,NULL,NULL);
