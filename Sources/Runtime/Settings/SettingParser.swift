import Bytes

/// Reads a setting's text, and says in words what it accepts.
struct SettingParser<Value>: Sendable {
    let grammar: String
    let parse: @Sendable (String) -> Result<Value, SettingFault.Reason>
}

extension SettingParser where Value == String {
    static func text(_ grammar: String = "text") -> Self {
        Self(grammar: grammar) { .success($0) }
    }

    /// A word of Kafka's grammar for topics and groups: letters, digits, `.`, `_`, `-`, up to 249.
    static var kafkaName: Self {
        Self(grammar: "letters, digits, `.`, `_`, `-`; at most 249") { text in
            let isValid =
                text.utf8.count <= 249 && text != "." && text != ".."
                && text.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                        true
                    default: false
                    }
                }
            return isValid ? .success(text) : .failure("is not a name that Kafka accepts")
        }
    }

    static var httpURL: Self {
        Self(grammar: "`http://…` or `https://…`") { text in
            guard let scheme = ["http://", "https://"].first(where: { text.hasPrefix($0) }),
                let first = text.dropFirst(scheme.count).utf8.first, first != UInt8(ascii: "/"),
                text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F })
            else { return .failure("is not an http or https URL") }
            return .success(text)
        }
    }

    /// Scheme, host and port without a path; may be empty.
    static var originURL: Self {
        Self(grammar: "`http://host[:port]` or `https://…`") { text in
            guard !text.isEmpty else { return .success(text) }
            if case .failure(let reason) = httpURL.parse(text) { return .failure(reason) }
            let authority = text.drop { $0 != "/" }.dropFirst(2)
            return authority.contains(where: { "/?#@".contains($0) })
                ? .failure("has more than scheme, host and port") : .success(text)
        }
    }

    /// A value of an HTTP header: printable, one line.
    static var headerValue: Self {
        Self(grammar: "one line of text") { text in
            text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
                ? .success(text) : .failure("holds control characters, which no HTTP header may")
        }
    }

    /// Comma-separated `host:port`; may be empty.
    static var addressList: Self {
        Self(grammar: "`host:port[,host:port…]`") { text in
            // Its parts are shown below, and a password may hold a comma.
            guard !text.contains("@") else {
                return .failure("has an “@”: user and password are KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
            }
            for part in text.split(separator: ",", omittingEmptySubsequences: text.isEmpty) {
                if SettingAddress(String(part)) == nil {
                    return .failure("has “\(Redaction.url(String(part)))”, which is not host:port")
                }
            }
            return .success(text)
        }
    }
}

extension SettingParser where Value == SecretURL {
    /// As ``httpURL``, of which nothing secret is shown.
    static var secretURL: Self {
        let plain = SettingParser<String>.httpURL
        return Self(grammar: plain.grammar) { text in plain.parse(text).map { SecretURL($0) } }
    }

    /// The same; may be empty.
    static var optionalSecretURL: Self {
        let needed = secretURL
        return Self(grammar: needed.grammar) { text in text.isEmpty ? .success(SecretURL("")) : needed.parse(text) }
    }

    /// libpq's two forms; may be empty.
    static var dsn: Self {
        Self(grammar: "`postgresql://user:password@host/database` or `host=… dbname=…`") { text in
            let isURI = text.hasPrefix("postgresql://") || text.hasPrefix("postgres://")
            // Another database's URI may hold an equal sign, too, behind its scheme.
            let isPairs = text.contains("=") && !text.prefix { $0 != "=" }.contains("://")
            if text.isEmpty || isURI || isPairs { return .success(SecretURL(text)) }
            // As SQLAlchemy writes it, with the driver of that program.
            let scheme = text.firstRange(of: "://").map { text[..<$0.lowerBound] } ?? ""
            if scheme.hasPrefix("postgresql+") || scheme.hasPrefix("postgres+") {
                return .failure("names another program's driver: begin it with postgresql:// instead")
            }
            return .failure("is neither a postgresql:// URI nor key=value pairs")
        }
    }
}

