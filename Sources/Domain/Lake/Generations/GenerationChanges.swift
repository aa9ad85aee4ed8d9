package import Records

/// What the writer of a topic partition changes when the list of generations has. A pure value.
package struct GenerationChanges: Equatable {
    /// To be written from the next commit on, or as before.
    package private(set) var fed: [LakeGeneration] = []
    /// Not to be written any more: given up, or not in the list, such as one whose entry was taken back.
    package private(set) var stopped: [Int64] = []
    /// About generations that were fed once and then not, so that they lack offsets: they are not written again.
    package private(set) var complaints: [String] = []

    /// - Parameters:
    ///   - known: the list.
    ///   - source: the topic partition.
    ///   - handovers: the generations that its commit log has, as the writer found them.
    ///   - feeding: the numbers that are being written.
    ///   - nextOffset: where the next commit begins; nil in an empty lake.
    package init(
        known: [LakeGeneration], source: TopicPartition, handovers: [Int64: Int64], feeding: [Int64], nextOffset: Int64?
    ) {
        for generation in known where generation.isFed {
            let isHandedOver = handovers[generation.number] != nil || feeding.contains(generation.number)
            if !isHandedOver, let nextOffset, let start = Self.gapStart(of: generation, source, before: nextOffset) {
                complaints.append(
                    "generation \(generation.number) was fed from offset \(start) on and then not, so it lacks offsets up to "
                        + "\(nextOffset) and is not fed: `medallion generations --prune \(generation.number)`")
            } else {
                fed.append(generation)
            }
        }
        let wanted = Set(fed.map(\.number))
        stopped = Set(handovers.keys).union(feeding).subtracting(wanted).sorted()
    }

    /// Where a generation that would be handed over now should have been, if something was taken in since. There is one
    /// handover, and what the list says of it holds. The active generation is written all the same: its gap is there, and
    /// stopping would widen it.
    private static func gapStart(
        of generation: LakeGeneration, _ source: TopicPartition, before next: Int64
    ) -> Int64? {
        guard generation.state != .active, generation.parent != nil, let start = generation.fedFrom(source),
            start < next
        else { return nil }
        return start
    }
}
