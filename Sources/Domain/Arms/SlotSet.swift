/// A set of slots as bits: slot `i` is bit `i % 64` of word `i / 64`.
struct SlotSet: Sendable {
    private(set) var words: [UInt64]

    /// The empty set of slots below `count`.
    init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

    /// The slots of the words' bits.
    init(words: [UInt64]) { self.words = words }

    /// Makes room for slots below `count`.
    mutating func grow(to count: Int) {
        let wanted = (count + 63) / 64
        if words.count < wanted { words.append(contentsOf: repeatElement(0, count: wanted - words.count)) }
    }

    func contains(_ slot: Int) -> Bool {
        let word = slot >> 6
        return word < words.count && words[word] >> UInt64(slot & 63) & 1 == 1
    }

    mutating func insert(_ slot: Int) { words[slot >> 6] |= 1 << UInt64(slot & 63) }
    mutating func remove(_ slot: Int) { words[slot >> 6] &= ~(1 << UInt64(slot & 63)) }

    var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

    mutating func formIntersection(_ other: SlotSet) {
        for index in words.indices { words[index] &= index < other.words.count ? other.words[index] : 0 }
    }

    mutating func subtract(_ other: SlotSet) {
        for index in 0..<min(words.count, other.words.count) { words[index] &= ~other.words[index] }
    }

    /// Calls `body` with each slot, in their order.
    func forEach(_ body: (Int) -> Void) {
        for (index, word) in words.enumerated() where word != 0 {
            var rest = word
            while rest != 0 {
                body(index << 6 | rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }
}
