/// Keeps secrets out of what is shown, logged and served. What cannot be taken apart with certainty is hidden whole.
package enum Redaction {
    /// Stands for what is hidden.
    private static let mask = "***"

    /// Nothing of a secret, not even its length.
    package static func secret(_ text: String) -> String { text.isEmpty ? "" : mask }

    /// A URL without user, password, fragment and the values of its query: scheme, host, port, path and the query's keys stay.
    package static func url(_ text: String) -> String {
        guard let scheme = text.firstRange(of: "://") else { return query(hidden(beforeLastAt: text[...])) }
        let parts = URLParts(text[scheme.upperBound...])
        switch parts.authority {
        case .unclear: return "\(text[..<scheme.upperBound])\(mask)"
        case .plain(let rest): return "\(text[..<scheme.upperBound])\(query(String(rest)))"
        case .withUser(_, let rest): return "\(text[..<scheme.upperBound])\(mask)@\(query(String(rest)))"
        }
    }

    /// A text that others wrote, such as a library's message, with every URL in it as ``url(_:)`` shows it.
    package static func urls(in text: String) -> String {
        guard text.contains("://") else { return text }
        var result = ""
        var rest = text[...]
        while let mark = rest.firstRange(of: "://") {
            var end = rest[mark.upperBound...].firstIndex { $0.isWhitespace || "\"<>".contains($0) } ?? rest.endIndex
            // Quotes and points of the sentence around it.
            while end > mark.upperBound, "'`).,;:!".contains(rest[rest.index(before: end)]) {
                end = rest.index(before: end)
            }
            let start = rest[..<mark.lowerBound].lastIndex { !isOfScheme($0) }.map { rest.index(after: $0) }
            let first = start ?? rest.startIndex
            result += rest[..<first]
            result += url(String(rest[first..<end]))
            rest = rest[end...]
        }
        return "\(result)\(rest)"
    }

    /// A connection string of libpq without its secrets: `user:***@` in a URI, `password=***` in pairs and URI parameters.
    package static func dsn(_ text: String) -> String {
        if let uri = ConnectionURI(text) { return uri.redacted }
        // Pairs begin with a keyword; a value of theirs may be a URL. All else with a scheme is somebody else's URI.
        if !text.prefix(while: { $0 != "=" }).contains("://") {
            return ConnectionPairs(text)?.redacted ?? secret(text)
        }
        return url(text)
    }

    /// - Returns: the text with `***` in place of what stands before the last `@`.
    private static func hidden(beforeLastAt text: Substring) -> String {
        text.lastIndex(of: "@").map { "\(mask)\(text[$0...])" } ?? String(text)
    }

    /// Hides the values behind the first `?`, and what stands behind the first `#`.
    private static func query(_ text: String) -> String {
        // A URL in the path of another, as gateways have it.
        let path = text.prefix { !"?#".contains($0) }
        if let mark = path.firstRange(of: "://") {
            let start = text[..<mark.lowerBound].lastIndex { !isOfScheme($0) }.map { text.index(after: $0) }
            let first = start ?? text.startIndex
            return "\(text[..<first])\(url(String(text[first...])))"
        }
        var shown = text[...]
        var tail = ""
        if let hash = shown.firstIndex(of: "#") {
            if shown.index(after: hash) < shown.endIndex { tail = "#" + mask }
            shown = shown[..<hash]
        }
        guard let mark = shown.firstIndex(of: "?") else { return "\(shown)\(tail)" }
        let pairs = shown[shown.index(after: mark)...].split(
            omittingEmptySubsequences: false, whereSeparator: { $0 == "&" || $0 == ";" })
        let hidden = pairs.map { pair -> String in
            if pair.isEmpty { return "" }
            return pair.contains("=") ? "\(pair.prefix { $0 != "=" })=\(mask)" : mask
        }
        return "\(shown[...mark])\(hidden.joined(separator: "&"))\(tail)"
    }

    private static func isOfScheme(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "+-.".contains(character))
    }
}

/// What stands behind a URL's `://`.
struct URLParts {
    enum Authority {
        /// Host and port, path and the rest.
        case plain(rest: Substring)
        case withUser(userInfo: Substring, rest: Substring)
        /// Neither: what is secret in it cannot be told.
        case unclear
    }

    let authority: Authority

