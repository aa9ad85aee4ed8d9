package import Kafka
package import Records

/// Counts how often a place was told to be unreadable while a look at it found nothing of the kind, so that reading it again
/// and again has an end.
package struct Contradictions: Sendable {
    private static let countMax = 3

    private var counts: [TopicPartition: (position: Int64, count: Int)] = [:]

    /// None so far.
    package init() {}

    /// To be called each time.
    ///
    /// - Throws: a retriable ``KafkaError`` at the third time for one position.
    package mutating func note(_ log: TopicPartition, at position: Int64) throws(KafkaError) {
        var count = 1
        if let before = counts[log], before.position == position { count += before.count }
        counts[log] = (position, count)
        guard count >= Self.countMax else { return }
        counts[log] = nil
        throw KafkaError(
            kind: .other, operation: "fetch", subject: "\(log)",
            reason: "what comes from offset \(position) on cannot be read, but no look at it finds that",
            isRetriable: true)
    }
}