extension SettingParser where Value == Bool {
    static var bool: Self {
        Self(grammar: "`true`, `false`") { text in
            switch text.lowercased() {
            case "true", "1", "yes", "on": .success(true)
            case "false", "0", "no", "off": .success(false)
            default: .failure("is neither true nor false")
            }
        }
    }
}

extension SettingParser where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        Self(grammar: "\(range.lowerBound)…\(range.upperBound)") { text in
            guard let value = Int(text) else { return .failure("is not a whole number") }
            return range.contains(value)
                ? .success(value) : .failure("is not between \(range.lowerBound) and \(range.upperBound)")
        }
    }
}

extension SettingParser where Value == Double {
    static func number(_ range: ClosedRange<Double>) -> Self {
        Self(grammar: "\(range.lowerBound)…\(range.upperBound)") { text in
            guard let value = Double(text), value.isFinite else { return .failure("is not a number") }
            return range.contains(value)
                ? .success(value) : .failure("is not between \(range.lowerBound) and \(range.upperBound)")
        }
    }

    static func seconds(_ range: ClosedRange<Double>) -> Self {
        Self(grammar: "\(range.lowerBound)…\(range.upperBound) (seconds)") { text in
            guard let value = Double(text), value.isFinite else { return .failure("is not a number") }
            return range.contains(value)
                ? .success(value) : .failure("is not between \(range.lowerBound) and \(range.upperBound)")
        }
    }
}

extension SettingParser where Value == [String] {
    /// Comma-separated words, blanks around them dropped; may be empty.
    static var words: Self {
        Self(grammar: "comma-separated list") { text in .success(Self.split(text)) }
    }

    private static func split(_ text: String) -> [String] { CommaList.words(text) }
}

extension SettingParser where Value == [Int] {
    /// Comma-separated whole numbers; may be empty.
    static var integers: Self {
        Self(grammar: "comma-separated whole numbers") { text in
            var values: [Int] = []
            for word in CommaList.words(text) {
                guard let value = Int(word) else { return .failure("has “\(word)”, which is not a whole number") }
                values.append(value)
            }
            return .success(values)
        }
    }
}

extension SettingParser where Value == SettingAddress {
    static var address: Self {
        Self(grammar: "`host:port`, port 0…65535 (0: any free one)") { text in
            SettingAddress(text).map { .success($0) } ?? .failure("is not host:port")
        }
    }
}

extension SettingParser where Value == SettingAddress? {
    static var optionalAddress: Self {
        Self(grammar: "`host:port`, port 0…65535 (0: any free one)") { text in
            if text.isEmpty { return .success(nil) }
            return SettingAddress(text).map { .success($0) } ?? .failure("is not host:port")
        }
    }
}

extension SettingParser where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    static var choice: Self {
        let words = Value.allCases.map { $0.rawValue }
        return Self(grammar: words.map { "`\($0)`" }.joined(separator: ", ")) { text in
            Value(rawValue: text.lowercased()).map { .success($0) }
                ?? .failure("is not one of \(words.joined(separator: ", "))")
        }
    }
}

private enum CommaList {
    static func words(_ text: String) -> [String] {
        text.split(separator: ",").map { word in
            String(word.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }.filter { !$0.isEmpty }
    }
}

/// A host and a port to listen on or to connect to.
package struct SettingAddress: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without its brackets.
    package var host: String
    /// 0 lets the system choose when listening.
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[v6]:port`; nil for anything else.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        // An "@" would make a password of what stands before it, and this type's values are shown.
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"/@?#".utf8.contains($0) }) else {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension SettingAddress {
    /// Whether only this machine reaches it.
    package var isLoopback: Bool { host == "localhost" || IPAddress(host)?.isLoopback == true }
}
