import Bytes

extension Settings {
    /// Which broker is used, and how the embedded one runs.
    package struct Broker: Sendable {
        /// Kafka's bootstrap servers; empty = the embedded broker.
        package internal(set) var bootstrapServers = ""
        /// Where the embedded broker listens.
        package internal(set) var listen = SettingAddress(host: "", port: 0)
        /// When the embedded broker makes records durable.
        package internal(set) var fsync = BrokerFsync.always
    }
}

extension Settings.Broker: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "KAFKA_BROKERS", .broker, default: "", .addressList, \.broker.bootstrapServers,
            "Kafka's or Redpanda's bootstrap servers. Empty: the embedded broker.",
            shown: Redaction.url,
            aliases: ["KAFKA_BOOTSTRAP_SERVERS", "BOOTSTRAP_SERVERS"],
            production: "The embedded broker keeps one copy, on one machine."),
        Setting(
            "BROKER_LISTEN", .broker, default: "127.0.0.1:19092", .address, \.broker.listen,
            "Where the embedded broker listens. It has no authentication: keep it on the loopback interface.",
            shown: Redaction.url),
        Setting(
            "BROKER_FSYNC", .broker, default: "always", .choice, \.broker.fsync,
            "When the embedded broker makes records durable: before it acknowledges them, or a few times a second."),
    ]
}

/// When the embedded broker makes records durable.
package enum BrokerFsync: String, Sendable, CaseIterable {
    /// Before they are acknowledged.
    case always
    /// A few times a second; a power cut may lose acknowledged records.
    case interval
}
