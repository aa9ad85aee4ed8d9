package import Access
import Bytes
import Hashing
package import Records

/// A key that was just made: what is kept of it, and its text, which is shown once and kept nowhere.
package struct NewKey: Sendable {
    package let key: APIKey
    package let text: APIKeyText

    /// Characters of a name.
    package static let nameCharactersMax = 100
    /// Validity in days.
    package static let days = 1...36_500

    /// - Parameters:
    ///   - tenant: nil for an administrator of the platform.
    ///   - days: nil for a key that is valid until it is revoked.
    /// - Throws: where OpenSSL fails.
    package init(name: String, role: Role, tenant: TenantID?, days: Int?) throws {
        var generator = SystemRandomNumberGenerator()
        text = APIKeyText(using: &generator)
        var hasher = try SHA256Hasher()
        let digest = try Array(text.text.utf8).withUnsafeBytes { bytes throws(HashingError) in try hasher.hash(bytes) }
        let now = SystemClock.epochMilliseconds()
        key = APIKey(
            id: text.id, name: name, role: role, tenant: tenant, sha256: digest.hex, createdAtMilliseconds: now,
            expiresAtMilliseconds: days.map { now + Int64($0) * 86_400_000 })
    }
}
