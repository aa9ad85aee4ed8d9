import Postgres
import Retrieval

/// The text of the search statements, put together from their arms when the program starts; values are bound.
///
/// One statement is one snapshot: the active generation is read once in it, both arms and the fetch see the same rows.
/// Limits stand in the text because a plan for an unknown limit would not use the vector index.
enum SearchSQL {
    /// How the vector arm finds its candidates.
    enum VectorArm: String, Sendable {
        /// Through HNSW, going on until the filters leave enough (`hnsw.iterative_scan`) or `hnsw.max_scan_tuples`.
        case approximate
        /// All rows that pass the filters; for filters so narrow that the index search finds too few.
        case exact
    }

    /// What is asked of a document besides being seen.
    enum Filters: String, Sendable {
        case none
        /// Those that have parameters of their own.
        case plain
        /// The same, and tests on attributes that have none.
        case tested
    }

    /// Candidates that one arm gives at most.
    static let armLimit = SearchLimits.candidatesPerArm
    /// Passages of one vector that are looked at, the newest first, and that are counted.
    static let copiesMax = 1_000

    /// What a search statement has in it.
    struct Parts: Sendable, Hashable {
        /// Nil: no vector arm.
        var vector: VectorArm?
        var lexical: Bool
        var filters: Filters
        /// Whether words are demanded or excluded.
        var isDemanding = false
        /// Whether passages are given, and no arm looks for any.
        var isPage = false
        /// Whether more than the arms decides the ranking.
        var isRanked = false
        /// Whether a document is left out.
        var isExcluding = false
        /// Whether filters or demands may leave so few passages that these are read: see ``NarrowSQL``.
        var isNarrow = false
        /// Whether documents are counted: see ``FacetSQL``.
        var isCounted = false
        /// Whether an index version of the past is read, all of it: see ``PastSQL``.
        var isPast = false
        /// Whether the first row says by what words were weighed.
        var isNoted = false
        /// Whether a generation is read that may never have been promoted.
        var readsCandidate = false
        /// Passages that the word arm gives at most.
        var lexicalMax = SearchSQL.armLimit
        var bounds = SearchBounds()

        /// Part of the names of statements.
        var name: String {
            [
                vector?.rawValue, lexical ? "lexical" : nil, filters.rawValue, isDemanding ? "demanding" : nil,
                isPage ? "page" : nil, isRanked ? "ranked" : nil, isExcluding ? "excluding" : nil,
                isNarrow ? "few" : nil, isCounted ? "sum" : nil, isPast ? "past" : nil, isNoted ? "noted" : nil,
                readsCandidate ? "candidate" : nil,
                lexicalMax == SearchSQL.armLimit ? nil : "\(lexicalMax)", bounds.name,
            ]
            .compactMap(\.self).joined(separator: "_")
        }

        /// Candidates of both arms.
        fileprivate var candidatesMax: Int { SearchSQL.armLimit + lexicalMax }
        /// The first parameter behind the fixed ones and the vector.
        fileprivate var firstParameter: Int { vector == nil ? 19 : 20 }
        /// The first of the three parameters of demands.
        fileprivate var demandParameter: Int { firstParameter + (filters == .tested ? 1 : 0) }
        /// That of the passages of a page.
        fileprivate var pageParameter: Int { demandParameter + (isDemanding ? 3 : 0) }
        /// The first of the three of ``FusionWeights``.
        fileprivate var fusionParameter: Int { pageParameter + (isPage ? 1 : 0) }
        /// The first of those of ``RankingOptions``.
        fileprivate var optionParameter: Int { fusionParameter + RankingSQL.fusionTypes.count }
        /// That of the document that is left out.
        fileprivate var excludedParameter: Int { optionParameter + (isRanked ? RankingSQL.optionTypes.count : 0) }
        /// The first of the two of narrow filters.
        fileprivate var narrowParameter: Int { excludedParameter + (isExcluding ? 1 : 0) }
        /// That of the attributes whose values are counted.
        fileprivate var facetParameter: Int { narrowParameter + (isNarrow ? 2 : 0) }
        /// The first of those of ``PastSQL``.
        fileprivate var pastParameter: Int { facetParameter + (isCounted ? 1 : 0) }
    }

