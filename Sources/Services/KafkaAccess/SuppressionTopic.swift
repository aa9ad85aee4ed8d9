package import Kafka
package import Records
package import Settings
import Synchronization

extension TopicPlan {
    /// The topic of suppressions: one topic partition, so that a lift never comes before what it lifts, and kept for ever.
    package init(suppressions settings: Settings) { self.init(entries: settings.topics.suppressions, settings) }
}

/// Hands suppressions and lifts to their topic.
package typealias SuppressionPublisher = EntryPublisher<SuppressionEntry>

/// Follows the suppressions' topic.
package typealias SuppressionFollower = EntryFollower<SuppressionEntry>

extension SuppressionEntry: TopicEntry {
    /// See ``TopicEntry``.
    package static var what: String { "suppressions" }
    /// See ``TopicEntry``.
    package static var wordsOfLostBeginning: String { "what stood there is known by the lake's log alone" }
}

/// What keeps suppressions from being kept or applied, for `/health`.
package final class SuppressionFaults: Sendable {
    private let reasons = Mutex<[String: String]>([:])

    package init() {}

    /// What is wrong now; nil where nothing is.
    package var current: String? {
        reasons.withLock { reasons in
            reasons.isEmpty ? nil : reasons.sorted { $0.key < $1.key }.map(\.value).joined(separator: "; ")
        }
    }

    /// Takes note of what keeps a service from its work.
    ///
    /// - Returns: whether it is another reason than before.
    package func note(_ reason: String, by service: String) -> Bool {
        reasons.withLock { $0.updateValue(reason, forKey: service) != reason }
    }

    /// Takes it back.
    package func clear(by service: String) {
        reasons.withLock { _ = $0.removeValue(forKey: service) }
    }
}
