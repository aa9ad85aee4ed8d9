import Postgres
import Records
package import Retrieval
import Synchronization

/// Bounds the statements of the rest of the transaction.
struct BoundStatements: PostgresStatement {
    static let name = "bound_statements"
    static let sql = "SELECT set_config('statement_timeout', $1, true)"
    static let parameterTypes: [PostgresType] = [.text]
    let milliseconds: Int
    func bind(into parameters: inout PostgresParameters) { parameters.append("\(milliseconds)") }
}

/// The first passages of the documents of an id that the active generation shows now, with their vectors.
struct ReadLikeness: PostgresStatement {
    struct Row {
        let generation: Int64
        let indexVersion: Int64
        /// The number of the generation's model; 0 for none.
        let model: Int32
        let collection: String
        let language: String
        let documentID: Int64
        let passageID: Int64
        let vector: [Float]?
    }

    static let name = "read_likeness"
    static let sql = make(model: 1)
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .int4]

    let target: LikeTarget
    /// The number of the model that is asked for; nil where the index has none of its vectors.
    let model: Int32?

    /// A text for each model, since the vectors of each are in a table of their own.
    var text: StatementText {
        Self.texts.withLock { texts in
            if let known = texts[model ?? 0] { return known }
            let made = StatementText(
                name: "\(Self.name)_\(model ?? 0)", sql: Self.make(model: model), types: Self.parameterTypes)
            texts[model ?? 0] = made
            return made
        }
    }

    private static let texts = Mutex<[Int32: StatementText]>([:])

    private static func make(model: Int32?) -> String {
        let vectors = model.map { number in
            """
            LEFT JOIN vectors_\(number) v ON v.tenant = $2 AND v.id = p.vector_id
                AND (SELECT model_id FROM snapshot) = \(number)
            """
        }
        return """
            WITH snapshot AS MATERIALIZED (
                SELECT served.generation, coalesce((SELECT max(version) FROM index_versions), 0) AS version, served.model_id
                FROM (\(SearchSQL.servedGeneration("NULL::bigint"))) served
            )
            SELECT s.generation, s.version, p.collection, p.lang, p.document_id, p.id, \(vectors == nil ? "NULL::text" : "v.embedding"),
                coalesce(s.model_id, 0)
            FROM snapshot s CROSS JOIN LATERAL (
                SELECT c.name AS collection, d.lang, p.document_id, p.id, p.vector_id,
                    row_number() OVER (PARTITION BY d.id ORDER BY p.number) AS place
                FROM documents d JOIN collections c ON c.id = d.collection_id
                \(SearchSQL.visible("d.id"))
                JOIN passages p ON p.document_id = d.id
                WHERE d.doc_id = $1 AND d.tenant = $2 AND ($3::text IS NULL OR c.name = $3)
                    AND ($4::int IS NULL OR p.number = $4)
            ) p \(vectors ?? "")
            WHERE p.place <= \(Likeness.passagesMax)
            ORDER BY p.collection, p.document_id, p.place
            """
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(target.docID))
        parameters.append(target.tenant.text)
        parameters.append(target.collection.map { IndexText.clean($0) })
        if let passage = target.passage { parameters.append(passage) } else { parameters.appendNull() }
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            generation: try row.int64(0), indexVersion: try row.int64(1), model: try row.int32(7),
            collection: try row.text(2),
            language: try row.text(3), documentID: try row.int64(4), passageID: try row.int64(5),
            vector: row.isNull(6) ? nil : try row.halfVector(6))
    }
}

/// The words by which passages are told from others: often here and rare elsewhere, in the measure of BM25, and not only here.
struct FindTellingWords: PostgresStatement {
    /// Words and forms of one passage that are looked at.
    static let wordsMax = 512
    static let name = "find_telling_words"
    static let sql = """
        WITH own AS MATERIALIZED (
            SELECT p.word_id, count(*)::double precision AS passages,
                sum((p.weight & 255) + (p.weight >> 8 & 255))::double precision AS frequency
            FROM unnest($3::bigint[]) AS n(id)
            JOIN passage_terms t ON t.tenant_id = (SELECT id FROM tenants WHERE name = $1) AND t.passage_id = n.id
            CROSS JOIN LATERAL unnest(t.words[1:\(wordsMax)], t.weights[1:\(wordsMax)]) AS p(word_id, weight)
            GROUP BY p.word_id
        )
        SELECT w.text
        FROM own o JOIN words w ON w.id = o.word_id AND w.tenant = $1
        CROSS JOIN (
            SELECT coalesce(sum(t.passages), 0)::double precision AS passages
            FROM collections c JOIN collection_counts t ON t.generation = $2 AND t.collection_id = c.id
            WHERE c.tenant = $1
        ) a
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(c.passages), 0)::double precision AS passages FROM word_counts c
            WHERE c.generation = $2 AND c.word_id = o.word_id
        ) n
        WHERE n.passages > o.passages AND left(w.text, 2) NOT IN ('w:', 'f:', 's:', 'b:', 'a:')
            AND o.frequency > 0
        ORDER BY o.frequency / (o.frequency + 1.2)
            * ln(1 + greatest(a.passages - n.passages + 0.5, 0.5) / (n.passages + 0.5)) DESC, w.text
        LIMIT \(Likeness.wordsMax)
        """
    static let parameterTypes: [PostgresType] = [.text, .int8, .int8Array]
    let tenant: TenantID
    let generation: Int64
    let passages: [Int64]
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(generation)
        parameters.append(passages)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

extension SearchStore {
    /// See ``RetrievalStore``.
    package func likenesses(of target: LikeTarget, timeoutMilliseconds: Int) throws -> [Likeness] {
        // Postgres' text cannot hold U+0000, so no document has such an id.
        guard !target.docID.utf8.contains(0) else { return [] }
        let asked = target.vectorModel ?? model
        let number = asked.isEmpty ? nil : try number(of: asked, timeoutMilliseconds: timeoutMilliseconds)
        let rows = try run(
            ReadLikeness(target: target, model: number), for: target.tenant, timeoutMilliseconds)
        if !asked.isEmpty, let first = rows.first, first.model > 0, first.model != number {
            throw try mismatch(
                first.generation, first.model, asked: asked, timeoutMilliseconds: timeoutMilliseconds)
        }
        let documents = Dictionary(grouping: rows, by: \.documentID).values.sorted {
            $0[0].collection < $1[0].collection
        }
        return try documents.map { passages in
            var words: [String] = []
            // Where it is not clear which is meant, nothing is looked for.
            if documents.count == 1 {
                words = try run(
                    FindTellingWords(
                        tenant: target.tenant, generation: passages[0].generation, passages: passages.map(\.passageID)),
                    for: target.tenant, timeoutMilliseconds)
            }
            var likeness = Likeness(
                collection: passages[0].collection, language: passages[0].language, documentID: passages[0].documentID,
                vector: Likeness.mean(of: passages.compactMap(\.vector)), words: words,
                generation: passages[0].generation, indexVersion: passages[0].indexVersion)
            likeness.vectorModel = asked
            return likeness
        }
    }
}