    /// `$1`…`$18`, `$19` where there is a vector arm, and behind them the tests, the demands, a page's passages, the
    /// weights, the options of the ranking, what is left out, narrow filters, what is counted, and what weighed words then.
    static func types(_ parts: Parts) -> [PostgresType] {
        var types: [PostgresType] = [
            .int8, .int8, .textArray, .textArray, .textArray, .bool, .timestamptz, .timestamptz, .text, .int8, .int8,
            .textArray, .text, .int8, .int4Array, .int4Array, .float8, .float8,
        ]
        if parts.vector != nil { types.append(.inferred) }
        if parts.filters == .tested { types.append(.jsonb) }
        if parts.isDemanding { types += [.textArray, .int4Array, .int4Array] }
        if parts.isPage { types.append(.int8Array) }
        types += RankingSQL.fusionTypes
        if parts.isRanked { types += RankingSQL.optionTypes }
        if parts.isExcluding { types.append(.int8) }
        if parts.isNarrow { types += [.textArray, .int4Array] }
        if parts.isCounted { types.append(.textArray) }
        if parts.isPast { types += PastSQL.types }
        return types
    }

    /// What is to be fetched is told by place before any row is read (`OFFSET 0`): as a condition of the join the place would be asked
    /// of all two hundred rows.
    ///
    /// - Parameter model: the number of the model in whose vectors the vector arm looks.
    static func make(_ parts: Parts, model: Int32) -> String {
        let conditions = conditions(parts)
        func demand(_ passage: String, id: String = "id") -> String {
            let demanded = parts.isDemanding ? WordArmSQL.meetsDemands("\(passage).\(id)") : "true"
            return parts.isExcluding
                ? "\(passage).document_id <> $\(parts.excludedParameter) AND \(demanded)" : demanded
        }
        let isFiltered = conditions != nil || parts.isDemanding
        let joins = WordLook.Joins(
            passing: passing(conditions, "r.document_id"), demand: demand("r"), visible: visible("r.document_id"))
        let wordArm = wordArm(parts, joins, isFiltered: isFiltered)
        let vectorArm =
            switch parts.vector {
            case .approximate: approximateArm(parts, demand: demand("n"), model)
            case .exact: exactArm(conditions, demand: demand("p"), model)
            case nil: emptyArm
            }
        let isInGraph = parts.vector == .approximate
        let waiting = WaitingSQL.nearest(
            newest: { newest(of: $0, conditions, demand: demand("n")) }, isNarrow: parts.isNarrow, model: model,
            parts.bounds)
        let counted = FacetSQL.documents(
            isNarrow: parts.isNarrow, demand: demand("r", id: "passage_id"), conditions: conditions, parts.bounds)
        let hasWords = parts.lexical || parts.isCounted
        return """
            WITH snapshot AS MATERIALIZED (
                SELECT served.generation, coalesce($2, (SELECT max(version) FROM index_versions), 0) AS version,
                    served.model_id, (SELECT oldest_version FROM index_history) AS oldest_version
                FROM (\(servedGeneration("$1", orCandidate: parts.readsCandidate))) served
            )\(parts.isDemanding ? WordArmSQL.demands(parts.demandParameter) : "")\
            \(parts.isNarrow ? NarrowSQL.passages(parts.narrowParameter, parts.bounds) : "")\
            \(isInGraph ? waiting : ""), vector_nearest AS MATERIALIZED (\(vectorArm)
            ), vector_arm AS MATERIALIZED (
                SELECT id, document_id, 1 - distance AS score, row_number() OVER (ORDER BY distance, id) AS place
                FROM vector_nearest ORDER BY distance, id LIMIT $10
            )\(hasWords ? words(parts) : "")\
            \(parts.isCounted ? counted : "")\(wordArm.best), lexical_arm AS MATERIALIZED (
                SELECT id, document_id, distance AS score, row_number() OVER (ORDER BY distance DESC, id DESC) AS place
                FROM lexical_best ORDER BY distance DESC, id DESC LIMIT $11
            ), \(DocumentPlacesSQL.ofArms), fused AS MATERIALIZED (
                SELECT \(DocumentPlacesSQL.shown(parts.fusionParameter)) AS id,
                    coalesce(v.document_id, l.document_id) AS document_id, v.score AS vector_score,
                    v.place AS vector_place, l.score AS lexical_score, l.place AS lexical_place,
                    \(RankingSQL.fusedScore(parts.fusionParameter)) AS score
                FROM vector_places v FULL JOIN lexical_places l USING (unit)
            )\(ranked(parts)), chosen AS MATERIALIZED (\(chosen(parts)))
            SELECT s.generation, s.version, s.oldest_version, s.model_id,
                \(isInGraph ? WaitingSQL.count(model: model) : "(SELECT count(*) FROM vector_arm)"),
                \(wordArm.isBounded), \(parts.lexical ? WordArmSQL.isComplete : "true"),
                c.id, c.vector_score, c.vector_place, c.lexical_score, c.lexical_place, f.*, c.others,
                \(parts.isNarrow ? "coalesce(\(NarrowSQL.isFew), false)" : "false"),
                \(parts.isCounted ? "CASE WHEN coalesce(c.place, 1) = 1 THEN \(FacetSQL.counts(parts.facetParameter)) END" : "NULL::jsonb"),
                \(isInGraph ? WaitingSQL.isCut(parts.bounds) : "false"),
                \(parts.isNoted && parts.lexical ? "CASE WHEN coalesce(c.place, 1) = 1 THEN \(WordArmSQL.statistics) END" : "NULL::jsonb")
            FROM snapshot s LEFT JOIN chosen c ON true
            LEFT JOIN LATERAL (
                SELECT \(columns),
                    CASE WHEN $14::bigint IS NOT NULL AND p.vector_id IS NOT NULL THEN (\(copies(conditions))) END
                FROM (SELECT c.id WHERE c.place <= coalesce($14, \(parts.candidatesMax)) OFFSET 0) n
                JOIN passages p ON p.id = n.id AND p.tenant = $13
                JOIN documents d ON d.id = p.document_id JOIN collections k ON k.id = d.collection_id
                \(visible("p.document_id"))
            ) f ON true
            ORDER BY c.place
            """
    }

