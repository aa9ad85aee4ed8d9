package import Postgres
package import Records

/// A query whose hits or answers are compared before and after a change.
package struct GoldenQuery: Sendable, Equatable {
    /// What is compared.
    package enum Kind: String, Sendable, CaseIterable {
        case search
        case answer
    }

    /// Unique in its tenant.
    package var name: String
    package var kind: Kind
    package var query: String
    /// The members of the request beside the query, as a JSON object.
    package var optionsJSON: [UInt8]

    package init(name: String, kind: Kind, query: String, optionsJSON: [UInt8] = Array("{}".utf8)) {
        self.name = name
        self.kind = kind
        self.query = query
        self.optionsJSON = optionsJSON
    }

    /// Of one tenant at most.
    package static let countMax = 200
    /// Of a name, in bytes.
    package static let nameBytesMax = 100
}

/// Golden queries, each of one tenant. Confined to one thread, and blocking, as its connection is.
package final class GoldenStore {
    private let connection: LazyConnection

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// The policy binds roles that own nothing.
    private func run<S: PostgresStatement>(
        _ statement: S, for tenant: TenantID, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> [S.Row] {
        var batch = PostgresBatch()
        batch.add(ActForTenant(tenant: tenant))
        let slot = batch.add(statement)
        return try connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot)
        }
    }

    /// Those of a tenant, by name.
    package func list(_ tenant: TenantID, timeoutMilliseconds: Int) throws(IndexError) -> [GoldenQuery] {
        try run(ListGolden(tenant: tenant), for: tenant, timeoutMilliseconds)
    }

    /// Keeps one; it takes the place of the one of that name.
    ///
    /// - Returns: false where there are as many as may be.
    package func put(
        _ query: GoldenQuery, of tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> Bool {
        try !run(PutGolden(tenant: tenant, query: query), for: tenant, timeoutMilliseconds).isEmpty
    }

    /// - Returns: false where there is none of that name.
    package func remove(
        _ name: String, of tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> Bool {
        try !run(RemoveGolden(tenant: tenant, queryName: name), for: tenant, timeoutMilliseconds)
            .isEmpty
    }
}

/// A tenant's golden queries.
struct ListGolden: PostgresStatement {
    static let name = "list_golden"
    static let sql = """
        SELECT name, kind, query, options::text FROM golden_queries WHERE tenant = $1 ORDER BY name
        LIMIT \(GoldenQuery.countMax)
        """
    static let parameterTypes: [PostgresType] = [.text]
    let tenant: TenantID
    func bind(into parameters: inout PostgresParameters) { parameters.append(tenant.text) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> GoldenQuery {
        GoldenQuery(
            name: try row.text(0), kind: GoldenQuery.Kind(rawValue: try row.text(1)) ?? .search,
            query: try row.text(2), optionsJSON: Array(try row.text(3).utf8))
    }
}

/// Keeps a golden query, if there is room or it was there.
struct PutGolden: PostgresStatement {
    static let name = "put_golden"
    static let sql = """
        INSERT INTO golden_queries (tenant, name, kind, query, options, created_at)
        SELECT $1, $2, $3, $4, $5, clock_timestamp()
        WHERE (SELECT count(*) FROM golden_queries WHERE tenant = $1 AND name <> $2) < \(GoldenQuery.countMax)
        ON CONFLICT (tenant, name) DO UPDATE SET kind = excluded.kind, query = excluded.query, options = excluded.options
        RETURNING name
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .text, .jsonb]
    let tenant: TenantID
    let query: GoldenQuery
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(query.name))
        parameters.append(query.kind.rawValue)
        parameters.append(IndexText.clean(query.query))
        parameters.append(jsonb: query.optionsJSON)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// Removes a golden query.
struct RemoveGolden: PostgresStatement {
    static let name = "remove_golden"
    static let sql = "DELETE FROM golden_queries WHERE tenant = $1 AND name = $2 RETURNING name"
    static let parameterTypes: [PostgresType] = [.text, .text]
    let tenant: TenantID
    let queryName: String
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(queryName))
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}
