-- Postings as lists. A row for each word of each passage, in its table and in a covering index, was most of what a document costs
-- where its vector exists. Now a row holds up to 64 passages that have a word, and a batch of documents writes one row for most
-- of its words. Whether a passage has a word, and with what weight, its own row of `passage_terms` says.

-- Writers wait, and this for them: both take the tables in an order of their own.
SELECT pg_advisory_xact_lock(7882826980159875177);
ALTER TABLE postings RENAME TO former_postings;
ALTER TABLE passage_terms RENAME TO former_passage_terms;
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('former_postings'::regclass, 'former_passage_terms'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part, 'former_' || part);
        EXECUTE format('ALTER INDEX %I RENAME TO %I', part || '_pkey', 'former_' || part || '_pkey');
    END LOOP;
END $$;

-- A passage with its words as numbers, each once. A partition for each tenant.
CREATE TABLE passage_terms (
    tenant_id   integer NOT NULL,
    passage_id  bigint NOT NULL,
    document_id bigint NOT NULL,
    -- The way of cutting, see the program's `TextAnalyzer`.
    analyzer    smallint NOT NULL,
    -- Words of title and text.
    length      smallint NOT NULL,
    words       integer[] NOT NULL,
    -- Of each word three numbers: bits 0 to 7 its frequency in the text, 8 to 15 in the title, 16 to 30 the passage's length.
    weights     integer[] NOT NULL
) PARTITION BY LIST (tenant_id);

-- Passages that have a word, newest first, at most 64 a row. Each stands in one row of the word. A write makes rows of its own:
-- they overlap where passages were given their words later than newer ones. Short ones are joined later.
CREATE TABLE postings (
    tenant_id    integer NOT NULL,
    word_id      integer NOT NULL,
    -- The first of `passages`.
    last_passage bigint NOT NULL,
    passages     bigint[] NOT NULL,
    -- Of each passage its document and the word's weight.
    documents    bigint[] NOT NULL,
    weights      integer[] NOT NULL
) PARTITION BY LIST (tenant_id);
-- So short that a row is never moved out of line, and read without being copied.
ALTER TABLE postings ALTER passages SET STORAGE PLAIN, ALTER documents SET STORAGE PLAIN, ALTER weights SET STORAGE PLAIN;

-- Makes the tables of a tenant's words.
CREATE OR REPLACE FUNCTION medallion_prepare_words(of_tenant_id integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    terms text := 'passage_terms_t' || of_tenant_id;
    posts text := 'postings_t' || of_tenant_id;
BEGIN
    IF to_regclass(terms) IS NULL THEN
        -- The words of a long passage stay in its row: searches probe them, and would have to uncompress them each time.
        EXECUTE format('CREATE TABLE %I (LIKE passage_terms INCLUDING STORAGE) WITH (toast_tuple_target = 8160)', terms);
        -- An analysis would look at hundreds of numbers of each row, which no plan asks for.
        EXECUTE format('ALTER TABLE %I ALTER weights SET STATISTICS 0', terms);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (passage_id)', terms);
        EXECUTE format('ALTER TABLE passage_terms ATTACH PARTITION %I FOR VALUES IN (%s)', terms, of_tenant_id);
    END IF;
    IF to_regclass(posts) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE postings INCLUDING STORAGE)', posts);
        EXECUTE format('ALTER TABLE %I ALTER passages SET STATISTICS 0, ALTER documents SET STATISTICS 0, '
            'ALTER weights SET STATISTICS 0', posts);
        -- Searches read the newest rows of a word first.
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (word_id, last_passage)', posts);
        EXECUTE format('ALTER TABLE postings ATTACH PARTITION %I FOR VALUES IN (%s)', posts, of_tenant_id);
    END IF;
END $$;

-- What is there, tenant by tenant.
DO $$
DECLARE
    number integer;
