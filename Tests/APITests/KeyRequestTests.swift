import Access
import HTTPServer
import JSONScan
import Records
import Synchronization
import Testing

@testable import API

/// A desk that keeps nothing but what is handed to it.
final class TestKeyDesk: KeyDesk {
    private let made = Mutex<[String: APIKey]>([:])

    init(_ keys: [APIKey] = []) {
        for key in keys { made.withLock { $0[key.id] = key } }
    }

    func create(_ key: APIKey) async throws { made.withLock { $0[key.id] = key } }

    func revoke(_ id: String) async throws -> APIKey? {
        made.withLock { made in
            made[id]?.revokedAtMilliseconds = 1_800_000_000_000
            return made[id]
        }
    }
}

/// Keys that are made and revoked over HTTP.
@Suite struct KeyRequestTests {
    private let keys = TestKeys()
    private let acme = TenantID("acme")

    private func fixture() -> APIFixture {
        let desk = TestKeyDesk(keys.read())
        let fixture = APIFixture(readKeys: keys.read, adjust: { $0.keys = desk })
        fixture.api.access.use(KeyRing(keys.read()))
        fixture.fill()
        return fixture
    }

    private func ask(
        _ fixture: APIFixture, _ method: HTTPMethod, _ target: String, _ key: String, _ body: String? = nil,
        tenant: String? = nil
    ) async throws -> (status: Int, body: JSONValue) {
        var headers: HTTPHeaders = ["X-API-Key": key]
        if body != nil { headers.add("Content-Type", "application/json") }
        if let tenant { headers.add("Medallion-Tenant", tenant) }
        let reply = await fixture.reply(
            HTTPRequest(method: method, target: target, headers: headers, body: body.map { Array($0.utf8) } ?? []))
        return (reply.status, try JSONValue.parse(reply.body))
    }

    @Test func aKeyIsShownOnceWorksAndEnds() async throws {
        let admin = try keys.make(.admin)
        let fixture = fixture()
        let body = #"{"name":"grafana","role":"read","days":30}"#
        let made = try await ask(fixture, .post, "/keys", admin, body)
        #expect(made.status == 201, "\(made)")
        let text = try #require(made.body["key"]?.string)
        let id = try #require(made.body["id"]?.string)
        #expect(APIKeyText(text)?.id == id && made.body["tenant"]?.string == "default")
        #expect(made.body["expires_at"]?.string != nil && made.body["revoked_at"]?.isNull == true)
        #expect(try await ask(fixture, .get, "/events/recent", text).status == 200)
        #expect(try await ask(fixture, .get, "/keys", text).status == 403)
        let list = try await ask(fixture, .get, "/keys", admin).body
        #expect(list["keys"]?.array?.contains { $0["id"]?.string == id } == true)
        #expect(list["keys"]?.array?.contains { $0["key"] != nil } == false)
        let revoked = try await ask(fixture, .delete, "/keys/\(id)", admin)
        #expect(revoked.status == 200 && revoked.body["revoked_at"]?.string != nil && revoked.body["key"] == nil)
        #expect(try await ask(fixture, .get, "/events/recent", text).status == 401)
        #expect(try await ask(fixture, .delete, "/keys/nobody", admin).status == 404)
    }

    @Test func whatIsNoKeyIsNotMade() async throws {
        let admin = try keys.make(.admin)
        let fixture = fixture()
        for wrong in [
            "{}", #"{"name":""}"#, #"{"name":"  "}"#, #"{"name":"x","role":"root"}"#, #"{"name":"x","days":0}"#,
            #"{"name":"x","days":36501}"#, #"{"name":"x","tenant":".."}"#, #"{"name":"x","tenant":"a b"}"#,
            #"{"name":"\#(String(repeating: "x", count: 101))"}"#, #"{"name":"x","sha256":"00"}"#,
        ] { #expect(try await ask(fixture, .post, "/keys", admin, wrong).status == 422, "\(wrong)") }
        #expect(fixture.api.access.ring?.all.count == 1)
        // A process that keeps none says so.
        let without = APIFixture(readKeys: keys.read)
        without.api.access.use(KeyRing(keys.read()))
        #expect(try await ask(without, .post, "/keys", admin, #"{"name":"x"}"#).status == 503)
    }

    /// An administrator of a tenant makes and revokes that tenant's keys, and becomes nothing more by it.
    @Test func tenantsKeepToThemselves() async throws {
        let platform = try keys.make(.admin)
        let (theirs, other) = (try keys.make(.admin, tenant: acme), try keys.make(.read))
        let fixture = fixture()
        for body in [#"{"name":"x","tenant":"default"}"#, #"{"name":"x","role":"admin","tenant":"globex"}"#] {
            #expect(try await ask(fixture, .post, "/keys", theirs, body).status == 403, "\(body)")
        }
        let made = try await ask(fixture, .post, "/keys", theirs, #"{"name":"x","role":"admin"}"#)
        #expect(made.status == 201 && made.body["tenant"]?.string == "acme", "an administrator of the tenant: \(made)")
        for key in [platform, other] {
            let id = try #require(APIKeyText(key)?.id)
            #expect(try await ask(fixture, .delete, "/keys/\(id)", theirs).status == 404)
        }
        #expect(fixture.api.access.ring?.all.allSatisfy { $0.revokedAtMilliseconds == nil } == true)
        // The platform's administrator: in all, or in the tenant that the header names.
        let all = try await ask(fixture, .post, "/keys", platform, #"{"name":"x","role":"admin"}"#)
        #expect(all.body["tenant"]?.isNull == true)
        let named = try await ask(fixture, .post, "/keys", platform, #"{"name":"x","role":"admin"}"#, tenant: "acme")
        #expect(named.body["tenant"]?.string == "acme")
        let mine = try #require(made.body["id"]?.string)
        #expect(try await ask(fixture, .delete, "/keys/\(mine)", platform).status == 200)
    }

    /// The table's bound is for all tenants: none of them may use it up.
    @Test func aTenantsAdministratorsMakeSoMany() async throws {
        let admin = try keys.make(.admin, tenant: acme)
        let fixture = fixture()
        let first = try #require(keys.read().first)
        fixture.api.access.use(
            KeyRing(
                [first]
                    + (1..<KeyRequests.tenantKeysMax).map { number in
                        APIKey(
                            id: "k\(number)", name: "x", role: .read, tenant: acme, sha256: "",
                            createdAtMilliseconds: 1,
                            revokedAtMilliseconds: 2)
                    }))
        let refused = try await ask(fixture, .post, "/keys", admin, #"{"name":"x"}"#)
        #expect(refused.status == 409 && refused.body["error"]?["type"]?.string == "enough_keys", "\(refused)")
    }
}
