import Bytes
import Postgres
package import Records
package import Retrieval

/// How the index was at a moment: when an answer was given, at an index version, or at a time.
struct ReadMoment: PostgresStatement {
    struct Row {
        /// The version that is meant; nil where it is an answer's and the tenant has no such answer.
        let version: Int64?
        let oldest: Int64
        let newest: Int64
        /// Nil where nothing is recorded of what was active.
        let generation: Int64?
        let isServed: Bool
        /// When the version was written.
        let writtenAtMilliseconds: Int64?
        /// When the answer was given.
        let answeredAtMilliseconds: Int64?
        /// ``StoredAnswer/basisJSON``.
        let basis: [UInt8]?
    }

    static let name = "read_moment"
    static let sql = """
        WITH answer AS MATERIALIZED (
            SELECT a.generation, a.index_version, a.created_at, a.basis FROM answers a WHERE a.answer_id = $1 AND a.tenant = $2
        ), wanted AS MATERIALIZED (
            SELECT CASE WHEN $1::text IS NOT NULL THEN (SELECT index_version FROM answer)
                WHEN $3::bigint IS NOT NULL THEN $3
                ELSE coalesce((
                    SELECT v.version FROM index_versions v WHERE v.created_at <= $4 ORDER BY v.version DESC LIMIT 1), 0)
                END AS version
        ), active AS MATERIALIZED (
            SELECT coalesce((SELECT generation FROM answer), (
                SELECT p.generation FROM promotions p WHERE p.from_version <= (SELECT version FROM wanted)
                ORDER BY p.from_version DESC LIMIT 1)) AS generation
        )
        SELECT w.version, (SELECT oldest_version FROM index_history), coalesce((SELECT max(version) FROM index_versions), 0),
            (SELECT generation FROM active), EXISTS (
                SELECT FROM (\(SearchSQL.servedGeneration("(SELECT coalesce(generation, -1) FROM active)"))) served),
            (SELECT v.created_at FROM index_versions v WHERE v.version <= w.version ORDER BY v.version DESC LIMIT 1),
            (SELECT created_at FROM answer), (SELECT basis FROM answer)
        FROM wanted w
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .int8, .timestamptz]
    let asOf: AsOf
    let tenant: TenantID

    func bind(into parameters: inout PostgresParameters) {
        var (answer, version, time): (String?, Int64?, Int64?)
        switch asOf {
        case .answer(let id): answer = IndexText.clean(id)
        case .version(let number): version = number
        case .time(let milliseconds): time = milliseconds
        }
        parameters.append(answer)
        parameters.append(tenant.text)
        parameters.append(version)
        parameters.append(timestampMilliseconds: time)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            version: try row.int64OrNil(0), oldest: try row.int64(1), newest: try row.int64(2),
            generation: try row.int64OrNil(3), isServed: try row.bool(4),
            writtenAtMilliseconds: try row.timestampMillisecondsOrNil(5),
            answeredAtMilliseconds: try row.timestampMillisecondsOrNil(6),
            basis: row.isNull(7) ? nil : try row.json(7))
    }
}

extension SearchStore {
    /// See ``RetrievalStore``.
    package func moment(_ asOf: AsOf, tenant: TenantID, timeoutMilliseconds: Int) throws -> PastMoment {
        guard let row = try run(ReadMoment(asOf: asOf, tenant: tenant), for: tenant, timeoutMilliseconds).first else {
            throw IndexError(.schema, "there is no index history", hint: "run `medallion migrate`")
        }
        guard let version = row.version else { throw MomentFault.unknownAnswer }
        // A restored database may be behind what an answer saw.
        guard version <= row.newest else { throw MomentFault.ahead(newest: row.newest) }
        guard version >= row.oldest else {
            throw MomentFault.gone(IndexVersionGone(version: version, oldest: row.oldest))
        }
        guard let generation = row.generation else { throw MomentFault.unrecorded(version: version) }
        guard row.isServed else { throw MomentFault.generationGone(generation) }
        let basis = row.basis.map { AnswerBasis(json: $0) }
        var reference = row.writtenAtMilliseconds ?? 0
        if case .time(let time) = asOf { reference = time }
        return PastMoment(
            generation: generation, indexVersion: version, timeMilliseconds: row.writtenAtMilliseconds,
            referenceMilliseconds: basis?.referenceMilliseconds ?? row.answeredAtMilliseconds ?? reference,
            statistics: basis?.statistics)
    }
}