BEGIN
    FOR number IN SELECT id FROM tenants ORDER BY id LOOP
        PERFORM medallion_prepare_words(number);
        INSERT INTO passage_terms (tenant_id, passage_id, document_id, analyzer, length, words, weights)
        SELECT number, x.passage_id, x.document_id, x.analyzer, x.length, coalesce(p.words, '{}'), coalesce(p.weights, '{}')
        FROM former_passage_terms x LEFT JOIN (
            SELECT o.passage_id, array_agg(o.word_id) AS words, array_agg(o.weight) AS weights
            FROM former_postings o WHERE o.tenant_id = number GROUP BY o.passage_id
        ) p ON p.passage_id = x.passage_id
        WHERE x.tenant_id = number;
        INSERT INTO postings (tenant_id, word_id, last_passage, passages, documents, weights)
        SELECT number, p.word_id, max(p.passage_id), array_agg(p.passage_id ORDER BY p.passage_id DESC),
            array_agg(p.document_id ORDER BY p.passage_id DESC), array_agg(p.weight ORDER BY p.passage_id DESC)
        FROM (
            SELECT o.word_id, o.passage_id, o.document_id, o.weight,
                (row_number() OVER (PARTITION BY o.word_id ORDER BY o.passage_id) - 1) / 64 AS part
            FROM former_postings o WHERE o.tenant_id = number
        ) p
        GROUP BY p.word_id, p.part ORDER BY 2, 3;
    END LOOP;
END $$;
DROP TABLE former_postings;
DROP TABLE former_passage_terms;

-- As before, and where tables have been made anew since.
CREATE OR REPLACE FUNCTION medallion_grant_reader() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'medallion_reader')
        OR has_table_privilege('medallion_reader', 'answers', 'INSERT')
            AND has_table_privilege('medallion_reader', 'answer_documents', 'INSERT')
            AND has_table_privilege('medallion_reader', 'word_arm', 'SELECT')
            AND has_table_privilege('medallion_reader', 'postings', 'SELECT')
            AND has_table_privilege('medallion_reader', 'passage_terms', 'SELECT')
    THEN
        RETURN;
    END IF;
    BEGIN
        IF NOT pg_has_role(current_user, 'medallion_reader', 'MEMBER') THEN
            EXECUTE format('GRANT medallion_reader TO %I', current_user);
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role medallion_reader cannot be granted here';
    END;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO medallion_reader', current_schema());
    FOREACH name IN ARRAY ARRAY['documents', 'passages', 'words', 'passage_terms', 'postings', 'word_counts', 'collection_counts',
        'word_arm', 'visibility', 'tenants', 'collections', 'models', 'generations', 'active_generation', 'index_versions',
        'index_history', 'index_checkpoints', 'live_progress']
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    FOR name IN SELECT 'vectors_' || id FROM models LOOP
        EXECUTE format('GRANT SELECT ON %I TO medallion_reader', name);
    END LOOP;
    GRANT SELECT, INSERT ON answers, answer_documents TO medallion_reader;
END $$;
SELECT medallion_grant_reader();

DROP FUNCTION medallion_put_words(text, integer, bigint[], bigint[], integer[], text[], integer[], bigint, integer[], integer[],
    integer[], integer[], integer[]);
-- Writes the words of some passages of a tenant, whose ids ascend, and are null where nothing is to be written. Within an index
-- transaction, so that no words are removed meanwhile. Returns the words' numbers, 0 for those that no passage written here has.
CREATE FUNCTION medallion_put_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_documents bigint[], of_lengths integer[],
    -- Each word once; the arrays below refer to it by place, from 1, and to passages likewise.
    of_words text[],
    -- The numbers of words that the caller knows, 0 for others, from when so many removals had been counted.
    of_word_ids integer[], of_removals bigint,
    -- Rows of postings, in the order of the words' numbers that are known, so that neighbours in the index come one after the
    -- other: the word of each and where its postings end; of each posting the passage and the weight, a row's last passage first.
    of_row_words integer[], of_row_ends integer[], of_posting_places integer[], of_posting_weights integer[],
    -- The words of the first passage, the second and so on, their weights, and how many there are up to the end of each.
    of_terms integer[], of_term_weights integer[], of_term_ends integer[]
) RETURNS integer[] LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    are_all_written boolean := array_position(of_passages, NULL) IS NULL;
    newest integer := of_row_words[cardinality(of_row_words)];
    -- A database that was brought back to an earlier state lacks the newest words, if any.
    are_known boolean := of_removals = (SELECT last_value FROM words_removed_sequence) AND EXISTS (
        SELECT FROM words w WHERE w.id = of_word_ids[newest] AND w.tenant = of_tenant AND w.text = of_words[newest]);
    word_ids integer[];
    used integer[];
    row_words integer[] := of_row_words;
    row_starts integer[] := 0 || of_row_ends;
    row_ends integer[] := of_row_ends;
    posting_places integer[] := of_posting_places;
    posting_weights integer[] := of_posting_weights;
    ends_written integer[];
