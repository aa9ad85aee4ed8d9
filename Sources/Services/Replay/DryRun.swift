package import Bytes
import Concurrency
import Derivation
package import Lake
import Logic
import Records
import Store

extension Replay {
    /// Compares what the logic would make of the scope with the active generation; changes nothing.
    ///
    /// - Parameters:
    ///   - needs: tells what would have to be embedded; nil where that is not counted.
    ///   - model: whose vectors the generation would have, which `needs` tells of; nil: the active generation's.
    ///   - monitor: told how far it is, and asked how fast it may be.
    ///   - standing: how far its threads stand back.
    package static func dryRun(
        layout: LakeLayout, logics: [String: TopicLogic], scope: ReplayScope, needs: (any EmbeddingNeeds)? = nil,
        model: String? = nil, monitor: ReplayMonitor = ReplayMonitor(), standing: ThreadPriority = Self.standing
    ) async throws -> ReplayReport {
        let lane = Lane(name: "replay", priority: standing)
        let stages = ReplayStages(deriving: lane, writing: Lane(name: "replay-compare", priority: Self.standing))
        let (reader, readingLane) = (LakeReader(layout: layout), Lane(name: "replay-read", priority: standing))
        let (active, trial, ranges) = try await lane.run {
            let active = try Self.active(layout)
            let trial = LakeGeneration(
                number: 0, parent: active.number, logic: try Self.logic(of: active, logics, layout), state: .created)
            return (active, trial, try Self.ranges(of: scope, logics, reader))
        }
        var report = ReplayReport(generation: nil, trial, ranges)
        report.model = model
        monitor.edit { $0.model = model }
        report.changes = try ReplayReport.changes(from: active, to: trial, topics: Set(logics.keys))
        monitor.beginRecords(wanted: ranges.values.reduce(0) { $0 + $1.end - $1.start })
        var missing = InputSet()
        try await withTaskCancellationHandler {
            for (source, range) in ranges.sorted(by: { $0.key < $1.key }) {
                @Sendable func replay() -> RangeReplay {
                    RangeReplay(
                        reader: reader, source: source, generation: trial, parent: active.number,
                        readingLane: readingLane)
                }
                try await stages.run(
                    onFailure: { monitor.cancel() },
                    derive: { put in
                        try replay().run(range, recordsMax: { monitor.stretchRecordsMax }) { chunk in
                            try monitor.hold(records: chunk.records) {}
                            try put(chunk)
                        }
                    },
                    write: { next, put in try replay().compare(next, to: range.end, put) }
                ) { chunk in
                    if let needs {
                        missing.insert(
                            try await needs.inputsToEmbed(
                                lines: chunk.gold.map { ($0.offset, $0.bytes) }, source: source))
                    }
                    let (count, isLeast) = (needs == nil ? nil : missing.count, missing.isLeast)
                    monitor.edit {
                        $0.note(chunk, embedded: 0)
                        $0.embeddingsNeeded = count
                        $0.isEmbeddingsNeededLeast = isLeast
                    }
                }
            }
            if let needs, model != nil { try await missing.insert(needs, takenOver: active.number, ranges, monitor) }
        } onCancel: {
            monitor.cancel()
        }
        monitor.edit { $0.phase = .done }
        let progress = monitor.progress
        report.difference = ReplayDifference(progress.figures)
        report.samples = progress.samples
        report.embeddingsNeeded = needs == nil ? nil : missing.count
        report.isEmbeddingsNeededLeast = missing.isLeast
        return report
    }
}

/// Which inputs were seen, in 16 bytes each: half of their hashes.
struct InputSet {
    private var seen: Set<SIMD2<UInt64>> = []
    private let countMax: Int
    /// Whether some came for which there was no room: there are at least ``count``.
    private(set) var isLeast = false

    /// - Parameter countMax: that are told apart; a million take some 40 MB.
    init(countMax: Int = 1_000_000) {
        self.countMax = countMax
    }

    var count: Int { seen.count }

    mutating func insert(_ inputs: Set<VectorInput>) {
        for input in inputs {
            let digits = input.hash.utf8
            // Tenants share no vectors.
            var first = UInt64(bitPattern: Int64(input.tenant.text.utf8.reduce(5_381) { ($0 &* 33) ^ Int($1) }))
            first ^= Self.number(digits.prefix(16))
            let input = SIMD2(first, Self.number(digits.dropFirst(16).prefix(16)))
            if seen.count < countMax {
                seen.insert(input)
            } else if !seen.contains(input) {
                isLeast = true
            }
        }
    }

    /// Adds what documents need that a generation would take over from its parent.
    mutating func insert(
        _ needs: any EmbeddingNeeds, takenOver parent: Int64, _ replayed: [TopicPartition: OffsetRange],
        _ monitor: ReplayMonitor
    ) async throws {
        monitor.edit { $0.phase = .vectors }
        let outside = replayed.map { (source: $0.key, offsets: $0.value) }
        var key = Int64.min
        while true {
            try Task.checkCancellation()
            let (step, inputs) = try await needs.inputsToEmbed(shownBy: parent, after: key, outside: outside)
            guard let last = step.lastKey else { return }
            key = last
            insert(inputs)
            let (count, isLeast) = (self.count, self.isLeast)
            monitor.edit { ($0.embeddingsNeeded, $0.isEmbeddingsNeededLeast) = (count, isLeast) }
        }
    }

    private static func number(_ digits: Substring.UTF8View) -> UInt64 {
        UInt64(String(Substring(digits)), radix: 16) ?? 0
    }
}
