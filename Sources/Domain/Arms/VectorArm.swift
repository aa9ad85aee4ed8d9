import Bytes
import CVectorScan
import Glibc

/// Distinct vectors in memory, each once, with a code of one bit for each number: its sign.
///
/// A search compares the query's code with all codes, takes the best by how many bits differ, weighs those by the query's own
/// numbers against the signs, and the best of these by the vectors themselves. Nothing is built that a change would spoil:
/// vectors come and go in constant time, equal ones and filters do no harm, and what is left out by a filter is not even
/// looked at.
///
/// Where vectors are many, not all codes are looked at, but those of the lists (``CoarseLists``) whose centres are nearest.
///
/// Not thread-safe: who holds it lets one write or many read. The blocks' memory is its own and goes with it.
final class VectorArm {
    /// How far a search goes.
    struct Effort: Sendable {
        /// Nearest codes that are weighed.
        var weighed = 4_000
        /// Best of them whose vectors are compared.
        var compared = 500
        /// Where a filter leaves no more vectors than these, all are compared.
        var allBelow = 4_000
        /// Among more vectors than these, more are weighed and compared: more of them lie within what a code of one bit a
        /// number can tell apart. Twice as many for four times as many vectors.
        var among = 25_000
        /// Of the codes of lists, which say more, such a share of these is enough under a filter.
        var listedShare = 0.5
        /// Without one so many are, and more by the power ``listedPower`` of how many vectors there are.
        var listed = 300
        /// Half again as many for four times as many vectors.
        static let listedPower = 0.3

        /// How far it goes among so many vectors.
        ///
        /// - Parameter isFiltered: whether others were left out.
        func stretched(to passing: Int, isFiltered: Bool) -> Effort {
            var effort = self
            let times = max(1, Double(passing) / Double(among))
            effort.weighed = Int(Double(weighed) * times.squareRoot())
            effort.compared = Int(Double(compared) * times.squareRoot())
            effort.listed =
                isFiltered
                ? Int(Double(effort.compared) * listedShare) : Int(Double(listed) * pow(times, Self.listedPower))
            return effort
        }
    }

    /// A vector and how near it is.
    struct Near: Sendable {
        var slot: UInt32
        /// Cosine similarity; 1 is equal.
        var score: Float
    }

    static let blockSlots = VectorTable.blockSlots
    /// Codes and vectors of a large index lie far from one another in memory: the ones that come next are asked for beforehand.
    private static let (codesAhead, vectorsAhead) = (16, 4)

    private(set) var table: VectorTable
    /// Vectors that some passage has.
    private(set) var used = SlotSet(count: 0)
    private(set) var usedCount = 0
    /// Where a search looks first; nil while there are too few vectors, or these were not learnt yet.
    private(set) var coarse: CoarseLists?
    let coarseSettings: CoarseSettings

    var dimensions: Int { table.dimensions }
    var codeWords: Int { table.codeWords }
    var count: Int { table.count }

    init(dimensions: Int, coarse: CoarseSettings = CoarseSettings()) {
        table = VectorTable(dimensions: dimensions)
        coarseSettings = coarse
    }

    deinit {
        for block in table.blocks {
            block.codes.deallocate()
            block.halves.deallocate()
            block.scales.deallocate()
        }
    }

    /// Bytes that it takes in memory.
    var memoryBytes: Int {
        table.blocks.count * Self.blockSlots * (8 * codeWords + 2 * dimensions + 4) + (coarse?.memoryBytes ?? 0)
    }

    /// Adds a vector of half-precision numbers, ``dimensions`` of them: missing ones are 0, and others are left out.
    ///
    /// - Returns: its slot.
    func add(_ vector: some Sequence<UInt16>) -> Int {
        let place = count % Self.blockSlots
        let block = table.roomy()
        let halves = block.halves + place * dimensions
        let codes = block.codes + place * codeWords
        halves.initialize(repeating: 0, count: dimensions)
        codes.initialize(repeating: 0, count: codeWords)
        var squares: Float = 0
        for (index, half) in vector.prefix(dimensions).enumerated() {
            halves[index] = half
            if half & 0x8000 == 0 { codes[index >> 6] |= 1 << UInt64(index & 63) }
            let number = HalfFloat.value(half)
            squares += number * number
        }
        block.scales[place] = squares > 0 ? 1 / squares.squareRoot() : 0
        table.count += 1
        used.grow(to: count)
        return count - 1
    }

    /// Adds vectors with their codes and scales as they stand in blocks, not more than the block of the next one has room for.
    func add(_ number: Int, codes: [UInt64], halves: [UInt16], scales: [Float]) {
        let place = count % Self.blockSlots
        let block = table.roomy()
        (block.codes + place * codeWords).initialize(from: codes, count: number * codeWords)
        (block.halves + place * dimensions).initialize(from: halves, count: number * dimensions)
        (block.scales + place).initialize(from: scales, count: number)
        table.count += number
        used.grow(to: count)
    }

    /// Notes whether some passage has the vector.
    func mark(_ slot: Int, isUsed: Bool) {
        guard used.contains(slot) != isUsed else { return }
        if isUsed { used.insert(slot) } else { used.remove(slot) }
        usedCount += isUsed ? 1 : -1
        if isUsed { coarse?.add(slot, of: table) } else { coarse?.remove(slot) }
    }

