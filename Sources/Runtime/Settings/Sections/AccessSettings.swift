package import Bytes

extension Settings {
    /// Who may ask the HTTP API, and how it is reached.
    package struct Access: Sendable {
        /// Names under which the API is asked, beside those of the loopback interface.
        package internal(set) var hosts: [String] = []
        /// Whether requests without a key may read; see ``Settings/isAnonymousReadAllowed``.
        var anonymousRead = SettingAutomatic.auto
        /// Requests a second of one key; 0 = any number.
        package internal(set) var keyRate = 0
        /// See ``addressRate``.
        var addressRateGiven: Int?
        /// See ``anonymousWork(processors:)``.
        var anonymousWorkGiven: Int?
        /// Bytes a second that an address without a key gets of the stream's past; 0 = any number.
        package internal(set) var streamCatchUpBytes = 0
        /// See ``Settings/apiConnectionsPerAddress``.
        var connectionsPerAddressGiven: Int?
        /// See ``Settings/apiConnectionsPerKey``.
        var connectionsPerKeyGiven: Int?
        /// Streams of one key at once; 0 = any number.
        package internal(set) var streamsPerKey = 0
        /// See ``streamsPerAddress``.
        var streamsPerAddressGiven: Int?
        /// Proxies whose word about the client's address counts.
        package internal(set) var trustedProxies: [IPAddressRange] = []
        /// The header that they write.
        package internal(set) var forwardedHeader = SettingForwardedHeader.xForwardedFor
        /// The file with the API's certificate; empty = no TLS.
        package internal(set) var tlsCertificate = ""
        /// The file with its private key.
        package internal(set) var tlsKey = ""
        /// The file that gets a line per request; `-` = standard output, empty = none.
        package internal(set) var accessLog = ""
        /// The key that commands which ask the API send. A secret: never print it.
        package internal(set) var key = ""

        /// Whether the API answers questions without a key wherever they come from.
        package var isAnonymousReadForAll: Bool { anonymousRead == .always }
        /// Requests a second of one address without a valid key; 0 = any number. Those of this machine are not counted where
        /// nothing was set and ``Settings/isAPILocal``.
        package var addressRate: Int { addressRateGiven ?? 200 }
        /// Whether the limit was left to the program.
        package var isAddressRateAutomatic: Bool { addressRateGiven == nil }
        /// Milliseconds of work a second that requests without a valid key may cause together; 0 = any.
        ///
        /// - Parameter processors: of this machine.
        package func anonymousWork(processors: Int) -> Int { anonymousWorkGiven ?? 600 * max(1, processors) }
        /// Whether it was left to the program.
        package var isAnonymousWorkAutomatic: Bool { anonymousWorkGiven == nil }
        /// Whether ``Settings/apiConnectionsPerAddress`` and ``Settings/apiRequestsPerAddress`` were left to the program.
        package var areConnectionsPerAddressAutomatic: Bool { connectionsPerAddressGiven == nil }
        /// Streams of one address without a valid key at once; 0 = any number. Those of this machine are not counted where
        /// nothing was set and ``Settings/isAPILocal``.
        package var streamsPerAddress: Int { streamsPerAddressGiven ?? 100 }
        /// Whether the limit was left to the program.
        package var areStreamsPerAddressAutomatic: Bool { streamsPerAddressGiven == nil }
    }
}

