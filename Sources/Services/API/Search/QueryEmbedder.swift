import Bytes
import Concurrency
import HTTPEndpoints
import Synchronization
package import Telemetry

/// Turns queries into vectors: models behind a cache, with a time limit.
///
/// Searches begin with the model of the generation that was served last. Where another one is served by now, whoever finds out
/// says so (``have(_:isServed:deadline:)``), and embeds again.
package final class QueryEmbedder: Sendable {
    /// What makes vectors of one model.
    package struct Model: Sendable {
        /// Vectors of different models do not compare.
        let name: String
        let embed: @Sendable ([String]) async throws -> [[Float]]
        /// The same for the sentences of answers, which must not stand before a query.
        let embedSentences: @Sendable ([String]) async throws -> [[Float]]

        /// - Parameters:
        ///   - embedSentences: `embed` if nil.
        ///   - embed: L2-normalised vectors in the order of the texts, ahead of batch work.
        package init(
            name: String, embedSentences: (@Sendable ([String]) async throws -> [[Float]])? = nil,
            embed: @escaping @Sendable ([String]) async throws -> [[Float]]
        ) {
            (self.name, self.embed, self.embedSentences) = (name, embed, embedSentences ?? embed)
        }
    }

    /// The vector of a query, and the model that it is of.
    struct Vector: Sendable {
        let numbers: [Float]
        let model: String
    }

    private let current: Mutex<Model>
    private let find: @Sendable (String) throws -> Model?
    /// Of what finds a model, which may have to be loaded.
    private let lane = Lane(name: "query-models")
    /// By the model and the query's text.
    private let cache: Mutex<LRUCache<[Float]>>
    private let hits: Counter?
    private let misses: Counter?
    private let cached: CacheMetrics?

    /// - Parameters:
    ///   - model: that searches begin with.
    ///   - cacheBytesMax: memory for vectors that are kept (384 numbers and a short query are about 1.7 kB).
    ///   - registry: where queries that were asked before are counted; nil: nowhere.
    ///   - find: the model of another name; nil where it is not to be had here. May block.
    package init(
        _ model: Model, cacheBytesMax: Int = 1 << 24, registry: MetricsRegistry? = nil,
        find: @escaping @Sendable (String) throws -> Model? = { _ in nil }
    ) {
        current = Mutex(model)
        self.find = find
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

    /// The same with one model alone.
    package convenience init(
        modelName: String, cacheBytesMax: Int = 1 << 24, registry: MetricsRegistry? = nil,
        embedSentences: (@Sendable ([String]) async throws -> [[Float]])? = nil,
        embed: @escaping @Sendable ([String]) async throws -> [[Float]]
    ) {
        self.init(
            Model(name: modelName, embedSentences: embedSentences, embed: embed), cacheBytesMax: cacheBytesMax,
            registry: registry)
    }

    /// Name of the model that searches begin with.
    package var modelName: String { current.withLock { $0.name } }

    /// The model of a name; the current one where none is named.
    ///
    /// - Throws: ``APIError`` where it is not to be had here; what loading it throws.
    private func model(_ name: String?, deadline: Deadline) async throws -> Model {
        let now = current.withLock { $0 }
        guard let name, name != now.name else { return now }
        let found = try await withDeadline(deadline, what: "the embedding model", isLight: true) { [lane, find] in
            try await lane.run { try find(name) }
        }
        guard let found else {
            throw APIError.unavailable("the embedding model", "this server has no model \(name) (MODEL_DIR, EMBED_URL)")
        }
        return found
    }

    /// Has the model of a generation's vectors at hand.
    ///
    /// - Parameter isServed: whether it is the generation that is served by now, with whose model searches are to begin.
    /// - Returns: whether it can be had here.
    /// - Throws: what loading it throws; `WaitError` where that takes too long.
    func have(_ name: String, isServed: Bool, deadline: Deadline) async throws -> Bool {
        let found: Model
        do {
            found = try await model(name, deadline: deadline)
        } catch is APIError {
            return false
        }
        if isServed { current.withLock { $0 = found } }
        return true
    }

    /// The vector of a query by the current model; from the cache where the same text was asked before.
    func vector(of text: String, deadline: Deadline) async throws -> [Float] {
        try await vector(of: text, by: nil, deadline: deadline).numbers
    }

    /// The same by a model.
    ///
    /// - Parameter name: of the model; nil for the current one.
    func vector(of text: String, by name: String?, deadline: Deadline) async throws -> Vector {
        let model = try await model(name, deadline: deadline)
        let key = model.name + "\n" + text
        if let known = cache.withLock({ $0.value(for: key) }) {
            hits?.increment()
            cached?.hits.increment()
            return Vector(numbers: known, model: model.name)
        }
        misses?.increment()
        cached?.misses.increment()
        // A server may refuse a text, whose vector is empty then.
        guard let vector = try await vectors(of: [text], deadline: deadline, model.embed).first, !vector.isEmpty else {
            throw APIError.unavailable("the embedding model", "it gave no vector")
        }
        let bytes = vector.count * MemoryLayout<Float>.stride
        cache.withLock { $0.insert(vector, for: key, valueBytes: bytes) }
        return Vector(numbers: vector, model: model.name)
    }

    /// Vectors as of queries by the current model, never from the cache.
    func vectors(of texts: [String], deadline: Deadline) async throws -> [[Float]] {
        try await vectors(of: texts, deadline: deadline, current.withLock { $0.embed })
    }

    /// Vectors of an answer's sentences, behind all queries; they will hardly be asked for again.
    ///
    /// - Parameter name: of the model; nil for the current one.
    func vectors(ofSentences texts: [String], by name: String? = nil, deadline: Deadline) async throws -> [[Float]] {
        let model = try await model(name, deadline: deadline)
        return try await vectors(of: texts, deadline: deadline, model.embedSentences)
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
