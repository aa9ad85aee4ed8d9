package import Records

/// A document as both logics make it, to look at side by side.
package struct ReplaySample: Sendable, Equatable {
    /// One text of it.
    package struct Side: Sendable, Equatable {
        package let title: String
        /// Cut at ``ReplaySamples/charactersMax``.
        package let text: String
    }

    /// Of its record, as the offset.
    package let source: TopicPartition
    package let offset: Int64
    package let docID: String
    /// As the parent has it; nil of one that is added.
    package let before: Side?
    /// As the new logic makes it; nil of one that is removed.
    package let after: Side?
    /// The samples with the smallest are kept: a choice that is spread over the range, and the same in every run.
    fileprivate let rank: UInt64
}

/// Some documents that a replay adds, changes or removes.
package struct ReplaySamples: Sendable, Equatable {
    /// Of each kind.
    package static let countMax = 5
    /// Of a text.
    package static let charactersMax = 500

    /// By rank.
    package private(set) var added: [ReplaySample] = []
    package private(set) var changed: [ReplaySample] = []
    package private(set) var removed: [ReplaySample] = []

    package init() {}

    /// Takes a document's Gold lines in, if they are among those that are kept.
    mutating func note(_ source: TopicPartition, _ offset: Int64, before: ArraySlice<UInt8>?, after: [UInt8]?) {
        let rank = Self.rank(source, offset)
        let kept = after == nil ? removed : before == nil ? added : changed
        if kept.count >= Self.countMax, let last = kept.last, rank >= last.rank { return }
        let (old, new) = (before.flatMap { Self.side($0) }, after.flatMap { Self.side($0[...]) })
        let sample = ReplaySample(
            source: source, offset: offset, docID: new?.docID ?? old?.docID ?? "", before: old?.side, after: new?.side,
            rank: rank)
        switch (before, after) {
        case (_, nil): Self.add(sample, to: &removed)
        case (nil, _): Self.add(sample, to: &added)
        default: Self.add(sample, to: &changed)
        }
    }

    /// Takes the samples of another stretch in.
    mutating func merge(_ other: ReplaySamples) {
        for sample in other.added { Self.add(sample, to: &added) }
        for sample in other.changed { Self.add(sample, to: &changed) }
        for sample in other.removed { Self.add(sample, to: &removed) }
    }

    private static func add(_ sample: ReplaySample, to list: inout [ReplaySample]) {
        let place = list.firstIndex { $0.rank > sample.rank } ?? list.count
        list.insert(sample, at: place)
        if list.count > countMax { list.removeLast() }
    }

    /// Neighbours get ranks far apart (the finalizer of SplitMix64).
    private static func rank(_ source: TopicPartition, _ offset: Int64) -> UInt64 {
        var value = UInt64(bitPattern: offset) &+ UInt64(UInt32(bitPattern: source.partition)) &* 0x9E37_79B9_7F4A_7C15
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    private static func side(_ line: ArraySlice<UInt8>) -> (docID: String, side: ReplaySample.Side)? {
        line.withUnsafeBytes { bytes in
            guard let fields = try? GoldLine.Fields(bytes) else { return nil }
            let text = fields[.text].string ?? ""
            let cut = text.prefix(charactersMax)
            return (
                fields[.docID].string ?? "",
                ReplaySample.Side(
                    title: String((fields[.title].string ?? "").prefix(charactersMax)),
                    text: cut.endIndex < text.endIndex ? cut + "…" : text)
            )
        }
    }
}
