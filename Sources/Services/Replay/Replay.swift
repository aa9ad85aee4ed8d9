import Bytes
import Concurrency
import Derivation
import Files
package import Lake
import Logic
package import Postgres
package import Records
import Store
package import Telemetry

/// Puts a replay's documents into the index. The executable hands the indexer's parts over, so that both embed alike.
package protocol ReplayIndex: Sendable {
    /// Makes documents visible in a generation, embedding only texts that have no vector yet.
    ///
    /// - Parameter lines: Gold lines with their source offsets.
    /// - Returns: how many texts were embedded.
    func index(
        lines: [(offset: Int64, line: [UInt8])], generation: Int64, source: TopicPartition
    ) async throws -> Int
}

/// What a replay did, or would do.
package struct ReplayReport: Sendable {
    /// nil of a dry run.
    package var generation: Int64?
    package var parent: Int64
    package var logicVersion: String
    /// The logic versions by which topics were replayed.
    package var logics: [String: String]
    package var ranges: [TopicPartition: OffsetRange]
    package var difference = ReplayDifference()
    /// Texts that had to be embedded.
    package var embedded = 0
    /// Documents that the child took over from its parent.
    package var inherited = 0
}

extension ReplayReport {
    fileprivate init(
        generation number: Int64?, _ generation: LakeGeneration, _ ranges: [TopicPartition: OffsetRange]
    ) {
        var logics: [String: String] = [:]
        for source in ranges.keys { logics[source.topic] = generation.logic.logic(of: source.topic)?.logicVersion }
        self.init(
            generation: number, parent: generation.parent ?? 0, logicVersion: generation.logicVersion, logics: logics,
            ranges: ranges)
    }
}

