import CRDKafka

/// How to reach a cluster. Everything has a default but the brokers.
package struct KafkaConfiguration: Sendable {
    /// `host:port`, several separated by commas.
    package var brokers: String
    /// Name of this client in the brokers' logs.
    package var clientID: String
    /// Any librdkafka property, set last, so that it wins; see librdkafka's CONFIGURATION.md for names and units.
    package var extra: [String: String]
    /// Receives librdkafka's log lines, on whichever thread drains the client's events. Nil discards them.
    package var logHandler: (@Sendable (KafkaLogLine) -> Void)?

    /// Receives librdkafka's statistics every five seconds: JSON as in its STATISTICS.md. On whichever thread drains the
    /// client's events. Nil: none are made.
    package var statisticsHandler: (@Sendable ([UInt8]) -> Void)?

    package init(
        brokers: String, clientID: String = "medallion", extra: [String: String] = [:],
        logHandler: (@Sendable (KafkaLogLine) -> Void)? = nil
    ) {
        self.brokers = brokers
        self.clientID = clientID
        self.extra = extra
        self.logHandler = logHandler
    }
}

/// One line of librdkafka's log.
package struct KafkaLogLine: Sendable {
    /// Syslog's: 0 emergency … 3 error, 4 warning, 6 info, 7 debug.
    package var severity: Int
    /// librdkafka's short word for the place, like `FAIL` or `CONNFAIL`.
    package var facility: String
    package var message: String
}

/// librdkafka's configuration object until a client takes it over.
///
/// It is destroyed on every path that does not end in a client, so that a wrong property leaks nothing.
struct Conf: ~Copyable {
    private let pointer: OpaquePointer

    /// Properties that this module's promises rest on; the escape hatch may not change them.
    private static let managed: Set<String> = [
        "log.queue", "enable.auto.commit", "enable.auto.offset.store", "enable.idempotence", "acks",
        "request.required.acks", "auto.offset.reset", "bootstrap.servers", "metadata.broker.list", "group.id",
        "log_cb", "dr_cb", "dr_msg_cb", "error_cb", "consume_cb", "rebalance_cb", "offset_commit_cb",
    ]

    /// - Parameter joinsGroup: whether the client subscribes, and hears of rebalances as events.
    init(
        _ configuration: KafkaConfiguration, properties: [(String, String)], joinsGroup: Bool = false
    ) throws(KafkaError) {
        pointer = rd_kafka_conf_new()
        guard !configuration.brokers.isEmpty else {
            throw KafkaError(
                kind: .configuration, operation: "configure", subject: "bootstrap.servers", reason: "no brokers given",
                hint: "set KAFKA_BROKERS to host:port")
        }
        let common = [
            ("bootstrap.servers", configuration.brokers), ("client.id", configuration.clientID),
            // Nagle's algorithm with a delayed acknowledgement costs 40 ms per request on loopback.
            ("socket.nagle.disable", "true"), ("socket.keepalive.enable", "true"),
            ("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "2000"),
        ]
        for (name, value) in common { try set(name, value) }
        for (name, value) in properties { try set(name, value) }
        if configuration.statisticsHandler != nil { try set("statistics.interval.ms", "5000") }
        for (name, value) in configuration.extra.sorted(by: { $0.key < $1.key }) {
            guard !Self.managed.contains(name) else {
                throw KafkaError(
                    kind: .configuration, operation: "configure", subject: name,
                    reason: "this property is managed by the platform and cannot be set")
            }
            try set(name, value, isSecret: true)
        }
        if configuration.logHandler != nil {
            try set("log.queue", "true")
        } else {
            rd_kafka_conf_set_log_cb(pointer, nil)
        }
        rd_kafka_conf_set_events(
            pointer,
            RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG | RD_KAFKA_EVENT_OFFSET_COMMIT
                | RD_KAFKA_EVENT_STATS | (joinsGroup ? RD_KAFKA_EVENT_REBALANCE : 0))
    }

    deinit {
        rd_kafka_conf_destroy(pointer)
    }

    /// - Parameter isSecret: whether the value may be one. librdkafka's reason then stays untold, since it repeats the value, or
    ///   as much of it as fits.
    private func set(_ name: String, _ value: String, isSecret: Bool = false) throws(KafkaError) {
        var reason = [CChar](repeating: 0, count: 512)
        let result = rd_kafka_conf_set(pointer, name, value, &reason, reason.count)
        guard result == RD_KAFKA_CONF_OK else {
            let isUnknown = result == RD_KAFKA_CONF_UNKNOWN
            let untold = isUnknown ? "librdkafka knows no such property" : "librdkafka does not take its value"
            throw KafkaError(
                kind: .configuration, operation: "configure", subject: name, reason: isSecret ? untold : text(reason),
                hint: isSecret ? "see the names and values in librdkafka's CONFIGURATION.md" : "")
        }
    }

    /// Makes the client, which then owns the configuration.
    ///
    /// - Parameters:
    ///   - errors: must outlive the client.
    ///   - secrets: what no error may repeat.
    consuming func makeClient(
        _ type: rd_kafka_type_t, errors: ErrorInbox, secrets: [String]
    ) throws(KafkaError) -> OpaquePointer {
        rd_kafka_conf_set_opaque(pointer, Unmanaged.passUnretained(errors).toOpaque())
        rd_kafka_conf_set_error_cb(pointer) { handle, code, reason, opaque in
            guard let opaque else { return }
            Unmanaged<ErrorInbox>.fromOpaque(opaque).takeUnretainedValue().add(
                rd_kafka_resp_err_t(rawValue: code), reason.map { String(cString: $0) }, handle)
        }
        var reason = [CChar](repeating: 0, count: 512)
        guard let client = rd_kafka_new(type, pointer, &reason, reason.count) else {
            let told = KafkaSecrets.hidden(secrets, in: text(reason))
            _ = consume self
            throw KafkaError(kind: .configuration, operation: "configure", subject: "client", reason: told)
        }
        discard self
        return client
    }
}

/// Takes values that may be secret out of librdkafka's messages.
enum KafkaSecrets {
    /// Shorter ones hide innocent letters all over a message, and hardly are secrets.
    private static let bytesMin = 4

    /// - Returns: the message with `***` in place of the values, of one that it ends within, too: messages are cut at 512 bytes.
    static func hidden(_ values: [String], in message: String) -> String {
        var message = message
        for value in values.sorted(by: { $0.utf8.count > $1.utf8.count }) where value.utf8.count >= bytesMin {
            message = message.replacing(value, with: "***")
            let (told, bytes) = (Array(message.utf8), Array(value.utf8))
            var length = min(told.count, bytes.count - 1)
            while length >= bytesMin, !told.suffix(length).elementsEqual(bytes.prefix(length)) { length -= 1 }
            if length >= bytesMin { message = String(decoding: told.dropLast(length), as: UTF8.self) + "***" }
        }
        return message
    }
}

/// A C string in a fixed buffer as text.
func text(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

extension KafkaConfiguration {
    /// Values of the operator's, any of which may be a secret; but for places of files, without which nobody finds what is
    /// wrong.
    var secrets: [String] { extra.filter { !$0.key.hasSuffix(".location") }.map(\.value) }
}

extension KafkaConfiguration: CustomStringConvertible {
    /// Without the properties, among which passwords are.
    package var description: String { "\(clientID) at \(brokers)" }
}
