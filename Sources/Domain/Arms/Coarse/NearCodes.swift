import CVectorScan

/// The nearest codes of those that a search looks at in lists. As it goes on, what is further off than as many as are wanted
/// is not even noted.
struct NearCodes {
    /// Codes that stand together in a list.
    static let block = 32

    private let wanted: Int
    /// Codes that were looked at and count.
    private(set) var count = 0
    private var slots: [UInt32]
    private var distances: [UInt16]
    private var kept = 0
    private var bound = UInt16.max

    /// - Parameter wanted: how many are kept in the end.
    init(_ wanted: Int) {
        self.wanted = max(1, wanted)
        let room = 4 * self.wanted
        // Nobody reads what was not written.
        slots = [UInt32](unsafeUninitializedCapacity: room) { _, filled in filled = room }
        distances = [UInt16](unsafeUninitializedCapacity: room) { _, filled in filled = room }
    }

    /// Looks at a list's codes.
    ///
    /// - Parameter allowed: nil where all of the list count.
    mutating func take(
        _ codes: UnsafePointer<UInt8>, _ numbers: UnsafePointer<UInt32>, count listed: Int, bytes: Int,
        _ query: VectorArm.Query, among allowed: SlotSet?
    ) {
        var first = 0
        while first < listed {
            if slots.count - kept < 2 * Self.block { keepNearest() }
            let some = min(listed - first, (slots.count - kept) / Self.block * Self.block)
            var passing = 0
            let (before, bound) = (kept, bound)
            func taken(_ mask: UnsafePointer<UInt64>?) -> Int {
                slots.withUnsafeMutableBufferPointer { slots in
                    distances.withUnsafeMutableBufferPointer { distances in
                        guard let slots = slots.baseAddress, let distances = distances.baseAddress else { return 0 }
                        return cvs_weighed(
                            codes + first * bytes, numbers + first, some, bytes, query.costs, mask, bound,
                            distances + before, slots + before, &passing)
                    }
                }
            }
            kept += allowed.map { $0.words.withUnsafeBufferPointer { taken($0.baseAddress) } } ?? taken(nil)
            count += passing
            first += some
            if kept > 2 * wanted { keepNearest() }
        }
    }

    /// Leaves as many as are wanted. Of those at one distance, which may be very many, the first ones.
    private mutating func keepNearest() {
        guard kept > wanted else { return makeRoom() }
        var least: UInt16 = .max
        var most: UInt16 = 0
        for place in 0..<kept { (least, most) = (min(least, distances[place]), max(most, distances[place])) }
        var histogram = [UInt32](repeating: 0, count: Int(most - least) + 1)
        for place in 0..<kept { histogram[Int(distances[place] - least)] += 1 }
        var (edge, nearer) = (0, 0)
        while nearer + Int(histogram[edge]) < wanted {
            nearer += Int(histogram[edge])
            edge += 1
        }
        let last = least + UInt16(edge)
        var (left, atEdge) = (0, wanted - nearer)
        for place in 0..<kept where distances[place] <= last {
            if distances[place] == last {
                guard atEdge > 0 else { continue }
                atEdge -= 1
            }
            (slots[left], distances[left]) = (slots[place], distances[place])
            left += 1
        }
        kept = left
        // What is as far as the last one is of no more use.
        bound = last > 0 ? last - 1 : 0
        makeRoom()
    }

    private mutating func makeRoom() {
        guard slots.count - kept < 2 * Self.block else { return }
        slots.append(contentsOf: repeatElement(0, count: 2 * Self.block))
        distances.append(contentsOf: repeatElement(0, count: 2 * Self.block))
    }

    /// The slots of the nearest.
    consuming func nearest() -> [UInt32] {
        keepNearest()
        return Array(slots[..<kept])
    }
}
