package import Kafka
package import Records
package import Settings

/// Where reading a topic partition begins: what the lake wants next, held against what the log has.
package enum ReadingStart: Equatable, Sendable {
    /// At an offset that the log holds, or at its end.
    case at(Int64)
    /// The log begins behind what is wanted: these offsets have expired.
    case afterGap(at: Int64, expired: OffsetRange)
    /// The log ends before what is wanted: it is another one, or lost records.
    case beyondEnd(wanted: Int64, end: Int64)

    /// - Parameters:
    ///   - nextOffset: the lake's; nil where it holds nothing of the topic partition.
    ///   - marks: the log's bounds.
    package init(nextOffset: Int64?, marks: Watermarks) {
        guard let next = nextOffset else {
            self = .at(marks.low)
            return
        }
        if next < marks.low {
            self = .afterGap(at: marks.low, expired: OffsetRange(start: next, end: marks.low) ?? .empty(at: next))
        } else if next > marks.high {
            self = .beyondEnd(wanted: next, end: marks.high)
        } else {
            // The record before is read again where it is still there, so that its hash tells whether the log is the same.
            self = .at(next > marks.low ? next - 1 : next)
        }
    }

    /// The offset to read from.
    ///
    /// - Throws: ``StreamJobError`` that says how to go on, where reading must not begin.
    package func offset(policy: ExpiredOffsets, source: TopicPartition) throws -> Int64 {
        switch self {
        case .at(let offset): return offset
        case .afterGap(let offset, let expired):
            guard policy == .stop else { return offset }
            throw StreamJobError(
                "\(source): the log begins at offset \(offset), but the lake ends at \(expired.start): \(expired.count) "
                    + "offsets have expired. Restore the topic, or set EXPIRED_OFFSETS=continue for one start: it goes on "
                    + "at \(offset), and the commit log records the gap. And raise the topic's retention "
                    + "(docs/troubleshooting.md)")
        case .beyondEnd(let wanted, let end):
            throw StreamJobError(
                "\(source): the log ends at offset \(end), before the lake's checkpoint \(wanted): the topic was made "
                    + "anew or lost records. Restore the old topic, or take new places for the new one: LAKE_DIR, "
                    + "KAFKA_GOLD_TOPIC and a database (docs/troubleshooting.md)")
        }
    }
}

/// What was to be read next did not come: the broker no longer has it, or gave something else. A new start finds out what
/// became of it.
struct ReadingInterrupted: Error, CustomStringConvertible {
    let source: TopicPartition
    let offset: Int64
    let cause: String

    var description: String { "\(source): reading at offset \(offset) was interrupted: \(cause)" }
}
