import Kafka
import KafkaAccess
import Telemetry

/// Makes sure that the topic is there.
final class TopicSetup {
    private let configuration: ProducerConfiguration
    private let logger: Logger
    private let admin: KafkaAdmin
    private var wasCompared = false

    init(configuration: ProducerConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        admin = try KafkaAdmin(configuration.kafka)
    }

    /// The numbers of the topic's topic partitions; creates it where it is missing. In what it differs from its
    /// declaration is asked and told once.
    func ensure(timeoutMilliseconds: Int) throws(KafkaError) -> [Int32] {
        if wasCompared {
            let found = try admin.metadata(topic: configuration.topic, timeoutMilliseconds: timeoutMilliseconds).topics
            if let topic = found.first(where: { $0.name == configuration.topic }), !topic.partitions.isEmpty {
                return topic.partitions
            }
        }
        let partitions = try admin.ensure(
            TopicPlan(
                name: configuration.topic, partitions: configuration.topicPartitions,
                replicationFactor: configuration.replicationFactor, properties: configuration.topicProperties),
            logger: logger, timeoutMilliseconds: timeoutMilliseconds)
        wasCompared = true
        return partitions
    }
}
