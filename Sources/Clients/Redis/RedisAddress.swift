/// Where a Redis server is: `redis://[user:password@]host[:port][/database]`, or `unix:///path`.
package struct RedisAddress: Sendable, Equatable {
    /// Of a host, or the path of a socket.
    package var host: String
    /// 0: the host is the path of a socket.
    package var port: Int
    package var user = ""
    /// A secret: never print it.
    package var password = ""
    package var database = 0

    /// Where servers listen unless told otherwise.
    package static let portDefault = 6_379

    /// Nil for a text that is no such address.
    package init?(_ text: String) {
        let socket = "unix://"
        if text.hasPrefix(socket) {
            host = String(text.dropFirst(socket.count))
            port = 0
            guard host.hasPrefix("/") else { return nil }
            return
        }
        let scheme = "redis://"
        guard text.hasPrefix(scheme) else { return nil }
        var rest = text.dropFirst(scheme.count)
        if let slash = rest.lastIndex(of: "/"), !rest[slash...].contains("@") {
            let number = rest[rest.index(after: slash)...]
            guard number.isEmpty || Int(number).map({ (0...1_000_000).contains($0) }) == true else { return nil }
            database = Int(number) ?? 0
            rest = rest[..<slash]
        }
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let user = Self.decoded(parts[0]), let password = Self.decoded(parts[1]) else {
                return nil
            }
            (self.user, self.password) = (user, password)
            rest = rest[rest.index(after: at)...]
        }
        port = Self.portDefault
        if let colon = rest.lastIndex(of: ":"), !rest.hasSuffix("]") {
            guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            port = number
            rest = rest[..<colon]
        }
        if rest.hasPrefix("["), rest.hasSuffix("]") { rest = rest.dropFirst().dropLast() }
        guard !rest.isEmpty, !rest.contains(where: { $0 == "/" || $0.isWhitespace }) else { return nil }
        host = String(rest)
    }

    /// Percent-encoding undone (RFC 3986, 2.1); nil where it is none.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var left = Array(text.utf8)[...]
        while let byte = left.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = left.popFirst(), let low = left.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
