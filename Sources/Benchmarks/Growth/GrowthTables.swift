import Bytes
import Console
import Files
import Records

/// An index in Postgres that is filled by statements over whole tables, as no indexer does: a million passages take minutes. Rows are
/// those that the indexer would have written of one document for each passage, with its text's own document's attributes.
struct GrowthTables: Sendable {
    struct Load: Sendable {
        /// Seconds of reading the file and filling the tables, and of building the indexes.
        var filled = 0.0
        var built = 0.0
    }

    static let model = "growth"
    /// Documents, passages and vectors that come otherwise have greater numbers.
    static let numbersMax: Int64 = 1_000_000_000
    private static let graph = "16, 64"
    /// Memory of a graph that is built as a whole.
    static let buildMemory = "2GB"

    let server: IndexBenchServer
    let input: GrowthInput

    /// Makes the tables of the model and of the tenant, and the words.
    init(_ server: IndexBenchServer, _ input: GrowthInput) throws {
        (self.server, self.input) = (server, input)
        try server.script(
            """
            SELECT medallion_prepare_vectors('\(Self.model)', \(input.dimensions), 'default', \(Self.graph));
            INSERT INTO collections (tenant, name) VALUES ('default', '\(GoldMaker.source.topic)');
            UPDATE generations SET model_id = 1 WHERE generation = 1;
            CREATE UNLOGGED TABLE bench_words (id integer, text text);
            CREATE UNLOGGED TABLE bench_texts (
                number integer, title text, url text, lang text, milliseconds bigint, attributes text, text text);
            CREATE UNLOGGED TABLE bench_passages (
                id bigint, number integer, embedding halfvec(\(input.dimensions)), words integer[], weights integer[])
            """)
        try server.copy("bench_words") { file in
            for (number, word) in input.words.enumerated() {
                try file.row(fields: 2)
                file.add(Int32(number + 1))
                file.add(word)
            }
        }
        try server.copy("bench_texts") { file in
            for number in 0..<input.baseCount {
                let document = input.document(of: input.passage(number))
                try file.row(fields: 7)
                file.add(Int32(number))
                file.add(document.title)
                file.add(document.url)
                file.add(document.lang)
                file.add(document.eventTimeMilliseconds)
                var json = JSONWriter()
                document.attributes.append(to: &json)
                file.add(String(decoding: json.bytes, as: UTF8.self).replacing("\\u0000", with: ""))
                file.add(document.text)
            }
        }
        try server.script(
            """
            INSERT INTO words (id, tenant, text) OVERRIDING SYSTEM VALUE SELECT id, 'default', text FROM bench_words;
            SELECT setval(s.name, \(Self.numbersMax)) FROM (VALUES (pg_get_serial_sequence('words', 'id')),
                ('documents_id_sequence'), ('passages_id_sequence'), ('vectors_id_sequence')) AS s(name);
            CREATE TABLE bench_documents AS SELECT * FROM bench_texts
            CROSS JOIN LATERAL medallion_split_attributes(attributes::jsonb) a
            """)
    }

    /// Adds passages and builds what indexes of them can be built behind it.
    func add(_ numbers: Range<Int>) throws -> Load {
        let began = SystemClock.monotonicNanoseconds()
        let indexes = try server.dropIndexes()
        try server.copy("bench_passages") { file in
            for number in numbers {
                let passage = input.passage(number)
                try file.row(fields: 5)
                file.add(Int64(number + 1))
                file.add(Int32(passage.base))
                file.add(halves: passage.halves)
                file.add(passage.words.lazy.map { $0.word + 1 })
                file.add(passage.words.lazy.map(\.weight))
            }
        }
        try server.script(Self.fill)
        let filled = SystemClock.monotonicNanoseconds()
        for index in indexes { try server.script("SET maintenance_work_mem = '\(Self.buildMemory)'; \(index)") }
        let built = SystemClock.monotonicNanoseconds()
        try server.script("VACUUM ANALYZE")
        try server.script("CHECKPOINT")
        return Load(filled: Double(filled - began) / 1e9, built: Double(built - filled) / 1e9)
    }

