import Bytes
import Concurrency
import HTTPEndpoints
import Synchronization

/// Turns queries into vectors: the model behind a cache, with a time limit.
package final class QueryEmbedder: Sendable {
    /// Name of the model; vectors of different models do not compare.
    package let modelName: String
    private let embed: @Sendable ([String]) async throws -> [[Float]]
    private let embedSentences: @Sendable ([String]) async throws -> [[Float]]
    private let cache: Mutex<LRUCache<[Float]>>

    /// - Parameters:
    ///   - cacheMax: vectors kept (384 floats are 1.5 kB).
    ///   - embedSentences: the same for the sentences of answers, which must not stand before a query; `embed` if nil.
    ///   - embed: L2-normalised vectors in the order of the texts, ahead of batch work.
    package init(
        modelName: String, cacheMax: Int = 1_024,
        embedSentences: (@Sendable ([String]) async throws -> [[Float]])? = nil,
        embed: @escaping @Sendable ([String]) async throws -> [[Float]]
    ) {
        self.modelName = modelName
        self.embed = embed
        self.embedSentences = embedSentences ?? embed
        cache = Mutex(LRUCache(countMax: cacheMax))
    }

    /// The vector of a query; from the cache where the same text was asked before.
    func vector(of text: String, deadline: Deadline) async throws -> [Float] {
        if let known = cache.withLock({ $0.value(for: text) }) { return known }
        guard let vector = try await vectors(of: [text], deadline: deadline).first else {
            throw APIError.unavailable("the embedding model", "it gave no vector")
        }
        cache.withLock { $0.insert(vector, for: text) }
        return vector
    }

    /// Vectors as of queries, never from the cache.
    func vectors(of texts: [String], deadline: Deadline) async throws -> [[Float]] {
        try await vectors(of: texts, deadline: deadline, embed)
    }

    /// Vectors of an answer's sentences, behind all queries; they will hardly be asked for again.
    func vectors(ofSentences texts: [String], deadline: Deadline) async throws -> [[Float]] {
        try await vectors(of: texts, deadline: deadline, embedSentences)
    }

    private func vectors(
        of texts: [String], deadline: Deadline, _ embed: @escaping @Sendable ([String]) async throws -> [[Float]]
    ) async throws -> [[Float]] {
        guard !texts.isEmpty else { return [] }
        let vectors = try await withDeadline(deadline, what: "embedding") { try await embed(texts) }
        guard vectors.count == texts.count else {
            throw APIError.unavailable(
                "the embedding model", "it gave \(vectors.count) vectors for \(texts.count) texts")
        }
        return vectors
    }
}
