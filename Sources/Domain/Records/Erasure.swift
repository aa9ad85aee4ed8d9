package import Bytes

/// What is taken out of everything for good: all that was made of records of a page or of a user.
///
/// It knows the name by its SHA-256 alone, so that what says that something was erased does not say it again.
package struct ErasureTarget: Sendable, Hashable {
    /// What a record is looked at for.
    package enum Kind: String, Sendable, CaseIterable {
        /// The title.
        case page
        /// The attribute `user`.
        case user
    }

    /// What is compared with the name.
    package let kind: Kind
    /// The name of the collection that is meant.
    package let collection: String
    /// SHA-256 of the title or the user in UTF-8, 64 hexadecimal digits.
    package let nameSHA256: String
    /// Of a page: only that wiki's; nil for any.
    package let wiki: String?

    /// - Returns: nil where the digest is none, the collection has no name, or a user is given a wiki.
    package init?(kind: Kind, collection: String, nameSHA256: String, wiki: String? = nil) {
        guard !collection.isEmpty, nameSHA256.utf8.count == 64, nameSHA256.utf8.allSatisfy(Erasure.isHex),
            wiki == nil || kind == .page
        else { return nil }
        self.kind = kind
        self.collection = collection
        self.nameSHA256 = nameSHA256
        self.wiki = wiki
    }
}

/// One order to erase something: who, when and why.
package struct Erasure: Sendable, Equatable {
    /// Made by who asks for it: `e-` and 16 hexadecimal digits.
    package var id: String
    package var tenant: TenantID
    package var target: ErasureTarget
    /// Kept with what was erased, so it should not say what that was.
    package var reason: String
    /// An account of the machine.
    package var by: String
    /// Milliseconds since 1970.
    package var atMilliseconds: Int64

    package init(
        id: String, tenant: TenantID, target: ErasureTarget, reason: String, by: String, atMilliseconds: Int64
    ) {
        self.id = id
        self.tenant = tenant
        self.target = target
        self.reason = reason
        self.by = by
        self.atMilliseconds = atMilliseconds
    }

    /// Bytes of a reason at most.
    package static let reasonBytesMax = 2_048

    /// A new id.
    package static func makeID(using generator: inout some RandomNumberGenerator) -> String {
        let digits = String(UInt64.random(in: .min ... .max, using: &generator), radix: 16)
        return "e-" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Whether a text has the form of what ``makeID(using:)`` makes.
    package static func isID(_ text: String) -> Bool {
        text.utf8.count == 18 && text.hasPrefix("e-") && text.utf8.dropFirst(2).allSatisfy(isHex)
    }

    fileprivate static func isHex(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// Appends the members to an object that is open.
    package func append(to json: inout JSONWriter) {
        json.string("id", id)
        json.string("tenant", tenant.text)
        json.string("target", target.kind.rawValue)
        json.string("name_sha256", target.nameSHA256)
        json.string("collection", target.collection)
        json.key("wiki")
        if let wiki = target.wiki { json.string(wiki) } else { json.null() }
        json.string("reason", reason)
        json.string("by", by)
        json.integer("at_ms", atMilliseconds)
    }
}
