-- A writer keeps the numbers of words that it has written before and brings them along, so that they are not looked up again.
-- They hold as long as no word has been removed: the sequence counts how often some were.

CREATE SEQUENCE words_removed_sequence;
-- Before its first number a sequence cannot be told from one that has given it.
SELECT nextval('words_removed_sequence');

CREATE FUNCTION medallion_note_removed_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Most statements that look for unused words find none.
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM old_rows) THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM nextval('words_removed_sequence');
    RETURN NULL;
END $$;
CREATE TRIGGER note_deleted AFTER DELETE ON words REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION medallion_note_removed_words();
CREATE TRIGGER note_emptied AFTER TRUNCATE ON words FOR EACH STATEMENT EXECUTE FUNCTION medallion_note_removed_words();

-- Numbers of some words of a tenant by their places, 0 for those that have none. Those that are given are not looked up.
CREATE FUNCTION medallion_find_words(of_tenant text, of_words text[], given integer[]) RETURNS integer[] LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN i.id > 0 THEN i.id ELSE coalesce((
            SELECT w.id FROM words w WHERE w.tenant = of_tenant AND w.text = of_words[i.place]), 0) END
        FROM unnest(given) WITH ORDINALITY AS i(id, place) ORDER BY i.place);
END $$;

-- Writes the words of some passages of a tenant, whose ids are null where nothing is to be written. Within an index transaction,
-- so that no words are removed meanwhile. Returns the words' numbers, 0 for those that no passage written here has.
DROP FUNCTION medallion_put_words(
    text, integer, bigint[], bigint[], integer[], text[], integer[], integer[], integer[]);
CREATE FUNCTION medallion_put_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_documents bigint[], of_lengths integer[],
    -- Each word once; the arrays below refer to it by place, from 1, and to passages likewise.
    of_words text[],
    -- The numbers of words that the caller knows, 0 for others, from when so many removals had been counted.
    of_word_ids integer[], of_removals bigint,
    -- Postings in the order of the words' numbers that are known, so that neighbours in the index come one after the other.
    of_posting_words integer[], of_posting_places integer[], of_weights integer[],
    -- The words of the first passage, the second and so on, and how many there are up to the end of each.
    of_terms integer[], of_term_ends integer[]
) RETURNS integer[] LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    tenant_number integer := medallion_prepare_tenant(of_tenant);
    are_all_written boolean := array_position(of_passages, NULL) IS NULL;
    newest integer := of_posting_words[cardinality(of_posting_words)];
    -- A database that was brought back to an earlier state lacks the newest words, if any.
    are_known boolean := of_removals = (SELECT last_value FROM words_removed_sequence) AND EXISTS (
        SELECT FROM words w WHERE w.id = of_word_ids[newest] AND w.tenant = of_tenant AND w.text = of_words[newest]);
    word_ids integer[];
    term_ids integer[];
    used integer[];
