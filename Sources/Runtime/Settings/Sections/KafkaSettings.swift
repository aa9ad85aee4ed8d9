import Bytes

extension Settings {
    /// How other brokers than the embedded one are reached.
    package struct Kafka: Sendable {
        /// What clients are called in the brokers' logs.
        package internal(set) var clientID = ""
        var security = KafkaSecurity.plaintext
        var authorities = ""
        var certificate = ""
        var key = ""
        var mechanism = KafkaMechanism.scramSHA256
        var user = ""
        /// A secret: never print it.
        var password = ""
        var extra: [String: String] = [:]
    }
}

extension Settings.Kafka: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "KAFKA_CLIENT_ID", .broker, default: "medallion", .kafkaName, \.kafka.clientID,
            "What clients are called in the brokers' logs; a dash and the role follow."),
        Setting(
            "KAFKA_SECURITY_PROTOCOL", .broker, default: "plaintext", .choice, \.kafka.security,
            "Whether connections to `KAFKA_BROKERS` use TLS, SASL, or both."),
        Setting(
            "KAFKA_SSL_CA_LOCATION", .broker, default: "", .text("file or folder"), \.kafka.authorities,
            "Certificates of the authorities that the brokers' certificates are checked by. Empty: the system's."),
        Setting(
            "KAFKA_SSL_CERTIFICATE_LOCATION", .broker, default: "", .text("file"), \.kafka.certificate,
            "This platform's certificate (PEM), where the brokers ask for one."),
        Setting(
            "KAFKA_SSL_KEY_LOCATION", .broker, default: "", .text("file"), \.kafka.key, "Its private key (PEM)."),
        Setting(
            "KAFKA_SASL_MECHANISM", .broker, default: "scram-sha-256", .choice, \.kafka.mechanism,
            "How user name and password are shown to the brokers."),
        Setting(
            "KAFKA_SASL_USERNAME", .broker, default: "", .text("name"), \.kafka.user, "The user name."),
        Setting(
            "KAFKA_SASL_PASSWORD", .broker, default: "", .text("secret"), \.kafka.password,
            "The password. Never printed.", shown: Redaction.secret),
        Setting(
            "KAFKA_PROPERTIES", .broker, default: "", .properties, \.kafka.extra,
            "Any properties of librdkafka, which win over everything but what the platform's promises rest on (such as "
                + "acks and idempotence). Never printed, as secrets may be among them.", shown: Redaction.secret),
    ]
}

extension Settings {
    /// librdkafka's properties that follow from these settings; none of it concerns the embedded broker.
    package var kafkaProperties: [String: String] { broker.bootstrapServers.isEmpty ? [:] : kafka.properties }
}

extension Settings.Kafka {
    fileprivate var properties: [String: String] {
        var properties = ["security.protocol": security.rawValue]
        func add(_ name: String, _ value: String) { if !value.isEmpty { properties[name] = value } }
        if security.usesTLS {
            add("ssl.ca.location", authorities)
            add("ssl.certificate.location", certificate)
            add("ssl.key.location", key)
        }
        if security.usesSASL {
            add("sasl.mechanisms", mechanism.rawValue.uppercased())
            add("sasl.username", user)
            add("sasl.password", password)
        }
        return properties.merging(extra) { $1 }
    }
}

/// How connections to Kafka are protected, as `KAFKA_SECURITY_PROTOCOL` names it; the words are librdkafka's.
package enum KafkaSecurity: String, Sendable, CaseIterable {
    case plaintext, ssl
    case saslPlaintext = "sasl_plaintext"
    case saslTLS = "sasl_ssl"

    var usesSASL: Bool { self == .saslPlaintext || self == .saslTLS }
    var usesTLS: Bool { self == .ssl || self == .saslTLS }
}

/// How this platform proves to Kafka who it is, as `KAFKA_SASL_MECHANISM` names it.
package enum KafkaMechanism: String, Sendable, CaseIterable {
    case plain
    case scramSHA256 = "scram-sha-256"
    case scramSHA512 = "scram-sha-512"
}

extension SettingParser where Value == [String: String] {
    /// `name=value` pairs separated by semicolons; a value may hold commas and equal signs.
    static var properties: Self {
        Self(grammar: "`name=value[;name=value…]`") { text in
            var properties: [String: String] = [:]
            for pair in text.split(separator: ";") where pair.contains(where: { $0 != " " }) {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let name = String(parts[0].filter { $0 != " " })
                guard parts.count == 2, !name.isEmpty else { return .failure("has a part that is not name=value") }
                properties[name] = String(parts[1])
            }
            return .success(properties)
        }
    }
}
