import Bytes
import Files
import Lake
import Records
import Store
import Testing

@testable import Replay

/// Stream jobs, an indexer, replays and operators over one lake and one database, a step of one of them at a time in an
/// order that a seed decides; each may be killed within a step.
///
/// The list, the steps, the lake's writers and readers and the database are the real ones. What Kafka and the transforms
/// do is played: a Gold topic in memory, and lines that say by which generation's logic they were made.
final class World {
    static let sources = [TopicPartition(topic: "t", partition: 0), TopicPartition(topic: "t", partition: 1)]

    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    /// What a stream job puts onto the Gold topic with one commit.
    struct Commit {
        let range: OffsetRange
        let generations: [Int64]
        let handovers: [Int64: Int64]
    }

    /// A stream job's part for one topic partition.
    final class Job {
        var writer: PartitionWriter
        var feeding: [Int64] = []
        var time: Int64

        init(_ writer: consuming PartitionWriter, time: Int64) {
            self.writer = writer
            self.time = time
        }
    }

    /// A replay by its steps.
    final class Run {
        enum Phase { case handover, record, chunks, inherit, finish }

        let child: LakeGeneration
        var phase = Phase.handover
        var watch: GenerationWatch
        var handovers: [TopicPartition: Int64] = [:]
        var ranges: [TopicPartition: OffsetRange] = [:]
        var left: [TopicPartition] = []
        var position: Int64?
        var writer: ReplayWriter?

        init(_ child: LakeGeneration, _ log: GenerationLog) {
            self.child = child
            watch = GenerationWatch(log: log, number: child.number)
        }
    }

    let place: Place
    var random: SeededGenerator
    private(set) var history: [String] = []
    var jobs: [TopicPartition: Job] = [:]
    var topic: [TopicPartition: [Commit]] = [:]
    var indexed: [TopicPartition: Int] = [:]
    var checkpoints: [IndexCheckpoint]?
    var runs: [Run] = []
    var prunedInLake: Set<Int64> = []
    var prunedInIndex: Set<Int64> = []
    /// How many steps of each kind were made, or refused.
    private(set) var counts: [String: Int] = [:]

    init(_ place: Place, seed: UInt64) throws {
        self.place = place
        random = SeededGenerator(seed: seed)
        try place.beginAnew()
        _ = try place.log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
    }

    // MARK: - A step of somebody

