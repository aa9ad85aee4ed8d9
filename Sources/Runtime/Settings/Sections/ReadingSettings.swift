extension Settings {
    /// How stream jobs and indexers share topic partitions, and what they do about records that are gone.
    package struct Reading: Sendable {
        /// The consumer group, whose offsets are informational.
        package internal(set) var group = ""
        /// Who takes which topic partitions.
        package internal(set) var assignment = TopicPartitionAssignment.all
        /// Seconds of silence after which a group gives a process' topic partitions to others.
        package internal(set) var sessionSeconds = 0.0
        /// What to do about records that expired before they were read.
        package internal(set) var expiredOffsets = ExpiredOffsets.stop
    }
}

extension Settings.Reading: SettingsSection {
    package static let table: [Setting] = [
        Setting(
            "KAFKA_GROUP", .broker, default: "medallion", .kafkaName, \.reading.group,
            "The consumer group; the indexers' is the same with `-index`. Its offsets are informational: the lake's "
                + "commit log is the truth.", aliases: ["KAFKA_GROUP_ID", "KAFKA_CONSUMER_GROUP"]),
        Setting(
            "KAFKA_ASSIGNMENT", .broker, default: "all", .choice, \.reading.assignment,
            "Which topic partitions a stream job or an indexer takes: all, or those that the consumer group gives it, so "
                + "that several processes share them."),
        Setting(
            "KAFKA_SESSION_SEC", .broker, default: "10", .seconds(1...1_800), \.reading.sessionSeconds,
            "How long a process of the group may be silent until the others take its topic partitions over."),
        Setting(
            "EXPIRED_OFFSETS", .broker, default: "stop", .choice, \.reading.expiredOffsets,
            "What stream job and indexer do when a topic no longer holds the records that they want next, or holds them in "
                + "a form that nobody can read: stop and say which, or go on with the next that can be read and record "
                + "the gap in the lake's commit log."),
    ]
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
    /// Continue at the oldest record that is left, and record the gap.
    case goOn = "continue"
}