    private static func words(_ parts: Parts) -> String {
        parts.isPast
            ? PastSQL.words(parts.pastParameter) : WordArmSQL.words(isNarrow: parts.isNarrow, parts.bounds)
    }

    /// The word arm, and whether a bound kept it from looking at everything.
    private static func wordArm(
        _ parts: Parts, _ joins: WordLook.Joins, isFiltered: Bool
    ) -> (best: String, isBounded: String) {
        guard parts.lexical else { return (WordArmSQL.none, "false") }
        if parts.isPast { return (PastSQL.best(joins, armLimit: parts.lexicalMax), "false") }
        return (
            WordArmSQL.best(
                joins, armLimit: parts.lexicalMax, isNarrow: parts.isNarrow, isFiltered: isFiltered, parts.bounds),
            WordArmSQL.isBounded(
                armLimit: parts.lexicalMax, isNarrow: parts.isNarrow, isFiltered: isFiltered, parts.bounds)
        )
    }

    private static func ranked(_ parts: Parts) -> String {
        parts.isRanked && !parts.isPage
            ? RankingSQL.ranked(fusion: parts.fusionParameter, options: parts.optionParameter) : ""
    }

    private static func chosen(_ parts: Parts) -> String {
        if parts.isPage { return RankingSQL.given(parts.pageParameter) }
        let limit = parts.candidatesMax
        return parts.isRanked
            ? RankingSQL.chosen(options: parts.optionParameter, limit: limit) : RankingSQL.chosen(limit: limit)
    }

    /// The generation asked for, or the active one; no row where it is not served. A pruned one lacks what came since, one
    /// that was never promoted is nobody's to read: both would look complete.
    static func servedGeneration(_ wanted: String, orCandidate: Bool = false) -> String {
        """
        SELECT n.generation, coalesce(n.model_id, 0) AS model_id FROM generations n
        WHERE n.generation = coalesce(\(wanted), (SELECT generation FROM active_generation))
            AND n.state IN ('active', 'previous'\(orCandidate ? ", 'candidate'" : ""))
        """
    }

    /// What a candidate shows; see ``CandidateColumns``. Of a passage `p`, its document `d`, the collection `k` and the
    /// visibility `g`.
    static let columns = """
        d.doc_id, g.version, p.number, k.name, d.title, d.url, p.text, d.event_time, d.lang, d.wiki, d.type,
        d.user_name, d.is_bot, d.namespace, d.attributes, g.lineage
        """

    /// Conditions on `d`; an absent filter is NULL.
    static func filters(tenant: String) -> String {
        """
        ($3::text[] IS NULL OR d.wiki = ANY ($3)) AND ($4::text[] IS NULL OR d.lang = ANY ($4))
        AND ($5::text[] IS NULL OR d.type = ANY ($5)) AND ($6::boolean IS NULL OR d.is_bot = $6)
        AND ($7::timestamptz IS NULL OR d.event_time >= $7) AND ($8::timestamptz IS NULL OR d.event_time < $8)
        AND ($9::text IS NULL
            OR d.collection_id = (SELECT c.id FROM collections c WHERE c.tenant = \(tenant) AND c.name = $9))
        """
    }

