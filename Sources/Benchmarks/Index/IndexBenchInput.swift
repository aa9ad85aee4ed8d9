import Bytes
import Embeddings
import Hashing
import Indexer
import Records
import Simulator
import Synchronization

/// Documents of invented events, none of which has the text of another, so that each passage gets a vector of its own.
struct IndexBenchInput: Sendable {
    let lines: [GoldMaker.Line]
    /// Of the first `documents` lines.
    let passages: Int
    /// Lines that are loaded at the start; those behind them come later.
    let documents: Int

    /// - Parameters:
    ///   - passages: that are loaded at the start.
    ///   - more: documents behind them.
    init(_ source: any PlayableSource, passages wanted: Int, more: Int) throws {
        var maker = try GoldMaker(source, eventsMax: (wanted + more) * 20)
        var hashes: Set<String> = []
        var lines: [GoldMaker.Line] = []
        var (passages, documents) = (0, 0)
        while passages < wanted || lines.count < documents + more, let line = try maker.next() {
            let (hash, count) = try line.bytes.withUnsafeBytes { bytes in
                let document = try GoldLine.decode(bytes)
                return (document.textHash, max(1, document.passages.count))
            }
            guard hashes.insert(hash).inserted else { continue }
            lines.append(line)
            if passages < wanted {
                passages += count
                documents += 1
            }
        }
        self.lines = lines
        self.passages = passages
        self.documents = documents
    }

    /// Decoded documents of lines, for generation 1.
    ///
    /// - Parameter copy: makes other documents of them that say the same, each number other ones; nil takes them as they are.
    func pending(_ range: Range<Int>, copy: Int? = nil) throws -> [PendingDocument] {
        try lines[range].map { line in
            var document = try line.bytes.withUnsafeBytes { try GoldLine.decode($0) }
            if let copy { document.docID += "-\(copy)" }
            return PendingDocument(
                generation: 1, source: GoldMaker.source,
                sourceOffset: line.offset + Int64(copy ?? 0) << 40, document: document, line: line.bytes)
        }
    }

    /// The text of a line's document.
    func text(_ index: Int) throws -> String { try lines[index].bytes.withUnsafeBytes { try GoldLine.decode($0).text } }
}

/// Unit vectors around some hundreds of centres, as texts of as many themes would have them; the same for the same text.
struct BenchVectors: Sendable {
    static let dimensions = 384
    private static let centresCount = 300
    /// How far a vector lies from its centre: 0.74 is the cosine of the two.
    private static let spread: Float = 0.08

    private let centres: [[Float]]

    init() {
        var random = SeededGenerator(seed: 384)
        centres = (0..<Self.centresCount).map { _ in
            Self.normalised((0..<Self.dimensions).map { _ in Self.number(&random) })
        }
    }

    /// The vector of a text.
    func vector(of text: String) -> [Float] { vector(text.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) }) }

    /// A vector of the same kind that belongs to no text.
    func vector(_ number: UInt64) -> [Float] {
        var random = SeededGenerator(seed: number)
        return Self.neighbour(of: centres[Int(random.next() % UInt64(centres.count))], &random)
    }

    /// A vector near another one.
    static func neighbour(of vector: [Float], _ random: inout SeededGenerator) -> [Float] {
        normalised(vector.map { $0 + spread * number(&random) })
    }

    /// From -1 to 1.
    private static func number(_ random: inout SeededGenerator) -> Float {
        Float(Int32(truncatingIfNeeded: random.next() >> 32)) * 0x1p-31
    }

    private static func normalised(_ values: [Float]) -> [Float] {
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }
}

/// Gives those vectors, and counts what it was asked.
final class BenchEmbedder: TextEmbedder {
    let dimensions = BenchVectors.dimensions
    static let name = "bench"
    let modelName = BenchEmbedder.name
    private let vectors: BenchVectors
    private let count = Atomic<Int>(0)

    init(_ vectors: BenchVectors) { self.vectors = vectors }

    /// Texts embedded so far.
    var embedded: Int { count.load(ordering: .relaxed) }

    func embed(_ texts: [String], priority: EmbeddingPriority) async throws -> [[Float]] {
        count.add(texts.count, ordering: .relaxed)
        return texts.map { vectors.vector(of: $0) }
    }
}
