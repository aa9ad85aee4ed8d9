import Bytes

extension Settings {
    /// Who may ask the HTTP API, and how it is reached.
    static let apiAccess: [Setting] = [
        Setting(
            "API_HOSTS", .api, default: "", .hostNames, \.apiHosts,
            "Names under which the API is asked, beside `localhost` and the loopback addresses. Without a key others get 421 "
                + "where only this machine should ask (`API_LISTEN` on the loopback interface, no `API_TRUSTED_PROXIES`), "
                + "and everywhere once this is set. What comes through a proxy that is not declared then needs a key."),
        Setting(
            "API_ANONYMOUS_READ", .api, default: "auto", .choice, \.apiAnonymousRead,
            "Whether requests without a key may read. `auto`: only those of this machine, that is where `API_LISTEN` is an "
                + "address of the loopback interface, `API_TRUSTED_PROXIES` is empty, and the request names one of "
                + "`API_HOSTS` and shows no sign of a proxy (`X-Forwarded-For`, `Via` and the like, HTTP/1.0). "
                + "`medallion keys create` makes keys."),
        Setting(
            "API_KEY_RATE", .api, default: "1000", .integer(0...1_000_000), \.apiKeyRate,
            "Requests a second of one key; further ones get 429. Twice as many may come at once. 0: any number."),
        Setting(
            "API_ADDRESS_RATE", .api, default: "auto", .integerOrAuto(0...1_000_000), \.apiAddressRateGiven,
            "The same of one address (IPv6: one /64) without a valid key. 0: any number. `auto`: 200, and any number for "
                + "requests of this machine, as `API_ANONYMOUS_READ` has it."),
        Setting(
            "API_ANONYMOUS_WORK", .api, default: "auto", .integerOrAuto(0...1_000_000), \.apiAnonymousWorkGiven,
            "Milliseconds of work a second that requests without a valid key may cause together: 60 % of it searches, "
                + "14 % `/events/recent`, 12 % answers, 8 % searches with filters, 6 % traces. Where they want more, an address "
                + "that has caused less than its fair share goes first; the others wait for up to 2 s, then get 429. 0: any. "
                + "`auto`: three fifths of the processors (600 each), and any for requests of this machine, as `API_ANONYMOUS_READ` "
                + "has it."),
        Setting(
            "API_STREAM_CATCH_UP_BYTES", .api, default: "1048576", .integer(0...1_000_000_000), \.apiStreamCatchUpBytes,
            "Bytes a second that one address (IPv6: one /64) without a valid key gets of what lies behind the newest events "
                + "of `/stream`, over all of its streams, and eight seconds' worth at once. A key gets eight times as much. "
                + "Requests of this machine get any number where `API_STREAMS_PER_ADDRESS` lets them. 0: any number."),
        Setting(
            "API_CONNECTIONS_PER_ADDRESS", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.apiConnectionsPerAddressGiven,
            "Open connections of one address (IPv6: one /64); further ones get 429. Proxies of `API_TRUSTED_PROXIES` may "
                + "have any number, and each client that they name so many requests at once. 0: any number. `auto`: a "
                + "tenth of `API_MAX_CONNECTIONS`, and any number for requests of this machine, as `API_ANONYMOUS_READ` has "
                + "it."),
        Setting(
            "API_CONNECTIONS_PER_KEY", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.apiConnectionsPerKeyGiven,
            "Requests of one key under way at once, streams included; further ones get 429. 0: any number. `auto`: a "
                + "quarter of `API_MAX_CONNECTIONS`."),
        Setting(
            "API_STREAMS_PER_KEY", .api, default: "1000", .integer(0...1_000_000), \.apiStreamsPerKey,
            "Streams (`GET /stream`) of one key at once; further ones get 429. 0: any number."),
        Setting(
            "API_STREAMS_PER_ADDRESS", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.apiStreamsPerAddressGiven,
            "The same of one address (IPv6: one /64) without a valid key. 0: any number. `auto`: 100, and any number for "
                + "requests of this machine, as `API_ANONYMOUS_READ` has it."),
        Setting(
            "API_TRUSTED_PROXIES", .api, default: "", .addressRanges, \.apiTrustedProxies,
            "Proxies whose word about the client's address counts, as addresses or ranges such as `10.0.0.0/8`. Set it "
                + "wherever one stands in front, on this machine, too: nobody then counts as this machine. Empty: none."
        ),
        Setting(
            "API_FORWARDED_HEADER", .api, default: "x-forwarded-for", .choice, \.apiForwardedHeader,
            "The header in which they name it. Only this one is read, because most proxies pass the other on as the "
                + "client wrote it."),
        Setting(
            "API_TLS_CERTIFICATE", .api, default: "", .text("file"), \.apiTLSCertificate,
            "The API's certificate and those of the authorities in between (PEM), read again every minute. Empty: "
                + "no TLS."),
        Setting(
            "API_TLS_KEY", .api, default: "", .text("file"), \.apiTLSKey, "Its private key (PEM), without a password."),
        Setting(
            "API_ACCESS_LOG", .api, default: "", .text("file, or `-` for standard output"), \.apiAccessLog,
            "Gets a JSON line per request. It may be renamed at any time, for rotation. Empty: none."),
        Setting(
            "MEDALLION_API_KEY", .api, default: "", .text("key"), \.apiKey,
            "The key that `medallion search`, `answer` and `trace` send. Never printed.", shown: Redaction.secret),
    ]
}

extension SettingParser where Value == [IPAddressRange] {
    /// Comma-separated addresses and ranges; may be empty.
    static var addressRanges: Self {
        Self(grammar: "`address[/bits][,address[/bits]…]`") { text in
            var ranges: [IPAddressRange] = []
            for word in text.split(separator: ",") {
                let word = word.filter { $0 != " " }
                guard let range = IPAddressRange(word) else {
                    return .failure(
                        "has “\(Redaction.url(word))”, which is neither an address nor a range such as 10.0.0.0/8")
                }
                ranges.append(range)
            }
            return .success(ranges)
        }
    }
}

extension SettingParser where Value == [String] {
    /// Comma-separated names or addresses without scheme and port; may be empty.
    static var hostNames: Self {
        Self(grammar: "comma-separated names or addresses, without ports") { text in
            var names: [String] = []
            for word in text.split(separator: ",") {
                let word = word.filter { $0 != " " }.lowercased()
                let isAddress = IPAddress(word.hasPrefix("[") ? String(word.dropFirst().dropLast()) : word) != nil
                guard isAddress || (!word.isEmpty && word.utf8.allSatisfy(isOfName)) else {
                    return .failure("has “\(Redaction.url(word))”, which is no name such as search.example.org")
                }
                names.append(word)
            }
            return .success(names)
        }
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        byte &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10 || "-._".utf8.contains(byte)
    }
}

extension SettingParser where Value == Int? {
    /// A whole number, or `auto` for nil.
    static func integerOrAuto(_ range: ClosedRange<Int>) -> Self {
        let number = SettingParser<Int>.integer(range)
        return Self(grammar: "`auto`, \(number.grammar)") { text in
            text.lowercased() == "auto" ? .success(nil) : number.parse(text).map { $0 }
        }
    }
}

extension SettingAddress {
    /// Whether only this machine reaches it.
    package var isLoopback: Bool { host == "localhost" || IPAddress(host)?.isLoopback == true }
}
