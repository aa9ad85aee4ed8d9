import Bytes
import CVectorScan

/// Points among vectors, in groups of neighbouring ones: a vector is compared with all groups, then with the centres of the
/// nearest ones, some 150 products instead of some thousand. All have the length 1.
struct CoarseCentres: Sendable, Equatable {
    /// Groups whose centres a vector is compared with. With one, every tenth vector would get another centre than its nearest.
    private static let groupsTried = 3

    let dimensions: Int
    /// Half-precision numbers of the groups' centres, one behind the other.
    let groups: [UInt16]
    /// Where the centres of each group end.
    let ends: [UInt32]
    /// Half-precision numbers of the centres.
    let halves: [UInt16]

    var count: Int { ends.last.map(Int.init) ?? 0 }
    var memoryBytes: Int { 2 * (groups.count + halves.count) + 4 * ends.count }

    /// Nil where the numbers of numbers do not fit together, or a group has no centres.
    init?(dimensions: Int, groups: [UInt16], ends: [UInt32], halves: [UInt16]) {
        guard dimensions > 0, !ends.isEmpty, groups.count == ends.count * dimensions,
            ends[0] > 0, zip(ends, ends.dropFirst()).allSatisfy({ $0 < $1 }),
            halves.count == Int(ends[ends.count - 1]) * dimensions,
            !halves.isEmpty
        else { return nil }
        (self.dimensions, self.groups, self.ends, self.halves) = (dimensions, groups, ends, halves)
    }

    /// The nearest centre of a vector, or nearly so, and their cosine.
    func nearest(to vector: CoarseVector) -> (centre: Int, cosine: Float) {
        let near = vector.dots(groups, ends.count)
        var best = (centre: 0, cosine: -Float.infinity)
        var tried: [Int] = []
        for _ in 0..<min(Self.groupsTried, ends.count) {
            var next = -1
            for group in near.indices where !tried.contains(group) && (next < 0 || near[group] > near[next]) {
                next = group
            }
            guard next >= 0 else { break }
            tried.append(next)
            let first = next > 0 ? Int(ends[next - 1]) : 0
            let dots = halves.withUnsafeBufferPointer { halves in
                vector.dots(
                    UnsafeBufferPointer(rebasing: halves[(first * dimensions)..<(Int(ends[next]) * dimensions)]),
                    Int(ends[next]) - first)
            }
            for (place, dot) in dots.enumerated() where dot > best.cosine { best = (first + place, dot) }
        }
        return best
    }

    /// How near all centres are to a query.
    func nearness(to query: VectorArm.Query) -> [Float] {
        CoarseVector(numbers: query.numbers, scale: 1).dots(halves, count)
    }
}

/// A vector as it is compared with centres.
struct CoarseVector {
    let numbers: [Float]
    /// 1 over its length.
    let scale: Float

    init(numbers: [Float], scale: Float) { (self.numbers, self.scale) = (numbers, scale) }

    init(_ slot: Int, of table: VectorTable) {
        var numbers = [Float](repeating: 0, count: table.dimensions)
        cvs_add(table.halves(of: slot), 1, table.dimensions, &numbers)
        self.init(numbers: numbers, scale: table.scale(of: slot))
    }

    func dots(_ rows: [UInt16], _ count: Int) -> [Float] { rows.withUnsafeBufferPointer { dots($0, count) } }

    /// Products with rows, one behind the other, over this vector's length; one that is not finite counts as 0.
    func dots(_ rows: UnsafeBufferPointer<UInt16>, _ count: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: count) { dots, filled in
            guard let rows = rows.baseAddress, let first = dots.baseAddress else { return }
            cvs_dots(rows, count, numbers, numbers.count, first)
            for place in 0..<count {
                let dot = first[place] * scale
                first[place] = dot.isFinite ? dot : 0
            }
            filled = count
        }
    }
}