BEGIN
    word_ids := CASE WHEN are_known THEN of_word_ids ELSE array_fill(0, ARRAY[cardinality(of_words)]) END;
    IF 0 = ANY (word_ids) THEN
        word_ids := medallion_find_words(of_tenant, of_words, word_ids);
    END IF;
    IF NOT are_all_written THEN
        -- Without the postings of passages that are left out: how many are written up to each of them.
        ends_written := ARRAY(
            SELECT count(of_passages[i.place]) OVER (ORDER BY i.at ROWS UNBOUNDED PRECEDING)
            FROM unnest(of_posting_places) WITH ORDINALITY AS i(place, at) ORDER BY i.at);
        row_ends := ARRAY(
            SELECT ends_written[i.last] FROM unnest(of_row_ends) WITH ORDINALITY AS i(last, at) ORDER BY i.at);
        row_starts := 0 || row_ends;
        SELECT coalesce(array_agg(i.place ORDER BY i.at), '{}'), coalesce(array_agg(i.weight ORDER BY i.at), '{}')
        INTO posting_places, posting_weights
        FROM unnest(of_posting_places, of_posting_weights) WITH ORDINALITY AS i(place, weight, at)
        WHERE of_passages[i.place] IS NOT NULL;
    END IF;
    IF 0 = ANY (word_ids) THEN
        IF NOT are_all_written THEN
            -- Not those that only passages have which are left out: nothing would refer to them.
            used := ARRAY(
                SELECT DISTINCT i.word FROM (
                    SELECT unnest(row_words) AS word, unnest(row_starts) AS start, unnest(row_ends) AS last) i
                WHERE i.last > i.start AND word_ids[i.word] = 0);
        END IF;
        INSERT INTO words (tenant, text)
        SELECT of_tenant, of_words[i.place] FROM unnest(word_ids) WITH ORDINALITY AS i(id, place)
        WHERE i.id = 0 AND (are_all_written OR i.place = ANY (used)) ORDER BY i.place
        ON CONFLICT DO NOTHING;
        word_ids := medallion_find_words(of_tenant, of_words, word_ids);
    END IF;
    IF NOT are_known THEN
        SELECT array_agg(i.word ORDER BY i.id, i.last), array_agg(i.start ORDER BY i.id, i.last),
            array_agg(i.last ORDER BY i.id, i.last)
        INTO row_words, row_starts, row_ends
        FROM (
            SELECT r.word, r.start, r.last, word_ids[r.word] AS id
            FROM (SELECT unnest(row_words) AS word, unnest(row_starts) AS start, unnest(row_ends) AS last) r
            WHERE r.word IS NOT NULL
        ) i;
    END IF;

    -- Whole arrays are made once and cut as values of a row: a variable's would be copied for each part. The arrays side by side:
    -- as one function's rows they would be kept aside first.
    INSERT INTO postings (tenant_id, word_id, last_passage, passages, documents, weights)
    SELECT tenant_number, word_ids[i.word], a.passages[i.start + 1], a.passages[i.start + 1 : i.last],
        a.documents[i.start + 1 : i.last], a.weights[i.start + 1 : i.last]
    FROM (
        SELECT ARRAY(SELECT of_passages[unnest(posting_places)]) AS passages,
            ARRAY(SELECT of_documents[unnest(posting_places)]) AS documents,
            ARRAY(SELECT unnest(posting_weights)) AS weights OFFSET 0
    ) a
    CROSS JOIN (SELECT unnest(row_words) AS word, unnest(row_starts) AS start, unnest(row_ends) AS last) i
    WHERE i.last > i.start;

    INSERT INTO passage_terms (tenant_id, passage_id, document_id, analyzer, length, words, weights)
    SELECT tenant_number, n.id, of_documents[n.place], of_analyzer, least(of_lengths[n.place], 32767),
        a.words[n.start + 1 : n.last], a.weights[n.start + 1 : n.last]
    FROM (
        SELECT ARRAY(SELECT word_ids[unnest(of_terms)]) AS words, ARRAY(SELECT unnest(of_term_weights)) AS weights OFFSET 0
    ) a
    CROSS JOIN (
        SELECT i.id, i.place, coalesce(of_term_ends[i.place - 1], 0) AS start, of_term_ends[i.place] AS last
        FROM unnest(of_passages) WITH ORDINALITY AS i(id, place)
    ) n
    WHERE n.id IS NOT NULL;
    RETURN word_ids;
