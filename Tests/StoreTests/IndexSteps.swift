import Bytes
import IndexTesting
import Postgres
import Records
import Store

/// What happens to a document, or to all of a topic, as a Gold topic says it.
struct IndexStep: Hashable {
    enum Operation: Hashable {
        /// A text; each of its lines is a passage.
        case put(String)
        case delete
        case deleteBelow
    }

    /// See ``key(of:)``; of no meaning where a whole topic is deleted below a version.
    var document = 0
    var operation: Operation
    var version: Int64
    var source: TopicPartition
    var offset: Int64
    /// Whether equal texts are one content, whatever the version: what was there before then comes back.
    var isContentShared = true

    static let model = "tiny"
    static let acme = name("acme", TenantID.init)

    private static func name<Name>(_ text: String, _ make: (String) -> Name?) -> Name {
        guard let name = make(text) else { preconditionFailure("\(text) is no name") }
        return name
    }

    /// Two tenants and two collections, in which ids repeat.
    static func key(of document: Int) -> DocumentKey {
        DocumentKey(
            tenant: document.isMultiple(of: 5) ? acme : .standard,
            collection: IndexFixture.name("c\(document % 2)"), docID: "doc-\(document / 2)")
    }

    /// A vector of length 1 that depends on the text alone.
    static func vector(of text: String) -> [Float] {
        var generator = SeededGenerator(seed: text.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
        let values = (0..<3).map { _ in Float.random(in: -1...1, using: &generator) }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }

    func floor(of generation: Int64) -> VersionFloor {
        VersionFloor(generation: generation, source: source, sourceOffset: offset, version: version)
    }

    /// Its document without vectors.
    func document(of generation: Int64) -> IndexedDocument {
        var text = ""
        if case .put(let words) = operation { text = words }
        let key = Self.key(of: document)
        let lines = text.split(separator: "\n").map(String.init)
        let gold = GoldDocument(
            tenant: key.tenant, collection: key.collection, docID: key.docID, version: version,
            operation: operation == .delete ? .delete : .put, text: text, eventTimeMilliseconds: 1_700_000_000_000,
            title: "Title", url: "", lang: "en", textHash: "t-\(text)",
            contentHash: "c-\(text)" + (isContentShared ? "" : "-\(version)"),
            lineage: Lineage(logicVersion: "logic", parents: []))
        let passages =
            operation == .delete
            ? []
            : lines.enumerated().map { number, line in
                IndexedPassage(
                    number: Int32(number), text: line, hash: "p-\(line)", inputHash: IndexFixture.inputHash(line),
                    embedding: nil)
            }
        return IndexedDocument(
            generation: generation, document: gold, source: source, sourceOffset: offset, model: Self.model,
            passages: passages)
    }
}

extension [IndexStep] {
    /// The documents of one write; the first passage of each input brings its vector, as the indexer's do.
    func documents(of generations: (IndexStep) -> [Int64]) -> [IndexedDocument] {
        var documents = filter { $0.operation != .deleteBelow }.flatMap { step in
            generations(step).map { step.document(of: $0) }
        }
        var seen: Set<VectorInput> = []
        for place in documents.indices {
            for number in documents[place].passages.indices {
                let passage = documents[place].passages[number]
                let input = VectorInput(tenant: documents[place].document.tenant, hash: passage.inputHash)
                guard seen.insert(input).inserted else { continue }
                documents[place].passages[number].embedding = IndexStep.vector(of: passage.text)
            }
        }
        return documents
    }

    func floors(of generations: (IndexStep) -> [Int64]) -> [VersionFloor] {
        filter { $0.operation == .deleteBelow }.flatMap { step in generations(step).map { step.floor(of: $0) } }
    }
}

/// What a generation is to show: a function of the steps that it was told, not of their order. The highest version wins, of equal
/// ones the later record, and a deletion over both.
struct IndexModel {
    struct Shown: Hashable {
        let version: Int64
        let text: String
    }

    private struct Put {
        let version: Int64
        let offset: Int64
        let text: String
        let topic: String
    }

    private var puts: [Int: Put] = [:]
    private var deletions: [Int: Int64] = [:]
    private var floors: [String: Int64] = [:]

    init(_ steps: some Sequence<IndexStep> = []) {
        for step in steps { apply(step) }
    }

