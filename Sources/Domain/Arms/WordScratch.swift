/// Scores of the passages of one window of slots while a query's words are read, small enough for the processor's nearest
/// caches.
struct WordScratch {
    /// Slots of a window; a multiple of 64.
    static let window = 4_096

    var scores = [Double](repeating: 0, count: window)
    /// Of a word with several forms, of which the largest share counts.
    var proposed = [Double](repeating: 0, count: window)
    /// The lengths of the passages that were touched.
    var lengths = [UInt16](repeating: 0, count: window)
    /// Passages that have a score.
    var touched = [UInt64](repeating: 0, count: window / 64)
    /// Passages that have a share proposed.
    var pending = [UInt64](repeating: 0, count: window / 64)

    /// Lends the scores with their bits, or what is proposed with its.
    @inline(__always) mutating func withPointers<R>(
        isOne: Bool,
        _ body: (
            _ scores: UnsafeMutableBufferPointer<Double>, _ lengths: UnsafeMutableBufferPointer<UInt16>,
            _ touched: UnsafeMutableBufferPointer<UInt64>
        ) -> R
    ) -> R {
        lengths.withUnsafeMutableBufferPointer { lengths in
            if isOne {
                scores.withUnsafeMutableBufferPointer { scores in
                    touched.withUnsafeMutableBufferPointer { body(scores, lengths, $0) }
                }
            } else {
                proposed.withUnsafeMutableBufferPointer { scores in
                    pending.withUnsafeMutableBufferPointer { body(scores, lengths, $0) }
                }
            }
        }
    }

    /// Adds what was proposed.
    mutating func addProposed() {
        for index in pending.indices where pending[index] != 0 {
            touched[index] |= pending[index]
            Self.forEach(of: pending[index], index) { place in
                scores[place] += proposed[place]
                proposed[place] = 0
            }
            pending[index] = 0
        }
    }

    /// Calls `body` with each passage that has a score, the last one first, and clears them.
    mutating func drain(_ body: (_ place: Int, _ score: Double) -> Void) {
        for index in touched.indices.reversed() where touched[index] != 0 {
            Self.forEach(of: touched[index], index) { place in
                body(place, scores[place])
                scores[place] = 0
            }
            touched[index] = 0
        }
    }

    /// The places of a word's bits.
    @inline(__always) static func forEach(of bits: UInt64, _ index: Int, _ body: (Int) -> Void) {
        var rest = bits
        while rest != 0 {
            body(index << 6 | rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }
}

/// The best passages so far, of which the worst one is at hand: a heap.
struct WordHeap {
    let limit: Int
    private let isBefore: (UInt32, UInt32) -> Bool
    private var found: [WordArm.Found] = []

    init(limit: Int, isBefore: @escaping (UInt32, UInt32) -> Bool) {
        (self.limit, self.isBefore) = (limit, isBefore)
        found.reserveCapacity(limit)
    }

    /// What a passage's score must reach to be among the best; nil while all are.
    var bar: Double? { found.count == limit ? found[0].score : nil }

    mutating func take(_ slot: UInt32, _ score: Double) {
        let new = WordArm.Found(slot: slot, score: score)
        if found.count < limit {
            found.append(new)
            var place = found.count - 1
            while place > 0, isBetter(found[(place - 1) / 2], found[place]) {
                found.swapAt(place, (place - 1) / 2)
                place = (place - 1) / 2
            }
        } else if limit > 0, isBetter(new, found[0]) {
            found[0] = new
            var place = 0
            while true {
                var worst = place
                for child in [2 * place + 1, 2 * place + 2] where child < limit {
                    if isBetter(found[worst], found[child]) { worst = child }
                }
                guard worst != place else { return }
                found.swapAt(place, worst)
                place = worst
            }
        }
    }

    private func isBetter(_ one: WordArm.Found, _ other: WordArm.Found) -> Bool {
        one.score > other.score || one.score == other.score && isBefore(one.slot, other.slot)
    }

    /// Best first.
    var sorted: [WordArm.Found] { found.sorted(by: isBetter) }
}