END $$;

DROP FUNCTION medallion_replace_words(text, integer, bigint[], integer[], text[], integer[], bigint, integer[], integer[],
    integer[], integer[], integer[]);
-- As before, with what medallion_put_words takes.
-- Writes the words of passages that lack them, or have them by another way of cutting, and counts them. Within an index
-- transaction; their ids ascend, and those that have gone meanwhile are left out. Returns how many were written.
CREATE FUNCTION medallion_replace_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_lengths integer[], of_words text[],
    of_word_ids integer[], of_removals bigint, of_row_words integer[], of_row_ends integer[], of_posting_places integer[],
    of_posting_weights integer[], of_terms integer[], of_term_weights integer[], of_term_ends integer[]
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
    PERFORM medallion_put_words(of_tenant, of_analyzer, here, documents, of_lengths, of_words, of_word_ids,
        of_removals, of_row_words, of_row_ends, of_posting_places, of_posting_weights, of_terms, of_term_weights, of_term_ends);
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    RETURN cardinality(array_remove(here, NULL));
END $$;

-- As before, with postings as lists.
-- Removes the words of some passages, and those words that no passage has any more.
CREATE OR REPLACE FUNCTION medallion_remove_words(of_tenant_id integer, of_passages bigint[]) RETURNS void LANGUAGE plpgsql
-- Nor by a bitmap, which would read all rows of a word to sort them.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS $$
DECLARE
    word_ids integer[];
BEGIN
    WITH gone AS (
        DELETE FROM passage_terms x WHERE x.tenant_id = of_tenant_id AND x.passage_id = ANY (of_passages)
        RETURNING x.passage_id, x.words
    ), held AS MATERIALIZED (
        -- Up to the row that has it only rows are looked at that begin between it and that row's beginning: as a rule none.
        SELECT o.word_id, o.last_passage, o.passages, array_agg(o.place) AS places
        FROM gone g CROSS JOIN unnest(g.words) AS w(id)
        CROSS JOIN LATERAL (
            SELECT p.word_id, p.last_passage, cardinality(p.passages) AS passages,
                array_position(p.passages, g.passage_id) AS place
            FROM postings p
            WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id AND p.last_passage >= g.passage_id
                AND g.passage_id = ANY (p.passages)
            ORDER BY p.last_passage LIMIT 1
        ) o
        GROUP BY o.word_id, o.last_passage, o.passages
    ), without_one AS (
        -- A fifth of the time that putting a row together takes.
        UPDATE postings p SET last_passage = CASE h.places[1] WHEN 1 THEN p.passages[2] ELSE p.last_passage END,
            passages = p.passages[: h.places[1] - 1] || p.passages[h.places[1] + 1 :],
            documents = p.documents[: h.places[1] - 1] || p.documents[h.places[1] + 1 :],
            weights = p.weights[: h.places[1] - 1] || p.weights[h.places[1] + 1 :]
        FROM held h
        WHERE p.tenant_id = of_tenant_id AND p.word_id = h.word_id AND p.last_passage = h.last_passage
            AND cardinality(h.places) = 1 AND h.passages > 1
    ), without_some AS (
        UPDATE postings p SET (last_passage, passages, documents, weights) = (
            SELECT max(i.passage), array_agg(i.passage), array_agg(i.document), array_agg(i.weight)
            FROM (
                SELECT unnest(p.passages) AS passage, unnest(p.documents) AS document, unnest(p.weights) AS weight,
                    generate_subscripts(p.passages, 1) AS place
            ) i
            WHERE i.place <> ALL (h.places))
        FROM held h
        WHERE p.tenant_id = of_tenant_id AND p.word_id = h.word_id AND p.last_passage = h.last_passage
            AND cardinality(h.places) > 1 AND h.passages > cardinality(h.places)
    ), removed AS (
        DELETE FROM postings p USING held h
        WHERE p.tenant_id = of_tenant_id AND p.word_id = h.word_id AND p.last_passage = h.last_passage
            AND h.passages = cardinality(h.places)
        RETURNING p.word_id
    )
    SELECT array_agg(DISTINCT r.word_id) INTO word_ids FROM removed r;
    -- The offset keeps this from becoming a join, which compared every word with every posting where the planner knew little.
    WITH unused AS (
        DELETE FROM words w WHERE w.id = ANY (word_ids)
            AND NOT EXISTS (SELECT FROM postings p WHERE p.tenant_id = of_tenant_id AND p.word_id = w.id OFFSET 0)
        RETURNING w.id
    )
    DELETE FROM word_counts c USING generations g, unused u WHERE c.generation = g.generation AND c.word_id = u.id;
