package import Bytes
import Concurrency
import Derivation
import Embeddings
package import Lake
import Logic
package import Postgres
import Records
package import Store
package import Telemetry

/// Runs Bronze through other logic into a child of the active generation, beside the live stream job.
///
/// The child stores the logic of every topic: that of the replayed ones is new, that of the others the parent's, to whose
/// files and rows it refers for them.
///
/// Its state is kept in the database (``ReplayStore``), and what it wrote in its own logs, so ``resume(_:)`` goes on where a
/// process was killed: in the lake behind the last hour that is sealed, in the index behind the last chunk that is noted. Files
/// of an hour depend on its records alone, and an index takes a document twice without harm, so it comes to the same.
///
/// Reads Bronze from the lake alone, and touches neither the topic nor the consumer group. Blocking parts run on a lane.
package struct Replay: Sendable {
    let layout: LakeLayout
    let logics: [String: TopicLogic]
    let database: PostgresConfiguration
    let index: any ReplayIndex
    /// What the child's vectors are to be; nil: as its parent's.
    let vectors: VectorKind?
    let logger: Logger
    let standing: ThreadPriority
    /// Within a process that does other things too, whose locks a thread may hold that gets no processor.
    package static let standing = ThreadPriority.nice(5)
    /// Told how far it is, and asked how fast it may be.
    package let monitor: ReplayMonitor
    let keeper: ReplayKeeper
    /// Takes the steps, for whose locks others wait.
    let lane = Lane(name: "replay")
    /// Stands back for what serves and indexes: it holds nothing that others wait for.
    let derivingLane: Lane
    /// Reads Bronze ahead of ``derivingLane``.
    let readingLane: Lane
    /// Compares and writes what ``derivingLane`` derives. Others may wait for the disk behind it, so it is never idle.
    let writingLane: Lane

    /// How long the stream job may take to hand a topic partition over.
    package static let handoverSecondsMax = 60
    /// How long a stream job that runs may take to do so, before this does it where none runs.
    static let jobPatienceNanoseconds: Int64 = 1_000_000_000
    /// How long the index may take to catch up with the handover.
    package static let catchUpSecondsMax = 900
    static let statementMilliseconds = 120_000

    /// - Parameters:
    ///   - logics: of the topics that are replayed, those of them that the lake holds; none where only vectors change.
    ///   - vectors: what the child's vectors are to be; nil: as its parent's. `index` is able to make them.
    ///   - monitor: of this one alone.
    ///   - standing: how far the threads that compute stand back; see ``ThreadPriority/idle`` for what that takes.
    package init(
        layout: LakeLayout, logics: [String: TopicLogic], database: PostgresConfiguration, index: any ReplayIndex,
        vectors: VectorKind? = nil, monitor: ReplayMonitor = ReplayMonitor(),
        standing: ThreadPriority = Self.standing, logger: Logger
    ) {
        self.standing = standing
        derivingLane = Lane(name: "replay-derive", priority: standing)
        readingLane = Lane(name: "replay-read", priority: standing)
        writingLane = Lane(name: "replay-write", priority: Self.standing)
        self.layout = layout
        self.vectors = vectors
        self.logics = logics
        self.database = database
        self.index = index
        self.monitor = monitor
        self.logger = logger
        keeper = ReplayKeeper(database, logger: logger)
    }

    /// Makes the child generation complete, in lake and index; promotion is a step of its own.
    ///
    /// A replay that fails gives its generation up; one that is killed or cancelled, or whose database goes away, is left for
    /// ``resume(_:)``. One whose generation is pruned meanwhile notices at its next step, at the latest when it would declare
    /// it complete, and fails.
    ///
    /// - Parameter keyID: of the key of who asked; empty for a command.
    package func run(_ scope: ReplayScope, keyID: String = "") async throws -> ReplayReport {
        let reader = LakeReader(layout: layout)
        // A range that cannot be replayed is refused before a generation is made of it.
        _ = try await lane.run { [logics] in try Self.ranges(of: scope, logics, reader) }
        try await checkVectors()
        let (child, lock) = try await lane.run { [self] in
            let child = try createChild()
            return (child, try ReplayLock(layout: layout, generation: child.number))
        }
        return try await guarded(child, lock) { run in
            let topics = logics.keys.sorted().filter { child.logic.logic(of: $0) != nil }
            let (wish, model) = (monitor.progress.wish, vectors?.model ?? "")
            try await keeper.run { store, limit in
                try store.begin(
                    generation: child.number, topics: topics, bounds: scope.bounds, model: model, wish: wish,
                    keyID: keyID,
                    timeoutMilliseconds: limit)
            }
            // Who waits for the number finds what is kept of it.
            monitor.edit { $0.generation = child.number }
            return try await make(child, of: scope, reader, run)
        }
    }

    /// Goes on with a replay that was cut short, by the logic that its generation stores.
    ///
    /// - Throws: ``ReplayError`` where there is none such, or it is done or given up; ``LakeError`` where another process makes
    ///   it.
    package static func resume(
        _ generation: Int64, layout: LakeLayout, database: PostgresConfiguration, index: any ReplayIndex,
        monitor: ReplayMonitor = ReplayMonitor(), standing: ThreadPriority = Self.standing, logger: Logger
    ) async throws -> ReplayReport {
        let keeper = ReplayKeeper(database, logger: logger)
        let lane = Lane(name: "replay")
        let (child, lock) = try await lane.run { try held(generation, layout) }
        let (kept, positions) = try await keeper.run { store, limit in
            (
                try store.read(generation, timeoutMilliseconds: limit),
                try store.positions(of: generation, timeoutMilliseconds: limit)
            )
        }
        guard let kept else {
            try? await lane.run { try ReplayLock.remove(layout: layout, generation: generation) }
            throw ReplayError(
                "nothing is known of a replay of generation \(generation) (\(child.state.rawValue)); where it was cut short by "
                    + "an earlier release, `medallion generations --prune \(generation)` and replay again")
        }
        // What was done, and not noted so before the process ended, is noted by the rest.
        guard kept.state != .done else {
            try? await lane.run { try ReplayLock.remove(layout: layout, generation: generation) }
            throw ReplayError(
                "the replay of generation \(generation) is done, and the generation is \(child.state.rawValue)")
        }
        var logics: [String: TopicLogic] = [:]
        for topic in kept.topics { logics[topic] = child.logic.logic(of: topic) }
        let replay = Replay(
            layout: layout, logics: logics, database: database, index: index,
            // Its tables are there.
            vectors: kept.model.isEmpty ? nil : VectorKind(model: kept.model, dimensions: 0), monitor: monitor,
            standing: standing, logger: logger)
        // Where nothing else was said it goes as it did.
        if monitor.progress.wish == ReplayWish() { monitor.set(ReplayWish(isPaused: false, rate: kept.wish.rate)) }
        monitor.edit { $0.figures = kept.figures }
        return try await replay.guarded(child, lock) { run in
            let wish = monitor.progress.wish
            // One that failed may have left its generation as it was.
            let isOpen = try await keeper.run { store, limit in
                try store.resume(generation, wish: wish, timeoutMilliseconds: limit)
            }
            guard isOpen else { throw ReplayError("the replay of generation \(generation) is done") }
            monitor.edit { $0.generation = generation }
            return try await replay.make(
                child, of: ReplayScope(kept.bounds, topics: kept.topics), LakeReader(layout: layout), run, positions)
        }
    }

    /// The generation that a replay makes, as it is while nobody else makes it.
    private static func held(
        _ number: Int64, _ layout: LakeLayout
    ) throws -> (child: LakeGeneration, lock: ReplayLock) {
        func known() throws -> LakeGeneration {
            guard let known = try GenerationLog(layout: layout).read().first(where: { $0.number == number }) else {
                throw ReplayError("the lake has no generation \(number); `medallion generations` lists them")
            }
            guard known.state != .pruned else { throw ReplayError.notBeingMade(number, known.state) }
            return known
        }
        // A number without a generation gets no file of a lock.
        _ = try known()
        let lock = try ReplayLock(layout: layout, generation: number)
        return (try known(), lock)
    }

    /// Runs `body` while this process holds the generation, and says how it ended.
    private func guarded(
        _ child: LakeGeneration, _ lock: ReplayLock, _ body: (ReplayRun?) async throws -> ReplayReport
    ) async throws -> ReplayReport {
        defer { withExtendedLifetime(lock) {} }
        let run = ReplayRun(
            monitor.runs, layout: layout, generation: child.number,
            topics: logics.keys.sorted().filter { child.logic.logic(of: $0) != nil })
        let beat = Task { await keeper.beat(monitor, of: child.number) }
        defer { beat.cancel() }
        do {
            let report = try await withTaskCancellationHandler(operation: { try await body(run) }) { monitor.cancel() }
            beat.cancel()
            await keeper.end(child.number, .done)
            try? await lane.run { [layout] in try ReplayLock.remove(layout: layout, generation: child.number) }
            monitor.edit { $0.phase = .done }
            run?.end(nil, isCutShort: false)
            return report
        } catch {
            run?.end(error, isCutShort: Self.isCutShort(error))
            guard !Self.isCutShort(error) else {
                logger.warning(
                    "the replay of generation \(child.number) was cut short; `medallion replay --resume \(child.number)` goes on",
                    ["error": "\(error)"])
                throw error
            }
            beat.cancel()
            await giveUp(child, error)
            throw error
        }
    }

    /// Whether going on later may help.
    private static func isCutShort(_ error: any Error) -> Bool {
        if error is CancellationError || (error as? EmbeddingError)?.isRetriable == true { return true }
        return (error as? IndexError)?.isRetriable ?? false
    }

    private func giveUp(_ child: LakeGeneration, _ error: any Error) async {
        await keeper.end(child.number, .failed, error: "\(error)")
        do {
            try await lane.run { [self] in
                try steps().giveUp(child.number)
                try ReplayLock.remove(layout: layout, generation: child.number)
            }
        } catch {
            logger.warning(
                "generation \(child.number) could not be given up; `medallion generations --prune \(child.number)` does",
                ["error": "\(error)"])
        }
    }

    private func make(
        _ child: LakeGeneration, of scope: ReplayScope, _ reader: LakeReader, _ run: ReplayRun?,
        _ positions: [TopicPartition: Int64] = [:]
    ) async throws -> ReplayReport {
        // Only since the child is in the list does retention leave Bronze alone.
        let (known, parent) = try await lane.run { [layout] in
            let list = try GenerationLog(layout: layout).read()
            return (
                list.first { $0.number == child.number } ?? child, list.first { $0.number == child.parent }
            )
        }
        let (ranges, handovers) = try await extent(of: known, scope, reader)
        var report = ReplayReport(generation: child.number, child, ranges)
        report.model = vectors?.model
        monitor.edit { $0.model = vectors?.model }
        if let parent { report.changes = try ReplayReport.changes(from: parent, to: child, topics: Set(logics.keys)) }
        monitor.beginRecords(wanted: ranges.values.reduce(0) { $0 + $1.end - $1.start })
        try await keeper.note(monitor, of: child.number)
        if !known.state.isComplete {
            for (source, range) in ranges.sorted(by: { $0.key < $1.key }) {
                try await records(of: source, range, child, run, indexedTo: positions[source] ?? range.start)
            }
            monitor.edit { $0.phase = .inherit }
            let inherited = try await inherit(child, replayed: ranges, handovers: handovers)
            monitor.edit { $0.figures.inherited += Int64(inherited) }
            if vectors != nil { try await changeVectors(of: child) }
            monitor.edit { $0.phase = .finish }
            try await keeper.note(monitor, of: child.number)
            try await lane.run { [self] in try steps().finish(child.number) }
        }
        let progress = monitor.progress
        report.difference = ReplayDifference(progress.figures)
        report.samples = progress.samples
        report.embedded = Int(clamping: progress.figures.embedded)
        report.inherited = Int(clamping: progress.figures.inherited)
        return report
    }

    /// What is replayed, and from where on the stream job feeds the child. Once it is in the list it stays so.
    private func extent(
        of child: LakeGeneration, _ scope: ReplayScope, _ reader: LakeReader
    ) async throws -> (ranges: [TopicPartition: OffsetRange], handovers: [TopicPartition: Int64]) {
        if !child.handovers.isEmpty { return (child.replayed, child.handovers) }
        let handovers = try await handovers(to: child.number, reader: reader)
        // Behind the handovers, so that nothing lies between what was there before and them.
        let found = try await lane.run { [logics] in try Self.ranges(of: scope, logics, reader) }
        var ranges: [TopicPartition: OffsetRange] = [:]
        for (source, range) in found {
            let end = min(range.end, handovers[source] ?? range.end)
            ranges[source] = OffsetRange(start: min(range.start, end), end: end)
        }
        let cut = ranges
        try await lane.run { [self] in try steps().record(child.number, replayed: cut, handovers: handovers) }
        return (ranges, handovers)
    }
}

