package import Bytes

/// The deployment's configuration, read once from the environment through ``table``.
///
/// The same table gives `--help`, docs/settings.md and the test that they agree. An empty variable counts as unset.
package struct Settings: Sendable {
    /// The stream's URL (SSE).
    package internal(set) var wikimediaSSEURL = ""
    /// Sent with every request to the stream; Wikimedia asks for a contact in it.
    package internal(set) var wikimediaUserAgent = ""
    /// Seconds before the first reconnect; doubles with each failure.
    package internal(set) var reconnectSleepSeconds = 0.0
    /// Seconds that the wait before a reconnect grows to.
    package internal(set) var reconnectMaxSeconds = 0.0
    /// Least seconds before a reconnect after the source refused us.
    package internal(set) var reconnectRefusedSeconds = 0.0
    /// Seconds before a request or a silent stream is given up.
    package internal(set) var requestTimeoutSeconds = 0.0
    /// Events that the producer takes in a minute; 0 = no limit.
    package internal(set) var maxEventsPerMinute = 0

    /// Wikis (database names such as `enwiki`) whose events become Gold; empty = all.
    package internal(set) var wikiFilter: [String] = []
    /// Namespaces whose events become Gold; empty = all.
    package internal(set) var allowedNamespaces: [Int] = []
    /// Whether bots' events are kept out of Gold.
    package internal(set) var filtersBots = false
    /// Characters of a document's text.
    package internal(set) var maxContentCharacters = 0
    /// The template of a document's text.
    package internal(set) var textTemplate = ""
    /// How many offsets back a record's copy is looked for.
    package internal(set) var duplicateWindowOffsets = 0
    /// How many seconds of broker time back a record's copy is looked for.
    package internal(set) var duplicateWindowSeconds = 0
    /// The version of the transform's code.
    package internal(set) var transformVersion = 0

    /// Kafka's bootstrap servers; empty = the embedded broker.
    package internal(set) var kafkaBrokers = ""
    /// Where the embedded broker listens.
    package internal(set) var brokerListen = SettingAddress(host: "", port: 0)
    /// When the embedded broker makes records durable.
    package internal(set) var brokerFsync = BrokerFsync.always
    /// The topic of raw events.
    package internal(set) var kafkaTopic = ""
    /// The topic of Gold documents and markers.
    package internal(set) var kafkaGoldTopic = ""
    /// Topic partitions of topics that we create.
    package internal(set) var kafkaTopicPartitions = 0
    /// Hours that records of the raw topic are kept; 0 = for ever.
    package internal(set) var kafkaTopicRetentionHours = 0
    /// Hours that records of the Gold topic are kept; 0 = for ever.
    package internal(set) var kafkaGoldRetentionHours = 0
    /// Copies of each topic partition; 0 = the broker's default.
    package internal(set) var kafkaReplication = 0
    /// How topics keep their records compressed.
    package internal(set) var kafkaTopicCompression = TopicCompression.producer
    /// The consumer group, whose offsets are informational.
    package internal(set) var kafkaGroup = ""
    /// Who takes which topic partitions.
    package internal(set) var assignment = TopicPartitionAssignment.all
    /// Seconds of silence after which a group gives a process' topic partitions to others.
    package internal(set) var kafkaSessionSeconds = 0.0
    /// What to do about records that expired before they were read.
    package internal(set) var expiredOffsets = ExpiredOffsets.stop

    /// What clients are called in the brokers' logs.
    package internal(set) var kafkaClientID = ""
    var kafkaSecurity = KafkaSecurity.plaintext
    var kafkaAuthorities = ""
    var kafkaCertificate = ""
    var kafkaKey = ""
    var kafkaMechanism = KafkaMechanism.scramSHA256
    var kafkaUser = ""
    /// A secret: never print it.
    var kafkaPassword = ""
    var kafkaExtra: [String: String] = [:]

    var dataDirectoryText = ""
    var lakeDirectoryText = ""
    var brokerDirectoryText = ""
    var postgresDirectoryText = ""
    /// The longest time an event waits for its commit to the lake, in milliseconds.
    package internal(set) var commitIntervalMilliseconds = 0
    /// How far a broker time may lie ahead of the machine's clock and still move the lake's hour, in seconds.
    package internal(set) var lakeClockAheadMaxSeconds = 0

    /// The bucket of tiered files; empty = none.
    package internal(set) var lakeS3Bucket = ""
    /// Where the object storage is; empty = AWS.
    package internal(set) var lakeS3Endpoint = ""
    /// The region that requests are signed for.
    package internal(set) var lakeS3Region = ""
    /// Stands before every key.
    package internal(set) var lakeS3Prefix = ""
    /// A secret: never print it.
    package internal(set) var lakeS3AccessKeyID = ""
    /// A secret: never print it.
    package internal(set) var lakeS3SecretAccessKey = ""
    /// The file that holds the secret; empty = given by the variable.
    package internal(set) var lakeS3SecretAccessKeyFile = ""

    /// libpq's connection string; empty = the embedded Postgres. Holds a password: print ``Redaction/dsn(_:)`` of it.
    package internal(set) var postgresDSN = ""
    /// The folder of Postgres' programs; empty = looked for in `.deps`.
    package internal(set) var postgresBinDirectory = ""

    /// Whether documents are embedded; without, search is lexical only.
    package internal(set) var isEmbeddingEnabled = false
    /// Dimensions of the embedding.
    package internal(set) var embeddingDimensions = 0
    /// The folder with the model's IR and vocabulary; empty = looked for in `.deps/model`.
    package internal(set) var modelDirectory = ""
    /// Whether `/answer` answers.
    package internal(set) var isAnswerEnabled = false
    /// Days that given answers are kept; 0 = for ever.
    package internal(set) var answerRetentionDays = 0

    /// Where the HTTP API listens.
    package internal(set) var apiListen = SettingAddress(host: "", port: 0)
    /// Event loops of the API, one thread each; 0 = one per core.
    package internal(set) var apiLoops = 0
    /// Open connections of the API at once.
    package internal(set) var apiConnectionsMax = 0
    /// Searches without filters that the API does at once.
    package internal(set) var apiSearchLanes = 0
    /// Searches with filters, and exact ones, that it does at once.
    package internal(set) var apiFilteredLanes = 0
    /// Lists of the newest events that it makes at once.
    package internal(set) var apiFeedLanes = 0
    /// Traces that it makes at once.
    package internal(set) var apiTraceLanes = 0
    /// Origins whose pages may read the API; `*` for all.
    package internal(set) var apiCORSOrigins: [String] = []
    /// Whether requests without a key may read; see ``isAnonymousReadAllowed``.
    var apiAnonymousRead = SettingAutomatic.auto
    /// Requests a second of one key; 0 = any number.
    package internal(set) var apiKeyRate = 0
    /// See ``apiAddressRate``.
    var apiAddressRateGiven: Int?
    /// Proxies whose word about the client's address counts.
    package internal(set) var apiTrustedProxies: [IPAddressRange] = []
    /// The header that they write.
    package internal(set) var apiForwardedHeader = SettingForwardedHeader.xForwardedFor
    /// The file with the API's certificate; empty = no TLS.
    package internal(set) var apiTLSCertificate = ""
    /// The file with its private key.
    package internal(set) var apiTLSKey = ""
    /// The file that gets a line per request; `-` = standard output, empty = none.
    package internal(set) var apiAccessLog = ""
    /// The key that commands which ask the API send. A secret: never print it.
    package internal(set) var apiKey = ""
    /// Events that the index may be behind while the API says that it is ready; 0 = any number.
    package internal(set) var readyLagMax = 0

    /// Where roles without an API serve `/metrics`; nil = nowhere.
    package internal(set) var metricsListen: SettingAddress?

    /// The least level that is logged.
    package internal(set) var logLevel = SettingLogLevel.info
    /// How a log line looks.
    package internal(set) var logFormat = SettingLogFormat.text

    /// Seconds after which `medallion demo` checks itself and ends; 0 = runs on.
    package internal(set) var demoSeconds = 0
    /// The recording that `medallion demo` plays; empty = the live stream or the generator.
    package internal(set) var recording = ""

    /// Whether the API answers questions without a key.
    package var isAnonymousReadAllowed: Bool {
        switch apiAnonymousRead {
        case .always: true
        case .never: false
        case .auto: apiListen.isLoopback
        }
    }
    /// Requests a second of one address without a valid key; 0 = any number.
    package var apiAddressRate: Int { apiAddressRateGiven ?? (apiListen.isLoopback ? 0 : 200) }
    /// Where the API is asked from this machine.
    package var apiURL: String {
        // A server that listens everywhere is asked through the loopback interface.
        var address = apiListen
        if address.host == "0.0.0.0" { address.host = "127.0.0.1" }
        if address.host == "::" { address.host = "::1" }
        return (apiTLSCertificate.isEmpty ? "http://" : "https://") + address.description
    }
    /// The folder that holds everything embedded. Absolute, as all folders here: files are told from others by their paths,
    /// and made durable by walking them up.
    package var dataDirectory: String { AbsolutePath.of(dataDirectoryText) }
    /// Where the lake is.
    package var lakeDirectory: String {
        lakeDirectoryText.isEmpty ? dataDirectory + "/lake" : AbsolutePath.of(lakeDirectoryText)
    }
    /// Where the embedded broker keeps its log.
    package var brokerDirectory: String {
        brokerDirectoryText.isEmpty ? dataDirectory + "/broker" : AbsolutePath.of(brokerDirectoryText)
    }
    /// Where the embedded Postgres keeps its cluster.
    package var postgresDirectory: String {
        postgresDirectoryText.isEmpty ? dataDirectory + "/postgres" : AbsolutePath.of(postgresDirectoryText)
    }

    /// Values of variables that were set, by name, redacted; the others have their defaults.
    package private(set) var given: [String: String] = [:]
    /// Variables that look like misspelt settings, with what was probably meant.
    package private(set) var suspects: [(found: String, meant: String)] = []

    /// Reads `environment`; variables that are not in the table are left alone.
    ///
    /// - Throws: all faults at once, each naming its variable.
    package init(environment: [String: String]) throws(SettingsError) {
        var faults: [SettingFault] = []
        for setting in Self.table {
            let text = environment[setting.name].flatMap { $0.isEmpty ? nil : $0 }
            if let text { given[setting.name] = setting.shown(text) }
            if let reason = setting.apply(text ?? setting.defaultText, &self) {
                let found = String(setting.shown(text ?? setting.defaultText).prefix(200))
                faults.append(SettingFault(name: setting.name, found: found, reason: reason.text))
            }
        }
        if !faults.isEmpty { throw SettingsError(faults: faults) }
        suspects = Misspelling.suspects(in: environment.keys.sorted(), names: Self.table.map(\.name))
    }

    /// Every setting with its present value (redacted) and whether the environment gave it.
    package var report: [(setting: Setting, value: String, isGiven: Bool)] {
        Self.table.map { setting in
            (setting, given[setting.name] ?? setting.shown(setting.defaultText), given[setting.name] != nil)
        }
    }
}