    func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<34: try work(on: Self.sources.randomElement(using: &random) ?? Self.sources[0])
        case ..<52: try indexStep()
        case ..<82: try replayStep()
        case ..<89: try operate("promote") { try $0.promote($1) }
        case ..<94: try operate("prune") { try $0.prune($1) }
        case ..<96: try asProcess("start") { _ = try $0.heal() }
        case ..<98: killJob()
        case ..<99: checkpoints = nil
        default: if !runs.isEmpty { note("kill of the replay of \(runs.removeFirst().child.number)") }
        }
    }

    func note(_ text: String) { history.append(text) }

    private func nextFate() -> Fate {
        switch Int.random(in: 0..<10, using: &random) {
        case ..<6: Fate(.none)
        case ..<9: Fate(.dies(at: Int.random(in: 0..<26, using: &random)))
        default: Fate(.fails(at: Int.random(in: 0..<20, using: &random)))
        }
    }

    /// Makes a step as a process that may be killed in it.
    ///
    /// - Returns: what it came to; nil where the process was killed.
    @discardableResult
    func asProcess<Value>(
        _ name: String, _ body: (GenerationSteps) throws -> Value
    ) throws -> Result<Value, any Error>? {
        let fate = nextFate()
        let outcome = Result { try place.under(fate) { try body($0) } }
        switch outcome {
        case .success: note(fate.isDead ? "\(name), then killed" : name)
        case .failure(let error): note(fate.isDead ? "\(name): killed" : "\(name): \(error)")
        }
        try check()
        guard !fate.isDead else {
            counts["\(name.prefix { $0 != " " }) killed", default: 0] += 1
            return nil
        }
        switch outcome {
        case .success: counts[String(name.prefix { $0 != " " }), default: 0] += 1
        case .failure: counts["\(name.prefix { $0 != " " }) refused", default: 0] += 1
        }
        return outcome
    }

    private func operate(_ name: String, _ body: (GenerationSteps, Int64) throws -> Void) throws {
        guard let number = try place.log.read().map(\.number).randomElement(using: &random) else { return }
        if case .success = try asProcess("\(name) \(number)", { try body($0, number) }) {
            let (lake, index) = try place.states()
            let wanted: GenerationState = name == "promote" ? .active : .pruned
            guard lake[number] == wanted, index[number] == wanted else {
                throw Violation(description: "\(name) \(number) succeeded: \(lake), index \(index)")
            }
        }
    }

    // MARK: - The stream job

    private func killJob() {
        guard let source = jobs.keys.sorted().randomElement(using: &random) else { return }
        jobs[source] = nil
        note("kill of the job of \(source)")
    }

    func job(_ source: TopicPartition) throws -> Job {
        if let job = jobs[source] { return job }
        let writer = try PartitionWriter.open(layout: place.layout, source: source)
        let time = writer.brokerTimeMax
        let job = Job(writer, time: time)
        try follow(job, source)
        try republish(source, job)
        jobs[source] = job
        return job
    }

    /// As the stream job's worker does.
    func follow(_ job: Job, _ source: TopicPartition) throws {
        let changes = GenerationChanges(
            known: try place.log.read(), source: source, handovers: job.writer.handovers, feeding: job.feeding,
            nextOffset: job.writer.nextOffset)
        for number in changes.stopped { job.writer.stopFeeding(number) }
        guard changes.complaints.isEmpty else { throw Violation(description: "\(source): \(changes.complaints)") }
        for generation in changes.fed {
            if let next = job.writer.nextOffset { try job.writer.handOver(to: generation.number, at: next) }
        }
        job.feeding = changes.fed.map(\.number)
    }

    /// Publishes what a job that was killed owes.
    func republish(_ source: TopicPartition, _ job: Job) throws {
        let end = topic[source]?.last?.range.end ?? 0
        let log = try CommitLog(reading: place.layout.commitLog(source))
        try log.forEach { record in
            guard record.kind == .commit,
                let range = OffsetRange(start: max(record.range.start, end), end: record.range.end),
                !range.isEmpty
            else { return true }
            topic[source, default: []].append(
                Commit(
                    range: range, generations: record.parts.map(\.generation), handovers: job.writer.handovers))
            return true
        }
    }

    private func work(on source: TopicPartition) throws {
        let job = try job(source)
        if Int.random(in: 0..<4, using: &random) == 0 { return try follow(job, source) }
        let fate =
            Int.random(in: 0..<12, using: &random) == 0 ? Fate(.dies(at: Int.random(in: 0..<40, using: &random))) : nil
        let count = Int64.random(in: 1...6, using: &random)
        do {
            try FileWatch.$witness.withValue(fate) {
                let start = job.writer.nextOffset ?? 0
                if job.writer.nextOffset == nil {
                    for number in job.feeding { try job.writer.handOver(to: number, at: start) }
                }
                guard let range = OffsetRange(start: start, end: start + count) else { return }
                if Int.random(in: 0..<8, using: &random) == 0 { job.time += 3_600_000 }
                let hour = job.writer.hour(for: job.time)
                try job.writer.commit(
                    Made.batch(source, range, time: job.time, hour: hour, generations: job.feeding))
            }
        } catch {
            guard fate?.isDead == true else { throw error }
        }
        if fate?.isDead == true || Int.random(in: 0..<20, using: &random) == 0 {
            jobs[source] = nil
            note("kill of the job of \(source) while it commits")
            return
        }
        try republish(source, job)
        try follow(job, source)
    }

    // MARK: - The indexer

    private func indexStep() throws {
        let source = Self.sources.randomElement(using: &random) ?? Self.sources[0]
        if checkpoints == nil {
            checkpoints = try place.index.checkpoints(timeoutMilliseconds: Place.limit)
            indexed = [:]
        }
        try index(source, commitsMax: Int.random(in: 1...4, using: &random))
    }

    /// Takes commits from the Gold topic into the database, as the indexer does.
    func index(_ source: TopicPartition, commitsMax: Int) throws {
        let start = indexed[source] ?? 0
        for commit in (topic[source] ?? []).dropFirst(start).prefix(commitsMax) {
            var documents: [IndexedDocument] = []
            var moves: [CheckpointMove] = []
            for generation in commit.generations {
                let known = checkpoints?.first { $0.generation == generation && $0.source == source }?.nextOffset
                for offset in commit.range.start..<commit.range.end where offset >= known ?? .min && Made.isGold(offset)
                {
                    documents.append(Made.document(source, offset, by: generation, for: generation))
                }
                guard commit.range.end > known ?? -1 else { continue }
                let begin = known ?? commit.handovers[generation] ?? commit.range.start
                if commit.range.start > begin {
                    throw Violation(
                        description:
                            "generation \(generation) lacks \(source) offsets \(begin) to \(commit.range.start)")
                }
                moves.append(
                    CheckpointMove(generation: generation, source: source, expected: known, next: commit.range.end))
            }
            do throws(IndexError) {
                _ = try place.index.write(documents, moving: moves, timeoutMilliseconds: Place.limit)
            } catch {
                // A replay has begun it meanwhile.
                guard error.kind == .checkpoint else { throw error }
                checkpoints = nil
                return
            }
            for move in moves {
                checkpoints?.removeAll { $0.generation == move.generation && $0.source == source }
                checkpoints?.append(IndexCheckpoint(generation: move.generation, source: source, nextOffset: move.next))
            }
            indexed[source, default: 0] += 1
        }
    }
}
