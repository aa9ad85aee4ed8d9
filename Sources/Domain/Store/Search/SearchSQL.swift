import Postgres
import Records
import Retrieval

/// The text of the search statements, put together from their arms when the program starts; values are bound.
///
/// One statement is one snapshot: the active generation is read once in it, both arms and the fetch see the same rows.
/// Limits stand in the text because a plan for an unknown limit would not use the vector index.
enum SearchSQL {
    /// How the vector arm finds its candidates.
    enum VectorArm: Sendable {
        /// Through HNSW, going on until the filters leave enough (`hnsw.iterative_scan`) or `hnsw.max_scan_tuples`.
        case approximate
        /// All rows that pass the filters; for filters so narrow that the index search finds too few.
        case exact
    }

    /// Candidates that one arm gives at most.
    static let armLimit = SearchLimits.candidatesPerArm
    /// A word beyond the most common ones of the statistics is in at most about this share of passages.
    static let rareFrequency = 0.0005
    /// Words of a query that are looked up at most, rarest first.
    static let termsMax = 16
    /// Rows that the lexical arm ranks at most (about 1 µs each), as far as the statistics know; more common words are
    /// left out, but for the rarest.
    static let rankedRowsMax = 5_000
    /// Best rows that are looked at until enough are visible; the others belong to other generations or versions.
    static let visibilityRowsMax = 1_000

    /// What a search statement has in it.
    struct Parts: Sendable {
        /// Nil: no vector arm.
        var vector: VectorArm?
        var lexical: Bool
        /// Whether there is a parameter for tests on attributes that have none of their own.
        var tests = false
    }

    /// `$1`…`$12`, `$13` where there is a vector arm, and the tests behind them.
    static func types(_ parts: Parts) -> [PostgresType] {
        var types: [PostgresType] = [
            .int8, .int8, .textArray, .textArray, .textArray, .bool, .timestamptz, .timestamptz, .text, .int8, .int8,
            .text,
        ]
        if parts.vector != nil { types.append(.inferred) }
        if parts.tests { types.append(.jsonb) }
        return types
    }

    static func make(_ parts: Parts) -> String {
        let place = parts.vector == nil ? "$13" : "$14"
        let filters = parts.tests ? "\(filters) AND \(tests(place))" : filters
        let vectorArm =
            switch parts.vector {
            case .approximate: approximateArm(filters)
            case .exact: exactArm(filters)
            case nil: emptyArm
            }
        return """
            WITH snapshot AS MATERIALIZED (
                SELECT generation, coalesce($2, (SELECT max(version) FROM index_versions), 0) AS version
                FROM (\(servedGeneration("$1"))) served
            ), vector_nearest AS MATERIALIZED (\(vectorArm)
            ), vector_arm AS MATERIALIZED (
                SELECT id, 1 - distance AS score, row_number() OVER (ORDER BY distance, id) AS place
                FROM vector_nearest ORDER BY distance, id LIMIT $10
            )\(parts.lexical ? terms : ""), lexical_best AS MATERIALIZED (\(parts.lexical ? lexicalArm(filters) : emptyArm)
            ), lexical_arm AS MATERIALIZED (
                SELECT id, distance AS score, row_number() OVER (ORDER BY distance DESC, id DESC) AS place
                FROM lexical_best ORDER BY distance DESC, id DESC LIMIT $11
            ), chosen AS MATERIALIZED (
                SELECT id, v.score AS vector_score, v.place AS vector_place, l.score AS lexical_score,
                    l.place AS lexical_place
                FROM vector_arm v FULL JOIN lexical_arm l USING (id)
            )
            SELECT s.generation, s.version, \(columns),
                c.vector_score, c.vector_place, c.lexical_score, c.lexical_place
            FROM snapshot s
            LEFT JOIN (chosen c JOIN passages p ON p.id = c.id JOIN generation_passages g ON g.passage_id = c.id
                AND g.generation = (SELECT generation FROM snapshot)) ON true
            """
    }

    /// The generation asked for, or the active one; no row where it is not served. A pruned one lacks what came since, one
    /// that was never promoted is nobody's to read: both would look complete.
    static func servedGeneration(_ wanted: String) -> String {
        """
        SELECT n.generation FROM generations n
        WHERE n.generation = coalesce(\(wanted), (SELECT generation FROM active_generation))
            AND n.state IN ('active', 'previous')
        """
    }

    /// What a candidate shows; see ``CandidateColumns``.
    static let columns = """
        p.doc_id, g.version, p.passage, p.collection, p.title, p.url, p.text, p.event_time, p.lang, p.wiki, p.type,
        p.user_name, p.is_bot, p.namespace, p.attributes, g.lineage
        """

    /// Conditions on `p`; an absent filter is NULL.
    static let filters = """
        ($3::text[] IS NULL OR p.wiki = ANY ($3)) AND ($4::text[] IS NULL OR p.lang = ANY ($4))
        AND ($5::text[] IS NULL OR p.type = ANY ($5)) AND ($6::boolean IS NULL OR p.is_bot = $6)
        AND ($7::timestamptz IS NULL OR p.event_time >= $7) AND ($8::timestamptz IS NULL OR p.event_time < $8)
        AND ($9::text IS NULL OR p.collection = $9)
        """

    /// Joins what the snapshot's generation and version see; `%` is the passage's id.
    static func visible(_ id: String) -> String {
        """
        JOIN generation_passages g ON g.generation = (SELECT generation FROM snapshot) AND g.passage_id = \(id)
            AND g.from_version <= (SELECT version FROM snapshot)
            AND (g.to_version IS NULL OR g.to_version > (SELECT version FROM snapshot))
        """
    }

