import Bytes
import Postgres
import Records
import Retrieval

/// How many candidates the graph's searches keep (`hnsw.ef_search`), where no request says so.
///
/// The more vectors there are, the more of the nearest ones a search misses. Over real and invented changes, indexed one after the
/// other, of the nearest ten were found, for random words and for phrases: of 10,700 passages with 200 candidates 0.95 and 0.98; of
/// 123,000 with 400 candidates 0.91 and 0.97, with 800 0.95 and 0.98. Four times as many candidates take about three times as long.
/// Of 30,000 real passages in a graph of 60,000 vectors, half of which nothing shows, 400 found 0.93 and 0.97.
struct GraphCandidates {
    /// What a session is set to.
    static let most = 800

    /// As it is set; nil: by the number of passages.
    let configured: Int?
    /// Numbers of passages, by tenant, and when each was read.
    private var known: [TenantID: (passages: Int64?, at: Int64)] = [:]

    private static let keptNanoseconds: Int64 = 30_000_000_000
    private static let tenantsMax = 1_000

    init(configured: Int?) { self.configured = configured.map { max(1, min($0, SearchLimits.efMax)) } }

    /// What a session is set to.
    var ofSession: Int { configured ?? Self.most }

    /// - Parameter passages: of the tenant in the active generation; nil where nobody counted them.
    static func usual(passages: Int64?) -> Int {
        switch passages {
        case nil: most
        case .some(...20_000): 200
        case .some(...50_000): 400
        default: most
        }
    }

    /// What a search of a tenant's documents keeps.
    ///
    /// - Parameter count: reads the number of passages, or nil; called twice a minute at most for each tenant.
    mutating func usual(
        of tenant: TenantID, count: () throws(IndexError) -> Int64?
    ) throws(IndexError) -> Int {
        if let configured { return configured }
        let now = SystemClock.monotonicNanoseconds()
        if let known = known[tenant], now - known.at < Self.keptNanoseconds {
            return Self.usual(passages: known.passages)
        }
        let passages = try count()
        if known.count >= Self.tenantsMax { known.removeAll() }
        known[tenant] = (passages, now)
        return Self.usual(passages: passages)
    }
}

/// Passages of a tenant that the active generation shows, or vectors in the graph where those are more: other generations' and
/// those of former versions are kept there for as long as the history reaches, and a search meets them, too. Null while the words
/// of an older index are being counted.
struct CountShownPassages: PostgresStatement {
    static let name = "count_shown_passages"
    static let sql = """
        SELECT CASE WHEN (SELECT bool_and(a.is_complete) FROM word_arm a) THEN greatest(
            coalesce(sum(t.passages), 0)::bigint,
            -- As of the last analysis, which is near enough.
            (SELECT coalesce(max(v.reltuples), 0)::bigint
            FROM active_generation a JOIN generations n ON n.generation = a.generation
            JOIN tenants o ON o.name = $1
            JOIN pg_class v ON v.oid = to_regclass(format('vectors_%s_t%s', n.model_id, o.id)))) END
        FROM collections c JOIN collection_counts t
            ON t.generation = (SELECT generation FROM active_generation) AND t.collection_id = c.id
        WHERE c.tenant = $1
        """
    static let parameterTypes: [PostgresType] = [.text]
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) { parameters.append(tenant.text) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64? { try row.int64OrNil(0) }
}
