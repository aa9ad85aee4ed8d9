import Postgres
import Retrieval

/// Bounds each statement of the rest of the transaction, and may have them planned with the values at hand, so that a narrow
/// filter is found by its own index.
struct PlanWithValues: PostgresStatement {
    static let name = "plan_with_values"
    static let sql = """
        SELECT set_config('plan_cache_mode', $2, true), set_config('statement_timeout', $1, true)
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let isByValues: Bool
    let statementMilliseconds: Int
    func bind(into parameters: inout PostgresParameters) {
        parameters.append("\(statementMilliseconds)")
        parameters.append(isByValues ? "force_custom_plan" : "force_generic_plan")
    }
}

/// The documents that became visible last, out of a bounded number of rows.
///
/// The newest rows are walked in the order of their index, at most ``rowsMax``, and each is looked up by its key; what the
/// bounds on the version leave out is never touched, because they are conditions of the index also in a plan that knows no
/// values (`$2 IS NULL OR …` would not be one). Where the walk ends before enough documents were found, `edge` is the place
/// of its last row. A lateral subquery with a limit cannot be planned as anything but a look-up per row.
struct RecentDocuments: PostgresStatement {
    /// Documents at most, whatever was asked.
    static let limitMax = 500
    /// Rows that one call walks at most.
    static let rowsMax = 2_000
    static let name = "recent_documents"
    static let sql = make(SearchSQL.filters(tenant: "$13"))
    static func make(_ filters: String) -> String {
        """
        WITH snapshot AS MATERIALIZED (
            \(SearchSQL.servedGeneration("$10"))
        ), found AS MATERIALIZED (
            SELECT \(SearchSQL.columns), g.from_version, g.document_id, g.shown_at
            FROM (
                SELECT g.document_id, g.version, g.lineage, g.from_version, g.to_version, g.shown_at, g.suppression
                FROM visibility g WHERE \(walked)
                ORDER BY g.from_version DESC, g.document_id DESC LIMIT \(rowsMax)
            ) g
            CROSS JOIN LATERAL (
                SELECT * FROM documents d WHERE d.id = g.document_id AND d.tenant = $13 AND \(filters) LIMIT 1
            ) d
            CROSS JOIN LATERAL (SELECT * FROM collections k WHERE k.id = d.collection_id LIMIT 1) k
            CROSS JOIN LATERAL (
                SELECT * FROM passages p WHERE p.document_id = g.document_id AND p.number = 0 LIMIT 1
            ) p
            WHERE g.to_version IS NULL AND g.suppression IS NULL
            ORDER BY g.from_version DESC, g.document_id DESC LIMIT $1
        ), edge AS MATERIALIZED (
            SELECT e.from_version, e.document_id
            FROM (
                SELECT g.from_version, g.document_id FROM visibility g WHERE \(walked)
                ORDER BY g.from_version DESC, g.document_id DESC OFFSET \(rowsMax - 1) LIMIT 1
            ) e
            WHERE (SELECT count(*) FROM found) < $1
        )
        SELECT s.generation, f.*, e.from_version, e.document_id
        FROM snapshot s LEFT JOIN found f ON true LEFT JOIN edge e ON true
        """
    }
    private static let walked = """
        g.generation = (SELECT generation FROM snapshot) AND g.tenant = $13 AND g.from_version > $2
            AND (g.from_version, g.document_id) < ($11, $12)
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .int8, .textArray, .textArray, .textArray, .bool, .timestamptz, .timestamptz, .text, .int8, .int8, .int8,
        .text,
    ]
    let query: RecentQuery
    let filter: FilterBinding

    struct Row {
        let generation: Int64
        let document: RecentDocument?
        let edge: RecentPosition?
    }

    /// One more than is wanted, which tells whether a page follows.
    private static func rowLimit(_ query: RecentQuery) -> Int { max(0, min(query.limit, limitMax)) + 1 }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(Int64(Self.rowLimit(query)))
        // Ends are numbers and no nulls: what a policy's table is asked is a condition of its index only where nothing but
        // comparisons is in it.
        parameters.append(query.afterIndexVersion ?? -1)
        filter.bind(into: &parameters)
        parameters.append(query.generation)
        parameters.append(query.before?.indexVersion ?? .max)
        parameters.append(query.before?.documentID ?? .max)
        parameters.append(query.filter.scope.tenant.text)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        let generation = try row.int64(0)
        var edge: RecentPosition?
        if let version = try row.int64OrNil(20), let document = try row.int64OrNil(21) {
            edge = RecentPosition(indexVersion: version, documentID: document)
        }
        guard !row.isNull(1) else { return Row(generation: generation, document: nil, edge: edge) }
        let candidate = try CandidateColumns.decode(row, from: 1)
        let document = RecentDocument(
            document: candidate, indexVersion: try row.int64(17),
            indexedAtMilliseconds: try row.timestampMillisecondsOrNil(19) ?? 0, documentID: try row.int64(18))
        return Row(generation: generation, document: document, edge: edge)
    }

    /// Newest first, and where to read on: behind the last document given, or behind the last row walked.
    static func page(of rows: [Row], for query: RecentQuery) -> RecentPage {
        let limit = rowLimit(query) - 1
        let documents = rows.compactMap(\.document).sorted { $0.position > $1.position }
        guard let generation = rows.first?.generation else {
            return RecentPage(
                documents: [], generation: query.generation ?? 0, next: nil, isGenerationServed: false)
        }
        if documents.count > limit {
            let page = Array(documents.prefix(limit))
            return RecentPage(documents: page, generation: generation, next: page.last?.position ?? query.before)
        }
        let edge = rows.first?.edge
        return RecentPage(
            documents: documents, generation: generation, next: edge,
            isCutShort: edge != nil && documents.count < limit)
    }
}

/// The same with tests on attributes, which are asked of every row that is walked.
struct TestedRecentDocuments: PostgresStatement {
    static let name = "recent_documents_tested"
    static let sql = RecentDocuments.make("\(SearchSQL.filters(tenant: "$13")) AND \(SearchSQL.tests("$14"))")
    static let parameterTypes = RecentDocuments.parameterTypes + [.jsonb]
    let query: RecentQuery
    let filter: FilterBinding

    func bind(into parameters: inout PostgresParameters) {
        RecentDocuments(query: query, filter: filter).bind(into: &parameters)
        filter.bindTests(into: &parameters)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> RecentDocuments.Row {
        try RecentDocuments.decode(row)
    }
}
