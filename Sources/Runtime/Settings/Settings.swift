package import Bytes

/// The deployment's configuration, read once from the environment through ``table``.
///
/// The same table gives `--help`, docs/settings.md and the test that they agree. An empty variable counts as unset.
package struct Settings: Sendable {
    var sourcesFileText = ""
    /// The stream's URL (SSE).
    package internal(set) var wikimediaSSEURL = SecretURL("")
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
    package internal(set) var passageWeightMax = 0
    package internal(set) var passageOverlap = 0
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

    /// libpq's connection string; empty = the embedded Postgres.
    package internal(set) var postgresDSN = SecretURL("")
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
    /// Answers that are kept; 0 = any number.
    package internal(set) var answersRowsMax = 0
    /// Bytes of the answers that are kept; 0 = any number.
    package internal(set) var answersBytesMax = 0

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
    /// Names under which the API is asked, beside those of the loopback interface.
    package internal(set) var apiHosts: [String] = []
    /// Whether requests without a key may read; see ``isAnonymousReadAllowed``.
    var apiAnonymousRead = SettingAutomatic.auto
    /// Requests a second of one key; 0 = any number.
    package internal(set) var apiKeyRate = 0
    /// See ``apiAddressRate``.
    var apiAddressRateGiven: Int?
    /// See ``apiAnonymousWork``.
    var apiAnonymousWorkGiven: Int?
    /// Bytes a second that an address without a key gets of the stream's past; 0 = any number.
    package internal(set) var apiStreamCatchUpBytes = 0
    /// See ``apiConnectionsPerAddress``.
    var apiConnectionsPerAddressGiven: Int?
    /// See ``apiConnectionsPerKey``.
    var apiConnectionsPerKeyGiven: Int?
    /// Streams of one key at once; 0 = any number.
    package internal(set) var apiStreamsPerKey = 0
    /// See ``apiStreamsPerAddress``.
    var apiStreamsPerAddressGiven: Int?
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
    /// An event that waits for longer makes the index late, in seconds.
    package internal(set) var freshLateSeconds = 0.0
    /// An event that waits for longer makes the index stale, in seconds.
    package internal(set) var freshStaleSeconds = 0.0
    /// After so many seconds without an answer nobody knows how fresh the index is.
    package internal(set) var freshUnknownSeconds = 0.0
    /// A source that is silent for longer makes the index late, in seconds; 0 = it may be idle.
    package internal(set) var freshSilentSeconds = 0.0
    /// Whether `/answer` refuses while the index is stale or unknown.
    package internal(set) var answerRequiresFresh = false

    /// Where every role serves probes and metrics; nil = nowhere.
    package internal(set) var metricsListen: SettingAddress?

    /// The least level that is logged.
    package internal(set) var logLevel = SettingLogLevel.info
    /// How a log line looks.
    package internal(set) var logFormat = SettingLogFormat.text

    /// Seconds after which `medallion demo` checks itself and ends; 0 = runs on.
    package internal(set) var demoSeconds = 0
    /// The recording that `medallion demo` plays; empty = the live stream or the generator.
    package internal(set) var recording = ""

    /// Whether only this machine reaches the API: it listens on the loopback interface, and no proxy in front of it is named.
    package var isAPILocal: Bool { apiListen.isLoopback && apiTrustedProxies.isEmpty }
    /// Whether the API answers questions without a key, at least those of this machine.
    package var isAnonymousReadAllowed: Bool {
        switch apiAnonymousRead {
        case .always: true
        case .never: false
        case .auto: isAPILocal
        }
    }
    /// Whether it does so wherever they come from.
    package var isAnonymousReadForAll: Bool { apiAnonymousRead == .always }
    /// Requests a second of one address without a valid key; 0 = any number. Those of this machine are not counted where
    /// nothing was set and ``isAPILocal``.
    package var apiAddressRate: Int { apiAddressRateGiven ?? 200 }
    /// Milliseconds of work a second that requests without a valid key may cause together; 0 = any.
    ///
    /// - Parameter processors: of this machine.
    package func apiAnonymousWork(processors: Int) -> Int { apiAnonymousWorkGiven ?? 600 * max(1, processors) }
    /// Whether it was left to the program.
    package var isAnonymousWorkAutomatic: Bool { apiAnonymousWorkGiven == nil }
    /// Whether the limit was left to the program.
    package var isAddressRateAutomatic: Bool { apiAddressRateGiven == nil }
    /// Open connections of one address; 0 for any number.
    package var apiConnectionsPerAddress: Int {
        isAPILocal && areConnectionsPerAddressAutomatic ? 0 : apiRequestsPerAddress
    }
    /// Requests at once of one client whose connections cannot be counted, because they are a proxy's; 0 for any number.
    package var apiRequestsPerAddress: Int { apiConnectionsPerAddressGiven ?? max(1, apiConnectionsMax / 10) }
    /// Whether both were left to the program.
    package var areConnectionsPerAddressAutomatic: Bool { apiConnectionsPerAddressGiven == nil }
    /// Requests of one key under way at once; 0 for any number.
    package var apiConnectionsPerKey: Int { apiConnectionsPerKeyGiven ?? max(1, apiConnectionsMax / 4) }
    /// Streams of one address without a valid key at once; 0 = any number. Those of this machine are not counted where nothing
    /// was set and ``isAPILocal``.
    package var apiStreamsPerAddress: Int { apiStreamsPerAddressGiven ?? 100 }
    /// Whether the limit was left to the program.
    package var areStreamsPerAddressAutomatic: Bool { apiStreamsPerAddressGiven == nil }
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
    /// The file that declares the sources; empty = looked for, see SOURCES_FILE. Absolute.
    package var sourcesFile: String { sourcesFileText.isEmpty ? "" : AbsolutePath.of(sourcesFileText) }
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

    /// Values of settings that were set, by the setting's name, redacted; the others have their defaults.
    package private(set) var given: [String: String] = [:]
    /// The variables that gave them, where those have other names: aliases by the setting's name.
    package private(set) var givenByAlias: [String: String] = [:]
    /// Variables that are no settings and look as if they were meant to be.
    package private(set) var suspects: [SuspectVariable] = []

    /// Reads `environment`; variables that are neither in the table nor aliases are left alone.
    ///
    /// - Throws: all faults at once, each naming its variable.
    package init(environment: [String: String]) throws(SettingsError) {
        var faults: [SettingFault] = []
        for setting in Self.table {
            let (variable, text, contradiction) = setting.find(in: environment)
            if let contradiction {
                faults.append(contradiction)
                continue
            }
            if let text { given[setting.name] = setting.shown(text) }
            if let variable, variable != setting.name { givenByAlias[setting.name] = variable }
            if let reason = setting.apply(text ?? setting.defaultText, &self) {
                let found = String(setting.shown(text ?? setting.defaultText).prefix(200))
                let isAlias = variable != nil && variable != setting.name
                faults.append(
                    SettingFault(
                        name: variable ?? setting.name, found: found,
                        reason: reason.text + (isAlias ? " (it is read as \(setting.name))" : "")))
            }
        }
        if !faults.isEmpty { throw SettingsError(faults: faults) }
        suspects = SuspectVariable.all(in: environment, table: Self.table)
    }

    /// Every setting with its present value (redacted) and the variable that gave it; nil where that is the default.
    package var report: [(setting: Setting, value: String, variable: String?)] {
        Self.table.map { setting in
            let value = given[setting.name]
            let variable = value == nil ? nil : givenByAlias[setting.name] ?? setting.name
            return (setting, value ?? setting.shown(setting.defaultText), variable)
        }
    }
}

extension Settings: CustomStringConvertible {
    /// What was given, redacted: passwords are among the fields.
    package var description: String {
        given.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
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