/// Runs Bronze through other logic into a child of the active generation, beside the live stream job.
///
/// The child stores the logic of every topic: that of the replayed ones is new, that of the others the parent's, to whose
/// files and rows it refers for them.
///
/// Reads Bronze from the lake alone, and touches neither the topic nor the consumer group. Blocking parts run on a lane.
package struct Replay: Sendable {
    private let layout: LakeLayout
    private let logics: [String: TopicLogic]
    private let database: PostgresConfiguration
    private let index: any ReplayIndex
    private let logger: Logger
    private let lane = Lane(name: "replay")

    /// How long the stream job may take to hand a topic partition over.
    package static let handoverSecondsMax = 60
    /// How long a stream job that runs may take to do so, before this does it where none runs.
    private static let jobPatienceNanoseconds: Int64 = 1_000_000_000
    /// How long the index may take to catch up with the handover.
    package static let catchUpSecondsMax = 900
    private static let statementMilliseconds = 120_000

    /// - Parameter logics: of the topics that are replayed, those of them that the lake holds.
    package init(
        layout: LakeLayout, logics: [String: TopicLogic], database: PostgresConfiguration, index: any ReplayIndex,
        logger: Logger
    ) {
        self.layout = layout
        self.logics = logics
        self.database = database
        self.index = index
        self.logger = logger
    }

    /// Compares what the logic would make of the scope with the active generation; changes nothing.
    package static func dryRun(
        layout: LakeLayout, logics: [String: TopicLogic], scope: ReplayScope
    ) async throws -> ReplayReport {
        let lane = Lane(name: "replay")
        return try await lane.run {
            let reader = LakeReader(layout: layout)
            let active = try Self.active(reader.layout)
            let trial = LakeGeneration(
                number: 0, parent: active.number, logic: try Self.logic(of: active, logics, layout), state: .created)
            let ranges = try scope.ranges(in: reader, windows: Self.windows(logics))
            var report = ReplayReport(generation: nil, trial, ranges)
            for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) {
                let replay = RangeReplay(reader: reader, source: source, generation: trial, parent: active.number)
                try replay.run(range) { chunk in report.difference = report.difference + chunk.difference }
            }
            return report
        }
    }

    /// Makes the child generation complete, in lake and index; promotion is a step of its own.
    ///
    /// A replay that fails gives its generation up; one that is killed leaves it to be pruned. One whose generation is
    /// pruned meanwhile notices at its next step, at the latest when it would declare it complete, and fails.
    package func run(_ scope: ReplayScope) async throws -> ReplayReport {
        let reader = LakeReader(layout: layout)
        // A range that cannot be replayed is refused before a generation is made of it ...
        _ = try await lane.run { [logics] in try scope.ranges(in: reader, windows: Self.windows(logics)) }
        let child = try await lane.run { [self] in try createChild() }
        do {
            return try await make(child, of: scope, reader)
        } catch {
            await giveUp(child)
            throw error
        }
    }

    private func make(
        _ child: LakeGeneration, of scope: ReplayScope, _ reader: LakeReader
    ) async throws -> ReplayReport {
        // ... and only from here on does retention leave Bronze alone.
        let ranges = try await lane.run { [logics] in try scope.ranges(in: reader, windows: Self.windows(logics)) }
        var report = ReplayReport(generation: child.number, child, ranges)
        let handovers = try await handovers(to: child.number, reader: reader)
        for (source, range) in ranges {
            let end = min(range.end, handovers[source] ?? range.end)
            report.ranges[source] = OffsetRange(start: min(range.start, end), end: end)
        }
        try await lane.run { [self, report] in
            try steps().record(child.number, replayed: report.ranges, handovers: handovers)
        }
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) {
            try await replay(child, source, range, into: &report)
        }
        report.inherited = try await inherit(child, replayed: report.ranges, handovers: handovers)
        try await lane.run { [self] in try steps().finish(child.number) }
        return report
    }

    // MARK: - Steps

    private static func active(_ layout: LakeLayout) throws -> LakeGeneration {
        guard let active = try GenerationLog(layout: layout).active() else {
            throw ReplayError("the lake \(layout.root) has no generation yet; run the stream job first")
        }
        return active
    }

    /// The logic of a child in which some topics have another one.
    private static func logic(
        of parent: LakeGeneration, _ news: [String: TopicLogic], _ layout: LakeLayout
    ) throws -> GenerationLogic {
        let held = try GenerationLog(layout: layout).heldTopics()
        let news = news.filter { held.contains($0.key) }
        for (topic, logic) in news {
            guard let known = parent.logic.logic(of: topic) else { continue }
            guard known.kind == logic.kind else {
                throw ReplayError(
                    "generation \(parent.number) makes \(topic) by logic of the kind \(known.kind), not \(logic.kind); a topic "
                        + "keeps its kind")
            }
            // What is not replayed would stay under the former key, and nothing could change it there.
            guard known.tenant == logic.tenant, known.collection == logic.collection else {
                throw ReplayError(
                    "the documents of \(topic) are \(known.tenant)/\(known.collection), and the declaration says "
                        + "\(logic.tenant)/\(logic.collection): a topic keeps tenant and collection; declare a source of another name "
                        + "and topic")
            }
        }
        return parent.logic.replacing(news, held: held)
    }

    /// How far before a record its copies may lie.
    private static func windows(_ logics: [String: TopicLogic]) throws -> [String: DuplicateWindow.Limits] {
        try logics.mapValues { try $0.read().duplicateReach }
    }

    private func steps() -> GenerationSteps {
        GenerationSteps(log: GenerationLog(layout: layout), database: GenerationStore(configuration: database))
    }

    private func createChild() throws -> LakeGeneration {
        let child = try steps().create(note: "replay") { try Self.logic(of: $0, logics, layout) }
        logger.info(
            "replaying into generation \(child.number)",
            ["parent": String(child.parent ?? 0), "logic_version": child.logicVersion])
        return child
    }

    /// Waits until the stream job feeds the child everywhere; where no job runs, records the handover itself.
    private func handovers(to child: Int64, reader: LakeReader) async throws -> [TopicPartition: Int64] {
        var handovers: [TopicPartition: Int64] = [:]
        var watch = GenerationWatch(log: GenerationLog(layout: layout), number: child)
        var waiting = try await lane.run { try reader.sources() }
        let began = SystemClock.monotonicNanoseconds()
        while true {
            let waited = SystemClock.monotonicNanoseconds() - began
            let mayWrite = waited >= Self.jobPatienceNanoseconds
            let found = try await lane.run { [layout, watch, waiting] in
                var watch = watch
                try watch.check()
                var found: [TopicPartition: Int64] = [:]
                for source in waiting {
                    found[source] = try Self.handover(to: child, source, layout, mayWrite: mayWrite)
                }
                return (watch, found)
            }
            watch = found.0
            handovers.merge(found.1) { $1 }
            waiting.removeAll { handovers[$0] != nil }
            guard let source = waiting.first else {
                // The topic may have grown meanwhile.
                let grown = try await lane.run { try reader.sources() }.filter { handovers[$0] == nil }
                if grown.isEmpty { return handovers }
                waiting = grown
                continue
            }
            guard waited < Int64(Self.handoverSecondsMax) * 1_000_000_000 else {
                throw ReplayError(
                    "the stream job has not handed \(source) over to generation \(child) in "
                        + "\(Self.handoverSecondsMax) s; is it stuck? Its log and /health tell")
            }
            try await Task.sleep(nanoseconds: 50_000_000)
        }
    }

    /// - Parameter mayWrite: whether to do it in place of a stream job. Not before one that runs had time for it: one that
    ///   starts in the moment in which this holds the topic partition has to wait.
    static func handover(
        to child: Int64, _ source: TopicPartition, _ layout: LakeLayout, mayWrite: Bool
    ) throws -> Int64? {
        let path = layout.commitLog(source)
        guard Folder.exists(path) else { return 0 }
        let log = try CommitLog(reading: path)
        if let offset = try log.handover(of: child) {
            // A log without a record says where reading begins; for the index nothing lies below.
            let held = try LakeReader(layout: layout).committedRange(source)
            return held?.isEmpty == true ? 0 : offset
        }
        guard mayWrite else { return nil }
        do {
            return try recordHandover(to: child, source, layout)
        } catch LakeError.locked {
            return nil
        }
    }

    private static func recordHandover(to child: Int64, _ source: TopicPartition, _ layout: LakeLayout) throws -> Int64
    {
        var writer = try PartitionWriter.open(layout: layout, source: source)
        guard let next = writer.nextOffset else { return 0 }
        try writer.handOver(to: child, at: next)
        // The stream job may have recorded one since the log was read; that one holds.
        let handovers = writer.handovers
        return handovers[child] ?? next
    }

    private func replay(
        _ child: LakeGeneration, _ source: TopicPartition, _ range: OffsetRange, into report: inout ReplayReport
    ) async throws {
        guard !range.isEmpty else { return }
        let chunks = ChunkQueue()
        let reader = LakeReader(layout: layout)
        async let reading: Void = lane.run { [layout] in
            defer { chunks.finish() }
            let writer = try ReplayWriter(layout: layout, source: source, generation: child.number)
            let replay = RangeReplay(reader: reader, source: source, generation: child, parent: child.parent ?? 0)
            var watch = GenerationWatch(log: GenerationLog(layout: layout), number: child.number)
            try replay.run(range) { chunk in
                try watch.check()
                for hour in chunk.hours {
                    try writer.begin(hour.hour, firstOffset: hour.firstOffset)
                    for line in hour.silver { try writer.append(.silver, line: line.bytes) }
                    for line in hour.gold { try writer.append(.gold, line: line.bytes) }
                    for line in hour.quarantine { try writer.append(.quarantine, line: line.bytes) }
                }
                try chunks.put(chunk)
            }
            try writer.finish(end: range.end)
        }
        do {
            while let chunk = try await chunks.next() {
                report.difference = report.difference + chunk.difference
                report.embedded += try await index.index(
                    lines: chunk.gold.map { ($0.offset, $0.bytes) }, generation: child.number, source: source)
            }
            try await reading
        } catch {
            chunks.cancel()
            throw error
        }
    }

    /// Lets the child see what its parent shows outside of the replayed ranges, once the index has come that far.
    private func inherit(
        _ child: LakeGeneration, replayed: [TopicPartition: OffsetRange], handovers: [TopicPartition: Int64]
    ) async throws -> Int {
        let outside = replayed.map { (source: $0.key, offsets: $0.value) }
        let deadline = SystemClock.monotonicNanoseconds() + Int64(Self.catchUpSecondsMax) * 1_000_000_000
        while true {
            do {
                return try await lane.run { [database, layout] in
                    // A topic partition that came since is the child's from its first record on.
                    var handovers = handovers
                    for new in try LakeReader(layout: layout).sources() where handovers[new] == nil {
                        handovers[new] = 0
                    }
                    return try GenerationStore(configuration: database).copyParentRows(
                        child: child.number, parent: child.parent ?? 0, outside: outside, handover: handovers,
                        timeoutMilliseconds: Self.statementMilliseconds)
                }
            } catch let error as IndexError where error.kind == .generationBehind {
                guard SystemClock.monotonicNanoseconds() < deadline else { throw error }
                try await lane.run { [layout] in try Self.checkWaiting(for: child, layout, error) }
                try await Task.sleep(nanoseconds: 200_000_000)
            }
        }
    }

    /// - Throws: where waiting for the parent's index is in vain.
    static func checkWaiting(for child: LakeGeneration, _ layout: LakeLayout, _ error: IndexError) throws {
        let log = GenerationLog(layout: layout)
        var watch = GenerationWatch(log: log, number: child.number)
        try watch.check()
        guard let parent = child.parent, try log.read().first(where: { $0.number == parent })?.isFed == false else {
            return
        }
        throw ReplayError(
            "generation \(parent), of which generation \(child.number) takes over what is not replayed, was pruned before "
                + "its index was complete (\(error)); start the replay again")
    }

    private func giveUp(_ child: LakeGeneration) async {
        do {
            try await lane.run { [self] in try steps().giveUp(child.number) }
        } catch {
            logger.warning(
                "generation \(child.number) could not be given up; `medallion generations --prune \(child.number)` does",
                ["error": "\(error)"])
        }
    }
}
