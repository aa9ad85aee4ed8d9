import Postgres

/// What the index is held against: the same rows and vectors without what the product does about them.
struct IndexBenchBaseline: Sendable {
    let server: IndexBenchServer
    /// The only tables of the model and of the tenant: `vectors_<model>_t<tenant>`, `passage_terms_t<tenant>`,
    /// `postings_t<tenant>`.
    let vectors: String
    let terms: String
    let postings: String

    init(_ server: IndexBenchServer) throws {
        self.server = server
        let names = try server.script(
            """
            SELECT c.relname::text FROM pg_class c
            WHERE c.relkind = 'r' AND c.relname ~ '^(vectors_[0-9]+|passage_terms|postings)_t[0-9]+$' ORDER BY 1 DESC
            """
        ).compactMap { $0.first ?? nil }
        vectors = names.first ?? ""
        terms = names.last ?? ""
        postings = names.dropFirst().first ?? ""
    }

    /// Makes a table of as many vectors with an index like the product's.
    func copyVectors() throws {
        try server.script(
            """
            CREATE TABLE bare_vectors (id bigint NOT NULL, embedding halfvec(\(BenchVectors.dimensions)) STORAGE PLAIN);
            INSERT INTO bare_vectors SELECT id, embedding FROM \(vectors);
            CREATE INDEX ON bare_vectors USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)
            """)
        try server.script("VACUUM ANALYZE bare_vectors")
    }

    /// Makes empty tables with the indexes of those of contents, and what else decides how their rows are kept.
    func makeTables() throws {
        try server.script(
            """
            CREATE TABLE bare_documents (LIKE documents INCLUDING ALL);
            CREATE TABLE bare_passages (LIKE passages INCLUDING ALL);
            CREATE TABLE bare_terms (LIKE \(terms) INCLUDING ALL) WITH (toast_tuple_target = 8160);
            CREATE TABLE bare_postings (LIKE \(postings) INCLUDING ALL);
            CREATE TABLE bare_visibility (LIKE visibility INCLUDING ALL)
            """)
    }

    /// Copies all contents with what generation 1 sees.
    func copyContents() throws {
        try server.script(
            """
            INSERT INTO bare_documents SELECT * FROM documents;
            INSERT INTO bare_passages SELECT * FROM passages;
            INSERT INTO bare_terms SELECT * FROM \(terms);
            INSERT INTO bare_postings SELECT * FROM \(postings) ORDER BY word_id, last_passage;
            INSERT INTO bare_visibility SELECT * FROM visibility WHERE generation = 1
            """)
    }

    /// Shows a second generation what generation 1 sees.
    func copyVisibility() throws {
        try server.script(
            """
            INSERT INTO bare_visibility (document_id, generation, from_version, to_version, key_id, tenant, version,
                source_topic, source_partition, source_offset, shown_at, lineage)
            SELECT document_id, 2, from_version, to_version, key_id, tenant, version, source_topic, source_partition,
                source_offset, shown_at, lineage FROM visibility WHERE generation = 1
            """)
    }

    func dropTables() throws {
        try server.script("DROP TABLE bare_documents, bare_passages, bare_terms, bare_postings, bare_visibility")
    }
}

/// Adds a row to a table that has nothing but vectors.
struct InsertBareVector: PostgresStatement {
    static let name = "bench_insert_bare_vector"
    static let sql = "INSERT INTO bare_vectors (id, embedding) VALUES ($1, $2::halfvec)"
    static let parameterTypes: [PostgresType] = [.int8, .inferred]
    let id: Int64
    let vector: [Float]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(id)
        parameters.append(halfVector: vector)
    }
}

/// The nearest ten of the product's own vectors, and nothing else about them.
struct FindBareVectors: PostgresStatement {
    static let name = "bench_find_bare_vectors"
    static let sql = make("bare_vectors")
    static let parameterTypes: [PostgresType] = [.inferred]
    let table: String
    let vector: [Float]

    var text: StatementText {
        StatementText(name: Self.name, sql: Self.make(table), types: Self.parameterTypes)
    }

    private static func make(_ table: String) -> String {
        "SELECT id FROM \(table) ORDER BY embedding <=> $1::halfvec LIMIT 10"
    }

    func bind(into parameters: inout PostgresParameters) { parameters.append(halfVector: vector) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
