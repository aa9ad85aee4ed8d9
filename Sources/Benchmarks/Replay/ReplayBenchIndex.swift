import Bytes
import Concurrency
import Embeddings
import Indexer
import Records
import Replay
import Store
import Synchronization

/// Puts a replay's documents into the index by the indexer's own parts, as the product does.
struct ReplayBenchIndex: ReplayIndex {
    private let documents: DocumentIndexer

    init(_ scene: ReplayScene, _ embedder: any TextEmbedder) {
        documents = DocumentIndexer(
            configuration: scene.server.configuration, embedder: embedder, priority: .replay, logger: scene.logger)
    }

    func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int {
        try await documents.index(lines: lines, generation: generation, source: source)
    }

    func share(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
    ) async throws -> Set<Int64> {
        try await documents.share(lines: lines, generation: generation, parent: parent, source: source)
    }

    func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep {
        try await documents.changeVectors(of: generation, after: key, most: most)
    }

    func formerVectors(of generation: Int64) async throws -> Int64 {
        try await documents.formerVectors(of: generation)
    }
}

/// Takes all documents and does nothing with them: what is measured is the lake's part.
struct LakeAlone: ReplayIndex {
    func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int { 0 }

    func share(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, parent: Int64, source: TopicPartition
    ) async throws -> Set<Int64> { Set(lines.map(\.offset)) }

    func changeVectors(of generation: Int64, after key: Int64, most: Int) async throws -> VectorStep { VectorStep() }

    func formerVectors(of generation: Int64) async throws -> Int64 { 0 }
}

/// The model, which keeps the texts that it was given, to embed them once more alone.
final class NotingEmbedder: TextEmbedder {
    private static let batch = 512
    private static let warmUpTexts = 256

    private let embedder: LocalEmbedder
    private let noted = Mutex<[String]>([])

    var dimensions: Int { embedder.dimensions }
    var modelName: String { embedder.modelName }
    /// How many it was given.
    var texts: Int { noted.withLock { $0.count } }

    init(modelDirectory: String) throws {
        embedder = try LocalEmbedder(modelDirectory: modelDirectory)
    }

    func inputHashes(of texts: [String]) throws -> [String] { try embedder.inputHashes(of: texts) }

    func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        noted.withLock { $0 += texts }
        return try await embedder.embed(texts, priority: priority)
    }

    /// Embeds some texts of all lengths, which are not kept.
    func warmUp() async throws {
        let texts = (1...Self.warmUpTexts).map { String(repeating: "word ", count: $0 % 120 + 1) }
        _ = try await embedder.embed(texts, priority: .replay)
    }

    /// Seconds that the texts which were kept take alone.
    func embedAgain() async throws -> Double {
        let texts = noted.withLock { $0 }
        let began = SystemClock.monotonicNanoseconds()
        for start in stride(from: 0, to: texts.count, by: Self.batch) {
            _ = try await embedder.embed(
                Array(texts[start..<min(texts.count, start + Self.batch)]), priority: .replay)
        }
        return Double(SystemClock.monotonicNanoseconds() - began) / 1e9
    }

    func stop() { embedder.stop() }
}
