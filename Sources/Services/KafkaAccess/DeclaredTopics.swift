package import Kafka
package import Settings
package import Telemetry

extension TopicPlan {
    /// What every topic of the platform needs: lake hours follow the broker's clock.
    package static let brokerTime = ["message.timestamp.type": "LogAppendTime"]

    /// The topic of raw events as the settings declare it.
    ///
    /// - Parameter topic: another one than the environment's, where a source declares it.
    package init(source settings: Settings, topic: String? = nil) {
        self.init(topic ?? settings.topics.raw, settings, retentionHours: settings.topics.rawRetentionHours)
    }

    /// The topic of Gold documents as the settings declare it.
    ///
    /// - Parameter topic: another one than the environment's, where a source declares it.
    package init(gold settings: Settings, topic: String? = nil) {
        self.init(topic ?? settings.topics.gold, settings, retentionHours: settings.topics.goldRetentionHours)
    }

    private init(_ name: String, _ settings: Settings, retentionHours: Int) {
        var properties = Self.brokerTime
        properties["retention.ms"] = retentionHours == 0 ? "-1" : String(retentionHours * 3_600_000)
        properties["compression.type"] = settings.topics.compression.rawValue
        self.init(
            name: name, partitions: settings.topics.partitions,
            replicationFactor: settings.topics.replication == 0 ? -1 : settings.topics.replication,
            properties: properties)
    }
}

extension KafkaAdmin {
    /// Makes a topic where it is missing, and tells where one that is there differs from its plan.
    ///
    /// - Returns: the numbers of its topic partitions.
    package func ensure(_ plan: TopicPlan, logger: Logger, timeoutMilliseconds: Int) throws(KafkaError) -> [Int32] {
        try ensured(plan, logger: logger, timeoutMilliseconds: timeoutMilliseconds).partitions
    }

    /// The same, with all that is known of the topic.
    func ensured(_ plan: TopicPlan, logger: Logger, timeoutMilliseconds: Int) throws(KafkaError) -> TopicState {
        let state = try ensure(plan, timeoutMilliseconds: timeoutMilliseconds)
        if state.isNew {
            logger.info("made the topic", ["topic": plan.name, "topic_partitions": String(state.partitions.count)])
        } else if !state.differences.isEmpty {
            logger.warning(
                "the topic is not as declared; it is used as it is",
                ["topic": plan.name, "differs": state.differences.joined(separator: "; ")])
        }
        return state
    }
}
