-- Postings of the index's own instead of Postgres' text search: the program cuts texts into words, of any script, and each word of a
-- passage is a row with its frequency, so that the word arm reads a bounded number of rows whatever is asked. How many passages
-- have a word is counted by generation and collection.

DROP TABLE passage_words;
DROP TABLE lexeme_statistics;
DROP TEXT SEARCH CONFIGURATION medallion;
DROP TEXT SEARCH DICTIONARY medallion_words;

-- The words of a tenant's passages, and their further forms (stems, parts, …), which begin with a mark.
CREATE TABLE words (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    text   text COLLATE "C" NOT NULL,
    UNIQUE (tenant, text) INCLUDE (id)
);

-- A passage with its words as numbers, each once. A partition for each tenant.
CREATE TABLE passage_terms (
    tenant_id   integer NOT NULL,
    passage_id  bigint NOT NULL,
    document_id bigint NOT NULL,
    -- The way of cutting, see the program's `TextAnalyzer`.
    analyzer    smallint NOT NULL,
    -- Words of title and text.
    length      smallint NOT NULL,
    words       integer[] NOT NULL
) PARTITION BY LIST (tenant_id);

-- `weight` holds three numbers: bits 0 to 7 the word's frequency in the text, 8 to 15 in the title, 16 to 30 the passage's length.
CREATE TABLE postings (
    tenant_id   integer NOT NULL,
    word_id     integer NOT NULL,
    passage_id  bigint NOT NULL,
    document_id bigint NOT NULL,
    weight      integer NOT NULL
) PARTITION BY LIST (tenant_id);

-- How many passages that a generation shows have a word.
CREATE TABLE word_counts (
    generation    bigint NOT NULL,
    word_id       integer NOT NULL,
    collection_id integer NOT NULL,
    passages      bigint NOT NULL,
    PRIMARY KEY (generation, word_id, collection_id)
) WITH (fillfactor = 80);

-- How many passages a generation shows of a collection, and how many words these have.
CREATE TABLE collection_counts (
    generation    bigint NOT NULL,
    collection_id integer NOT NULL,
    passages      bigint NOT NULL,
    words         bigint NOT NULL,
    PRIMARY KEY (generation, collection_id)
) WITH (fillfactor = 50);

-- Documents that a generation shows (1) or shows no more (-1) and that the counts do not know of yet.
CREATE TABLE uncounted_documents (
    generation  bigint NOT NULL,
    document_id bigint NOT NULL,
    change      smallint NOT NULL
);
CREATE INDEX uncounted_documents_document ON uncounted_documents (document_id);

-- Which way of cutting the postings are made by, and whether all passages have theirs.
CREATE TABLE word_arm (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    analyzer    smallint NOT NULL,
    is_complete boolean NOT NULL
);
INSERT INTO word_arm (analyzer, is_complete) SELECT 0, NOT EXISTS (SELECT FROM passages);

-- Makes the tables of a tenant's words.
CREATE FUNCTION medallion_prepare_words(of_tenant_id integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    terms text := 'passage_terms_t' || of_tenant_id;
    posts text := 'postings_t' || of_tenant_id;
BEGIN
    IF to_regclass(terms) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE passage_terms)', terms);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (passage_id)', terms);
        EXECUTE format('ALTER TABLE passage_terms ATTACH PARTITION %I FOR VALUES IN (%s)', terms, of_tenant_id);
    END IF;
    IF to_regclass(posts) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE postings)', posts);
        -- Searches read this index alone, the newest passages of a word first.
        EXECUTE format(
            'ALTER TABLE %I ADD PRIMARY KEY (word_id, passage_id) INCLUDE (document_id, weight, tenant_id)', posts);
        EXECUTE format('ALTER TABLE postings ATTACH PARTITION %I FOR VALUES IN (%s)', posts, of_tenant_id);
    END IF;
END $$;
SELECT medallion_prepare_words(id) FROM tenants;