    /// Whether the lists are to be learnt, or learnt again.
    var isLearningDue: Bool {
        coarse?.areOutdated(now: usedCount, coarseSettings) ?? (usedCount >= coarseSettings.vectorsMin)
    }

    /// Takes lists that were learnt from the vectors here.
    ///
    /// - Returns: those from before, whose memory goes with them.
    func install(_ lists: CoarseLists?) -> CoarseLists? {
        let before = coarse
        coarse = lists
        _ = lists?.follow(table, used) { true }
        return before
    }

    /// The nearest vectors, nearest first; of equally near ones in any order.
    ///
    /// - Parameters:
    ///   - some: the vectors that count, all of which are used; nil for all.
    ///   - limit: vectors at most.
    ///   - isExact: compares all.
    /// - Returns: the vectors, and whether all were compared.
    func nearest(
        to query: Query, among some: SlotSet?, limit: Int, effort: Effort, isExact: Bool
    ) -> (found: [Near], isExact: Bool) {
        let passing = some?.count ?? usedCount
        let allowed = some ?? used
        let isAll = isExact || passing <= effort.allBelow
        let slots = isAll ? all(allowed, passing) : coded(query, allowed, passing, effort)
        var found: [Near] = []
        found.reserveCapacity(slots.count)
        for (place, slot) in slots.enumerated() {
            let next = place + Self.vectorsAhead
            if next < slots.count { cvs_prefetch(table.halves(of: Int(slots[next])), 2 * dimensions) }
            found.append(Near(slot: slot, score: table.score(of: Int(slot), query)))
        }
        Self.keep(limit, of: &found)
        found.sort { $0.score > $1.score || $0.score == $1.score && $0.slot < $1.slot }
        return (Array(found.prefix(limit)), isAll)
    }

    /// Leaves the best ones, and those that are as good as the last of them.
    private static func keep(_ limit: Int, of found: inout [Near]) {
        guard let least = largest(limit, of: found.map(\.score)) else { return }
        found.removeAll { $0.score < least }
    }

    private func all(_ allowed: SlotSet, _ passing: Int) -> [UInt32] {
        var slots: [UInt32] = []
        slots.reserveCapacity(passing)
        allowed.forEach { slots.append(UInt32($0)) }
        return slots
    }

    /// The vectors whose codes are promising.
    private func coded(_ query: Query, _ allowed: SlotSet, _ passing: Int, _ effort: Effort) -> [UInt32] {
        let isFiltered = passing < usedCount
        let effort = effort.stretched(to: passing, isFiltered: isFiltered)
        if let coarse, passing >= coarseSettings.passingMin {
            return coarse.codes(
                near: query, among: isFiltered ? allowed : nil, passing: passing, kept: effort.listed
            ).nearest()
        }
        let near = table.codes(of: allowed, query).nearest(effort.weighed)
        guard near.count > effort.compared else { return near }
        var weighed = [Near]()
        weighed.reserveCapacity(near.count)
        query.signSums().withUnsafeBufferPointer { numbers in
            for (place, slot) in near.enumerated() {
                let next = place + Self.codesAhead
                if next < near.count { cvs_prefetch(table.code(of: Int(near[next])), 8 * codeWords) }
                weighed.append(Near(slot: slot, score: table.weight(of: Int(slot), numbers)))
            }
        }
        Self.keep(effort.compared, of: &weighed)
        return weighed.map(\.slot)
    }
}

extension VectorArm {
    /// A query's vector, made ready.
    struct Query: Sendable {
        /// Rounded to half precision, as the index compares them.
        let numbers: [Float]
        let scale: Float
        let code: [UInt64]
        /// What the codes of lists cost, see ``CoarseCode``.
        let costs: [UInt8]

        init(_ vector: [Float]) {
            let halves = vector.map(HalfFloat.bits)
            let numbers = halves.map(HalfFloat.value)
            self.numbers = numbers
            let squares = numbers.reduce(Float(0)) { $0 + $1 * $1 }
            scale = squares > 0 ? 1 / squares.squareRoot() : 0
            let words = (vector.count + 63) / 64
            var code = [UInt64](repeating: 0, count: words)
            for (place, half) in halves.enumerated() where half & 0x8000 == 0 {
                code[place >> 6] |= 1 << UInt64(place & 63)
            }
            self.code = code
            costs = CoarseCode.costs(numbers)
        }

        /// For each byte of a code and each of its values: the numbers added up with the signs that it says.
        func signSums() -> [Float] {
            let words = code.count
            return [Float](unsafeUninitializedCapacity: words * 8 * 256) { table, filled in
                filled = words * 8 * 256
                for byte in 0..<(words * 8) {
                    let row = byte * 256
                    var sum: Float = 0
                    for bit in 0..<8 where byte * 8 + bit < numbers.count { sum -= numbers[byte * 8 + bit] }
                    table[row] = sum
                    // Each value is one with its lowest bit cleared, and that bit's number twice.
                    for value in 1..<256 {
                        let place = byte * 8 + value.trailingZeroBitCount
                        table[row + value] =
                            table[row + (value & (value - 1))] + (place < numbers.count ? 2 * numbers[place] : 0)
                    }
                }
            }
        }
    }
}