END $$;

-- Joins the newest rows of words that newly written passages have, where eight or more of them fit into one: small batches make
-- short rows. Looks at no more passages than it is told, the newest behind a number, and joins rows of some hundred words. Returns
-- the newest passage's number, or that one where there is none.
CREATE FUNCTION medallion_join_postings(after bigint, of_passages integer) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS $$
DECLARE
    words_max constant integer := 250;
    newest bigint;
    oldest bigint;
    tenant_ids integer[];
    tenant_number integer;
    found_words integer[];
    -- What is to be joined: words, and of each the tenant.
    word_ids integer[] := '{}';
    word_tenants integer[] := '{}';
BEGIN
    SELECT max(n.passage_id), min(n.passage_id), array_agg(DISTINCT n.tenant_id) INTO newest, oldest, tenant_ids FROM (
        SELECT x.tenant_id, x.passage_id FROM passage_terms x WHERE x.passage_id > after
        ORDER BY x.passage_id DESC LIMIT of_passages) n;
    -- What is to be done is looked for without the lock. Words beyond the limit have their turn when they come again.
    FOREACH tenant_number IN ARRAY coalesce(tenant_ids, '{}') LOOP
        EXIT WHEN cardinality(word_ids) >= words_max;
        found_words := ARRAY(
            SELECT w.id FROM (
                SELECT DISTINCT unnest(x.words) AS id FROM passage_terms x
                WHERE x.tenant_id = tenant_number AND x.passage_id BETWEEN oldest AND newest
            ) w
            WHERE (
                SELECT count(*) = 8 AND sum(o.passages) <= 64 FROM (
                    SELECT cardinality(p.passages) AS passages FROM postings p
                    WHERE p.tenant_id = tenant_number AND p.word_id = w.id ORDER BY p.last_passage DESC LIMIT 8) o)
            LIMIT words_max - cardinality(word_ids));
        word_ids := word_ids || found_words;
        word_tenants := word_tenants || array_fill(tenant_number, ARRAY[cardinality(found_words)]);
    END LOOP;
    IF word_ids = '{}' THEN
        RETURN coalesce(newest, after);
    END IF;
    PERFORM pg_advisory_xact_lock(7882826980159875177);
    FOR tenant_number IN SELECT DISTINCT unnest(word_tenants) LOOP
        found_words := ARRAY(SELECT i.id FROM unnest(word_ids, word_tenants) AS i(id, tenant) WHERE i.tenant = tenant_number);
        WITH short AS MATERIALIZED (
            SELECT o.* FROM unnest(found_words) AS w(id) CROSS JOIN LATERAL (
                SELECT p.*, max(p.last_passage) OVER () AS newest,
                    sum(cardinality(p.passages)) OVER (ORDER BY p.last_passage DESC ROWS UNBOUNDED PRECEDING) AS up_to_here
                FROM (
                    SELECT p.word_id, p.last_passage, p.passages, p.documents, p.weights FROM postings p
                    WHERE p.tenant_id = tenant_number AND p.word_id = w.id ORDER BY p.last_passage DESC LIMIT 24
                ) p
            ) o WHERE o.up_to_here <= 64
        ), gone AS (
            DELETE FROM postings p USING short s
            WHERE p.tenant_id = tenant_number AND p.word_id = s.word_id AND p.last_passage = s.last_passage
                AND s.last_passage < s.newest
        )
        UPDATE postings p SET passages = j.passages, documents = j.documents, weights = j.weights
        FROM (
            SELECT s.word_id, s.newest, array_agg(i.passage ORDER BY i.passage DESC) AS passages,
                array_agg(i.document ORDER BY i.passage DESC) AS documents,
                array_agg(i.weight ORDER BY i.passage DESC) AS weights
            FROM short s CROSS JOIN LATERAL unnest(s.passages, s.documents, s.weights) AS i(passage, document, weight)
            GROUP BY s.word_id, s.newest HAVING count(DISTINCT s.last_passage) > 1
        ) j
        WHERE p.tenant_id = tenant_number AND p.word_id = j.word_id AND p.last_passage = j.newest;
    END LOOP;
    RETURN coalesce(newest, after);
