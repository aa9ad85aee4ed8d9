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
    /// The same of queries that wait together. Four of 12 tokens take 2.2 times as long as one, so all four are answered sooner on
    /// average than one after the other; in a batch of eight the first would wait for the last.
    static let queryTokensMax = 64

    /// Batches that hold every position of `lengths` once, longest first.
    static func plan(lengths: [Int], tokensMax: Int = tokensMax) -> [MicroBatch] {
        // Equal lengths keep their order, so that the plan depends on nothing but the lengths.
        let order = lengths.indices.sorted { (lengths[$0], $1) > (lengths[$1], $0) }
        var batches: [MicroBatch] = []
        var next = 0
        while next < order.count {
            let length = paddedLength(lengths[order[next]])
            let room = max(1, min(tokensMax / length, order.count - next))
            let size = 1 << (Int.bitWidth - 1 - room.leadingZeroBitCount)
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
