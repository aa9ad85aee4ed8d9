extension Settings {
    /// The topics, and how those are made that do not exist yet.
    package struct Topics: Sendable {
        /// The topic of raw events.
        package internal(set) var raw = ""
        /// The topic of Gold documents and markers.
        package internal(set) var gold = ""
        /// The topic of suppressions and lifts.
        package internal(set) var suppressions = ""
        /// The topic of what operators ask of sources.
        package internal(set) var sourceRequests = ""
        /// Topic partitions of topics that we create.
        package internal(set) var partitions = 0
        /// Hours that records of the raw topic are kept; 0 = for ever.
        package internal(set) var rawRetentionHours = 0
        /// Hours that records of the Gold topic are kept; 0 = for ever.
        package internal(set) var goldRetentionHours = 0
        /// How topics keep their records compressed.
        package internal(set) var compression = TopicCompression.producer
        /// Copies of each topic partition; 0 = the broker's default.
        package internal(set) var replication = 0
    }
}

extension Settings.Topics: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "KAFKA_TOPIC", .broker, default: "wikimedia.recentchange", .kafkaName, \.topics.raw,
            "The topic of raw events."),
        Setting(
            "KAFKA_GOLD_TOPIC", .broker, default: "wikimedia.gold", .kafkaName, \.topics.gold,
            "The topic of Gold documents and commit markers."),
        Setting(
            "KAFKA_SUPPRESSIONS_TOPIC", .broker, default: "medallion.suppressions", .kafkaName, \.topics.suppressions,
            "The topic of what is suppressed and lifted: one topic partition, kept for ever."),
        Setting(
            "KAFKA_SOURCE_REQUESTS_TOPIC", .broker, default: "medallion.source-requests", .kafkaName,
            \.topics.sourceRequests,
            "The topic by which sources are paused, resumed and read again: one topic partition, kept for ever."),
        Setting(
            "KAFKA_TOPIC_PARTITIONS", .broker, default: "3", .integer(1...1_024), \.topics.partitions,
            "Topic partitions of topics that do not exist yet."),
        Setting(
            "KAFKA_TOPIC_RETENTION_HOURS", .broker, default: "168", .integer(0...1_000_000), \.topics.rawRetentionHours,
            "How long a raw topic that does not exist yet keeps its records; 0: for ever. A topic that is there stays as it "
                + "is, and the log tells where it differs."),
        Setting(
            "KAFKA_GOLD_RETENTION_HOURS", .broker, default: "0", .integer(0...1_000_000), \.topics.goldRetentionHours,
            "The same for the Gold topic, from which an empty index is filled; 0: for ever."),
        Setting(
            "KAFKA_TOPIC_COMPRESSION", .broker, default: "producer", .choice, \.topics.compression,
            "How topics that do not exist yet keep records: as they come, or compressed anew by the broker (the embedded "
                + "one does not)."),
        Setting(
            "KAFKA_REPLICATION", .broker, default: "0", .integer(0...32), \.topics.replication,
            "Copies of each topic partition of topics that do not exist yet; 0: the broker's default."),
    ]
}

/// How a topic keeps its records, as Kafka's `compression.type` names it.
package enum TopicCompression: String, Sendable, CaseIterable {
    /// As they come.
    case producer
    case uncompressed, gzip, snappy, lz4, zstd
}