    /// Triggers, which note each document that is to be counted, stay out of it: all are counted here.
    private static let fill = """
        SET LOCAL session_replication_role = replica;
        SET LOCAL work_mem = '512MB';
        SELECT medallion_begin_index_transaction('live', '{1}');
        INSERT INTO vectors_1_t1 (tenant, id, input_hash, embedding, is_linked)
            SELECT 'default', id, sha256(int8send(id)), embedding, true FROM bench_passages ORDER BY id;
        INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
                event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
            SELECT p.id, p.id, 'default', 1, 'growth-' || p.id, encode(sha256(int8send(p.id)), 'hex'), 1,
                encode(sha256(int8send(p.id)), 'hex'), d.title, d.url, d.lang, to_timestamp(d.milliseconds / 1000.0), d.wiki,
                d.type, d.user_name, d.namespace, d.is_bot, d.others, '[]'
            FROM bench_passages p JOIN bench_documents d USING (number) ORDER BY p.id;
        INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
            SELECT p.id, p.id, 'default', 0, encode(sha256(int8send(p.id)), 'hex'), p.id, d.text
            FROM bench_passages p JOIN bench_documents d USING (number) ORDER BY p.id;
        INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
                source_offset, shown_at, lineage)
            SELECT id, 1, (SELECT max(version) FROM index_versions), id, 'default', 1, '\(GoldMaker.source.topic)', 0, id,
                now(), '{"logic_version": "growth"}' FROM bench_passages ORDER BY id;
        INSERT INTO passage_terms_t1 (tenant_id, passage_id, document_id, analyzer, length, words, weights)
            SELECT 1, id, id, 0, coalesce(weights[1] >> 16, 0), words, weights FROM bench_passages ORDER BY id;
        INSERT INTO postings_t1 (tenant_id, word_id, last_passage, passages, documents, weights)
            SELECT 1, w.word_id, max(w.id), array_agg(w.id ORDER BY w.id DESC), array_agg(w.id ORDER BY w.id DESC),
                array_agg(w.weight ORDER BY w.id DESC)
            FROM (
                SELECT u.word_id, p.id, u.weight,
                    (row_number() OVER (PARTITION BY u.word_id ORDER BY p.id) - 1) / 64 AS block
                FROM bench_passages p CROSS JOIN LATERAL unnest(p.words, p.weights) AS u(word_id, weight)
            ) w GROUP BY w.word_id, w.block ORDER BY 2, 3;
        INSERT INTO word_counts AS c (generation, word_id, collection_id, passages)
            SELECT 1, w.word_id, 1, count(*) FROM bench_passages p CROSS JOIN LATERAL unnest(p.words) AS w(word_id)
            GROUP BY w.word_id
        ON CONFLICT (generation, word_id, collection_id) DO UPDATE SET passages = c.passages + excluded.passages;
        INSERT INTO collection_counts AS c (generation, collection_id, passages, words)
            SELECT 1, 1, count(*), sum(coalesce(weights[1] >> 16, 0)) FROM bench_passages
        ON CONFLICT (generation, collection_id) DO UPDATE
            SET passages = c.passages + excluded.passages, words = c.words + excluded.words;
        TRUNCATE bench_passages
        """
}

extension IndexBenchServer {
    private static let filled = ["documents", "passages", "visibility"]

    /// Drops the indexes of what is filled that no constraint needs, and gives what makes them again.
    func dropIndexes() throws -> [String] {
        let rows = try script(
            """
            SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x
            JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
            WHERE (t.relname = ANY ('{\(Self.filled.joined(separator: ","))}') OR t.relname = 'vectors_1_t1')
                AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.oid)
            ORDER BY i.relname
            """)
        for row in rows { try script("DROP INDEX \(row[0] ?? "")") }
        return rows.compactMap { $0[1] }
    }

    /// Fills a table by a file of rows.
    func copy(_ table: String, _ write: (inout CopyFile) throws -> Void) throws {
        let file = path + "/\(table).copy"
        var rows = try CopyFile(file)
        try write(&rows)
        try rows.end()
        try script("COPY \(table) FROM '\(file)' (FORMAT binary)")
        try Folder.remove(file)
    }
}
