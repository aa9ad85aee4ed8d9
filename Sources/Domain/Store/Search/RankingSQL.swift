import Bytes
import Postgres
import Retrieval

/// The formula of ``Ranking`` in SQL, operation by operation: what a search fetches is what comes first there.
enum RankingSQL {
    /// Of the weights: vector arm, word arm, the constant.
    static let fusionTypes: [PostgresType] = [.float8, .float8, .float8]
    /// Of what else decides: recency's weight and half-life, the moment from which ages are reckoned, weights of collections, the
    /// least score, whether the newest come first, and what makes a group.
    static let optionTypes: [PostgresType] = [.float8, .float8, .float8, .jsonb, .float8, .bool, .text]

    /// The arms' shares of the score, of `v` and `l`.
    ///
    /// - Parameter parameter: the first of the weights.
    static func fusedScore(_ parameter: Int) -> String {
        vectorShare(parameter) + " + " + lexicalShare(parameter)
    }

    /// What the place of `v` in the vector arm's ranking counts.
    static func vectorShare(_ parameter: Int) -> String { share("v", weight: parameter, constant: parameter + 2) }

    /// What the place of `l` in the word arm's ranking counts.
    static func lexicalShare(_ parameter: Int) -> String { share("l", weight: parameter + 1, constant: parameter + 2) }

    private static func share(_ arm: String, weight: Int, constant: Int) -> String {
        "coalesce($\(weight)::double precision / ($\(constant)::double precision + \(arm).place::double precision), 0)"
    }

    /// The fused candidates with their scores as all that was asked makes them, what they are ordered by, and their groups.
    ///
    /// - Parameters:
    ///   - fusion: the first parameter of the weights.
    ///   - parameter: the first of the options.
    static func ranked(fusion: Int, options parameter: Int) -> String {
        """
        , ranked AS MATERIALIZED (
            SELECT r.id, r.document_id, r.vector_score, r.vector_place, r.lexical_score, r.lexical_place, r.score,
                CASE WHEN $\(parameter + 5)::boolean THEN r.at END AS at, r.group_value
            FROM (
                SELECT f.id, f.document_id, f.vector_score, f.vector_place, f.lexical_score, f.lexical_place, t.at,
                    b.base + (t.source_weight - 1) * b.base AS score,
                    CASE WHEN jsonb_typeof(t.group_value) IN ('string', 'number', 'boolean') THEN t.group_value
                        ELSE jsonb_build_array(f.document_id) END AS group_value
                FROM fused f
                CROSS JOIN LATERAL (
                    SELECT floor(extract(epoch FROM d.event_time) * 1000)::double precision AS at,
                        coalesce(($\(parameter + 3)::jsonb ->> (
                            SELECT k.name FROM collections k WHERE k.id = d.collection_id))::double precision, 1)
                            AS source_weight,
                        CASE WHEN $\(parameter + 6)::text = 'title' THEN to_jsonb(nullif(d.title, ''))
                            ELSE \(SearchSQL.attribute("$\(parameter + 6)::text")) END AS group_value
                    FROM documents d WHERE d.id = f.document_id OFFSET 0
                ) t
                CROSS JOIN LATERAL (
                    SELECT f.score + $\(parameter)::double precision / ($\(fusion + 2)::double precision + 1)
                        * power(0.5::double precision, least(
                            greatest($\(parameter + 2)::double precision - t.at, 0) / $\(parameter + 1)::double precision,
                            \(Ranking.halfLivesMax))) AS base OFFSET 0
                ) b
                OFFSET 0
            ) r WHERE $\(parameter + 4)::double precision IS NULL OR r.score >= $\(parameter + 4)::double precision
        )
        """
    }

    private static let order = "score DESC, vector_place, lexical_place"

    /// The ranking without options: its passages, or where `$14` bounds what is fetched, the best of each document.
    ///
    /// - Parameter limit: rows at most.
    static func chosen(limit: Int) -> String {
        """

        SELECT *, row_number() OVER (ORDER BY \(order)) AS place, NULL::bigint AS others FROM (
            SELECT *, row_number() OVER (PARTITION BY document_id ORDER BY \(order)) AS turn
            FROM fused
        ) f WHERE $14::bigint IS NULL OR turn = 1
        ORDER BY place LIMIT \(limit)
        """
    }

    /// The same with options: where documents are chosen, the first of each group, with how many others it has.
    ///
    /// - Parameters:
    ///   - parameter: the first of the options.
    ///   - limit: rows at most.
    static func chosen(options parameter: Int, limit: Int) -> String {
        """

        SELECT *, row_number() OVER (ORDER BY at DESC, \(order)) AS place FROM (
            SELECT *, row_number() OVER (PARTITION BY group_value ORDER BY at DESC, \(order)) AS group_turn,
                CASE WHEN $\(parameter + 6)::text IS NOT NULL AND $14::bigint IS NOT NULL
                    THEN count(*) OVER (PARTITION BY group_value) - 1 END AS others
            FROM (
                SELECT *, row_number() OVER (PARTITION BY document_id ORDER BY \(order)) AS turn FROM ranked
            ) f WHERE $14::bigint IS NULL OR turn = 1
        ) f WHERE $14::bigint IS NULL OR group_turn = 1
        ORDER BY place LIMIT \(limit)
        """
    }

    /// A page of a ranking that was found before.
    static func given(_ parameter: Int) -> String {
        """

        SELECT n.id, NULL::double precision AS vector_score, NULL::bigint AS vector_place,
            NULL::double precision AS lexical_score, NULL::bigint AS lexical_place, n.place, NULL::bigint AS others
        FROM unnest($\(parameter)::bigint[]) WITH ORDINALITY AS n(id, place) ORDER BY n.place
        """
    }
}

extension Ranking {
    /// The values of ``RankingSQL/fusionTypes``.
    func bindWeights(into parameters: inout PostgresParameters) {
        parameters.append(weights.vector)
        parameters.append(weights.lexical)
        parameters.append(weights.rankConstant)
    }

    /// The values of ``RankingSQL/optionTypes``.
    func bindOptions(into parameters: inout PostgresParameters) {
        parameters.append(options.recency?.weight ?? 0)
        parameters.append(Double(options.recency?.halfLifeMilliseconds ?? 1))
        parameters.append(Double(referenceMilliseconds))
        var weights = JSONWriter()
        weights.beginObject()
        for (collection, weight) in options.sourceWeights {
            weights.key(dynamic: IndexText.clean(collection))
            weights.double(weight)
        }
        weights.endObject()
        parameters.append(jsonb: weights.bytes)
        if let least = options.scoreMin { parameters.append(least) } else { parameters.appendNull() }
        parameters.append(options.order == .time)
        parameters.append(options.grouping?.text)
    }
}