/// When the embedded broker makes records durable.
package enum BrokerFsync: String, Sendable, CaseIterable {
    /// Before they are acknowledged.
    case always
    /// A few times a second; a power cut may lose acknowledged records.
    case interval
}

/// How a topic keeps its records, as Kafka's `compression.type` names it.
package enum TopicCompression: String, Sendable, CaseIterable {
    /// As they come.
    case producer
    case uncompressed, gzip, snappy, lz4, zstd
}

/// Who takes which topic partitions of a stream job or an indexer.
package enum TopicPartitionAssignment: String, Sendable, CaseIterable {
    /// One process takes all.
    case all
    /// Processes share them as a consumer group.
    case group
}

/// What to do when a topic no longer holds the records that are wanted next, or holds them in a form that nobody can read.
package enum ExpiredOffsets: String, Sendable, CaseIterable {
    /// Stop and say what is missing.
    case stop
    /// Go on with what is there, and record the gap.
    case goOn = "continue"
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

/// Levels of the log, as `LOG_LEVEL` names them.
package enum SettingLogLevel: String, Sendable, CaseIterable {
    case debug, info, warning, error
}

/// Looks of a log line, as `LOG_FORMAT` names them.
package enum SettingLogFormat: String, Sendable, CaseIterable {
    case text, json
}

/// Keeps secrets out of what is printed.
package enum Redaction {
    /// Nothing of a secret, not even its length.
    package static func secret(_ text: String) -> String { text.isEmpty ? "" : "***" }

    /// A connection string without its password: `user:***@` in a URI, `password=***` in pairs and URI parameters.
    package static func dsn(_ text: String) -> String {
        var result = text
        if let scheme = result.firstRange(of: "://") {
            // The password may itself hold "@" (then written %40 by rule, but be safe): up to the last "@" of the
            // authority.
            let authorityEnd = result[scheme.upperBound...].firstIndex(of: "/") ?? result.endIndex
            let authority = result[scheme.upperBound..<authorityEnd]
            if let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") {
                result.replaceSubrange(result.index(after: colon)..<at, with: "***")
            } else if result[scheme.upperBound...].contains("@"), authority.lastIndex(of: "@") == nil {
                // A "/" inside the password: the form is not one we can cut safely.
                return String(result[..<scheme.upperBound]) + "***"
            }
        }
        for key in ["sslpassword", "password"] { result = redacting(key, in: result) }
        return result
    }

    private static func redacting(_ key: String, in text: String) -> String {
        var result = ""
        var rest = text[...]
        while let found = rest.firstRange(of: key) {
            result += rest[..<found.upperBound]
            rest = rest[found.upperBound...]
            let afterBlanks = rest.drop { $0 == " " }
            guard afterBlanks.first == "=" else { continue }
            result += "=***"
            var value = afterBlanks.dropFirst().drop { $0 == " " }
            if value.first == "'" {
                value = value.dropFirst()
                while let character = value.first, character != "'" {
                    value = value.dropFirst(character == "\\" ? 2 : 1)
                }
                value = value.dropFirst()
            } else {
                while let character = value.first, character != " ", character != "&" {
                    value = value.dropFirst(character == "\\" ? 2 : 1)
                }
            }
            rest = value
        }
        return result + rest
    }
}

/// Finds variables one slip away from a setting, which would otherwise be ignored silently.
private enum Misspelling {
    static func suspects(in found: [String], names: [String]) -> [(found: String, meant: String)] {
        let known = Set(names)
        return found.compactMap { word in
            guard !known.contains(word), word.utf8.count >= 6 else { return nil }
            return names.first { isOneSlip(Array(word.utf8), Array($0.utf8)) }.map { (word, $0) }
        }
    }

    /// Whether one byte was changed, added or left out.
    private static func isOneSlip(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard abs(left.count - right.count) <= 1 else { return false }
        let prefix = zip(left, right).prefix { $0 == $1 }.count
        let suffix = zip(left.reversed(), right.reversed()).prefix { $0 == $1 }.count
        return prefix + suffix >= max(left.count, right.count) - 1
    }
}
