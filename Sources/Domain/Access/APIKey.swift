import Bytes
package import Records

/// What a caller may do; each may do what the ones before it may.
package enum Role: String, Sendable, CaseIterable, Comparable {
    /// Ask: searches, answers, events, traces, metrics.
    case read
    /// Change data.
    case write
    /// See who may do what: in the key's tenant, or in all of them.
    case admin

    package static func < (left: Role, right: Role) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .read: 0
        case .write: 1
        case .admin: 2
        }
    }
}

/// A key as it is stored: everything but the secret, of which only a hash is kept.
package struct APIKey: Sendable, Equatable {
    /// Public: shown in lists and logs, and a part of the key's text.
    package var id: String
    /// For people: who has it.
    package var name: String
    package var role: Role
    /// Whose documents it opens; nil for an administrator of the platform, who belongs to no tenant.
    package var tenant: TenantID?
    /// SHA-256 of the key's text, 64 lower-case hexadecimal digits. No salt and no slow hash: the text holds 256 random
    /// bits, so there is nothing to guess.
    package var sha256: String
    package var createdAtMilliseconds: Int64
    /// Nil for never.
    package var expiresAtMilliseconds: Int64?
    package var revokedAtMilliseconds: Int64?

    package init(
        id: String, name: String, role: Role, tenant: TenantID? = nil, sha256: String, createdAtMilliseconds: Int64,
        expiresAtMilliseconds: Int64? = nil, revokedAtMilliseconds: Int64? = nil
    ) {
        self.id = id
        self.name = name
        self.role = role
        self.tenant = tenant
        self.sha256 = sha256
        self.createdAtMilliseconds = createdAtMilliseconds
        self.expiresAtMilliseconds = expiresAtMilliseconds
        self.revokedAtMilliseconds = revokedAtMilliseconds
    }

    /// Whether it administers the platform: all tenants, and what they share.
    package var isPlatformAdmin: Bool { role == .admin && tenant == nil }

    /// The tenant whose documents it opens where a request names none.
    package var home: TenantID { tenant ?? .standard }

    /// Whether it may be used at that time.
    package func isValid(atMilliseconds now: Int64) -> Bool {
        revokedAtMilliseconds == nil && (expiresAtMilliseconds.map { now < $0 } ?? true)
    }
}

/// The text of a key: `mdl_`, its id, `_`, and 256 random bits as base64url.
package struct APIKeyText: Sendable, Equatable {
    /// A secret: shown once to whoever asked for the key, never logged.
    package let text: String
    package let id: String

    private static let prefix = "mdl_"
    private static let idLength = 12
    private static let secretLength = 43
    private static let idCharacters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    private static let secretCharacters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// A new one.
    ///
    /// - Parameter generator: must be fit for secrets, as the system's is.
    package init(using generator: inout some RandomNumberGenerator) {
        let id = (0..<Self.idLength).compactMap { _ in Self.idCharacters.randomElement(using: &generator) }
        // 43 characters of 6 bits, so 258.
        let secret = (0..<Self.secretLength).compactMap { _ in Self.secretCharacters.randomElement(using: &generator) }
        self.id = String(decoding: id, as: UTF8.self)
        text = Self.prefix + self.id + "_" + String(decoding: secret, as: UTF8.self)
    }

    /// Whether a text is a key of ours, or one that was mistyped or cut.
    package static func isMeant(_ text: String) -> Bool { text.lowercased().hasPrefix(prefix) }

    /// Takes a text apart; nil for one that has not the shape of a key.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        let idStart = Self.prefix.utf8.count
        let idEnd = idStart + Self.idLength
        guard bytes.count == idEnd + 1 + Self.secretLength, text.hasPrefix(Self.prefix),
            bytes[idStart..<idEnd].allSatisfy(Self.idCharacters.contains), bytes[idEnd] == UInt8(ascii: "_"),
            bytes[(idEnd + 1)...].allSatisfy(Self.secretCharacters.contains)
        else { return nil }
        self.text = text
        id = String(decoding: bytes[idStart..<idEnd], as: UTF8.self)
    }
}

/// All keys at one moment.
package struct KeyRing: Sendable {
    private let keys: [String: APIKey]

    package init(_ keys: [APIKey] = []) {
        self.keys = Dictionary(keys.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }

    /// The valid key that a text is; nil for an unknown, revoked or expired one.
    ///
    /// - Parameter sha256: of the whole text, 64 lower-case hexadecimal digits.
    package func key(_ text: APIKeyText, sha256: String, nowMilliseconds: Int64) -> APIKey? {
        guard let key = keys[text.id], Self.isEqual(key.sha256, sha256), key.isValid(atMilliseconds: nowMilliseconds)
        else { return nil }
        return key
    }

    /// In the order of their making.
    package var all: [APIKey] {
        keys.values.sorted { ($0.createdAtMilliseconds, $0.id) < ($1.createdAtMilliseconds, $1.id) }
    }

    /// Compares in a time that tells nothing of where the texts differ.
    static func isEqual(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}
