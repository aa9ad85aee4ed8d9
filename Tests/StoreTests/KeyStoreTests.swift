import Access
import Bytes
import IndexTesting
import PostgresTesting
import Records
import Store
import Testing

@Suite struct KeyStoreTests {
    private let limit = 60_000

    @Test func keysAreMadeListedAndRevokedForGood() throws {
        let store = KeyStore(configuration: try IndexFixture().configuration)
        #expect(try store.list(timeoutMilliseconds: limit) == [])
        let now: Int64 = 1_770_000_000_123
        let made = (1...3).map { number in
            APIKey(
                id: "key\(number)", name: "Ann's \"\(number)\"", role: Role.allCases[number - 1],
                tenant: [.standard, TenantID("acme"), nil][number - 1],
                sha256: String(repeating: "\(number)a", count: 32), createdAtMilliseconds: now + Int64(number),
                expiresAtMilliseconds: number == 2 ? now + 86_400_000 : nil)
        }
        for key in made.reversed() { try store.create(key, timeoutMilliseconds: limit) }
        #expect(try store.list(timeoutMilliseconds: limit) == made)
        let revoked = try #require(try store.revoke("key2", timeoutMilliseconds: limit))
        #expect(revoked.revokedAtMilliseconds != nil)
        #expect(try store.revoke("key2", timeoutMilliseconds: limit) == revoked, "the first time counts")
        #expect(try store.revoke("key9", timeoutMilliseconds: limit) == nil)
        let other = KeyStore(configuration: try IndexFixture().configuration)
        #expect(try other.list(timeoutMilliseconds: limit) == [])
        #expect(try store.list(timeoutMilliseconds: limit) == [made[0], revoked, made[2]])
    }

    @Test func aHashOfAnotherShapeAndASecondKeyOfOneIDAreRefused() throws {
        let store = KeyStore(configuration: try IndexFixture().configuration)
        var key = APIKey(
            id: "a", name: "n", role: .read, sha256: "mdl_in_clear", createdAtMilliseconds: 1)
        #expect(throws: IndexError.self) { try store.create(key, timeoutMilliseconds: limit) }
        key.sha256 = String(repeating: "0", count: 64)
        try store.create(key, timeoutMilliseconds: limit)
        #expect(throws: IndexError.self) { try store.create(key, timeoutMilliseconds: limit) }
    }

    /// Only an administrator may be without a tenant; whoever forgets to name one gets the standard one.
    @Test func everyKeyButTheAdministratorsHasATenant() throws {
        let fixture = try IndexFixture()
        let store = KeyStore(configuration: fixture.configuration)
        func key(_ id: String, _ role: Role, _ tenant: String?) -> APIKey {
            APIKey(
                id: id, name: id, role: role, tenant: tenant.flatMap { TenantID($0) },
                sha256: String(repeating: "0", count: 64), createdAtMilliseconds: 1)
        }
        let made = [key("a", .read, nil), key("b", .admin, nil), key("c", .admin, "acme"), key("d", .write, "acme")]
        for key in made { try store.create(key, timeoutMilliseconds: limit) }
        let read = try store.list(timeoutMilliseconds: limit)
        #expect(read.map { $0.tenant?.text } == ["default", nil, "acme", "acme"])
        #expect(read.map(\.isPlatformAdmin) == [false, true, false, false])
        #expect(read.map(\.home.text) == ["default", "default", "acme", "acme"])
        let connection = try fixture.connect()
        for tenant in ["NULL", "'a b'", "'..'", "''", "'\(String(repeating: "x", count: 250))'"] {
            #expect(throws: (any Error).self, "\(tenant)") {
                try connection.script(
                    "UPDATE api_keys SET tenant = \(tenant) WHERE id = 'a'", timeoutMilliseconds: limit)
            }
        }
        // A name that this program cannot read opens nothing, rather than what another tenant has.
        try connection.script(
            """
            ALTER TABLE api_keys DROP CONSTRAINT api_keys_tenant_is_name;
            UPDATE api_keys SET tenant = 'a b' WHERE id IN ('a', 'c')
            """, timeoutMilliseconds: limit)
        #expect(
            try store.list(timeoutMilliseconds: limit).map { $0.isValid(atMilliseconds: 2) } == [
                false, true, false, true,
            ])
    }

    /// Keys and answers from before tenants are what they were.
    @Test func keysFromBeforeOpenWhatTheyOpened() throws {
        let connection = try SharedPostgres.connect()
        try Migrator(connection: connection).migrate(FormerIndex.migrations)
        try connection.script(
            """
            INSERT INTO api_keys (id, name, role, sha256, created_at)
            SELECT role, role, role, repeat('0', 64), now() FROM unnest(ARRAY['read', 'write', 'admin']) AS role
            """, timeoutMilliseconds: limit)
        #expect(try Migrator(connection: connection).migrate().contains("V0009__give_keys_tenants"))
        let rows = try connection.script(
            "SELECT role, tenant FROM api_keys ORDER BY role", timeoutMilliseconds: limit)
        #expect(rows == [["admin", nil], ["read", "default"], ["write", "default"]])
    }
}