    mutating func apply(_ step: IndexStep) {
        switch step.operation {
        case .put(let text):
            if let put = puts[step.document], (put.version, put.offset) >= (step.version, step.offset) { return }
            puts[step.document] = Put(
                version: step.version, offset: step.offset, text: text, topic: step.source.topic)
        case .delete: deletions[step.document] = max(deletions[step.document] ?? .min, step.version)
        case .deleteBelow: floors[step.source.topic] = max(floors[step.source.topic] ?? .min, step.version)
        }
    }

    /// By key.
    var visible: [String: Shown] {
        var visible: [String: Shown] = [:]
        for (document, put) in puts
        where put.version > deletions[document] ?? .min && put.version >= floors[put.topic] ?? .min {
            visible["\(IndexStep.key(of: document))"] = Shown(version: put.version, text: put.text)
        }
        return visible
    }
}

/// The index as it is, by plain SQL.
struct IndexRows {
    /// Tables of an index of one tenant and one model that no search reads from the beginning.
    static let searched = [
        "passages", "documents", "visibility", "vectors_1_t1", "postings_t1", "passage_terms_t1", "words",
        "word_counts",
    ]

    let connection: PostgresConnection

    /// What a generation shows, by key; a document that is shown twice is in `doubled`.
    ///
    /// - Parameter indexVersion: nil for now.
    func visible(
        _ generation: Int64, at indexVersion: Int64? = nil
    ) throws -> (shown: [String: IndexModel.Shown], doubled: [String]) {
        let seen =
            indexVersion.map { "g.from_version <= \($0) AND (g.to_version IS NULL OR g.to_version > \($0))" }
            ?? "g.to_version IS NULL"
        let rows = try connection.script(
            """
            SELECT d.tenant, c.name, d.doc_id, g.version, coalesce(string_agg(p.text, E'\\n' ORDER BY p.number), '')
            FROM visibility g JOIN documents d ON d.id = g.document_id JOIN collections c ON c.id = d.collection_id
            LEFT JOIN passages p ON p.document_id = d.id
            WHERE g.generation = \(generation) AND \(seen)
            GROUP BY d.id, g.from_version, g.version, c.name
            """, timeoutMilliseconds: IndexFixture.limit)
        var shown: [String: IndexModel.Shown] = [:]
        var doubled: [String] = []
        for row in rows.map({ $0.map { $0 ?? "" } }) {
            let key = DocumentKey(
                tenant: TenantID(row[0]) ?? .standard, collection: IndexFixture.name(row[1]), docID: row[2])
            let old = shown.updateValue(
                IndexModel.Shown(version: Int64(row[3]) ?? -1, text: row[4]), forKey: "\(key)")
            if old != nil { doubled.append("\(key)") }
        }
        return (shown, doubled)
    }

    /// Broken promises of the tables among themselves, by name; empty where all is well.
    func faults() throws -> [String: Int] {
        var checks = Self.checks
        for row in try connection.script("SELECT id FROM models", timeoutMilliseconds: IndexFixture.limit) {
            let model = row[0] ?? ""
            checks["vectors of model \(model) that nothing refers to"] = """
                SELECT 1 FROM vectors_\(model) v WHERE NOT EXISTS (
                    SELECT FROM passages p WHERE p.vector_id = v.id AND p.tenant = v.tenant)
                """
            checks["passages without their vectors of model \(model)"] = """
                SELECT 1 FROM passages p JOIN documents d ON d.id = p.document_id WHERE d.model_id = \(model)
                    AND NOT EXISTS (SELECT FROM vectors_\(model) v WHERE v.tenant = p.tenant AND v.id = p.vector_id)
                """
        }
        // What the index's upkeep does a second later.
        try connection.script("SELECT medallion_count_words(1000000)", timeoutMilliseconds: IndexFixture.limit)
        var found: [String: Int] = [:]
        for (name, sql) in checks {
            let count = try connection.script(sql, timeoutMilliseconds: IndexFixture.limit).count
            if count > 0 { found[name] = count }
        }
        return found
    }