    private static func approximateArm(_ filters: String) -> String {
        """

        SELECT p.id, p.embedding <=> $13::halfvec AS distance
        FROM passages p \(visible("p.id"))
        WHERE \(filters)
        ORDER BY p.embedding <=> $13::halfvec LIMIT \(armLimit)
        """
    }

    private static func exactArm(_ filters: String) -> String {
        """

        SELECT e.id, e.embedding <=> $13::halfvec AS distance
        FROM (
            SELECT p.id, p.embedding FROM passages p \(visible("p.id"))
            WHERE p.embedding IS NOT NULL AND \(filters) OFFSET 0
        ) e
        ORDER BY 2 LIMIT \(armLimit)
        """
    }

    private static let emptyArm = "SELECT NULL::bigint AS id, NULL::double precision AS distance WHERE false"

    /// The query's words, rarest first, as long as the rows to be ranked stay within bounds.
    private static let terms = #"""
        , lexemes AS MATERIALIZED (
            SELECT q.lexeme,
                ('''' || replace(replace(q.lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS query,
                coalesce(l.frequency, \#(rareFrequency)) AS frequency
            FROM unnest(to_tsvector('medallion', $12)) q LEFT JOIN lexeme_statistics l ON l.lexeme = q.lexeme
        ), terms AS MATERIALIZED (
            SELECT query, ln(1 + 1 / frequency) AS weight
            FROM (SELECT *, row_number() OVER rarest AS place, sum(frequency) OVER rarest AS share
                FROM lexemes WINDOW rarest AS (ORDER BY frequency, lexeme)) t
            WHERE place = 1 OR (place <= \#(termsMax) AND share * (
                SELECT reltuples FROM pg_class WHERE oid = 'passages'::regclass) <= \#(rankedRowsMax))
        )
        """#

    /// Each word's rank times its rarity, summed; like BM25 in spirit, with what Postgres has.
    private static func lexicalArm(_ filters: String) -> String {
        """

        SELECT r.id, r.score AS distance
        FROM (
            SELECT p.id, sum(t.weight * ts_rank(p.words, t.query, 1))::double precision AS score
            FROM terms t JOIN passages p ON p.words @@ t.query
            WHERE \(filters)
            GROUP BY p.id ORDER BY 2 DESC, p.id DESC LIMIT \(visibilityRowsMax)
        ) r \(visible("r.id"))
        ORDER BY r.score DESC, r.id DESC LIMIT \(armLimit)
        """
    }
}

/// The values of a search: the same for all its statements.
struct SearchValues: Sendable {
    let query: CandidateQuery
    let filter: FilterBinding

    init(query: CandidateQuery) {
        self.query = query
        filter = FilterBinding(query.filter)
    }

    func bind(_ parts: SearchSQL.Parts, into parameters: inout PostgresParameters) {
        parameters.append(query.generation)
        parameters.append(query.indexVersion)
        filter.bind(into: &parameters)
        parameters.append(Int64(max(0, min(query.vectorLimit, SearchSQL.armLimit))))
        parameters.append(Int64(max(0, min(query.lexicalLimit, SearchSQL.armLimit))))
        parameters.append(IndexText.clean(query.text))
        if parts.vector != nil { parameters.append(halfVector: query.vector) }
        if parts.tests { filter.bindTests(into: &parameters) }
    }
}

/// One row of a search: the snapshot, and a candidate unless nothing was found.
struct SearchRow {
    let generation: Int64
    let indexVersion: Int64
    let candidate: Candidate?

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> SearchRow {
        let generation = try row.int64(0)
        let version = try row.int64(1)
        guard !row.isNull(2) else { return SearchRow(generation: generation, indexVersion: version, candidate: nil) }
        var candidate = try CandidateColumns.decode(row, from: 2)
        if let score = try row.doubleOrNil(18), let place = try row.int64OrNil(19) {
            candidate.vector = ArmPlace(rank: Int(place), score: score)
        }
        if let score = try row.doubleOrNil(20), let place = try row.int64OrNil(21) {
            candidate.lexical = ArmPlace(rank: Int(place), score: score)
        }
        return SearchRow(generation: generation, indexVersion: version, candidate: candidate)
    }
}

/// Reads ``SearchSQL/columns``.
enum CandidateColumns {
    static func decode(_ row: borrowing PostgresRow, from first: Int) throws(PostgresError) -> Candidate {
        Candidate(
            docID: try row.text(first), version: try row.int64(first + 1), passage: try row.int32(first + 2),
            collection: try row.text(first + 3), title: try row.text(first + 4), url: try row.text(first + 5),
            text: try row.text(first + 6), eventTimeMilliseconds: try row.timestampMilliseconds(first + 7),
            language: try row.text(first + 8), attributes: try attributes(row, from: first + 9),
            lineageJSON: try row.json(first + 15), vector: nil, lexical: nil)
    }

    /// Those in columns and the others.
    private static func attributes(
        _ row: borrowing PostgresRow, from first: Int
    ) throws(PostgresError) -> AttributeList {
        let json = try row.json(first + 5)
        var attributes = AttributeList()
        // Most rows have few others, or none.
        if json.count > 2 {
            guard let others = json.withUnsafeBytes({ try? AttributeList(json: $0) }) else {
                throw PostgresError(
                    kind: .decode, operation: "read attributes", server: "index", message: "no JSON object")
            }
            attributes = others
        }
        for (place, name) in [AttributeName.wiki, .type, .user].enumerated() {
            if let text = try row.textOrNil(first + place) { attributes.set(name, .string(text)) }
        }
        if !row.isNull(first + 3) { attributes.set(.isBot, .bool(try row.bool(first + 3))) }
        if let namespace = try row.int64OrNil(first + 4) { attributes.set(.namespace, .integer(namespace)) }
        return attributes
    }
}
