package import Access
import Bytes
package import Postgres
import Records

/// The keys of the HTTP API, which stand beside the index so that every process that serves it sees the same ones.
///
/// Confined to one thread, and blocking, as its connection is.
package final class KeyStore {
    private let connection: LazyConnection

    /// Keys that are read at most, revoked ones included.
    package static let countMax: Int64 = 10_000

    /// - Parameter configuration: of a migrated database.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// All keys, also revoked and expired ones, in the order of their making.
    package func list(timeoutMilliseconds: Int) throws(IndexError) -> [APIKey] {
        try connection.run(ListKeys(limit: Self.countMax), timeoutMilliseconds: timeoutMilliseconds)
    }

    /// Keeps a new key.
    ///
    /// - Throws: ``IndexError``, also when there are ``countMax`` already.
    package func create(_ key: APIKey, timeoutMilliseconds: Int) throws(IndexError) {
        let made = try connection.run(
            CreateKey(key: key, countMax: Self.countMax), timeoutMilliseconds: timeoutMilliseconds)
        guard !made.isEmpty else {
            throw IndexError(
                .database, "there are \(Self.countMax) API keys already",
                hint: "delete revoked ones from the table api_keys")
        }
    }

    /// Ends a key's use for good. One that was revoked before stays as it is.
    ///
    /// - Returns: the key as it is now; nil where there is none of that id.
    package func revoke(_ id: String, timeoutMilliseconds: Int) throws(IndexError) -> APIKey? {
        try connection.run(RevokeKey(id: id), timeoutMilliseconds: timeoutMilliseconds).first
    }
}

/// Adds one key, if there is room.
struct CreateKey: PostgresStatement {
    static let name = "create_key"
    static let sql = """
        INSERT INTO api_keys (id, name, role, sha256, created_at, expires_at, tenant)
        SELECT $1, $2, $3, $4, to_timestamp($5::float8 / 1000), to_timestamp($6::float8 / 1000), $8
        WHERE (SELECT count(*) FROM api_keys) < $7
        RETURNING id
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .text, .int8, .int8, .int8, .text]
    let key: APIKey
    let countMax: Int64
    func bind(into parameters: inout PostgresParameters) {
        parameters.append(key.id)
        parameters.append(IndexText.clean(key.name))
        parameters.append(key.role.rawValue)
        parameters.append(key.sha256)
        parameters.append(key.createdAtMilliseconds)
        parameters.append(key.expiresAtMilliseconds)
        parameters.append(countMax)
        parameters.append(key.role == .admin ? key.tenant?.text : key.home.text)
    }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// A key's columns, as all statements give them.
private enum KeyColumns {
    static let sql = """
        id, name, role, tenant, sha256, (extract(epoch FROM created_at) * 1000)::bigint,
        (extract(epoch FROM expires_at) * 1000)::bigint, (extract(epoch FROM revoked_at) * 1000)::bigint
        """

    static func key(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey {
        let named = try row.textOrNil(3)
        let tenant = named.flatMap { TenantID($0) }
        let createdAt = try row.int64(5)
        return APIKey(
            id: try row.text(0), name: try row.text(1),
            // A role of a later program is one that may only read here.
            role: Role(rawValue: try row.text(2)) ?? .read, tenant: tenant, sha256: try row.text(4),
            createdAtMilliseconds: createdAt, expiresAtMilliseconds: try row.int64OrNil(6),
            // One whose tenant cannot be read opens nothing: without a tenant it would open another one's documents.
            revokedAtMilliseconds: try row.int64OrNil(7) ?? (named != nil && tenant == nil ? createdAt : nil))
    }
}

/// All keys.
struct ListKeys: PostgresStatement {
    static let name = "list_keys"
    static let sql = "SELECT \(KeyColumns.sql) FROM api_keys ORDER BY created_at, id LIMIT $1"
    static let parameterTypes: [PostgresType] = [.int8]
    let limit: Int64
    func bind(into parameters: inout PostgresParameters) { parameters.append(limit) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey { try KeyColumns.key(row) }
}

/// Ends one key.
struct RevokeKey: PostgresStatement {
    static let name = "revoke_key"
    static let sql = """
        UPDATE api_keys SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE id = $1
        RETURNING \(KeyColumns.sql)
        """
    static let parameterTypes: [PostgresType] = [.text]
    let id: String
    func bind(into parameters: inout PostgresParameters) { parameters.append(IndexText.clean(id)) }
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> APIKey { try KeyColumns.key(row) }
}