BEGIN
    word_ids := CASE WHEN are_known THEN of_word_ids ELSE array_fill(0, ARRAY[cardinality(of_words)]) END;
    IF 0 = ANY (word_ids) THEN
        word_ids := medallion_find_words(of_tenant, of_words, word_ids);
    END IF;
    IF 0 = ANY (word_ids) THEN
        IF NOT are_all_written THEN
            -- Not those of passages that are left out: nothing would refer to them.
            used := ARRAY(
                SELECT DISTINCT i.word FROM (
                    SELECT unnest(of_posting_words) AS word, unnest(of_posting_places) AS place) i
                WHERE of_passages[i.place] IS NOT NULL AND word_ids[i.word] = 0);
        END IF;
        INSERT INTO words (tenant, text)
        SELECT of_tenant, of_words[i.place] FROM unnest(word_ids) WITH ORDINALITY AS i(id, place)
        WHERE i.id = 0 AND (are_all_written OR i.place = ANY (used)) ORDER BY i.place
        ON CONFLICT DO NOTHING;
        word_ids := medallion_find_words(of_tenant, of_words, word_ids);
    END IF;

    -- The arrays side by side: as one function's rows they would be kept aside first.
    IF are_known THEN
        INSERT INTO postings (tenant_id, word_id, passage_id, document_id, weight)
        SELECT tenant_number, word_ids[i.word], of_passages[i.place], of_documents[i.place], i.weight
        FROM (
            SELECT unnest(of_posting_words) AS word, unnest(of_posting_places) AS place, unnest(of_weights) AS weight
        ) i
        WHERE of_passages[i.place] IS NOT NULL;
    ELSE
        INSERT INTO postings (tenant_id, word_id, passage_id, document_id, weight)
        SELECT tenant_number, word_ids[i.word], of_passages[i.place], of_documents[i.place], i.weight
        FROM (
            SELECT unnest(of_posting_words) AS word, unnest(of_posting_places) AS place, unnest(of_weights) AS weight
        ) i
        WHERE of_passages[i.place] IS NOT NULL ORDER BY 2, 3;
    END IF;

    term_ids := ARRAY(SELECT word_ids[unnest(of_terms)]);
    INSERT INTO passage_terms (tenant_id, passage_id, document_id, analyzer, length, words)
    SELECT tenant_number, n.id, of_documents[n.place], of_analyzer, least(of_lengths[n.place], 32767),
        term_ids[coalesce(of_term_ends[n.place - 1], 0) + 1 : of_term_ends[n.place]]
    FROM unnest(of_passages) WITH ORDINALITY AS n(id, place) WHERE n.id IS NOT NULL;
    RETURN word_ids;
END $$;

DROP FUNCTION medallion_replace_words(text, integer, bigint[], integer[], text[], integer[], integer[], integer[]);
-- As before, with what medallion_put_words takes.
-- Writes the words of passages that lack them, or have them by another way of cutting, and counts them. Within an index
-- transaction; passages that have gone meanwhile are left out. Returns how many were written.
CREATE FUNCTION medallion_replace_words(
    of_tenant text, of_analyzer integer, of_passages bigint[], of_lengths integer[], of_words text[],
    of_word_ids integer[], of_removals bigint, of_posting_words integer[], of_posting_places integer[], of_weights integer[],
    of_terms integer[], of_term_ends integer[]
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
        of_removals, of_posting_words, of_posting_places, of_weights, of_terms, of_term_ends);
    IF shown IS NOT NULL THEN
        PERFORM medallion_add_counts(generations, shown, array_fill(1::bigint, ARRAY[cardinality(shown)]));
    END IF;
    RETURN cardinality(array_remove(here, NULL));
END $$;

-- As before, with the numbers of words.
DROP FUNCTION medallion_put_documents(integer, bigint[], text[], text[], text[], bigint[], text[], text[],
    text[], text[], text[], timestamptz[], text[], text[], text[],
    text[], integer[], bigint[], integer[], integer[], text[], text[],
    text[], integer, integer[],
    text[], integer[], integer[], integer[]);
CREATE FUNCTION medallion_put_documents(
    of_model integer, of_generations bigint[], of_tenants text[], of_collections text[], of_doc_ids text[],
    of_versions bigint[], of_content_hashes text[], of_text_hashes text[], of_titles text[], of_urls text[], of_langs text[],
    of_event_times timestamptz[], of_attributes text[], of_quality_flags text[], of_lineages text[], of_topics text[],
    of_partitions integer[], of_offsets bigint[],
    -- Of passages: the place of their document among the above, from 1, and the SHA-256 of what the model sees, in hex.
    of_places integer[], of_numbers integer[], of_passage_hashes text[], of_texts text[], of_input_hashes text[],
    -- What medallion_put_words takes of the passages' words. All documents are of one tenant.
    of_analyzer integer, of_lengths integer[], of_words text[], of_word_ids integer[], of_removals bigint,
    of_posting_words integer[], of_posting_places integer[], of_weights integer[], of_terms integer[], of_term_ends integer[],
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
            of_lengths, of_words, of_word_ids, of_removals, of_posting_words, of_posting_places, of_weights, of_terms,
            of_term_ends);
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