extension Settings.Access: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "API_HOSTS", .api, default: "", .hostNames, \.access.hosts,
            "Names under which the API is asked, beside `localhost` and the loopback addresses. Without a key others get 421 "
                + "where only this machine should ask (`API_LISTEN` on the loopback interface, no `API_TRUSTED_PROXIES`), "
                + "and everywhere once this is set. What comes through a proxy that is not declared then needs a key."),
        Setting(
            "API_ANONYMOUS_READ", .api, default: "auto", .choice, \.access.anonymousRead,
            "Whether requests without a key may read. `auto`: only those of this machine, that is where `API_LISTEN` is an "
                + "address of the loopback interface, `API_TRUSTED_PROXIES` is empty, and the request names one of "
                + "`API_HOSTS` and shows no sign of a proxy (`X-Forwarded-For`, `Via` and the like, HTTP/1.0). "
                + "`medallion keys create` makes keys."),
        Setting(
            "API_KEY_RATE", .api, default: "1000", .integer(0...1_000_000), \.access.keyRate,
            "Requests a second of one key; further ones get 429. Twice as many may come at once. 0: any number."),
        Setting(
            "API_ADDRESS_RATE", .api, default: "auto", .integerOrAuto(0...1_000_000), \.access.addressRateGiven,
            "The same of one address (IPv6: one /64) without a valid key. 0: any number. `auto`: 200, and any number for "
                + "requests of this machine, as `API_ANONYMOUS_READ` has it."),
        Setting(
            "API_ANONYMOUS_WORK", .api, default: "auto", .integerOrAuto(0...1_000_000), \.access.anonymousWorkGiven,
            "Milliseconds of work a second that requests without a valid key may cause together: 60 % of it searches, "
                + "14 % `/events/recent`, 12 % answers, 8 % searches with filters, 6 % traces. Where they want more, an address "
                + "that has caused less than its fair share goes first; the others wait for up to 2 s, then get 429. 0: any. "
                + "`auto`: three fifths of the processors (600 each), and any for requests of this machine, as `API_ANONYMOUS_READ` "
                + "has it."),
        Setting(
            "API_STREAM_CATCH_UP_BYTES", .api, default: "1048576", .integer(0...1_000_000_000),
            \.access.streamCatchUpBytes,
            "Bytes a second that one address (IPv6: one /64) without a valid key gets of what lies behind the newest events "
                + "of `/stream`, over all of its streams, and eight seconds' worth at once. A key gets eight times as much. "
                + "Requests of this machine get any number where `API_STREAMS_PER_ADDRESS` lets them. 0: any number."),
        Setting(
            "API_CONNECTIONS_PER_ADDRESS", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.access.connectionsPerAddressGiven,
            "Open connections of one address (IPv6: one /64); further ones get 429. Proxies of `API_TRUSTED_PROXIES` may "
                + "have any number, and each client that they name so many requests at once. 0: any number. `auto`: a "
                + "tenth of `API_MAX_CONNECTIONS`, and any number for requests of this machine, as `API_ANONYMOUS_READ` has "
                + "it."),
        Setting(
            "API_CONNECTIONS_PER_KEY", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.access.connectionsPerKeyGiven,
            "Requests of one key under way at once, streams included; further ones get 429. 0: any number. `auto`: a "
                + "quarter of `API_MAX_CONNECTIONS`."),
        Setting(
            "API_STREAMS_PER_KEY", .api, default: "1000", .integer(0...1_000_000), \.access.streamsPerKey,
            "Streams (`GET /stream`) of one key at once; further ones get 429. 0: any number."),
        Setting(
            "API_STREAMS_PER_ADDRESS", .api, default: "auto", .integerOrAuto(0...1_000_000),
            \.access.streamsPerAddressGiven,
            "The same of one address (IPv6: one /64) without a valid key. 0: any number. `auto`: 100, and any number for "
                + "requests of this machine, as `API_ANONYMOUS_READ` has it."),
        Setting(
            "API_TRUSTED_PROXIES", .api, default: "", .addressRanges, \.access.trustedProxies,
            "Proxies whose word about the client's address counts, as addresses or ranges such as `10.0.0.0/8`. Set it "
                + "wherever one stands in front, on this machine, too: nobody then counts as this machine. Empty: none."
        ),
        Setting(
            "API_FORWARDED_HEADER", .api, default: "x-forwarded-for", .choice, \.access.forwardedHeader,
            "The header in which they name it. Only this one is read, because most proxies pass the other on as the "
                + "client wrote it."),
        Setting(
            "API_TLS_CERTIFICATE", .api, default: "", .text("file"), \.access.tlsCertificate,
            "The API's certificate and those of the authorities in between (PEM), read again every minute. Empty: "
                + "no TLS."),
        Setting(
            "API_TLS_KEY", .api, default: "", .text("file"), \.access.tlsKey,
            "Its private key (PEM), without a password."),
        Setting(
            "API_ACCESS_LOG", .api, default: "", .text("file, or `-` for standard output"), \.access.accessLog,
            "Gets a JSON line per request. It may be renamed at any time, for rotation. Empty: none."),
        Setting(
            "MEDALLION_API_KEY", .api, default: "", .text("key"), \.access.key,
            "The key that `medallion search`, `answer` and `trace` send. Never printed.", shown: Redaction.secret),
    ]
}

// What follows from where the API listens, too.
extension Settings {
    /// Whether only this machine reaches the API: it listens on the loopback interface, and no proxy in front of it is named.
    package var isAPILocal: Bool { api.listen.isLoopback && access.trustedProxies.isEmpty }
    /// Whether the API answers questions without a key, at least those of this machine.
    package var isAnonymousReadAllowed: Bool {
        switch access.anonymousRead {
        case .always: true
        case .never: false
        case .auto: isAPILocal
        }
    }
    /// Open connections of one address; 0 for any number.
    package var apiConnectionsPerAddress: Int {
        isAPILocal && access.areConnectionsPerAddressAutomatic ? 0 : apiRequestsPerAddress
    }
    /// Requests at once of one client whose connections cannot be counted, because they are a proxy's; 0 for any number.
    package var apiRequestsPerAddress: Int { access.connectionsPerAddressGiven ?? max(1, api.connectionsMax / 10) }
    /// Requests of one key under way at once; 0 for any number.
    package var apiConnectionsPerKey: Int { access.connectionsPerKeyGiven ?? max(1, api.connectionsMax / 4) }
    /// Where the API is asked from this machine.
    package var apiURL: String {
        // A server that listens everywhere is asked through the loopback interface.
        var address = api.listen
        if address.host == "0.0.0.0" { address.host = "127.0.0.1" }
        if address.host == "::" { address.host = "::1" }
        return (access.tlsCertificate.isEmpty ? "http://" : "https://") + address.description
    }
}

/// A switch that may be left to the program.
package enum SettingAutomatic: String, Sendable, CaseIterable {
    case auto
    case always = "true"
    case never = "false"
}

/// Headers in which proxies name the client, as `API_FORWARDED_HEADER` names them.
package enum SettingForwardedHeader: String, Sendable, CaseIterable {
    case xForwardedFor = "x-forwarded-for"
    case forwarded
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