/// What is left of a topic partition's replay.
struct RestOfReplay: Equatable {
    let range: OffsetRange
    let isForLake: Bool
    let isForIndex: Bool

    /// Either may be ahead of the other where a process was killed.
    static func parts(_ range: OffsetRange, sealedTo: Int64, indexedTo: Int64) -> [RestOfReplay] {
        let (low, high) = (min(sealedTo, indexedTo), max(sealedTo, indexedTo))
        var parts: [RestOfReplay] = []
        if let first = OffsetRange(start: low, end: min(high, range.end)), !first.isEmpty {
            parts.append(
                RestOfReplay(range: first, isForLake: sealedTo < indexedTo, isForIndex: indexedTo < sealedTo))
        }
        if let second = OffsetRange(start: high, end: range.end), !second.isEmpty {
            parts.append(RestOfReplay(range: second, isForLake: true, isForIndex: true))
        }
        return parts
    }
}

extension ReplayProgress {
    mutating func note(_ chunk: RangeReplay.Chunk, embedded count: Int) {
        figures.done += chunk.range.end - chunk.range.start
        figures.added += Int64(chunk.difference.added)
        figures.changed += Int64(chunk.difference.changed)
        figures.removed += Int64(chunk.difference.removed)
        figures.unchanged += Int64(chunk.difference.unchanged)
        figures.embedded += Int64(count)
        samples.merge(chunk.samples)
    }
}

extension ReplayDifference {
    init(_ figures: ReplayFigures) {
        self.init(
            added: Int(clamping: figures.added), changed: Int(clamping: figures.changed),
            removed: Int(clamping: figures.removed), unchanged: Int(clamping: figures.unchanged))
    }
}

extension ReplayWriter {
    func append(_ chunk: RangeReplay.Chunk) throws {
        for hour in chunk.hours {
            try begin(hour.hour, firstOffset: hour.firstOffset)
            for line in hour.silver { try append(.silver, line: line.bytes) }
            for line in hour.gold { try append(.gold, line: line.bytes) }
            for line in hour.quarantine { try append(.quarantine, line: line.bytes) }
        }
    }
}
