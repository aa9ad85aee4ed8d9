package import Bytes
package import Kafka
import KafkaAccess
import Records
package import Settings

/// Everything that one producer needs to know. Times in milliseconds.
package struct ProducerConfiguration: Sendable {
    /// The event stream, `http:` or `https:`.
    package var url: SecretURL
    /// Names this client and a contact to the source.
    package var userAgent: String
    /// How to reach the brokers.
    package var kafka: KafkaConfiguration
    /// Where events go.
    package var topic: String
    /// Topic partitions of a topic that does not exist yet.
    package var topicPartitions: Int
    /// Copies of each topic partition of a new topic; -1 is the broker's default.
    package var replicationFactor = -1
    /// Properties of a new topic, in Kafka's spelling.
    package var topicProperties = TopicPlan.brokerTime
    /// Wait before the first reconnect; it doubles up to `reconnectMaxMilliseconds`.
    package var reconnectMilliseconds = 1_000
    package var reconnectMaxMilliseconds = 60_000
    /// Shortest wait after the source refused us (401, 403, 404 …): only people can change that.
    package var refusedMilliseconds = 30_000
    /// Longest wait that a Retry-After of the source may ask for.
    package var retryAfterMaxMilliseconds = 3_600_000
    /// How long a connect may take, and how long the stream may stay silent.
    package var timeoutMilliseconds = 30_000
    /// Events taken in a minute; 0 is no limit.
    package var maxEventsPerMinute = 0
    /// Larger events are counted and left out.
    package var eventBytesMax = 4_000_000
    /// How far to go back in a resume position that is a time; see ``ResumeID``.
    package var rewindMilliseconds: Int64 = 30_000
    /// Records on their way to the broker; then reading stops.
    package var queueMaxRecords = 20_000
    /// Kilobytes on their way to the broker; then reading stops.
    package var queueMaxKilobytes = 65_536
    /// How long a stop waits for acknowledgements; what is not acknowledged is fetched again after the next start.
    package var drainMilliseconds = 10_000

    package init(url: SecretURL, userAgent: String, kafka: KafkaConfiguration, topic: String, topicPartitions: Int = 3)
    {
        self.url = url
        self.userAgent = userAgent
        self.kafka = kafka
        self.topic = topic
        self.topicPartitions = topicPartitions
    }

    /// For a connector that follows no event stream.
    package init(kafka: KafkaConfiguration, topic: String, topicPartitions: Int = 3) {
        self.init(url: SecretURL(""), userAgent: "", kafka: kafka, topic: topic, topicPartitions: topicPartitions)
    }

    /// - Parameter url: the event stream, in which there may be secrets.
    package init(url: String, userAgent: String, kafka: KafkaConfiguration, topic: String, topicPartitions: Int = 3) {
        self.init(
            url: SecretURL(url), userAgent: userAgent, kafka: kafka, topic: topic, topicPartitions: topicPartitions)
    }

    /// What the settings say of every source.
    package init(_ settings: Settings, kafka: KafkaConfiguration, topic: String) {
        self.init(
            url: settings.source.url, userAgent: settings.source.userAgent, kafka: kafka, topic: topic,
            topicPartitions: settings.topics.partitions)
        let plan = TopicPlan(source: settings)
        replicationFactor = plan.replicationFactor
        topicProperties = plan.properties
        reconnectMilliseconds = Int(settings.source.reconnectSleepSeconds * 1_000)
        reconnectMaxMilliseconds = max(reconnectMilliseconds, Int(settings.source.reconnectMaxSeconds * 1_000))
        refusedMilliseconds = Int(settings.source.reconnectRefusedSeconds * 1_000)
        timeoutMilliseconds = Int(settings.source.requestTimeoutSeconds * 1_000)
        maxEventsPerMinute = settings.source.maxEventsPerMinute
    }
}

/// The headers of a source record.
package enum RecordHeaders {
    /// The source's id as of this event.
    package static let sseID = "sse_id"
    /// When this platform received the event: decimal milliseconds since 1970.
    package static let ingestTime = IngestTimeHeader.header
    /// This event's number in the order of arrival: decimal.
    package static let position = "position"
    /// Up to where everything was acknowledged when this record was sent: the number, a blank, the source's id.
    package static let acknowledged = "acked_position"
}
