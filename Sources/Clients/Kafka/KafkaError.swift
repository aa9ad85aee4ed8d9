import CRDKafka

/// What went wrong between this process and a Kafka cluster, on what, and what an operator can do about it.
package struct KafkaError: Error, Sendable, CustomStringConvertible {
    /// The families of faults that callers tell apart; everything else is `other`.
    package enum Kind: Sendable, Equatable {
        /// The local queue of a producer is full: wait for delivery reports, then send again.
        case queueFull
        /// No answer in time.
        case timedOut
        /// A connection failed or was refused, or a host name did not resolve.
        case transport
        /// Every known broker is unreachable.
        case allBrokersDown
        /// The topic or the topic partition does not exist (any more).
        case unknownTopicOrPartition
        /// The wanted offset lies outside of what the log holds.
        case offsetOutOfRange
        /// The record is larger than the broker or the local limit allows.
        case messageTooLarge
        /// Wrong or missing credentials, or no permission.
        case authorization
        /// A property is unknown, has a wrong value, or is managed by this module.
        case configuration
        /// The topic exists already.
        case alreadyExists
        /// A group's coordinator is absent or moving, or a rebalance is going on.
        case coordinator
        /// Bytes failed their CRC or could not be decompressed or parsed.
        case corrupt
        /// The operation is not supported by the broker.
        case unsupported
        /// The client cannot go on; make a new one.
        case fatal
        case other
    }

    /// The family of the fault.
    package var kind: Kind
    /// librdkafka's code: below 0 local, above 0 from the broker; 0 where there is none.
    package var code: Int32
    /// What was being done: `produce`, `fetch`, `create topic` …
    package var operation: String
    /// On what: a topic, `topic[partition]`, a property, a list of brokers.
    package var subject: String
    /// librdkafka's words for it.
    package var reason: String
    /// What to do next; empty where nothing useful can be said.
    package var hint: String
    /// Whether the same call can succeed later with nothing changed by people.
    package var isRetriable: Bool

    package init(
        kind: Kind, code: Int32 = 0, operation: String, subject: String, reason: String, hint: String = "",
        isRetriable: Bool = false
    ) {
        self.kind = kind
        self.code = code
        self.operation = operation
        self.subject = subject
        self.reason = reason
        self.hint = hint
        self.isRetriable = isRetriable
    }

    package var description: String {
        var text = "Kafka: \(operation) failed"
        if !subject.isEmpty { text += " on \(subject)" }
        text += ": \(reason)"
        if !hint.isEmpty { text += " (\(hint))" }
        return text
    }

    /// - Parameter reason: more exact words than librdkafka's for the code alone, when there are any.
    init(_ code: rd_kafka_resp_err_t, operation: String, subject: String, reason: String? = nil) {
        let kind = Self.kind(of: code)
        self.init(
            kind: kind, code: code.rawValue, operation: operation, subject: subject,
            reason: reason.flatMap { $0.isEmpty ? nil : $0 } ?? String(cString: rd_kafka_err2str(code)),
            hint: Self.hint(for: kind), isRetriable: Self.isRetriable(code, kind))
    }

    /// Takes over `error` and destroys it.
    init(consuming error: OpaquePointer, operation: String, subject: String) {
        self.init(
            rd_kafka_error_code(error), operation: operation, subject: subject,
            reason: String(cString: rd_kafka_error_string(error)))
        if rd_kafka_error_is_retriable(error) != 0 { isRetriable = true }
        if rd_kafka_error_is_fatal(error) != 0 {
            kind = .fatal
            isRetriable = false
        }
        rd_kafka_error_destroy(error)
    }

    private static func kind(of code: rd_kafka_resp_err_t) -> Kind {
        switch code {
        case RD_KAFKA_RESP_ERR__QUEUE_FULL: .queueFull
        case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
            RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
            .timedOut
        case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__RESOLVE, RD_KAFKA_RESP_ERR__SSL,
            RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
            .transport
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN: .allBrokersDown
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
            .unknownTopicOrPartition
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
            RD_KAFKA_RESP_ERR__NO_OFFSET:
            .offsetOutOfRange
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: .messageTooLarge
        case RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
            RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
            .authorization
        case RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR__CONFLICT, RD_KAFKA_RESP_ERR_INVALID_CONFIG:
            .configuration
        case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: .alreadyExists
        case RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
            .coordinator
        case RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__BAD_COMPRESSION, RD_KAFKA_RESP_ERR_INVALID_MSG: .corrupt
        case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION: .unsupported
        case RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__FENCED: .fatal
        default: .other
        }
    }

    private static func isRetriable(_ code: rd_kafka_resp_err_t, _ kind: Kind) -> Bool {
        switch kind {
        case .queueFull, .timedOut, .transport, .allBrokersDown, .coordinator: return true
        case .unknownTopicOrPartition, .offsetOutOfRange, .messageTooLarge, .authorization, .configuration,
            .alreadyExists, .corrupt, .unsupported, .fatal:
            return false
        case .other:
            switch code {
            case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
                RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
                RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_NOT_CONTROLLER,
                RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__PURGE_QUEUE,
                RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR__IN_PROGRESS,
                RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, RD_KAFKA_RESP_ERR__PARTIAL:
                return true
            default:
                return false
            }
        }
    }

    private static func hint(for kind: Kind) -> String {
        switch kind {
        case .transport, .allBrokersDown:
            "is a broker running and reachable at KAFKA_BROKERS? See docs/troubleshooting.md"
        case .unknownTopicOrPartition: "was the topic deleted, or created with fewer topic partitions?"
        case .offsetOutOfRange: "the log's start moved past this offset, or the topic was created anew"
        case .messageTooLarge: "raise message.max.bytes here and at the broker"
        case .authorization: "check the broker's access rules and the SASL properties"
        case .fatal: "the client has to be made anew"
        default: ""
        }
    }
}
