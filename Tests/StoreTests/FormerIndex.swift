import Bytes
import IndexTesting
import Postgres
import PostgresTesting
import Records
import Store

/// A database as the release before left it, filled by plain SQL: what its program wrote.
struct FormerIndex {
    static let model = "minilm"
    private static let limit = IndexFixture.limit
    /// Of the migrations that it knew.
    static let migrations = Migration.all.filter {
        $0.name < "V0009" || $0.isDeferred && $0.name < "deferred/V0006"
    }

    let configuration: PostgresConfiguration
    let connection: PostgresConnection
    private(set) var documents: [Document] = []

    /// A content and who sees it.
    struct Document {
        var tenant = "default"
        var collection = "wikimedia.recentchange"
        let id: String
        let content: String
        var model = FormerIndex.model
        /// Texts of its passages.
        let passages: [String]
        /// By generation.
        var seen: [Int64: Seen]
    }

    struct Seen {
        var version: Int64 = 1
        var from: Int64
        var to: Int64?
        let offset: Int64
    }

    init() throws {
        configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        connection = try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
        try Migrator(connection: connection).migrate(Self.migrations)
    }

    /// Several generations, two tenants, documents of several passages, texts that share a vector, hidden contents, deletions,
    /// what was refused, and what was shown twice.
    mutating func fill() throws {
        try connection.script(
            """
            INSERT INTO generations VALUES (2, 1, 'candidate', 'b', '', now()), (3, 1, 'pruned', 'c', '', now());
            UPDATE generations SET state = 'previous' WHERE generation = 1;
            UPDATE generations SET state = 'active' WHERE generation = 2;
            UPDATE active_generation SET generation = 2;
            INSERT INTO index_versions SELECT nextval('index_version_sequence'), now(), 'live' FROM generate_series(1, 90);
            INSERT INTO index_checkpoints VALUES (1, 'src', 0, 500, now()), (2, 'src', 0, 500, now());
            INSERT INTO gold_positions VALUES ('gold', 0, 77);
            """, timeoutMilliseconds: Self.limit)
        // Long and short ones, in both served generations.
        for number in 0..<30 {
            let passages = (0...number % 3).map { $0 == 2 ? "common ending" : "moss \(number) part \($0)" }
            try add(
                Document(
                    tenant: number.isMultiple(of: 4) ? "acme" : "default", collection: "c\(number % 2)",
                    id: "doc-\(number / 2)", content: "c-\(number)", passages: passages,
                    seen: [
                        1: Seen(from: Int64(number + 1), offset: Int64(number)),
                        2: Seen(from: Int64(number + 1), offset: Int64(number)),
                    ]))
        }
        // A newer version hides an older one in one generation only.
        try add(
            Document(
                id: "changed", content: "old", passages: ["moss former"],
                seen: [1: Seen(from: 40, offset: 40), 2: Seen(from: 40, to: 45, offset: 40)]))
        try add(
            Document(
                id: "changed", content: "new", passages: ["moss newer", "second part"],
                seen: [2: Seen(version: 2, from: 45, offset: 45)]))
        // Gone, with a marker and without.
        try add(
            Document(id: "gone", content: "x", passages: ["moss gone"], seen: [2: Seen(from: 41, to: 50, offset: 41)]))
        try add(
            Document(
                id: "hidden", content: "x", passages: ["moss hidden"], seen: [2: Seen(from: 42, to: 43, offset: 42)]))
        try add(Document(id: "pruned", content: "x", passages: ["moss pruned"], seen: [3: Seen(from: 42, offset: 43)]))
        try add(
            Document(
                id: "words", content: "x", model: "", passages: ["moss without a vector"],
                seen: [2: Seen(from: 60, offset: 60)]))
        // An older program showed two contents of it.
        for (number, content) in ["a", "b", "c"].enumerated() {
            try add(
                Document(
                    id: "double", content: content, passages: ["moss double \(content)"],
                    seen: [2: Seen(from: Int64(70 + number), offset: Int64(70 + number))]))
        }
        try connection.script(
            """
            INSERT INTO deleted_documents VALUES (2, 'default', 'wikimedia.recentchange', 'gone', 7, 'src', 0, 50, now()),
                (2, 'acme', 'never.seen', 'late', 3, 'src', 0, 51, now());
            INSERT INTO refused_documents VALUES (2, 'src', 0, 300, 'large', 'MSG_SIZE_TOO_LARGE', 'too large', NULL, now()),
                -- Came in after all.
                (2, 'src', 0, 5, 'doc-2', '54000', 'too long', 'line', now());
            INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply, retrieved)
            VALUES ('a-1', 'why?', now(), 2, 80, false, '{}', '{}', '[]');
            """, timeoutMilliseconds: Self.limit)
    }

    mutating func add(_ document: Document) throws {
        documents.append(document)
        for (number, text) in document.passages.enumerated() {
            let vector = document.model.isEmpty ? "NULL" : "'\(Self.literal(Self.vector(of: text)))'"
            let seen = document.seen.sorted { $0.key < $1.key }.map { generation, seen in
                """
                (\(generation), \(seen.version), 'l', '{"logic_version":"l","parents":[]}'::jsonb, 'src', 0, \(seen.offset),
                    \(seen.from), \(seen.to.map(String.init) ?? "NULL::bigint"))
                """
            }
            try connection.script(
                """
                WITH made AS (
                    INSERT INTO passages (doc_id, tenant, collection, passage, content_hash, text_hash, model, wiki, lang, type,
                        namespace, user_name, is_bot, event_time, title, url, quality_flags, attributes, text, embedding)
                    VALUES ('\(document.id)', '\(document.tenant)', '\(document.collection)', \(number), '\(document.content)',
                        't-\(text)', '\(document.model)', 'enwiki', 'en', 'edit', 0, 'Ann', false, '2026-01-01Z',
                        'Title of \(document.id)', 'https://x.org', '{flag}', '{"size": 4.5}', '\(text)', \(vector))
                    RETURNING id
                )
                INSERT INTO generation_passages (generation, passage_id, version, logic_version, lineage, source_topic,
                    source_partition, source_offset, from_version, to_version)
                SELECT v.g, made.id, v.version, v.logic, v.lineage, v.topic, v.partition, v.o, v.f, v.t
                FROM made, (VALUES \(seen.joined(separator: ", "))) AS v(g, version, logic, lineage, topic, partition, o, f, t)
                """, timeoutMilliseconds: Self.limit)
        }
    }

    /// The text decides it, as the model does.
    static func vector(of text: String) -> [Float] {
        var generator = SeededGenerator(seed: text.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        return IndexFixture.vector(&generator)
    }

    private static func literal(_ vector: [Float]) -> String {
        "[\(vector.map { "\($0)" }.joined(separator: ","))]"
    }

    /// What a generation shows to a tenant: documents as they were before.
    func shown(_ generation: Int64, _ tenant: String) -> [Document] {
        documents.filter { document in
            guard document.tenant == tenant, let seen = document.seen[generation], seen.to == nil else { return false }
            // Of what was shown twice the newest is right.
            return !documents.contains { other in
                guard other.tenant == tenant, other.collection == document.collection, other.id == document.id,
                    let theirs = other.seen[generation], theirs.to == nil
                else { return false }
                return (theirs.version, theirs.offset) > (seen.version, seen.offset)
            }
        }
    }
}
