/// How the embedded broker runs. The defaults are those of one machine.
package struct BrokerConfiguration: Sendable {
    /// What an acknowledgement means.
    package enum Durability: Sendable, Equatable {
        /// fdatasync before the acknowledgement: survives a power cut.
        case always
        /// fdatasync every so many milliseconds: a power cut may take the last ones, a killed process loses nothing.
        case interval(milliseconds: Int)
    }

    /// Holds everything the broker keeps; made when absent. One broker at a time (a lock file says so).
    package var directory: String
    /// The address to listen on.
    package var host = "127.0.0.1"
    /// 0 for any free port.
    package var port: UInt16 = 19_092
    /// The host that clients are told to connect to; nil for the listening address (or 127.0.0.1 where that is any).
    package var advertisedHost: String?
    package var durability = Durability.always
    /// Topics come into being when a client asks for them.
    package var createsTopics = false
    /// Topic partitions of a topic whose creator does not say.
    package var partitionsDefault = 3
    /// Topics keep the broker's time of arrival (Kafka's LogAppendTime) unless they are created otherwise.
    package var usesLogAppendTime = true
    /// Bytes of one log segment.
    package var segmentBytesMax = 128 << 20
    /// Bytes of one record batch, unless the topic has `max.message.bytes`.
    package var batchBytesMax = 8 << 20
    /// Bytes of one request; what is longer closes the connection.
    package var requestBytesMax = 100 << 20
    /// Bytes that all half-received and unanswered requests may hold together.
    package var requestMemoryBytesMax = 256 << 20
    /// Connections at the same time.
    package var connectionsMax = 2_000
    /// Bounds on consumer groups.
    var groupLimits = GroupLimits()
    /// How often retention is looked at, in milliseconds.
    package var retentionCheckMilliseconds = 30_000

    /// - Parameter directory: see ``directory``.
    package init(directory: String) {
        self.directory = directory
    }

    var logDefaults: LogSettings {
        LogSettings(
            segmentBytesMax: segmentBytesMax, timestampType: usesLogAppendTime ? .logAppendTime : .createTime)
    }

    /// The settings that administrators' tools ask a broker for, by Kafka's names; none can be changed while it runs.
    var entries: [TopicConfigs.Entry] {
        let values = [
            ("auto.create.topics.enable", String(createsTopics)),
            ("group.initial.rebalance.delay.ms", String(groupLimits.initialDelayMilliseconds)),
            ("group.max.session.timeout.ms", String(groupLimits.sessionMilliseconds.upperBound)),
            ("group.max.size", String(groupLimits.membersMax)),
            ("group.min.session.timeout.ms", String(groupLimits.sessionMilliseconds.lowerBound)),
            ("log.message.timestamp.type", logDefaults.timestampType.rawValue),
            ("log.retention.bytes", "-1"),
            ("log.retention.check.interval.ms", String(retentionCheckMilliseconds)),
            ("log.retention.ms", "-1"),
            ("log.segment.bytes", String(segmentBytesMax)),
            ("max.connections", String(connectionsMax)),
            ("message.max.bytes", String(batchBytesMax)),
            ("num.partitions", String(partitionsDefault)),
            ("socket.request.max.bytes", String(requestBytesMax)),
        ]
        return values.map { TopicConfigs.Entry(name: $0.0, value: $0.1, isDefault: true, isFixed: true) }
    }

    var hostForClients: String {
        advertisedHost ?? (["0.0.0.0", "::", ""].contains(host) ? "127.0.0.1" : host)
    }
}