    private static let checks = [
        "contents without passages": """
        SELECT 1 FROM documents d WHERE NOT EXISTS (SELECT FROM passages p WHERE p.document_id = d.id)
        """,
        "passages of no content": """
        SELECT 1 FROM passages p WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = p.document_id)
        """,
        "contents with a gap in their passages": """
        SELECT document_id FROM passages GROUP BY document_id HAVING max(number) + 1 <> count(*)
        """,
        "passages without words, or words without passages": """
        SELECT 1 FROM (SELECT p.*, t.id AS tenant_id FROM passages p JOIN tenants t ON t.name = p.tenant) p
        FULL JOIN passage_terms w
            ON w.passage_id = p.id AND w.tenant_id = p.tenant_id AND w.document_id = p.document_id
        WHERE p.id IS NULL OR w.passage_id IS NULL
        """,
        "postings that are not the words of a passage, or words without postings": """
        SELECT 1 FROM (
            SELECT x.tenant_id, x.passage_id, x.document_id, unnest(x.words) AS word_id, unnest(x.weights) AS weight, true AS is_here
            FROM passage_terms x
        ) x FULL JOIN (
            SELECT p.tenant_id, unnest(p.passages) AS passage_id, unnest(p.documents) AS document_id, p.word_id,
                unnest(p.weights) AS weight, true AS is_here
            FROM postings p
        ) p USING (tenant_id, passage_id, document_id, word_id, weight)
        WHERE x.is_here IS NULL OR p.is_here IS NULL
        """,
        "passages that stand twice in a word's postings, or have a word twice": """
        SELECT 1 FROM (SELECT tenant_id, word_id, unnest(passages) AS passage_id FROM postings) p
        GROUP BY tenant_id, word_id, passage_id HAVING count(*) > 1
        UNION ALL SELECT 1 FROM (SELECT tenant_id, passage_id, unnest(words) AS word_id FROM passage_terms) x
        GROUP BY tenant_id, word_id, passage_id HAVING count(*) > 1
        """,
        "rows of postings that are empty, too long, uneven or out of order": """
        SELECT 1 FROM postings p
        WHERE cardinality(p.passages) NOT BETWEEN 1 AND 64 OR p.last_passage <> p.passages[1]
            OR cardinality(p.documents) <> cardinality(p.passages) OR cardinality(p.weights) <> cardinality(p.passages)
            OR p.passages <> ARRAY(SELECT i FROM unnest(p.passages) AS i ORDER BY i DESC)
        """,
        "passages with more or fewer weights than words": """
        SELECT 1 FROM passage_terms x WHERE cardinality(x.words) <> cardinality(x.weights)
        """,
        "words that no passage has": """
        SELECT 1 FROM words w WHERE NOT EXISTS (SELECT FROM postings p WHERE p.word_id = w.id)
        """,
        "postings of words that have gone": """
        SELECT 1 FROM postings p WHERE NOT EXISTS (SELECT FROM words w WHERE w.id = p.word_id)
        """,
        "words counted wrong": """
        SELECT 1 FROM (
            SELECT g.generation, w.id AS word_id, d.collection_id, count(*) AS passages
            FROM visibility g JOIN documents d ON d.id = g.document_id
            JOIN passage_terms x ON x.document_id = d.id CROSS JOIN unnest(x.words) AS w(id)
            WHERE g.to_version IS NULL GROUP BY 1, 2, 3
        ) s FULL JOIN (SELECT * FROM word_counts WHERE passages <> 0) c USING (generation, word_id, collection_id)
        JOIN generations n USING (generation) WHERE n.state <> 'pruned' AND s.passages IS DISTINCT FROM c.passages
        """,
        "passages counted wrong": """
        SELECT 1 FROM (
            SELECT g.generation, d.collection_id, count(*) AS passages, sum(x.length) AS words
            FROM visibility g JOIN documents d ON d.id = g.document_id JOIN passage_terms x ON x.document_id = d.id
            WHERE g.to_version IS NULL GROUP BY 1, 2
        ) s FULL JOIN (SELECT * FROM collection_counts WHERE passages <> 0) c USING (generation, collection_id)
        JOIN generations n USING (generation) WHERE n.state <> 'pruned'
            AND (s.passages IS DISTINCT FROM c.passages OR s.words IS DISTINCT FROM c.words)
        """,
        "visibility of no content": """
        SELECT 1 FROM visibility g WHERE NOT EXISTS (
            SELECT FROM documents d WHERE d.id = g.document_id AND d.key_id = g.key_id AND d.tenant = g.tenant)
        """,
        "documents with two keys": """
        SELECT doc_id FROM documents GROUP BY doc_id, collection_id HAVING count(DISTINCT key_id) > 1
        """,
        "keys with two documents": """
        SELECT key_id FROM documents GROUP BY key_id HAVING count(DISTINCT (doc_id, collection_id)) > 1
        """,
        "ends before the beginning": "SELECT 1 FROM visibility WHERE to_version < from_version",
    ]
}
