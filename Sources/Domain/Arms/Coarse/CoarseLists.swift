import CVectorScan

/// Vectors in lists, each in that of the centre nearest to it, with the codes of a list behind one another: a search looks at
/// the lists in the order of how near their centres are, until it has seen enough codes.
///
/// An inverted file, as Jégou, Douze and Schmid have it ("Product Quantization for Nearest Neighbor Search", 2011), over
/// codes of two bits a number (``CoarseCode``). And no graph: a vector comes and goes in some microseconds, a filter needs no
/// path through what it leaves out, equal vectors are neighbours in a list, and a list is read as memory is read best.
///
/// Not thread-safe: who holds it lets one write or many read. The lists' memory is its own and goes with it.
final class CoarseLists {
    static let none = UInt32.max

    private struct List {
        /// In blocks, see `cvs_weighed`.
        var codes: UnsafeMutablePointer<UInt8>?
        var slots: UnsafeMutablePointer<UInt32>?
        var count = 0
        var capacity = 0
    }

    let centres: CoarseCentres
    var reach: CoarseReach
    /// Vectors that it was learnt from.
    let learnt: Int
    /// How far these lie from their centres on average: 1 less the cosine.
    let distance: Double
    private var lists: [List]
    /// The list of each slot, in which it stands while it is held; ``none`` where it was not looked for yet.
    private(set) var listOf: [UInt32] = []
    private(set) var held = SlotSet(count: 0)
    private(set) var count = 0
    private let codeBytes: Int
    private var codesRoom = 0
    /// Of the vectors whose list was looked for here: how many, and how far they lie from their centres.
    private(set) var come = (count: 0, distance: 0.0)

    /// - Parameter listOf: the lists of slots, as far as they are known.
    init(
        _ centres: CoarseCentres, learnt: Int, distance: Double, reach: CoarseReach,
        listOf: [UInt32] = []
    ) {
        (self.centres, self.learnt, self.distance) = (centres, learnt, distance)
        codeBytes = CoarseCode.bytes(dimensions: centres.dimensions)
        (self.reach, self.listOf) = (reach, listOf)
        lists = [List](repeating: List(), count: centres.count)
    }

    deinit {
        for list in lists {
            list.codes?.deallocate()
            list.slots?.deallocate()
        }
    }

    /// Bytes that it takes in memory.
    var memoryBytes: Int {
        centres.memoryBytes + codesRoom * (codeBytes + 4) + 4 * listOf.capacity + 8 * held.words.count
            + MemoryLayout<List>.stride * lists.count
    }

    // MARK: Changes

    /// Takes a vector in; one that is held stays.
    func add(_ slot: Int, of table: VectorTable) {
        held.grow(to: slot + 1)
        guard !held.contains(slot) else { return }
        held.insert(slot)
        count += 1
        if listOf.count <= slot { listOf.append(contentsOf: repeatElement(Self.none, count: slot + 1 - listOf.count)) }
        if listOf[slot] == Self.none {
            let nearest = centres.nearest(to: CoarseVector(slot, of: table))
            listOf[slot] = UInt32(nearest.centre)
            come = (come.count + 1, come.distance + 1 - Double(nearest.cosine))
        }
        append(slot, of: table, to: Int(listOf[slot]))
    }

