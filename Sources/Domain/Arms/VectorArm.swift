import Bytes
import CVectorScan

/// Distinct vectors in memory, each once, with a code of one bit for each number: its sign.
///
/// A search compares the query's code with all codes, takes the best by how many bits differ, weighs those by the query's own
/// numbers against the signs, and the best of these by the vectors themselves. Nothing is built that a change would spoil:
/// vectors come and go in constant time, equal ones and filters do no harm, and what is left out by a filter is not even
/// looked at.
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
    }

    /// A vector and how near it is.
    struct Near: Sendable {
        var slot: UInt32
        /// Cosine similarity; 1 is equal.
        var score: Float
    }

    /// Vectors of one block, which never moves, so that growing costs no search more than a block does.
    static let blockSlots = 4_096
    struct Block {
        let codes: UnsafeMutablePointer<UInt64>
        let halves: UnsafeMutablePointer<UInt16>
        /// 1 over the length of each vector; 0 for one without length.
        let scales: UnsafeMutablePointer<Float>
    }

    let dimensions: Int
    let codeWords: Int
    private(set) var blocks: [Block] = []
    private(set) var count = 0
    /// Vectors that some passage has.
    private(set) var used = SlotSet(count: 0)

    init(dimensions: Int) {
        self.dimensions = dimensions
        codeWords = (dimensions + 63) / 64
    }

    deinit {
        for block in blocks {
            block.codes.deallocate()
            block.halves.deallocate()
            block.scales.deallocate()
        }
    }

    /// Bytes that it takes in memory.
    var memoryBytes: Int { blocks.count * Self.blockSlots * (8 * codeWords + 2 * dimensions + 4) }

    /// Adds a vector of half-precision numbers, ``dimensions`` of them: missing ones are 0, and others are left out.
    ///
    /// - Returns: its slot.
    func add(_ vector: some Sequence<UInt16>) -> Int {
        let place = count % Self.blockSlots
        let block = roomy()
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
        count += 1
        used.grow(to: count)
        return count - 1
    }

    /// The block that the next vector goes to.
    private func roomy() -> Block {
        if count % Self.blockSlots == 0 {
            blocks.append(
                Block(
                    codes: .allocate(capacity: Self.blockSlots * codeWords),
                    halves: .allocate(capacity: Self.blockSlots * dimensions),
                    scales: .allocate(capacity: Self.blockSlots)))
        }
        return blocks[blocks.count - 1]
    }

    /// Adds vectors with their codes and scales as they stand in blocks, not more than the block of the next one has room for.
    func add(_ number: Int, codes: [UInt64], halves: [UInt16], scales: [Float]) {
        let place = count % Self.blockSlots
        let block = roomy()
        (block.codes + place * codeWords).initialize(from: codes, count: number * codeWords)
        (block.halves + place * dimensions).initialize(from: halves, count: number * dimensions)
        (block.scales + place).initialize(from: scales, count: number)
        count += number
        used.grow(to: count)
    }

    /// Notes whether some passage has the vector.
    func mark(_ slot: Int, isUsed: Bool) {
        if isUsed { used.insert(slot) } else { used.remove(slot) }
    }

    /// How near a vector is.
    func score(of slot: Int, _ query: Query) -> Float {
        let block = blocks[slot / Self.blockSlots]
        let place = slot % Self.blockSlots
        let dot = query.numbers.withUnsafeBufferPointer { numbers in
            numbers.baseAddress.map { cvs_dot(block.halves + place * dimensions, $0, dimensions) } ?? 0
        }
        return dot * block.scales[place] * query.scale
    }

    /// The nearest vectors, nearest first; of equally near ones in any order.
    ///
    /// - Parameters:
    ///   - allowed: the vectors that count.
    ///   - limit: vectors at most.
    ///   - isExact: compares all.
    /// - Returns: the vectors, and whether all were compared.
    func nearest(
        to query: Query, among allowed: SlotSet, limit: Int, effort: Effort, isExact: Bool
    ) -> (found: [Near], isExact: Bool) {
        let isAll = isExact || allowed.count <= effort.allBelow
        let slots = isAll ? all(allowed) : coded(query, allowed, effort)
        var found: [Near] = []
        found.reserveCapacity(slots.count)
        for slot in slots { found.append(Near(slot: slot, score: score(of: Int(slot), query))) }
        Self.keep(limit, of: &found)
        found.sort { $0.score > $1.score || $0.score == $1.score && $0.slot < $1.slot }
        return (Array(found.prefix(limit)), isAll)
    }

    /// Leaves the best ones, and those that are as good as the last of them.
    private static func keep(_ limit: Int, of found: inout [Near]) {
        guard let least = largest(limit, of: found.map(\.score)) else { return }
        found.removeAll { $0.score < least }
    }

    private func all(_ allowed: SlotSet) -> [UInt32] {
        var slots: [UInt32] = []
        slots.reserveCapacity(allowed.count)
        allowed.forEach { slots.append(UInt32($0)) }
        return slots
    }

    /// The vectors whose codes are promising.
    private func coded(_ query: Query, _ allowed: SlotSet, _ effort: Effort) -> [UInt32] {
        let near = nearCodes(query, allowed, effort.weighed)
        guard near.count > effort.compared else { return near }
        var weighed = [Near]()
        weighed.reserveCapacity(near.count)
        query.table.withUnsafeBufferPointer { table in
            for slot in near { weighed.append(Near(slot: slot, score: weight(of: Int(slot), table))) }
        }
        Self.keep(effort.compared, of: &weighed)
        return weighed.map(\.slot)
    }

    /// The query's numbers added up with the signs of a code, by tables for each byte of it: as near as the vector would be
    /// if all its numbers were of one size.
    private func weight(of slot: Int, _ table: UnsafeBufferPointer<Float>) -> Float {
        let codes = blocks[slot / Self.blockSlots].codes + slot % Self.blockSlots * codeWords
        var sum: Float = 0
        var row = 0
        for word in 0..<codeWords {
            var bits = codes[word]
            for _ in 0..<8 {
                sum += table[row | Int(bits & 255)]
                bits >>= 8
                row += 256
            }
        }
        return sum
    }

    private func nearCodes(_ query: Query, _ allowed: SlotSet, _ wanted: Int) -> [UInt32] {
        var histogram = [UInt32](repeating: 0, count: 64 * codeWords + 1)
        let distances = [UInt16](unsafeUninitializedCapacity: count) { distances, filled in
            filled = count
            allowed.words.withUnsafeBufferPointer { mask in
                query.code.withUnsafeBufferPointer { code in
                    guard let code = code.baseAddress, let mask = mask.baseAddress,
                        let distances = distances.baseAddress
                    else { return }
                    for (index, block) in blocks.enumerated() {
                        let first = index * Self.blockSlots
                        cvs_distances(
                            block.codes, min(Self.blockSlots, count - first), codeWords, code, mask + first / 64,
                            distances + first, &histogram)
                    }
                }
            }
        }
        var (bound, reached) = (0, 0)
        while bound < histogram.count, reached + Int(histogram[bound]) <= wanted || reached == 0 {
            reached += Int(histogram[bound])
            bound += 1
        }
        // Those at the bound itself may be very many: the first ones, as far as there is room.
        let room = max(wanted, reached)
        return [UInt32](unsafeUninitializedCapacity: room) { places, filled in
            guard let first = places.baseAddress else { return }
            filled = distances.withUnsafeBufferPointer { distances in
                guard let distances = distances.baseAddress, bound > 0 else { return 0 }
                var found = cvs_near(distances, count, UInt16(bound - 1), first, room)
                if found < room, bound < histogram.count {
                    for slot in 0..<count where distances[slot] == UInt16(bound) && found < room {
                        first[found] = UInt32(slot)
                        found += 1
                    }
                }
                return found
            }
        }
    }
}

extension VectorArm {
    /// A query's vector, made ready.
    struct Query: Sendable {
        /// Rounded to half precision, as the index compares them.
        let numbers: [Float]
        let scale: Float
        let code: [UInt64]
        /// For each byte of a code and each of its values: the numbers added up with the signs that it says.
        let table: [Float]

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
            table = [Float](unsafeUninitializedCapacity: words * 8 * 256) { table, filled in
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
