/// For each topic partition of the source the next offset: everything below was shown.
package struct OffsetVector: Sendable, Equatable {
    /// Next source offsets by topic partition; what is absent is 0.
    package private(set) var offsets: [Int32: Int64]

    package init(_ offsets: [Int32: Int64] = [:]) {
        self.offsets = offsets
    }

    /// By topic partition.
    var sorted: [(key: Int32, value: Int64)] { offsets.sorted { $0.key < $1.key } }

    /// `0:1200,1:455`
    package var text: String {
        sorted.map { "\($0.key):\($0.value)" }.joined(separator: ",")
    }

    /// The next offset of a topic partition; 0 where nothing is known.
    package subscript(_ partition: Int32) -> Int64 {
        get { offsets[partition] ?? 0 }
        set { offsets[partition] = newValue }
    }

    /// Adds a topic partition; false where it was there.
    mutating func insert(_ partition: Int32, _ offset: Int64) -> Bool {
        offsets.updateValue(offset, forKey: partition) == nil
    }

    /// Forgets a topic partition.
    mutating func remove(_ partition: Int32) { offsets[partition] = nil }

    /// Whether everything below `other` is below this too.
    package func covers(_ other: OffsetVector) -> Bool { other.offsets.allSatisfy { self[$0.key] >= $0.value } }

    /// Without topic partitions whose numbers lie far beyond those of `other`: a client may name what is not there, and
    /// each of its events would carry it. A topic that has just grown has room.
    package func limited(by other: OffsetVector) -> OffsetVector {
        let last = Int(other.offsets.keys.max() ?? 0) + Self.partitionsAhead
        return OffsetVector(offsets.filter { Int($0.key) <= last })
    }

    private static let partitionsAhead = 64

    /// Moves every offset up to that of `other`.
    package mutating func raise(to other: OffsetVector) {
        for (partition, offset) in other.offsets where offset > self[partition] { offsets[partition] = offset }
    }
}
