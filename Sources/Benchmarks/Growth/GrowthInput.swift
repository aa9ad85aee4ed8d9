import Bytes
import Embeddings
import Records
import Simulator
import Text

/// Passages without end: the first ones are invented events with the vectors that the model gives their texts; each further
/// one is a mixture of two of those, in its words as in its vector.
///
/// A mixture has a word of the first text with the probability of its share, from a half to nine tenths, and one of the
/// second's with what is left of 1; its vector is both vectors added by their shares, with noise of a tenth of their length.
/// So words are as frequent as among real texts, what is near by words is near by vectors, and near neighbours are as near as
/// those of real texts: nothing of it would hold for vectors drawn around centres. What it does not do is to bring new words.
/// The same number gives the same passage.
struct GrowthInput: Sendable {
    /// A passage as arms take it.
    struct Passage {
        var halves: [UInt16]
        /// Numbers of words and what the index says of each, see `passage_terms.weights` of the migrations.
        var words: [(word: Int32, weight: Int32)]
        /// The text whose document's attributes it has.
        var base: Int
    }

    private struct Base: Sendable {
        let words: [(word: Int32, frequency: Int32)]
        let vector: [Float]
        let document: GoldDocument
    }

    private static let noise: Float = 0.1

    private let bases: [Base]
    /// The words by number.
    let words: [String]
    let input: IndexBenchInput
    var baseCount: Int { bases.count }
    var dimensions: Int { bases.first?.vector.count ?? 0 }

    init(_ input: IndexBenchInput, _ embedder: LocalEmbedder) async throws {
        self.input = input
        var documents: [GoldDocument] = []
        for line in input.lines.prefix(input.documents) {
            documents.append(try line.bytes.withUnsafeBytes { try GoldLine.decode($0) })
        }
        var vectors: [[Float]] = []
        for start in stride(from: 0, to: documents.count, by: 1_024) {
            let texts = documents[start..<min(documents.count, start + 1_024)].map(\.text)
            vectors += try await embedder.embed(texts, priority: .batch)
        }
        let analyzer = try TextAnalyzer()
        var numbers: [String: Int32] = [:]
        var words: [String] = []
        bases = zip(documents, vectors).map { document, vector in
            var frequencies: [Int32: Int32] = [:]
            for word in analyzer.words(of: document.text, languages: [document.lang]) {
                for form in Set([word.exact] + word.forms) where !form.isEmpty {
                    let number = numbers[form] ?? Int32(words.count)
                    if number == Int32(words.count) {
                        numbers[form] = number
                        words.append(form)
                    }
                    frequencies[number, default: 0] += 1
                }
            }
            return Base(
                words: frequencies.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, vector: vector,
                document: document)
        }
        self.words = words
    }

    func document(of passage: Passage) -> GoldDocument { bases[passage.base].document }

    func passage(_ number: Int) -> Passage {
        if number < bases.count {
            return Passage(
                halves: bases[number].vector.map(HalfFloat.bits), words: weighted(bases[number].words), base: number)
        }
        var random = SeededGenerator(seed: UInt64(number))
        let (one, other) = (Int(random.next() % UInt64(bases.count)), Int(random.next() % UInt64(bases.count)))
        let share = 0.5 + 0.4 * Float(random.next() >> 40) * 0x1p-24
        var words: [(word: Int32, frequency: Int32)] = []
        for (base, part) in [(bases[one], share), (bases[other], 1 - share)] {
            for word in base.words where Float(random.next() >> 40) * 0x1p-24 < part {
                if base.words.count > 64 || !words.contains(where: { $0.word == word.word }) { words.append(word) }
            }
        }
        words.sort { $0.word < $1.word }
        return Passage(
            halves: mixed(bases[one].vector, bases[other].vector, share, &random), words: weighted(words), base: one)
    }

    private func mixed(
        _ one: [Float], _ other: [Float], _ share: Float, _ random: inout SeededGenerator
    ) -> [UInt16] {
        // Uniform from -1 to 1 has the variance 1/3: the noise's length is about that share of a unit vector's.
        let size = Self.noise * (3 / Float(one.count)).squareRoot()
        var halves = [UInt16](repeating: 0, count: one.count)
        var bits: UInt64 = 0
        for place in one.indices {
            bits = place & 1 == 0 ? random.next() : bits >> 32
            let noise = Float(Int32(truncatingIfNeeded: bits)) * 0x1p-31
            halves[place] = HalfFloat.bits(share * one[place] + (1 - share) * other[place] + size * noise)
        }
        return halves
    }

    private func weighted(_ words: [(word: Int32, frequency: Int32)]) -> [(word: Int32, weight: Int32)] {
        let length = min(32_767, words.reduce(0) { $0 + $1.frequency })
        return words.map { ($0.word, min(255, $0.frequency) | length << 16) }
    }
}