    /// Conditions on `d`; nil where every document passes.
    private static func conditions(_ parts: Parts) -> String? {
        switch parts.filters {
        case .none: nil
        case .plain: filters(tenant: "$13")
        case .tested: "\(filters(tenant: "$13")) AND \(tests("$\(parts.firstParameter)"))"
        }
    }

    /// Joins the document of a passage where it must pass conditions.
    private static func passing(_ conditions: String?, _ document: String) -> String {
        conditions.map { "JOIN documents d ON d.id = \(document) AND \($0)" } ?? ""
    }

    /// Joins what the snapshot sees of a document.
    static func visible(_ document: String) -> String {
        """
        JOIN visibility g ON g.document_id = \(document) AND g.generation = (SELECT generation FROM snapshot)
            AND g.from_version <= (SELECT version FROM snapshot)
            AND (g.to_version IS NULL OR g.to_version > (SELECT version FROM snapshot)) AND g.suppression IS NULL
        """
    }

    /// Each vector once, with its newest passage that is seen and passes: in a graph equal vectors would only be linked to each
    /// other.
    private static func approximateArm(_ parts: Parts, demand: String, _ model: Int32) -> String {
        let conditions = conditions(parts)
        let graph = """
            SELECT h.id, h.document_id, v.embedding <=> $19::halfvec AS distance
            FROM vectors_\(model) v
            CROSS JOIN LATERAL (\(newest(of: "v.id", conditions, demand: demand))) h
            WHERE v.tenant = $13 AND v.is_linked AND (SELECT model_id FROM snapshot) = \(model)
                \(parts.isNarrow ? "AND NOT coalesce(\(NarrowSQL.isFew), false)" : "")
            ORDER BY v.embedding <=> $19::halfvec LIMIT \(armLimit)
            """
        let all = "\n(\(graph))\nUNION ALL (\(WaitingSQL.rows))"
        guard parts.isNarrow else { return all }
        let few = NarrowSQL.vectorArm(
            visible: visible("n.document_id"), passing: passing(conditions, "n.document_id"), demand: demand,
            armLimit: armLimit, model: model)
        return "\(all)\nUNION ALL (\(few))"
    }

    /// The newest passage `n` of a vector that is seen and passes.
    private static func newest(of vector: String, _ conditions: String?, demand: String) -> String {
        """

        SELECT n.id, n.document_id
        FROM (
            SELECT p.id, p.document_id FROM passages p WHERE p.vector_id = \(vector) AND p.tenant = $13
            ORDER BY p.id DESC LIMIT \(copiesMax)
        ) n
        \(visible("n.document_id"))
        \(passing(conditions, "n.document_id"))
        WHERE \(demand)
        ORDER BY n.id DESC LIMIT 1
        """
    }

    private static func exactArm(_ conditions: String?, demand: String, _ model: Int32) -> String {
        """

        SELECT e.id, e.document_id, e.distance
        FROM (
            SELECT n.id, p.document_id, v.embedding <=> $19::halfvec AS distance
            FROM (
                SELECT p.vector_id, max(p.id) AS id
                FROM documents d \(visible("d.id")) JOIN passages p ON p.document_id = d.id
                WHERE d.tenant = $13 AND p.vector_id IS NOT NULL AND (SELECT model_id FROM snapshot) = \(model)
                    AND \(conditions ?? "true") AND \(demand)
                GROUP BY p.vector_id OFFSET 0
            ) n
            JOIN vectors_\(model) v ON v.tenant = $13 AND v.id = n.vector_id
            JOIN passages p ON p.id = n.id OFFSET 0
        ) e
        ORDER BY 3, 1 LIMIT \(armLimit)
        """
    }

    /// How many other passages of its vector are seen and pass, up to ``copiesMax``.
    private static func copies(_ conditions: String?) -> String {
        """
        SELECT count(*) - 1 FROM (
            SELECT FROM passages o
            \(visible("o.document_id"))
            \(passing(conditions, "o.document_id"))
            WHERE o.vector_id = p.vector_id AND o.tenant = $13 LIMIT \(copiesMax + 1)
        ) o
        """
    }

    private static let emptyArm = """
        SELECT NULL::bigint AS id, NULL::bigint AS document_id, NULL::double precision AS distance WHERE false
        """
}
