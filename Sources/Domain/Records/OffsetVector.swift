/// For each topic partition the next offset: everything below was seen.
///
/// A topic partition that is absent is at 0. Vectors that were made from one another share their list of topic
/// partitions, so that a copy costs eight bytes for each of them.
package struct OffsetVector: Sendable, Equatable {
    /// Sorted.
    private var places: [TopicPartition] = []
    /// The next offset of each place.
    private var nextOffsets: [Int64] = []

    package init(_ offsets: [TopicPartition: Int64] = [:]) {
        for (place, offset) in offsets.sorted(by: { $0.key < $1.key }) {
            places.append(place)
            nextOffsets.append(offset)
        }
    }

    /// How many topic partitions it names.
    package var count: Int { places.count }
    /// Whether it names no topic partition.
    package var isEmpty: Bool { places.isEmpty }

    /// What it says, by topic and partition.
    package var entries: Zip2Sequence<[TopicPartition], [Int64]> { zip(places, nextOffsets) }

    /// The topics that it names, sorted.
    package var topics: [String] {
        var topics: [String] = []
        for place in places where place.topic != topics.last { topics.append(place.topic) }
        return topics
    }

    /// The next offset of a topic partition; 0 where it is absent.
    package subscript(_ place: TopicPartition) -> Int64 {
        get {
            let index = index(of: place)
            return isPlace(place, at: index) ? nextOffsets[index] : 0
        }
        set {
            let index = index(of: place)
            if isPlace(place, at: index) {
                nextOffsets[index] = newValue
            } else {
                places.insert(place, at: index)
                nextOffsets.insert(newValue, at: index)
            }
        }
    }

    /// Adds a topic partition; false where it was there.
    package mutating func insert(_ place: TopicPartition, _ offset: Int64) -> Bool {
        guard !isPlace(place, at: index(of: place)) else { return false }
        self[place] = offset
        return true
    }

    /// Forgets a topic partition.
    package mutating func remove(_ place: TopicPartition) {
        let index = index(of: place)
        guard isPlace(place, at: index) else { return }
        places.remove(at: index)
        nextOffsets.remove(at: index)
    }

    /// What it says of one topic.
    package func only(_ topic: String) -> OffsetVector { filtered { $0.topic == topic } }

    /// What it says of the topic partitions that pass.
    package func filtered(_ isWanted: (TopicPartition) -> Bool) -> OffsetVector {
        if places.allSatisfy(isWanted) { return self }
        var vector = OffsetVector()
        for (place, offset) in entries where isWanted(place) {
            vector.places.append(place)
            vector.nextOffsets.append(offset)
        }
        return vector
    }

    /// Whether everything below `other` is below this too.
    package func covers(_ other: OffsetVector) -> Bool {
        // Mostly the one was made from the other, and then this compares two pointers.
        if places == other.places { return zip(nextOffsets, other.nextOffsets).allSatisfy { $0 >= $1 } }
        return other.entries.allSatisfy { self[$0] >= $1 }
    }

    /// Moves every offset up to that of `other`.
    package mutating func raise(to other: OffsetVector) {
        if places == other.places {
            for index in nextOffsets.indices where other.nextOffsets[index] > nextOffsets[index] {
                nextOffsets[index] = other.nextOffsets[index]
            }
            return
        }
        for (place, offset) in other.entries where offset > self[place] { self[place] = offset }
    }

    /// Without topic partitions whose numbers lie far beyond those that `other` has of their topic: a client may name what
    /// is not there, and each of its events would carry it. A topic that has just grown has room.
    package func limited(by other: OffsetVector) -> OffsetVector {
        var last: [String: Int] = [:]
        for (place, _) in other.entries { last[place.topic] = max(last[place.topic] ?? 0, Int(place.partition)) }
        return filtered { Int($0.partition) <= (last[$0.topic] ?? 0) + Self.partitionsAhead }
    }

    private static let partitionsAhead = 64

    /// The first place that is not before `place`.
    private func index(of place: TopicPartition) -> Int {
        var low = 0
        var high = places.count
        while low < high {
            let middle = (low + high) / 2
            if places[middle] < place { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func isPlace(_ place: TopicPartition, at index: Int) -> Bool {
        index < places.count && places[index] == place
    }
}

// MARK: As a text

extension OffsetVector {
    /// Topic partitions that a text may name.
    package static let entriesMax = 1_024

    /// `a/0:1200,a/1:455,b/0:7`: sorted. Kafka's names of topics hold none of the signs between.
    package var text: String {
        var text = ""
        for (place, offset) in entries {
            if !text.isEmpty { text += "," }
            text += place.topic
            text += "/\(place.partition):\(offset)"
        }
        return text
    }

    /// Reads ``text``, in any order; nil where it is none, or names a topic partition twice.
    package init?(text: Substring.UTF8View) {
        self.init()
        if text.isEmpty { return }
        let parts = text.split(
            separator: UInt8(ascii: ","), maxSplits: Self.entriesMax, omittingEmptySubsequences: false)
        guard parts.count <= Self.entriesMax else { return nil }
        for part in parts {
            guard let slash = part.firstIndex(of: UInt8(ascii: "/")) else { return nil }
            let topic = Substring(part[..<slash])
            guard TopicPartition.isTopicName(topic),
                let (partition, offset) = Self.pair(part[part.index(after: slash)...]),
                insert(TopicPartition(topic: String(topic), partition: partition), offset)
            else { return nil }
        }
    }

    /// Reads `partition:offset`; nil where it is none.
    package static func pair(_ text: Substring.UTF8View) -> (partition: Int32, offset: Int64)? {
        let parts = text.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ part in part.allSatisfy { (0x30...0x39).contains($0) } }),
            let partition = Int32(Substring(parts[0])), let offset = Int64(Substring(parts[1]))
        else { return nil }
        return (partition, offset)
    }
}