END $$;

-- As before, with postings as lists.
DROP FUNCTION medallion_put_documents(integer, bigint[], text[], text[], text[], bigint[], text[], text[], text[], text[], text[],
    timestamptz[], text[], text[], text[], text[], integer[], bigint[], integer[], integer[], text[], text[], text[],
    integer, integer[], text[], integer[], bigint, integer[], integer[], integer[], integer[], integer[]);
CREATE FUNCTION medallion_put_documents(
    of_model integer, of_generations bigint[], of_tenants text[], of_collections text[], of_doc_ids text[],
    of_versions bigint[], of_content_hashes text[], of_text_hashes text[], of_titles text[], of_urls text[], of_langs text[],
    of_event_times timestamptz[], of_attributes text[], of_quality_flags text[], of_lineages text[], of_topics text[],
    of_partitions integer[], of_offsets bigint[],
    -- Of passages: the place of their document among the above, from 1, and the SHA-256 of what the model sees, in hex.
    of_places integer[], of_numbers integer[], of_passage_hashes text[], of_texts text[], of_input_hashes text[],
    -- What medallion_put_words takes of the passages' words. All documents are of one tenant.
    of_analyzer integer, of_lengths integer[], of_words text[], of_word_ids integer[], of_removals bigint,
    of_row_words integer[], of_row_ends integer[], of_posting_places integer[], of_posting_weights integer[],
    of_terms integer[], of_term_weights integer[], of_term_ends integer[],
    -- How many passages became visible; the numbers of the words, null where no words were written, and how many removals of
    -- words had been counted.
    OUT added bigint, OUT word_ids integer[], OUT removals bigint
) LANGUAGE plpgsql
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
        USING of_input_hashes,
            ARRAY(SELECT of_tenants[p.place] FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at);
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
    CROSS JOIN LATERAL (
        SELECT g.all_of_them, coalesce(
            jsonb_typeof(g.all_of_them -> 'wiki') = 'string' AND jsonb_typeof(g.all_of_them -> 'type') = 'string'
                AND jsonb_typeof(g.all_of_them -> 'user') = 'string'
                AND jsonb_typeof(g.all_of_them -> 'is_bot') = 'boolean'
                AND g.all_of_them ->> 'namespace' ~ '^-?[0-9]{1,18}$'
                AND jsonb_typeof(g.all_of_them -> 'namespace') = 'number', false) AS are_usual
        FROM (SELECT of_attributes[n.place]::jsonb AS all_of_them OFFSET 0) g OFFSET 0
    ) i
    CROSS JOIN LATERAL (
        -- What medallion_split_attributes gives where all five are of their column's type, for a third of its time.
        SELECT i.all_of_them ->> 'wiki' AS wiki, i.all_of_them ->> 'type' AS type, i.all_of_them ->> 'user' AS user_name,
            (i.all_of_them ->> 'namespace')::bigint AS namespace, (i.all_of_them -> 'is_bot')::boolean AS is_bot,
            i.all_of_them - '{wiki,type,user,namespace,is_bot}'::text[] AS others
        WHERE i.are_usual
        UNION ALL
        SELECT a.wiki, a.type, a.user_name, a.namespace, a.is_bot, a.others
        FROM medallion_split_attributes(i.all_of_them) a WHERE NOT i.are_usual
    ) a
    WHERE are_new[n.place];

    IF true = ANY (are_new) THEN
        passage_ids := ARRAY(
            SELECT CASE WHEN are_new[p.place] THEN nextval('passages_id_sequence') END
            FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at);
        INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
        SELECT passage_ids[p.at], document_ids[p.place], of_tenants[p.place], of_numbers[p.at], of_passage_hashes[p.at],
            vector_ids[p.at], of_texts[p.at]
        FROM unnest(of_places) WITH ORDINALITY AS p(place, at) WHERE are_new[p.place];
        word_ids := medallion_put_words(of_tenants[1], of_analyzer, passage_ids,
            ARRAY(SELECT document_ids[p.place] FROM unnest(of_places) WITH ORDINALITY AS p(place, at) ORDER BY p.at),
            of_lengths, of_words, of_word_ids, of_removals, of_row_words, of_row_ends, of_posting_places,
            of_posting_weights, of_terms, of_term_weights, of_term_ends);
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
    SELECT last_value INTO removals FROM words_removed_sequence;
END $$;
