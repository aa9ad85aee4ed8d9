import Access
import Bytes
import HTTPEndpoints
import HTTPServer

extension Operation {
    /// `GET /keys`: all of them to an administrator of the platform who names no tenant, else those of a tenant.
    func keys(_ request: HTTPRequest) throws -> HTTPResponse {
        guard let ring = access.ring else { throw APIError.unavailable("the list of keys", "it was not read yet") }
        let tenant = try access.tenant(of: request)
        let isAll = try access.isPlatformAdmin(request) && AccessGuard.namedTenant(request.headers) == nil
        let keys = ring.all.filter { isAll || (!$0.isPlatformAdmin && $0.home == tenant) }
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.key("keys")
        writer.beginArray()
        for key in keys {
            writer.beginObject()
            writer.key("id")
            writer.string(key.id)
            writer.key("name")
            writer.string(key.name)
            writer.key("role")
            writer.string(key.role.rawValue)
            writer.key("tenant")
            writer.optional(key.isPlatformAdmin ? nil : key.home.text)
            writer.key("created_at")
            writer.time(key.createdAtMilliseconds)
            writer.key("expires_at")
            writer.time(key.expiresAtMilliseconds)
            writer.key("revoked_at")
            writer.time(key.revokedAtMilliseconds)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }
}
