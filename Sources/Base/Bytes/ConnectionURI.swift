/// libpq's URI form of a connection string (PostgreSQL manual, 32.1.1.2), taken apart as far as its secrets go.
struct ConnectionURI {
    private let scheme: Substring
    /// What stands behind the scheme.
    private let rest: Substring
    /// Where the user and the password end; nil without any.
    private let at: String.Index?
    /// Where the password begins; nil without one.
    private let colon: String.Index?
    /// The `?` before the parameters; the end where there are none.
    private let mark: String.Index
    /// Whether it is certain which part is what. A password that holds `/`, `?` or `@` as it is makes it uncertain.
    private let isClear: Bool

    /// Nil where the text is not of that form.
    init?(_ text: String) {
        guard let scheme = ["postgresql://", "postgres://"].first(where: { text.hasPrefix($0) }) else { return nil }
        self.scheme = text.prefix(scheme.count)
        let rest = text.dropFirst(scheme.count)
        self.rest = rest
        let authority = rest.prefix { $0 != "/" }
        let at = authority.lastIndex(of: "@")
        self.at = at
        let user = at.map { authority[..<$0] } ?? authority.prefix(0)
        let colon = user.firstIndex(of: ":")
        self.colon = colon
        let host = at.map { rest[rest.index(after: $0)...] } ?? rest
        mark = host.firstIndex(of: "?") ?? rest.endIndex
        // Parameters may follow the host at once, and then hold an "@", or a password may hold the "?".
        let userHasParameters = user.firstIndex(of: "?").map { colon == nil || user[$0...].contains("=") } ?? false
        isClear = rest.lastIndex(of: "@") == at && !userHasParameters
    }

    private var parameters: [Substring] {
        guard mark < rest.endIndex else { return [] }
        return rest[rest.index(after: mark)...].split(separator: "&", omittingEmptySubsequences: false)
    }

    /// Without the password and the values of secret parameters; whole but for its scheme where that cannot be told.
    var redacted: String {
        guard isClear else { return "\(scheme)***" }
        var shown = String(scheme)
        if let at, let colon { shown += "\(rest[...colon])***\(rest[at..<mark])" } else { shown += rest[..<mark] }
        guard mark < rest.endIndex else { return shown }
        let pairs = parameters.map { pair -> String in
            let key = pair.prefix { $0 != "=" }
            // libpq decodes keywords, too, so that an encoded one may be any.
            let isHidden = ConnectionPairs.isSecret(key) || key.contains("%")
            if key.endIndex == pair.endIndex { return pair.isEmpty ? "" : "***" }
            return isHidden ? "\(key)=***" : String(pair)
        }
        return "\(shown)?\(pairs.joined(separator: "&"))"
    }

    /// What may not be shown, as it stands; where it is not certain, all that may be a part of it.
    var secrets: [Substring] {
        let values = parameters.map { $0.contains("=") ? $0.drop { $0 != "=" }.dropFirst() : $0 }
        let last = rest.lastIndex(of: "@")
        var found = values
        if let last, let first = rest[..<last].firstIndex(of: ":") {
            found.append(rest[rest.index(after: first)..<last])
        }
        if let at, let colon { found.append(rest[rest.index(after: colon)..<at]) }
        return found
    }
}
