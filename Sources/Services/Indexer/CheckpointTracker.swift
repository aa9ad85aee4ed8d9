import Records
import Store

/// Which documents are new and how markers move the checkpoints. A pure value: the writer compares and sets what it
/// proposes.
struct CheckpointTracker: Equatable {
    private struct Key: Hashable {
        var generation: Int64
        var source: TopicPartition
    }

    /// A stretch of source offsets whose Gold was never seen.
    struct Gap: Equatable, CustomStringConvertible {
        var generation: Int64
        var source: TopicPartition
        var missing: OffsetRange
        var description: String { "generation \(generation), \(source), offsets \(missing)" }
    }

    private var next: [Key: Int64] = [:]

    init(_ checkpoints: [IndexCheckpoint]) {
        for checkpoint in checkpoints {
            next[Key(generation: checkpoint.generation, source: checkpoint.source)] = checkpoint.nextOffset
        }
    }

    /// Whether a document lies at or above its checkpoint.
    func isNew(_ document: PendingDocument) -> Bool {
        let key = Key(generation: document.generation, source: document.source)
        return document.sourceOffset >= next[key] ?? .min
    }

    /// The moves that a marker causes, and the gaps that it leaves behind. A marker that lies below the checkpoint
    /// moves nothing: it is a repeat.
    mutating func apply(_ marker: CommitMarker) -> (moves: [CheckpointMove], gaps: [Gap]) {
        var moves: [CheckpointMove] = []
        var gaps: [Gap] = []
        for generation in marker.generations {
            let key = Key(generation: generation, source: marker.topicPartition)
            let known = next[key]
            guard marker.nextOffset > known ?? -1 else { continue }
            // The first marker of a generation that an operator never replayed into has no handover: it begins there.
            let begin = known ?? marker.handovers[generation] ?? marker.startOffset
            if marker.startOffset > begin, let missing = OffsetRange(start: begin, end: marker.startOffset) {
                gaps.append(Gap(generation: generation, source: marker.topicPartition, missing: missing))
            }
            moves.append(
                CheckpointMove(
                    generation: generation, source: marker.topicPartition, expected: known, next: marker.nextOffset))
            next[key] = marker.nextOffset
        }
        return (moves, gaps)
    }

    /// Joins moves of the same checkpoint, in their order, into one.
    static func joined(_ moves: [CheckpointMove]) -> [CheckpointMove] {
        var order: [Key] = []
        var byKey: [Key: CheckpointMove] = [:]
        for move in moves {
            let key = Key(generation: move.generation, source: move.source)
            if byKey[key] == nil { order.append(key) }
            byKey[key, default: move].next = move.next
        }
        return order.compactMap { byKey[$0] }
    }
}
