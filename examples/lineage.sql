-- From every document back to the raw event that it was made from, and whether that is still the same, byte for byte.
-- Beside the folder `lake`: duckdb < lineage.sql, or python -c "import duckdb; print(duckdb.sql(open('lineage.sql').read()))"
WITH gold AS (
    SELECT doc_id, title, parent.topic AS topic, parent."partition" AS "partition", parent."offset" AS "offset",
        parent.bronze_sha256 AS wanted
    FROM (
        SELECT doc_id, title, unnest(lineage.parents) AS parent
        FROM read_json('lake/gold/generation=1/**/*.jsonl.zst', format = 'newline_delimited', compression = 'zstd',
            columns = {doc_id: 'VARCHAR', title: 'VARCHAR', lineage: 'STRUCT(parents STRUCT(topic VARCHAR,
                "partition" INTEGER, "offset" BIGINT, bronze_sha256 VARCHAR)[])'})
    )
), bronze AS (
    -- Lines as they are: a reader of JSON would write numbers anew. The payload is a line's last member.
    SELECT line->>'$.topic' AS topic, CAST(line->>'$.partition' AS INTEGER) AS "partition",
        CAST(line->>'$.offset' AS BIGINT) AS "offset",
        substring(line, position('"value":' IN line) + 8, length(line) - position('"value":' IN line) - 8) AS value
    FROM read_csv('lake/bronze/**/*.jsonl.zst', columns = {line: 'VARCHAR'}, header = false, delim = '\x01', quote = '',
        escape = '', compression = 'zstd', max_line_size = 16777216, auto_detect = false, hive_partitioning = false)
)
SELECT doc_id, title, topic, "partition", "offset", sha256(value) = wanted AS is_same, value AS raw_event
FROM gold JOIN bronze USING (topic, "partition", "offset")
ORDER BY topic, "partition", "offset" DESC;