CREATE OR REPLACE FUNCTION medallion_prepare_tenant(of_tenant text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    SELECT id INTO number FROM tenants WHERE name = of_tenant;
    IF number IS NOT NULL THEN
        RETURN number;
    END IF;
    -- One at a time; the lock ends with the transaction.
    PERFORM pg_advisory_xact_lock(7882826980159875179);
    INSERT INTO tenants (name) VALUES (of_tenant) ON CONFLICT DO NOTHING;
    SELECT id INTO number FROM tenants WHERE name = of_tenant;
    PERFORM medallion_prepare_words(number);
    RETURN number;
END $$;

-- Counts, whichever statement shows or hides documents.
CREATE FUNCTION medallion_note_shown() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO uncounted_documents (generation, document_id, change)
        SELECT o.generation, o.document_id, -1 FROM old_rows o WHERE o.to_version IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO uncounted_documents (generation, document_id, change)
        SELECT n.generation, n.document_id, 1 FROM new_rows n WHERE n.to_version IS NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_inserted AFTER INSERT ON visibility REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_note_shown();
CREATE TRIGGER note_updated AFTER UPDATE ON visibility REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_note_shown();
CREATE TRIGGER note_deleted AFTER DELETE ON visibility REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_note_shown();

-- Adds the words of some documents to the counts, or takes them away. Whoever calls it has the lock of counts.
CREATE FUNCTION medallion_add_counts(of_generations bigint[], of_documents bigint[], of_changes bigint[])
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_mergejoin = off SET enable_hashjoin = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    WITH counted AS MATERIALIZED (
        SELECT n.generation, d.collection_id, n.change, x.length, x.words
        FROM unnest(of_generations, of_documents, of_changes) AS n(generation, document_id, change)
        JOIN generations g ON g.generation = n.generation AND g.state <> 'pruned'
        JOIN documents d ON d.id = n.document_id
        JOIN tenants t ON t.name = d.tenant
        JOIN passages p ON p.document_id = d.id
        JOIN passage_terms x ON x.tenant_id = t.id AND x.passage_id = p.id
    ), of_collections AS (
        INSERT INTO collection_counts AS c (generation, collection_id, passages, words)
        SELECT n.generation, n.collection_id, sum(n.change), sum(n.change * n.length)
        FROM counted n GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (generation, collection_id) DO UPDATE
        SET passages = c.passages + excluded.passages, words = c.words + excluded.words
    )
    INSERT INTO word_counts AS c (generation, word_id, collection_id, passages)
    SELECT n.generation, w.id, n.collection_id, sum(n.change)
    FROM counted n CROSS JOIN unnest(n.words) AS w(id)
    GROUP BY 1, 2, 3 HAVING sum(n.change) <> 0 ORDER BY 1, 2, 3
    ON CONFLICT (generation, word_id, collection_id) DO UPDATE SET passages = c.passages + excluded.passages;
END $$;

-- Brings the counts up to date with some documents, before they change.
CREATE FUNCTION medallion_count_documents(of_documents bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    generations bigint[];
    documents bigint[];
    changes bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875181);
    WITH taken AS (
        DELETE FROM uncounted_documents u WHERE u.document_id = ANY (of_documents)
        RETURNING u.generation, u.document_id, u.change
    ), net AS (
        SELECT t.generation, t.document_id, sum(t.change) AS change FROM taken t GROUP BY 1, 2 HAVING sum(t.change) <> 0
    )
    SELECT array_agg(n.generation), array_agg(n.document_id), array_agg(n.change) INTO generations, documents, changes
    FROM net n;
    IF documents IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, documents, changes);
    END IF;
END $$;

