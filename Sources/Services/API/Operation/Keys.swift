import Access
import Bytes
import HTTPServer

extension Operation {
    /// `GET /keys`
    func keys() throws -> HTTPResponse {
        guard let ring = access.ring else { throw APIError.unavailable("the list of keys", "it was not read yet") }
        var writer = JSONWriter(capacity: 4_096)
        writer.beginObject()
        writer.key("keys")
        writer.beginArray()
        for key in ring.all {
            writer.beginObject()
            writer.key("id")
            writer.string(key.id)
            writer.key("name")
            writer.string(key.name)
            writer.key("role")
            writer.string(key.role.rawValue)
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
