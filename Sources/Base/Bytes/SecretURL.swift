/// A URL, or a connection string of libpq, that may hold secrets: a user and password, tokens in its query.
///
/// Wherever it is printed, logged, interpolated or dumped it shows itself redacted; ``revealed`` is for the client that
/// connects, and for nobody else. What others write about it goes through ``scrubbed(_:)``.
package struct SecretURL: Sendable, Hashable {
    /// The whole text, secrets and all.
    package let revealed: String

    package init(_ text: String) {
        revealed = text
    }

    /// Whether there is nothing.
    package var isEmpty: Bool { revealed.isEmpty }

    /// A message of somebody who was given the whole text (a library, the server that was asked), without the secrets.
    package func scrubbed(_ message: String) -> String {
        var message = message.replacing(revealed.isEmpty ? "\u{0}" : revealed, with: description)
        for secret in secrets where message.contains(secret) { message = message.replacing(secret, with: "***") }
        return Redaction.urls(in: message)
    }

    /// A shorter one would hide innocent letters all over a message.
    private static let secretCharactersMin = 4
    /// A user's name without a password may be a token; a short one is just a name.
    private static let tokenCharactersMin = 16

    /// The parts that are secret, as they stand and decoded, the longest first.
    private var secrets: [String] {
        var found: [Substring] = []
        if let uri = ConnectionURI(revealed) {
            found = uri.secrets
        } else if !isPairs, let scheme = revealed.firstRange(of: "://") {
            let rest = revealed[scheme.upperBound...]
            if case .withUser(let userInfo, _) = URLParts(rest).authority { found += Self.secrets(ofUser: userInfo) }
            if let mark = rest.firstIndex(of: "?") {
                let query = rest[rest.index(after: mark)...].split { "&;#".contains($0) }
                found += query.map { $0.contains("=") ? $0.drop { $0 != "=" }.dropFirst() : $0 }
            } else if let hash = rest.firstIndex(of: "#") {
                found.append(rest[rest.index(after: hash)...])
            }
        } else {
            found += (ConnectionPairs(revealed)?.secrets ?? [revealed]).map { $0[...] }
        }
        let whole = found.map { String($0) }
        return Set(whole + whole.compactMap(Self.decoded)).filter { $0.count >= Self.secretCharactersMin }
            .sorted { ($0.count, $0) > ($1.count, $1) }
    }

    private static func secrets(ofUser userInfo: Substring) -> [Substring] {
        guard let colon = userInfo.firstIndex(of: ":") else { return [userInfo] }
        let user = userInfo[..<colon]
        let password = userInfo[userInfo.index(after: colon)...]
        return [userInfo, password] + (user.count >= tokenCharactersMin || password.isEmpty ? [user] : [])
    }

    /// Without percent-encoding; nil where it is no text.
    private static func decoded(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return nil }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension SecretURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Redacted; see ``Redaction``.
    package var description: String {
        isPairs || ConnectionURI(revealed) != nil ? Redaction.dsn(revealed) : Redaction.url(revealed)
    }

    /// Whether it is `keyword=value` pairs, of which a value may be a URL.
    private var isPairs: Bool {
        revealed.firstIndex(of: "=").map { !revealed[..<$0].contains("://") } ?? false
    }

    package var debugDescription: String { description }

    /// So that dump(_:) shows no more than the rest.
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}

extension SecretURL: ExpressibleByStringInterpolation {
    package init(stringLiteral text: String) {
        self.init(text)
    }
}
