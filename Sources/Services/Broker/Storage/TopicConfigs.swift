/// A topic's settings as Kafka names them. Only those that this broker follows are accepted, so that nobody believes in
/// a setting that does nothing; a few that cannot matter with one broker are accepted at the value that holds anyway.
struct TopicConfigs: Equatable, Sendable {
    struct Entry: Equatable, Sendable {
        var name: String
        var value: String
        /// Not set for this topic.
        var isDefault: Bool
        /// Only one value is possible.
        var isFixed = false
        /// DEFAULT_CONFIG or DYNAMIC_TOPIC_CONFIG of the protocol's sources.
        var source: Int8 { isDefault ? 5 : 1 }
    }

    /// What was set, by name, in Kafka's spelling.
    private(set) var values: [String: String] = [:]

    /// A setting that was refused, and why.
    struct Refusal: Error, Equatable {
        let message: String
    }

    private static let timestampType = "message.timestamp.type"
    private static let segmentBytes = "segment.bytes"
    private static let retentionMilliseconds = "retention.ms"
    private static let retentionBytes = "retention.bytes"
    private static let maxMessageBytes = "max.message.bytes"
    /// Accepted with this value only.
    private static let fixed = [
        "cleanup.policy": "delete", "min.insync.replicas": "1", "compression.type": "producer",
    ]

    /// - Throws: for an unknown name or a value that makes no sense.
    mutating func set(_ name: String, _ value: String?) throws(Refusal) {
        guard let value else {
            values[name] = nil
            return
        }
        let isValid: Bool
        switch name {
        case Self.timestampType: isValid = TimestampType(rawValue: value) != nil
        case Self.segmentBytes: isValid = Int(value).map { (1 << 14...1 << 30).contains($0) } ?? false
        case Self.maxMessageBytes: isValid = Int(value).map { (0...Int(Int32.max)).contains($0) } ?? false
        case Self.retentionMilliseconds, Self.retentionBytes: isValid = Int64(value).map { $0 >= -1 } ?? false
        default:
            guard let only = Self.fixed[name] else {
                throw Refusal(message: "\(name) is not a topic setting of this broker (see docs/broker.md)")
            }
            guard value == only else { throw Refusal(message: "\(name) can only be \(only) with this broker") }
            isValid = true
        }
        guard isValid else { throw Refusal(message: "\(value) is not a valid value of \(name)") }
        values[name] = value
    }

    /// How the topic's logs are kept.
    func logSettings(defaults: LogSettings) -> LogSettings {
        var settings = defaults
        if let type = values[Self.timestampType].flatMap(TimestampType.init(rawValue:)) {
            settings.timestampType = type
        }
        if let bytes = values[Self.segmentBytes].flatMap({ Int($0) }) { settings.segmentBytesMax = bytes }
        return settings
    }

    /// How long records are kept; nil for ever.
    var retention: LogRetention {
        func positive(_ name: String) -> Int64? { values[name].flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil } }
        return LogRetention(
            milliseconds: positive(Self.retentionMilliseconds), bytes: positive(Self.retentionBytes))
    }

    /// Bytes of a batch, where the topic says so itself.
    var batchBytesMax: Int? { values[Self.maxMessageBytes].flatMap { Int($0) } }

    /// All settings with their values, for the answers of CreateTopics and DescribeConfigs.
    func entries(defaults: LogSettings, batchBytesMax: Int) -> [Entry] {
        var all = Self.fixed
        all[Self.timestampType] = defaults.timestampType.rawValue
        all[Self.segmentBytes] = String(defaults.segmentBytesMax)
        all[Self.retentionMilliseconds] = "-1"
        all[Self.retentionBytes] = "-1"
        all[Self.maxMessageBytes] = String(batchBytesMax)
        return all.keys.sorted().map { name in
            Entry(
                name: name, value: values[name] ?? all[name] ?? "", isDefault: values[name] == nil,
                isFixed: Self.fixed[name] != nil)
        }
    }
}

/// How much of a log is kept; whole segments are dropped, never the one that grows.
struct LogRetention: Equatable, Sendable {
    /// Segments whose newest record is older are dropped; nil for no limit.
    var milliseconds: Int64?
    /// The oldest segments are dropped while the rest is at least this large; nil for no limit.
    var bytes: Int64?

    var isForever: Bool { milliseconds == nil && bytes == nil }
}
