/// One partition of a topic.
package struct TopicPartition: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var topic: String
    package var partition: Int32

    package init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    package static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        (left.topic, left.partition) < (right.topic, right.partition)
    }

    /// `topic[partition]`, as Kafka's tools print it.
    package var description: String { "\(topic)[\(partition)]" }

    /// Whether Kafka takes it as a topic's name: at most 249 of letters, digits, `.`, `_`, `-`.
    package static func isTopicName(_ name: some StringProtocol) -> Bool {
        !name.isEmpty && name.utf8.count <= 249
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}

/// The offsets from `start` up to, but not including, `end`.
package struct OffsetRange: Hashable, Sendable, CustomStringConvertible {
    package var start: Int64
    package var end: Int64

    /// - Returns: nil where `end` lies before `start`.
    package init?(start: Int64, end: Int64) {
        guard start <= end else { return nil }
        self.start = start
        self.end = end
    }

    private init(empty offset: Int64) { (start, end) = (offset, offset) }

    /// No offsets, at a place.
    package static func empty(at offset: Int64) -> OffsetRange { OffsetRange(empty: offset) }

    /// How many offsets it holds.
    package var count: Int64 { end - start }
    /// Whether it holds no offset.
    package var isEmpty: Bool { start == end }
    /// Whether an offset lies in the range.
    package func contains(_ offset: Int64) -> Bool { start <= offset && offset < end }
    package var description: String { "[\(start), \(end))" }
}

/// How far one topic partition has been taken in: the next offset that is wanted.
///
/// A range is accepted only if it extends the checkpoint; see ``apply(_:)``.
package struct Checkpoint: Equatable, Sendable {
    /// What applying a range came to.
    package enum Outcome: Equatable, Sendable {
        /// It begins where the last one ended.
        case extended
        /// It begins later: `missing` offsets were never seen (compaction, retention, or aborted transactions).
        case extendedAfterGap(missing: OffsetRange)
        /// Some of it is already there; the checkpoint has not moved.
        case refusedOverlap
    }

    /// The next offset that is wanted.
    package private(set) var nextOffset: Int64

    package init(nextOffset: Int64) {
        self.nextOffset = nextOffset
    }

    /// Moves the checkpoint to the end of `range` unless they overlap.
    package mutating func apply(_ range: OffsetRange) -> Outcome {
        guard range.start >= nextOffset else { return .refusedOverlap }
        let expected = nextOffset
        nextOffset = range.end
        guard range.start > expected, let missing = OffsetRange(start: expected, end: range.start) else {
            return .extended
        }
        return .extendedAfterGap(missing: missing)
    }
}

extension OffsetRange {
    /// The same offsets in ranges that are in order and apart from one another.
    package static func joined(_ ranges: [OffsetRange]) -> [OffsetRange] {
        var joined: [OffsetRange] = []
        for range in ranges.sorted(by: { $0.start < $1.start }) where !range.isEmpty {
            if let last = joined.last, last.end >= range.start {
                joined[joined.count - 1].end = max(last.end, range.end)
            } else {
                joined.append(range)
            }
        }
        return joined
    }
}
