import CVectorScan
import Glibc

/// Vectors in memory as they were at a moment: what stands in a slot never changes and never moves, and is written before a table
/// counts it, so a copy of the table may be read without a lock while more vectors come, as long as its ``VectorArm`` is there.
struct VectorTable {
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
    var blocks: [Block] = []
    var count = 0

    init(dimensions: Int) {
        self.dimensions = dimensions
        codeWords = (dimensions + 63) / 64
    }

    /// The block that the next vector goes to.
    mutating func roomy() -> Block {
        if count == blocks.count * Self.blockSlots {
            let numbers = Self.blockSlots * dimensions
            let isLarge = blocks.count >= Self.smallBlocks
            blocks.append(
                Block(
                    codes: .allocate(capacity: Self.blockSlots * codeWords),
                    halves: isLarge ? Self.onLargePages(numbers) : .allocate(capacity: numbers),
                    scales: .allocate(capacity: Self.blockSlots)))
        }
        return blocks[blocks.count - 1]
    }

    /// Blocks on the usual pages: of a small table a large page would lie idle.
    private static let smallBlocks = 4

    /// A search reads some thousand vectors all over the memory: finding the page of each would take as long as reading it.
    private static func onLargePages(_ count: Int) -> UnsafeMutablePointer<UInt16> {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * count, alignment: 2 << 20)
        // Where it is refused, the pages are the usual ones.
        _ = madvise(memory, 2 * count, MADV_HUGEPAGE)
        return memory.bindMemory(to: UInt16.self, capacity: count)
    }

    func halves(of slot: Int) -> UnsafePointer<UInt16> {
        UnsafePointer(blocks[slot / Self.blockSlots].halves + slot % Self.blockSlots * dimensions)
    }

    func code(of slot: Int) -> UnsafePointer<UInt64> {
        UnsafePointer(blocks[slot / Self.blockSlots].codes + slot % Self.blockSlots * codeWords)
    }

    /// 1 over the vector's length; 0 for one without length.
    func scale(of slot: Int) -> Float { blocks[slot / Self.blockSlots].scales[slot % Self.blockSlots] }

    /// How near a vector is.
    func score(of slot: Int, _ query: VectorArm.Query) -> Float {
        let dot = query.numbers.withUnsafeBufferPointer { numbers in
            numbers.baseAddress.map { cvs_dot(halves(of: slot), $0, dimensions) } ?? 0
        }
        return dot * scale(of: slot) * query.scale
    }

    /// The query's numbers added up with the signs of a code, by tables for each byte of it: as near as the vector would be
    /// if all its numbers were of one size.
    func weight(of slot: Int, _ table: UnsafeBufferPointer<Float>) -> Float {
        let code = code(of: slot)
        var sum: Float = 0
        var row = 0
        for word in 0..<codeWords {
            var bits = code[word]
            for _ in 0..<8 {
                sum += table[row | Int(bits & 255)]
                bits >>= 8
                row += 256
            }
        }
        return sum
    }

    /// The codes of all vectors of a set.
    func codes(of allowed: SlotSet, _ query: VectorArm.Query) -> SeenCodes {
        var seen = SeenCodes(codeWords: codeWords, room: allowed.count)
        let count = min(count, allowed.words.count * 64)
        for (index, block) in blocks.enumerated() where index * Self.blockSlots < count {
            let first = index * Self.blockSlots
            seen.take(
                block.codes, first: first, count: min(Self.blockSlots, count - first), query.code, among: allowed)
        }
        return seen
    }
}

/// Codes that a search looked at: slots, and by how many bits each differs from the query's.
struct SeenCodes {
    private(set) var slots: [UInt32]
    private var distances: [UInt16]
    /// How many have each distance.
    private var histogram: [UInt32]
    private let codeWords: Int
    private(set) var count = 0

    /// - Parameter room: codes that are seen at most.
    init(codeWords: Int, room: Int) {
        self.codeWords = codeWords
        histogram = [UInt32](repeating: 0, count: 64 * codeWords + 1)
        // Nobody reads what was not written: clearing it would take as long as looking at the codes.
        slots = [UInt32](unsafeUninitializedCapacity: room) { _, filled in filled = room }
        distances = [UInt16](unsafeUninitializedCapacity: room) { _, filled in filled = room }
    }

    /// Looks at codes of slots that stand one behind the other; `first` is a multiple of 64.
    mutating func take(
        _ codes: UnsafePointer<UInt64>, first: Int, count: Int, _ code: [UInt64], among allowed: SlotSet
    ) {
        let (before, words) = (self.count, codeWords)
        self.count += allowed.words.withUnsafeBufferPointer { mask in
            slots.withUnsafeMutableBufferPointer { slots in
                distances.withUnsafeMutableBufferPointer { distances in
                    guard let mask = mask.baseAddress, let slots = slots.baseAddress,
                        let distances = distances.baseAddress
                    else { return 0 }
                    return cvs_selected(
                        codes, count, words, code, mask + first / 64, UInt32(first), distances + before,
                        slots + before, &histogram)
                }
            }
        }
    }

    /// The slots of the nearest codes: at least `wanted` where there are so many, and not many more.
    func nearest(_ wanted: Int) -> [UInt32] {
        var (bound, reached) = (0, 0)
        while bound < histogram.count, reached + Int(histogram[bound]) <= wanted || reached == 0 {
            reached += Int(histogram[bound])
            bound += 1
        }
        // Those at the bound itself may be very many: the first ones, as far as there is room.
        let room = max(wanted, reached)
        guard bound > 0, count > 0 else { return [] }
        return [UInt32](unsafeUninitializedCapacity: room) { places, filled in
            guard let first = places.baseAddress else { return }
            distances.withUnsafeBufferPointer { distances in
                guard let distances = distances.baseAddress else { return }
                var found = cvs_near(distances, count, UInt16(bound - 1), first, room)
                if bound < histogram.count {
                    for place in 0..<count where found < room && distances[place] == UInt16(bound) {
                        first[found] = UInt32(place)
                        found += 1
                    }
                }
                filled = found
            }
            for place in 0..<filled { first[place] = slots[Int(first[place])] }
        }
    }
}
