import Concurrency
import Embeddings
import Kafka
import Store

/// Why the indexer stopped.
package struct IndexerError: Error, CustomStringConvertible, Sendable {
    /// The sort of failure.
    package enum Kind: String, Sendable {
        /// Gold that was never indexed is no longer in the topic.
        case gap
        /// Gold that was never indexed is in the topic, but cannot be read.
        case unreadable
        /// The index holds another source topic of the same name.
        case otherTopic
        /// The embedder gave something unusable.
        case embedder
        /// The topic is not there yet.
        case noTopic
    }

    /// What sort of failure it is.
    package let kind: Kind
    /// What failed, on what, and why.
    package let message: String
    /// What an operator can do.
    package let hint: String?

    package init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }

    package var description: String { "indexer: \(message)" + (hint.map { "; hint: \($0)" } ?? "") }

    /// Whether time can heal it. Failures of the embedder count: nothing may be lost, and the log says why it waits.
    static func isRetriable(_ error: any Error) -> Bool {
        switch error {
        case let error as IndexError: error.isRetriable
        case let error as KafkaError:
            // Where an offset is gone, the next session looks at the log's bounds and says what is missing.
            error.isRetriable || error.kind == .unknownTopicOrPartition || error.kind == .offsetOutOfRange
        case let error as IndexerError: ![.gap, .unreadable, .otherTopic].contains(error.kind)
        case is EmbeddingError: true
        case let error as LaneError: error.isRetriable
        default: false
        }
    }
}