-- One step of bringing the counts up to date. Returns how many changes it took; 0 when nothing is left to do.
CREATE FUNCTION medallion_count_words(of_rows integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    generations bigint[];
    documents bigint[];
    changes bigint[];
    taken_rows bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875181);
    WITH taken AS (
        DELETE FROM uncounted_documents u WHERE u.ctid = ANY (ARRAY(SELECT ctid FROM uncounted_documents LIMIT of_rows))
        RETURNING u.generation, u.document_id, u.change
    ), net AS (
        SELECT t.generation, t.document_id, sum(t.change) AS change FROM taken t GROUP BY 1, 2
    )
    SELECT array_agg(n.generation) FILTER (WHERE n.change <> 0), array_agg(n.document_id) FILTER (WHERE n.change <> 0),
        array_agg(n.change) FILTER (WHERE n.change <> 0), (SELECT count(*) FROM taken)
    INTO generations, documents, changes, taken_rows FROM net n;
    IF documents IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, documents, changes);
    END IF;
    RETURN taken_rows;
END $$;

-- Writes the words of some passages of a tenant, whose ids are null where nothing is to be written. Within an index transaction.
CREATE FUNCTION medallion_put_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_documents bigint[], of_lengths integer[],
    -- Each word once; the arrays below refer to it by place, from 1, and to passages likewise.
    of_words text[],
    of_posting_places integer[], of_posting_words integer[], of_weights integer[]
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    word_ids integer[];
BEGIN
    -- Not those of passages that are left out: nothing would refer to them.
    INSERT INTO words (tenant, text)
    SELECT of_tenant, i.text FROM unnest(of_words) WITH ORDINALITY AS i(text, place)
    JOIN (
        SELECT DISTINCT u.word FROM unnest(of_posting_places, of_posting_words) AS u(place, word)
        WHERE of_passages[u.place] IS NOT NULL
    ) u ON u.word = i.place
    WHERE NOT EXISTS (SELECT FROM words w WHERE w.tenant = of_tenant AND w.text = i.text OFFSET 0)
    ON CONFLICT DO NOTHING;
    word_ids := ARRAY(
        SELECT (SELECT w.id FROM words w WHERE w.tenant = of_tenant AND w.text = i.text)
        FROM unnest(of_words) WITH ORDINALITY AS i(text, place) ORDER BY i.place);

    INSERT INTO postings (tenant_id, word_id, passage_id, document_id, weight)
    SELECT tenant_number, word_ids[i.word], of_passages[i.place], of_documents[i.place], i.weight
    FROM unnest(of_posting_places, of_posting_words, of_weights) AS i(place, word, weight)
    WHERE of_passages[i.place] IS NOT NULL ORDER BY 2, 3;

    INSERT INTO passage_terms (tenant_id, passage_id, document_id, analyzer, length, words)
    SELECT tenant_number, n.id, of_documents[n.place], of_analyzer, least(of_lengths[n.place], 32767),
        coalesce(w.ids, '{}')
    FROM unnest(of_passages) WITH ORDINALITY AS n(id, place)
    LEFT JOIN (
        SELECT i.place, array_agg(word_ids[i.word]) AS ids
        FROM unnest(of_posting_places, of_posting_words) AS i(place, word) GROUP BY i.place
    ) w ON w.place = n.place
    WHERE n.id IS NOT NULL;
END $$;

-- Writes the words of passages that lack them, or have them by another way of cutting, and counts them. Within an index
-- transaction; passages that have gone meanwhile are left out. Returns how many were written.
CREATE FUNCTION medallion_replace_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_lengths integer[], of_words text[],
    of_posting_places integer[], of_posting_words integer[], of_weights integer[]
) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    here bigint[];
    documents bigint[];
    contents bigint[];
    generations bigint[];
    shown bigint[];
