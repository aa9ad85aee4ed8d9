package import Access
import Bytes
import HTTPEndpoints
import HTTPServer
import Records
import Telemetry

/// Where keys are made and revoked; the executable hands the store over, on a lane of its own.
package protocol KeyDesk: Sendable {
    /// Keeps a new key.
    func create(_ key: APIKey) async throws
    /// Ends a key's use; nil where there is none of that id.
    func revoke(_ id: String) async throws -> APIKey?
}

/// `/keys`: which keys there are, new ones, and the end of old ones. An administrator of a tenant has to do with that tenant's
/// alone. Each change leaves a line in the log with the key that asked for it.
struct KeyRequests: Sendable {
    let access: AccessGuard
    /// Nil in a process that keeps none.
    let desk: (any KeyDesk)?
    let logger: Logger

    /// Keys of one tenant, revoked ones included, of which its administrators make no more: the table's bound is for all.
    static let tenantKeysMax = 1_000

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.keys, inline: { _, request in try list(request) })
        set.add(Contract.createKey, async: { input, request in try await create(input, request) })
        set.add(Contract.revokeKey, async: { input, request in try await revoke(input.id, request) })
    }

    private func ring() throws -> KeyRing {
        guard let ring = access.ring else { throw APIError.unavailable("the list of keys", "it was not read yet") }
        return ring
    }

    private func open() throws -> any KeyDesk {
        guard let desk else { throw APIError.unavailable("the keys", "this process makes and revokes none") }
        return desk
    }

    /// The tenant whose keys a request is about; nil for those of all: an administrator of the platform who names none.
    private func scope(_ request: HTTPRequest) throws -> TenantID? {
        let tenant = try access.tenant(of: request)
        let isAll = try access.isPlatformAdmin(request) && AccessGuard.namedTenant(request.headers) == nil
        return isAll ? nil : tenant
    }

    private static func isIn(_ scope: TenantID?, _ key: APIKey) -> Bool {
        scope.map { !key.isPlatformAdmin && key.home == $0 } ?? true
    }

    /// `GET /keys`
    private func list(_ request: HTTPRequest) throws -> HTTPResponse {
        let (ring, scope) = (try ring(), try scope(request))
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.key("keys")
        writer.beginArray()
        for key in ring.all where Self.isIn(scope, key) {
            writer.beginObject()
            writer.members(of: key)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `POST /keys`: the only reply that ever holds a key.
    private func create(_ input: KeyInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let (desk, ring) = (try open(), try ring())
        let tenant: TenantID?
        if let home = try scope(request) {
            guard input.tenant == nil || input.tenant == home.text else {
                throw access.refusal(403, "tenant_forbidden", "tenant is another one than this request's")
            }
            guard ring.all.count(where: { Self.isIn(home, $0) }) < Self.tenantKeysMax else {
                throw APIError(
                    status: 409, type: "enough_keys",
                    message: "the tenant has had \(Self.tenantKeysMax) keys, as many as its administrators make")
            }
            tenant = home
        } else {
            tenant = input.tenant.flatMap { TenantID($0) } ?? (input.role == .admin ? nil : .standard)
        }
        let made = try NewKey(name: input.name, role: input.role, tenant: tenant, days: input.days)
        try await desk.create(made.key)
        access.learn(made.key)
        note("an API key is made", made.key, request)
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("key")
        writer.string(made.text.text)
        writer.members(of: made.key)
        writer.endObject()
        return .fresh(writer.bytes, status: 201)
    }

    /// `DELETE /keys/{key_id}`: one that was revoked before stays as it is.
    private func revoke(_ id: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let (desk, scope) = (try open(), try scope(request))
        if let scope {
            guard try ring().all.contains(where: { $0.id == id && Self.isIn(scope, $0) }) else { throw Self.unknown() }
        }
        guard let key = try await desk.revoke(id) else { throw Self.unknown() }
        access.learn(key)
        note("an API key is revoked", key, request)
        var writer = JSONWriter()
        writer.beginObject()
        writer.members(of: key)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// The same for a key that is another tenant's.
    private static func unknown() -> APIError {
        APIError(status: 404, type: "not_found", message: "there is no key of this id; GET /keys lists them")
    }

    private func note(_ words: String, _ key: APIKey, _ request: HTTPRequest) {
        logger.info(
            words,
            [
                "id": key.id, "name": key.name, "role": key.role.rawValue,
                "tenant": key.isPlatformAdmin ? "" : key.home.text,
                "by": access.names(request.headers).key ?? "", "request_id": request.id,
            ])
    }
}

extension JSONWriter {
    /// What everybody who may list keys sees of one.
    fileprivate mutating func members(of key: APIKey) {
        self.key("id")
        string(key.id)
        self.key("name")
        string(key.name)
        self.key("role")
        string(key.role.rawValue)
        self.key("tenant")
        optional(key.isPlatformAdmin ? nil : key.home.text)
        self.key("created_at")
        time(key.createdAtMilliseconds)
        self.key("expires_at")
        time(key.expiresAtMilliseconds)
        self.key("revoked_at")
        time(key.revokedAtMilliseconds)
    }
}