    init(_ text: Substring) {
        let end = text.firstIndex { "/?#".contains($0) } ?? text.endIndex
        let plain = text[..<end]
        guard !plain.contains("@") else {
            // A password may itself hold "@" and "/", though it should write them %40 and %2F. Where what follows the first "@"
            // looks like a host, a further one belongs to the path; else all goes up to the last one.
            let stop = text.firstIndex { "?#".contains($0) } ?? text.endIndex
            let near = plain.lastIndex(of: "@") ?? text.startIndex
            let far = text[..<stop].lastIndex(of: "@") ?? near
            authority = Self.cut(text, Self.isPlainlyHost(text[text.index(after: near)..<end]) ? near : far)
            return
        }
        if Self.isHostAndPort(plain) {
            authority = .plain(rest: text)
        } else if let at = text.lastIndex(of: "@") {
            // A "/", "?" or "#" inside the password.
            authority = Self.cut(text, at)
        } else {
            authority = .unclear
        }
    }

    private static func cut(_ text: Substring, _ at: Substring.Index) -> Authority {
        let rest = text[text.index(after: at)...]
        let host = rest.prefix { !"/?#".contains($0) }
        return isHostAndPort(host) ? .withUser(userInfo: text[..<at], rest: rest) : .unclear
    }

    /// Whether nobody would take it for a part of a password: it has a port, or is an address or a name of several parts.
    private static func isPlainlyHost(_ text: Substring) -> Bool {
        isHostAndPort(text) && (text.contains(":") || text.contains(".") || text == "localhost")
    }

    /// `host`, `host:port`, `[v6]:port`.
    static func isHostAndPort(_ text: Substring) -> Bool {
        var host = text
        if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
            let port = text[text.index(after: colon)...]
            guard port.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) else { return false }
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { return IPAddress(host.dropFirst().dropLast()) != nil }
        return !host.isEmpty && host.allSatisfy { $0.isLetter || $0.isNumber || "-._~%".contains($0) }
    }
}

/// libpq's `keyword = value` form of a connection string (PostgreSQL manual, 32.1.1.1).
struct ConnectionPairs {
    private let text: String
    /// Each pair's keyword, its value without quotes and escapes, and where keyword and value end.
    private let pairs: [(key: Substring, value: String, end: String.Index)]

    /// Nil where the text is not of that form.
    init?(_ text: String) {
        self.text = text
        var pairs: [(key: Substring, value: String, end: String.Index)] = []
        var rest = text[...].drop(while: \.isWhitespace)
        while !rest.isEmpty {
            let key = rest.prefix { !$0.isWhitespace && $0 != "=" }
            rest = rest.dropFirst(key.count).drop(while: \.isWhitespace)
            // Keywords are plain words: what else stands before an equal sign may be a part of a secret.
            guard !key.isEmpty, key.allSatisfy(Self.isOfKeyword), rest.first == "=" else { return nil }
            rest = rest.dropFirst().drop(while: \.isWhitespace)
            guard let value = Self.value(&rest) else { return nil }
            pairs.append((key, value, rest.startIndex))
            rest = rest.drop(while: \.isWhitespace)
        }
        self.pairs = pairs
    }

    private static func isOfKeyword(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_")
    }

    private static func value(_ rest: inout Substring) -> String? {
        let isQuoted = rest.first == "'"
        if isQuoted { rest = rest.dropFirst() }
        var value = ""
        while let character = rest.first {
            if isQuoted ? character == "'" : character.isWhitespace { break }
            rest = rest.dropFirst()
            guard character == "\\" else {
                value.append(character)
                continue
            }
            guard let next = rest.first else { return nil }
            value.append(next)
            rest = rest.dropFirst()
        }
        if isQuoted {
            guard rest.first == "'" else { return nil }
            rest = rest.dropFirst()
        }
        return value
    }

    /// Whether the value of that parameter may not be shown.
    static func isSecret(_ key: Substring) -> Bool {
        let key = key.lowercased()
        return key.contains("password") || key.contains("secret") || key.hasPrefix("scram_")
    }

    /// The values that may not be shown.
    var secrets: [String] { pairs.filter { Self.isSecret($0.key) }.map(\.value) }

    var redacted: String {
        var result = ""
        var position = text.startIndex
        for pair in pairs where Self.isSecret(pair.key) {
            result += "\(text[position..<pair.key.endIndex])=***"
            position = pair.end
        }
        return "\(result)\(text[position...])"
    }
}
