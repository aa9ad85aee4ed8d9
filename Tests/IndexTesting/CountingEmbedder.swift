import Bytes
package import Embeddings
import Kafka
import Synchronization

/// Vectors that depend only on the text, and a count of the texts that it was given.
package final class CountingEmbedder: TextEmbedder {
    package let dimensions = 384
    package let modelName = "test"
    private let texts = Mutex<[String]>([])
    /// Calls that fail before the first success.
    private let failures: Mutex<Int>

    package init(failures: Int = 0) {
        self.failures = Mutex(failures)
    }

    package var embedded: [String] { texts.withLock { $0 } }

    package func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        let fails = failures.withLock { left in
            defer { left = max(0, left - 1) }
            return left > 0
        }
        if fails {
            throw KafkaError(
                kind: .timedOut, operation: "embed", subject: "test", reason: "on purpose", isRetriable: true)
        }
        self.texts.withLock { $0 += texts }
        return texts.map { text in
            var generator = SeededGenerator(seed: text.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
            return IndexFixture.vector(&generator)
        }
    }
}
