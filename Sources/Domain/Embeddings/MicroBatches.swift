/// Plans inference batches: texts of like length together, in few distinct shapes.
///
/// OpenVINO prepares and keeps about half a megabyte for every distinct (batch, length), so lengths are rounded up to 20
/// steps and batch sizes down to powers of two. On one core, 256 tokens (16 ms) cost as much a token as larger batches do,
/// and small batches spread better over the cores.
struct MicroBatch: Equatable {
    /// Positions in the planned list.
    var members: [Int]
    /// Tokens that each row is padded to.
    var length: Int

    /// Tokens, padding included, that one batch may have.
    static let tokensMax = 256
    /// The same of a batch that a search may have to wait for: one long sentence, or a few short ones.
    static let sentenceTokensMax = 64
    /// The same of queries that wait together: some ten short ones. The matrices are read once for all of them, so that four of 9
    /// tokens take 2.4 times as long as one, and eight 4.1 times (AVX2, float).
    static let queryTokensMax = 96
    /// Texts up to so many tokens are not padded to a step where a plan is exact, and up to ``exactTextsMax`` of them make a
    /// batch of just their number.
    static let exactTokensMax = 16
    static let exactTextsMax = 8

    /// Batches that hold every position of `lengths` once, longest first.
    ///
    /// - Parameter isExact: whether short texts come in any length and number, and so nearly without padding, as queries do:
    ///   nine tokens were padded to twelve, and three texts computed as two and one. That makes about a hundred shapes of a
    ///   quarter of a megabyte each.
    static func plan(lengths: [Int], tokensMax: Int = tokensMax, isExact: Bool = false) -> [MicroBatch] {
        // Equal lengths keep their order, so that the plan depends on nothing but the lengths.
        let order = lengths.indices.sorted { (lengths[$0], $1) > (lengths[$1], $0) }
        var batches: [MicroBatch] = []
        var next = 0
        while next < order.count {
            let longest = max(lengths[order[next]], 1)
            let isUnpadded = isExact && longest <= exactTokensMax
            let length = isUnpadded ? longest : paddedLength(longest)
            let room = max(1, min(tokensMax / length, order.count - next))
            let isOfAnySize = isUnpadded && room <= exactTextsMax
            let size = isOfAnySize ? room : 1 << (Int.bitWidth - 1 - room.leadingZeroBitCount)
            batches.append(MicroBatch(members: Array(order[next..<next + size]), length: length))
            next += size
        }
        return batches
    }

    /// Rounds up in steps that cost at most about an eighth in padding.
    static func paddedLength(_ length: Int) -> Int {
        let step =
            switch length {
            case ...32: 4
            case ...64: 8
            case ...128: 16
            default: 32
            }
        return (max(length, 1) + step - 1) / step * step
    }
}