    private func append(_ slot: Int, of table: VectorTable, to number: Int) {
        var list = lists[number]
        let bytes = codeBytes
        if list.count == list.capacity {
            let block = NearCodes.block
            let capacity = (list.capacity + list.capacity / 4) / block * block + block
            let codes = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * bytes)
            let slots = UnsafeMutablePointer<UInt32>.allocate(capacity: capacity)
            // What is behind the last code is looked at, too, and does not count.
            codes.initialize(repeating: 0, count: capacity * bytes)
            if let before = list.codes { codes.update(from: before, count: list.capacity * bytes) }
            if let before = list.slots { slots.moveInitialize(from: before, count: list.count) }
            list.codes?.deallocate()
            list.slots?.deallocate()
            codesRoom += capacity - list.capacity
            (list.codes, list.slots, list.capacity) = (codes, slots, capacity)
        }
        if let codes = list.codes, let slots = list.slots {
            let first = place(of: list.count)
            CoarseCode.forEachByte(of: slot, table) { codes[first + $0 * NearCodes.block] = $1 }
            (slots + list.count).initialize(to: UInt32(slot))
        }
        list.count += 1
        lists[number] = list
    }

    /// Where a code's first byte stands; its others follow ``NearCodes/block`` bytes apart.
    private func place(of number: Int) -> Int {
        let block = NearCodes.block
        return number / block * block * codeBytes + number % block
    }

    /// Leaves a vector out; its list is kept in mind.
    func remove(_ slot: Int) {
        guard held.contains(slot) else { return }
        held.remove(slot)
        count -= 1
        let number = Int(listOf[slot])
        guard let codes = lists[number].codes, let slots = lists[number].slots,
            let place = (0..<lists[number].count).first(where: { slots[$0] == UInt32(slot) })
        else { return }
        let last = lists[number].count - 1
        if place != last {
            let (from, to) = (self.place(of: last), self.place(of: place))
            for byte in 0..<codeBytes { codes[to + byte * NearCodes.block] = codes[from + byte * NearCodes.block] }
            slots[place] = slots[last]
        }
        lists[number].count = last
    }

    /// Holds the vectors of a set, and no others.
    ///
    /// - Parameter goesOn: asked now and then; false gives it up.
    /// - Returns: whether it is done.
    func follow(_ table: VectorTable, _ used: SlotSet, goesOn: () -> Bool) -> Bool {
        held.grow(to: used.words.count * 64)
        for (index, word) in used.words.enumerated() {
            var rest = word ^ held.words[index]
            if rest != 0, index % 64 == 0, !goesOn() { return false }
            while rest != 0 {
                let slot = index << 6 | rest.trailingZeroBitCount
                if word >> UInt64(slot & 63) & 1 == 1 { add(slot, of: table) } else { remove(slot) }
                rest &= rest - 1
            }
        }
        return true
    }

    /// Forgets what came: what comes from here on is compared with what was learnt from.
    func beginWatching() { come = (0, 0) }

    /// Whether there are so many vectors, or so few, or such others, that it is to be learnt again.
    ///
    /// - Parameter now: vectors that there are.
    func areOutdated(now: Int, _ settings: CoarseSettings) -> Bool {
        if now * 2 < settings.vectorsMin || now * 4 < learnt { return true }
        if Double(now) > settings.growth * Double(learnt) { return true }
        return come.count * 8 > learnt
            && come.distance / Double(come.count) > settings.drift * max(distance, Self.distanceMin)
    }

    /// Vectors that all but are their centres are no measure.
    private static let distanceMin = 0.01

    // MARK: Reading

    /// The nearest codes of the lists nearest to a query, of which as many are looked at as is due.
    ///
    /// - Parameters:
    ///   - allowed: the vectors that count; nil: all that are held.
    ///   - passing: how many that are.
    ///   - kept: nearest codes that are wanted.
    func codes(near query: VectorArm.Query, among allowed: SlotSet?, passing: Int, kept: Int) -> NearCodes {
        let wanted = reach.codes(among: passing, isFiltered: allowed != nil)
        // Long lists of equal vectors do not stand for the others: half the lists that the codes would fill on average are
        // looked at.
        let listsMin = Int(Double(lists.count) * Double(wanted) / Double(max(1, passing)) / 2) + 1
        var near = NearCodes(kept)
        var looked = 0
        inOrder(query, expected: 4 * listsMin) { number in
            let list = lists[number]
            if let codes = list.codes, let slots = list.slots, list.count > 0 {
                near.take(codes, slots, count: list.count, bytes: codeBytes, query, among: allowed)
            }
            looked += 1
            return near.count < wanted || looked < listsMin
        }
        return near
    }

    /// Calls `body` with lists in the order of how near their centres are, until it returns false.
    ///
    /// - Parameter expected: only so many are put in order at first.
    func inOrder(_ query: VectorArm.Query, expected: Int, _ body: (Int) -> Bool) {
        let near = centres.nearness(to: query)
        var least = largest(expected, of: near) ?? -.infinity
        var order = near.indices.filter { near[$0] >= least }
        while true {
            order.sort { near[$0] > near[$1] || near[$0] == near[$1] && $0 < $1 }
            for number in order where !body(number) { return }
            guard least > -.infinity else { return }
            order = near.indices.filter { near[$0] < least }
            least = -.infinity
        }
    }

    /// How many vectors of a set a list has.
    func count(of list: Int, among allowed: SlotSet?) -> Int {
        guard let allowed else { return lists[list].count }
        return (0..<lists[list].count).reduce(0) { sum, place in
            sum + (lists[list].slots.map { allowed.contains(Int($0[place])) } ?? false ? 1 : 0)
        }
    }
}
