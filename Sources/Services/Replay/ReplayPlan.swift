import Bytes
package import Lake
package import Logic
package import Records
package import Store

/// What part of the lake is to run through the present logic.
package enum ReplayScope: Sendable, Equatable {
    /// One topic partition's offsets.
    case offsets(TopicPartition, OffsetRange)
    /// All topic partitions from a broker time on, in milliseconds since 1970, and to another one, where there is one.
    case since(Int64, until: Int64?)
    /// Everything.
    case all
}

/// A replay that cannot be done as asked: why, and what to do.
package struct ReplayError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }

    static func noGeneration(_ path: String) -> ReplayError {
        ReplayError("\(path) lists no active generation; run the stream job first")
    }

    /// The replay goes on with a generation that is not its own any more.
    static func notBeingMade(_ number: Int64, _ state: GenerationState?) -> ReplayError {
        switch state {
        case .pruned:
            ReplayError("generation \(number) was pruned while its replay ran; start the replay again for another one")
        case let state:
            ReplayError(
                "generation \(number) is \(state?.rawValue ?? "unknown to the lake"), not being made; "
                    + "`medallion generations` lists them")
        }
    }

    /// What is asked to be served is not complete.
    static func notComplete(_ number: Int64, _ state: GenerationState) -> ReplayError {
        switch state {
        case .pruned: ReplayError("generation \(number) was pruned: it is not fed any more and lacks what came since")
        default:
            ReplayError(
                "generation \(number) is not complete: its replay still runs, or was killed; then "
                    + "`medallion generations --prune \(number)` and replay again")
        }
    }
}

extension ReplayScope {
    /// As the database keeps it.
    var bounds: ReplayBounds {
        var bounds = ReplayBounds()
        switch self {
        case .all: break
        case .since(let time, let until): (bounds.sinceMilliseconds, bounds.untilMilliseconds) = (time, until)
        case .offsets(let source, let range): (bounds.partition, bounds.offsets) = (source.partition, range)
        }
        return bounds
    }

    /// - Parameter topics: those that are replayed; one where offsets are named.
    package init(_ bounds: ReplayBounds, topics: [String]) {
        if let partition = bounds.partition, let range = bounds.offsets, let topic = topics.first {
            self = .offsets(TopicPartition(topic: topic, partition: partition), range)
        } else if let since = bounds.sinceMilliseconds {
            self = .since(since, until: bounds.untilMilliseconds)
        } else {
            self = .all
        }
    }

    /// The offsets of each topic partition, cut to what the lake holds.
    ///
    /// - Parameter windows: the duplicate windows of the topics that are replayed; others are not.
    ///
    /// Where retention gave Bronze up, a replay begins where the whole duplicate window before is held.
    ///
    /// - Throws: ``ReplayError`` where nothing is left, or offsets were named that cannot be replayed any more.
    package func ranges(
        in reader: LakeReader, windows: [String: DuplicateWindow.Limits]
    ) throws -> [TopicPartition: OffsetRange] {
        var ranges: [TopicPartition: OffsetRange] = [:]
        for source in try reader.sources() {
            guard let window = windows[source.topic], let committed = try reader.committedRange(source),
                let held = OffsetRange(
                    start: min(
                        try reader.replayableStart(
                            source, windowOffsets: window.offsets, windowMilliseconds: window.milliseconds),
                        committed.end), end: committed.end)
            else { continue }
            if case .offsets(source, let range) = self, range.start < held.start, held.start > committed.start,
                let expiry = try reader.bronzeExpiry(source)
            {
                throw ReplayError(
                    "\(source) \(range) cannot be replayed: \(expiry), and a replay reads the duplicate window before "
                        + "its start; the first offset that can be replayed is \(held.start)")
            }
            let wanted: OffsetRange?
            switch self {
            case .all: wanted = held
            case .since(let time, let until):
                let end = try until.map { min(held.end, try Self.offset(at: $0, source, reader)) } ?? held.end
                wanted = OffsetRange(start: max(held.start, try Self.offset(at: time, source, reader)), end: end)
            case .offsets(let only, let range):
                wanted =
                    only == source
                    ? OffsetRange(start: max(range.start, held.start), end: min(range.end, held.end)) : nil
            }
            if let wanted, !wanted.isEmpty { ranges[source] = wanted }
        }
        guard !ranges.isEmpty else {
            var held: [String] = []
            for source in try reader.sources() {
                if let range = try reader.committedRange(source) { held.append("\(source) \(range)") }
            }
            throw ReplayError(
                "the lake holds nothing of what is to be replayed; it holds "
                    + (held.isEmpty ? "no commits" : held.joined(separator: ", ")))
        }
        return ranges
    }

    /// The first offset of the first commit that brought the largest broker time to `time` or beyond.
    private static func offset(at time: Int64, _ source: TopicPartition, _ reader: LakeReader) throws -> Int64 {
        let log = try CommitLog(reading: reader.layout.commitLog(source))
        return try log.firstEntry(atBrokerTime: time)?.range.start ?? Int64.max
    }
}

/// How a range's Gold differs between the present logic and a generation.
package struct ReplayDifference: Sendable, Equatable {
    package var added = 0
    package var changed = 0
    package var removed = 0
    package var unchanged = 0

    /// The counts of two ranges together.
    package static func + (left: ReplayDifference, right: ReplayDifference) -> ReplayDifference {
        ReplayDifference(
            added: left.added + right.added, changed: left.changed + right.changed,
            removed: left.removed + right.removed, unchanged: left.unchanged + right.unchanged)
    }
}