BEGIN
    SELECT array_agg(p.id ORDER BY n.place), array_agg(p.document_id ORDER BY n.place) INTO here, documents
    FROM unnest(of_passages) WITH ORDINALITY AS n(id, place) LEFT JOIN passages p ON p.id = n.id AND p.tenant = of_tenant;
    contents := ARRAY(SELECT DISTINCT d FROM unnest(documents) AS d WHERE d IS NOT NULL);
    -- What these documents count for is taken away with the former words and added with the new ones.
    PERFORM medallion_count_documents(contents);
    SELECT array_agg(g.generation), array_agg(g.document_id) INTO generations, shown
    FROM visibility g WHERE g.document_id = ANY (contents) AND g.to_version IS NULL;
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(-1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    PERFORM medallion_remove_words(tenant_number, here);
    PERFORM medallion_put_words(of_tenant, of_analyzer, here, documents, of_lengths, of_words, of_posting_places,
        of_posting_words, of_weights);
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    RETURN cardinality(array_remove(here, NULL));
END $$;

-- Removes the words of some passages, and those words that no passage has any more.
CREATE FUNCTION medallion_remove_words(of_tenant_id integer, of_passages bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    word_ids integer[];
BEGIN
    WITH gone AS (
        DELETE FROM passage_terms x WHERE x.tenant_id = of_tenant_id AND x.passage_id = ANY (of_passages)
        RETURNING x.passage_id, x.words
    ), removed AS (
        DELETE FROM postings p USING gone g CROSS JOIN unnest(g.words) AS w(id)
        WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id AND p.passage_id = g.passage_id
        RETURNING p.word_id
    )
    SELECT array_agg(DISTINCT r.word_id) INTO word_ids FROM removed r;
    WITH unused AS (
        DELETE FROM words w WHERE w.id = ANY (word_ids)
            AND NOT EXISTS (SELECT FROM postings p WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id)
        RETURNING w.id
    )
    DELETE FROM word_counts c USING generations g, unused u WHERE c.generation = g.generation AND c.word_id = u.id;
END $$;

-- As before, with the words of new contents.
DROP FUNCTION medallion_put_documents(integer, bigint[], text[], text[], text[], bigint[], text[], text[], text[], text[], text[],
    timestamptz[], text[], text[], text[], text[], integer[], bigint[], integer[], integer[], text[], text[], text[]);
CREATE FUNCTION medallion_put_documents(
    of_model integer, of_generations bigint[], of_tenants text[], of_collections text[], of_doc_ids text[],
    of_versions bigint[], of_content_hashes text[], of_text_hashes text[], of_titles text[], of_urls text[], of_langs text[],
    of_event_times timestamptz[], of_attributes text[], of_quality_flags text[], of_lineages text[], of_topics text[],
    of_partitions integer[], of_offsets bigint[],
    -- Of passages: the place of their document among the above, from 1, and the SHA-256 of what the model sees, in hex.
    of_places integer[], of_numbers integer[], of_passage_hashes text[], of_texts text[], of_input_hashes text[],
    -- What medallion_put_words takes of the passages' words. All documents are of one tenant.
    of_analyzer integer, of_lengths integer[], of_words text[], of_posting_places integer[], of_posting_words integer[],
    of_weights integer[]
) RETURNS bigint LANGUAGE plpgsql
-- Plans are kept over calls, and must not be those of an empty table: by the indexes, whatever the statistics say.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    this_version bigint := currval('index_version_sequence');
    other record;
    document_ids bigint[];
    key_ids bigint[];
    collection_ids integer[];
    are_new boolean[];
    vector_ids bigint[];
    passage_ids bigint[];
    added bigint;
BEGIN
    UPDATE generations g SET model_id = of_model
    WHERE of_model > 0 AND g.model_id IS NULL AND g.generation = ANY (of_generations);
    SELECT g.generation, m.name AS theirs, n.name AS ours INTO other
    FROM generations g JOIN models m ON m.id = g.model_id JOIN models n ON n.id = of_model
    WHERE g.generation = ANY (of_generations) AND g.model_id <> of_model LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the vectors of generation % are of model %, not %', other.generation, other.theirs, other.ours
            USING ERRCODE = 'MD005';
    END IF;

    IF EXISTS (
        SELECT FROM unnest(of_tenants, of_collections) AS i(tenant, name)
        WHERE NOT EXISTS (SELECT FROM collections c WHERE c.tenant = i.tenant AND c.name = i.name)
    ) THEN
        INSERT INTO collections (tenant, name)
        SELECT DISTINCT i.tenant, i.name FROM unnest(of_tenants, of_collections) AS i(tenant, name)
        ON CONFLICT DO NOTHING;
    END IF;

    -- By place: where the contents are or will be, null for documents that change nothing.
    SELECT array_agg(a.document_id ORDER BY a.place), array_agg(coalesce(a.key_id, a.document_id) ORDER BY a.place),
        array_agg(a.collection_id ORDER BY a.place), array_agg(a.is_new ORDER BY a.place)
    INTO document_ids, key_ids, collection_ids, are_new
    FROM (
        SELECT i.place, CASE WHEN i.is_taken THEN coalesce(i.document_id, nextval('documents_id_sequence')) END
                AS document_id, i.key_id, i.collection_id, i.is_taken AND i.document_id IS NULL AS is_new
        FROM (
            SELECT i.place, d.id AS document_id, k.key_id, c.id AS collection_id,
                -- Of equal versions the later record counts, also where a replay brings the earlier one again. What is
                -- shown already stays as it is.
                (g.version IS NULL OR g.version < i.version OR g.version = i.version AND g.document_id IS DISTINCT FROM d.id
                    AND NOT (g.source_topic = i.topic AND g.source_partition = i.partition
                        AND g.source_offset > i.source_offset))
                AND NOT EXISTS (
                    SELECT FROM deleted_documents m
                    WHERE m.generation = i.generation AND m.doc_id = i.doc_id AND m.collection_id = c.id
                        AND m.version >= i.version)
                AND NOT EXISTS (
                    SELECT FROM version_floors f
                    WHERE f.generation = i.generation AND f.source_topic = i.topic AND f.version > i.version) AS is_taken
            FROM unnest(of_generations, of_tenants, of_collections, of_doc_ids, of_versions, of_content_hashes, of_topics,
                    of_partitions, of_offsets) WITH ORDINALITY
                AS i(generation, tenant, collection, doc_id, version, content_hash, topic, partition, source_offset, place)
            JOIN collections c ON c.tenant = i.tenant AND c.name = i.collection
            LEFT JOIN LATERAL (
                SELECT o.id, o.key_id FROM documents o
                WHERE o.doc_id = i.doc_id AND o.collection_id = c.id AND o.content_hash = i.content_hash
                    AND o.model_id = of_model LIMIT 1) d ON true
            -- Another content of the document is looked for only where this one is not there.
            CROSS JOIN LATERAL (
                SELECT coalesce(d.key_id, (
                    SELECT o.key_id FROM documents o WHERE o.doc_id = i.doc_id AND o.collection_id = c.id LIMIT 1)) AS key_id
                OFFSET 0) k
            LEFT JOIN LATERAL (
                SELECT * FROM visibility o
                WHERE o.generation = i.generation AND o.key_id = k.key_id AND o.to_version IS NULL LIMIT 1) g ON true
            -- Asks for markers once, though the answer is used twice.
            OFFSET 0
        ) i
    ) a;

    IF of_model > 0 AND true = ANY (are_new) THEN
        EXECUTE format(
            'SELECT array_agg((SELECT o.id FROM %I o WHERE o.tenant = i.tenant'
            ' AND o.input_hash = decode(i.input_hash, ''hex'')) ORDER BY i.place)'
            ' FROM unnest($1, $2) WITH ORDINALITY AS i(input_hash, tenant, place)', 'vectors_' || of_model)
        INTO vector_ids
        USING of_input_hashes, ARRAY(SELECT of_tenants[p.place] FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at);
    END IF;
    -- What has no passages here was there when it was looked for, and has gone since.
    SELECT of_doc_ids[m.place] AS doc_id INTO other FROM (
        SELECT n.place FROM unnest(are_new) WITH ORDINALITY AS n(is_new, place)
        WHERE n.is_new AND n.place <> ALL (of_places)
        UNION ALL
        SELECT p.place FROM unnest(of_places, vector_ids) AS p(place, vector_id)
        WHERE of_model > 0 AND are_new[p.place] AND p.vector_id IS NULL
    ) m LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'document % has no content in the index, or a passage of it no vector', other.doc_id
            USING ERRCODE = 'MD004';
    END IF;

    INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
        event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
    SELECT n.id, key_ids[n.place], of_tenants[n.place], collection_ids[n.place], of_doc_ids[n.place],
        of_content_hashes[n.place], of_model, of_text_hashes[n.place], of_titles[n.place], of_urls[n.place],
        of_langs[n.place], of_event_times[n.place], a.wiki, a.type, a.user_name, a.namespace, a.is_bot, a.others,
        of_quality_flags[n.place]::jsonb
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    CROSS JOIN LATERAL medallion_split_attributes(of_attributes[n.place]::jsonb) a
    WHERE are_new[n.place];

    IF true = ANY (are_new) THEN
        passage_ids := ARRAY(
            SELECT CASE WHEN are_new[p.place] THEN nextval('passages_id_sequence') END
            FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at);
        INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
        SELECT passage_ids[p.at], document_ids[p.place], of_tenants[p.place], of_numbers[p.at], of_passage_hashes[p.at],
            vector_ids[p.at], of_texts[p.at]
        FROM unnest(of_places) WITH ORDINALITY AS p(place, at) WHERE are_new[p.place];
        PERFORM medallion_put_words(of_tenants[1], of_analyzer, passage_ids,
            ARRAY(SELECT document_ids[p.place] FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at),
            of_lengths, of_words, of_posting_places, of_posting_words, of_weights);
    END IF;

    UPDATE visibility g SET to_version = this_version
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    WHERE n.id IS NOT NULL AND g.generation = of_generations[n.place] AND g.key_id = key_ids[n.place]
        AND g.to_version IS NULL;

    INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
        source_offset, shown_at, lineage)
    SELECT n.id, of_generations[n.place], this_version, key_ids[n.place], of_tenants[n.place], of_versions[n.place],
        of_topics[n.place], of_partitions[n.place], of_offsets[n.place], clock_timestamp(), of_lineages[n.place]::jsonb
    FROM unnest(document_ids) WITH ORDINALITY AS n(id, place)
    WHERE n.id IS NOT NULL
    -- The same content in the same transaction once more.
    ON CONFLICT (document_id, generation, from_version) DO UPDATE
    SET to_version = NULL, version = excluded.version, source_topic = excluded.source_topic,
        source_partition = excluded.source_partition, source_offset = excluded.source_offset, lineage = excluded.lineage;

    SELECT count(*) INTO added
    FROM unnest(document_ids) AS n(id) JOIN passages p ON p.document_id = n.id;

    -- What was refused before is there now, such as by a repeat after room was made for it.
    DELETE FROM refused_documents r
    USING unnest(of_generations, of_topics, of_partitions, of_offsets) AS i(generation, topic, partition, source_offset)
    WHERE r.generation = i.generation AND r.source_topic = i.topic AND r.source_partition = i.partition
        AND r.source_offset = i.source_offset;
    RETURN added;
END $$;

-- Removes those of some contents that nobody sees any more, with their passages and the vectors that were theirs alone. Within an
-- index transaction. Returns how many contents went.
CREATE OR REPLACE FUNCTION medallion_remove_unseen(of_documents bigint[]) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    gone bigint[];
    vector_ids bigint[];
    removed bigint;
    model record;
BEGIN
    SELECT array_agg(d.id) INTO gone FROM documents d
    WHERE d.id = ANY (of_documents) AND NOT EXISTS (SELECT FROM visibility g WHERE g.document_id = d.id);
    IF gone IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM medallion_count_documents(gone);
    PERFORM medallion_remove_words(p.tenant_id, p.ids) FROM (
        SELECT t.id AS tenant_id, array_agg(p.id) AS ids FROM passages p JOIN tenants t ON t.name = p.tenant
        WHERE p.document_id = ANY (gone) GROUP BY t.id) p;
    WITH removed_passages AS (
        DELETE FROM passages p WHERE p.document_id = ANY (gone) RETURNING p.vector_id
    )
    SELECT array_agg(DISTINCT p.vector_id) FILTER (WHERE p.vector_id IS NOT NULL) INTO vector_ids FROM removed_passages p;
    IF vector_ids IS NOT NULL THEN
        FOR model IN SELECT DISTINCT d.model_id AS id, d.tenant FROM documents d WHERE d.id = ANY (gone) AND d.model_id > 0 LOOP
            EXECUTE format(
                'DELETE FROM %I v WHERE v.tenant = $2 AND v.id = ANY ($1)'
                ' AND NOT EXISTS (SELECT FROM passages p WHERE p.vector_id = v.id)', 'vectors_' || model.id)
            USING vector_ids, model.tenant;
        END LOOP;
    END IF;
    DELETE FROM documents d WHERE d.id = ANY (gone);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;

-- As before, with the counts of pruned generations.
-- One step of at most so many rows of a sort: of pruned generations, what ended before the history began, numbers of index
-- transactions from before it. Returns how many rows of visibility and how many numbers went; 0 when nothing is left to do.
CREATE OR REPLACE FUNCTION medallion_remove_retired(of_history interval, of_rows integer) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    oldest bigint;
    contents bigint[];
    removed bigint;
    numbers bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    UPDATE index_history h SET oldest_version = v.version FROM (
        SELECT version FROM index_versions WHERE created_at < clock_timestamp() - of_history
        ORDER BY created_at DESC LIMIT 1) v
    WHERE h.oldest_version < v.version;
    SELECT oldest_version INTO oldest FROM index_history;

    WITH retired AS (
        SELECT p.ctid AS place FROM generations n
        CROSS JOIN LATERAL (SELECT g.ctid FROM visibility g WHERE g.generation = n.generation LIMIT of_rows) p
        WHERE n.state = 'pruned' LIMIT of_rows
    ), ended AS (
        SELECT g.ctid AS place FROM visibility g WHERE g.to_version <= oldest LIMIT of_rows
    ), gone AS (
        DELETE FROM visibility g WHERE g.ctid = ANY (ARRAY(
            SELECT place FROM (SELECT place FROM retired UNION ALL SELECT place FROM ended) a LIMIT of_rows))
        RETURNING g.document_id
    )
    SELECT array_agg(DISTINCT document_id), count(*) INTO contents, removed FROM gone;
    PERFORM medallion_remove_unseen(contents);

    DELETE FROM index_versions v WHERE v.version IN (
        SELECT o.version FROM index_versions o WHERE o.version < oldest ORDER BY o.version LIMIT of_rows);
    GET DIAGNOSTICS numbers = ROW_COUNT;
    IF removed = 0 THEN
        DELETE FROM word_counts c WHERE c.ctid = ANY (ARRAY(
            SELECT p.place FROM generations n CROSS JOIN LATERAL (
                SELECT o.ctid AS place FROM word_counts o WHERE o.generation = n.generation LIMIT of_rows) p
            WHERE n.state = 'pruned' LIMIT of_rows));
        GET DIAGNOSTICS removed = ROW_COUNT;
        DELETE FROM collection_counts c USING generations n WHERE n.generation = c.generation AND n.state = 'pruned';
        DELETE FROM deleted_documents d USING generations n WHERE n.generation = d.generation AND n.state = 'pruned';
        DELETE FROM refused_documents d USING generations n WHERE n.generation = d.generation AND n.state = 'pruned';
        DELETE FROM version_floors f USING generations n WHERE n.generation = f.generation AND n.state = 'pruned';
        DELETE FROM index_checkpoints c USING generations n WHERE n.generation = c.generation AND n.state = 'pruned';
    END IF;
    RETURN removed + numbers;
END $$;

-- Words are text; what refers to them is numbers.
ALTER TABLE words ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON words USING (tenant = (SELECT medallion_tenant()));
