import Bytes
import Concurrency
import HTTPEndpoints
import Synchronization
package import Telemetry

/// Turns queries into vectors: the model behind a cache, with a time limit.
package final class QueryEmbedder: Sendable {
    /// Name of the model; vectors of different models do not compare.
    package let modelName: String
    private let embed: @Sendable ([String]) async throws -> [[Float]]
    private let embedSentences: @Sendable ([String]) async throws -> [[Float]]
    /// Of this model's vectors by the query's text.
    private let cache: Mutex<LRUCache<[Float]>>
    private let hits: Counter?
    private let misses: Counter?
    private let cached: CacheMetrics?

    /// - Parameters:
    ///   - cacheBytesMax: memory for vectors that are kept (384 numbers and a short query are about 1.7 kB).
    ///   - registry: where queries that were asked before are counted; nil: nowhere.
    ///   - embedSentences: the same for the sentences of answers, which must not stand before a query; `embed` if nil.
    ///   - embed: L2-normalised vectors in the order of the texts, ahead of batch work.
    package init(
        modelName: String, cacheBytesMax: Int = 1 << 24, registry: MetricsRegistry? = nil,
        embedSentences: (@Sendable ([String]) async throws -> [[Float]])? = nil,
        embed: @escaping @Sendable ([String]) async throws -> [[Float]]
    ) {
        self.modelName = modelName
        self.embed = embed
        self.embedSentences = embedSentences ?? embed
        cache = Mutex(LRUCache(countMax: .max, bytesMax: cacheBytesMax))
        hits = registry?.counter(
            "medallion_api_embed_cache_hits_total", help: "Queries whose vector was kept from an earlier search.")
        misses = registry?.counter(
            "medallion_api_embed_cache_misses_total", help: "Queries that had to be embedded.")
        cached = registry.map { CacheMetrics($0, .queryEmbeddings) }
        cached?.show(
            bytes: { [weak self] in self?.cache.withLock { $0.bytes } ?? 0 },
            entries: { [weak self] in self?.cache.withLock { $0.count } ?? 0 },
            evictions: { [weak self] in self?.cache.withLock { $0.evictions } ?? 0 })
    }

    /// The vector of a query; from the cache where the same text was asked before.
    func vector(of text: String, deadline: Deadline) async throws -> [Float] {
        if let known = cache.withLock({ $0.value(for: text) }) {
            hits?.increment()
            cached?.hits.increment()
            return known
        }
        misses?.increment()
        cached?.misses.increment()
        // A server may refuse a text, whose vector is empty then.
        guard let vector = try await vectors(of: [text], deadline: deadline).first, !vector.isEmpty else {
            throw APIError.unavailable("the embedding model", "it gave no vector")
        }
        let bytes = vector.count * MemoryLayout<Float>.stride
        cache.withLock { $0.insert(vector, for: text, valueBytes: bytes) }
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
        let vectors = try await withDeadline(deadline, what: "embedding", isLight: true) { try await embed(texts) }
        guard vectors.count == texts.count else {
            throw APIError.unavailable(
                "the embedding model", "it gave \(vectors.count) vectors for \(texts.count) texts")
        }
        return vectors
    }
}
