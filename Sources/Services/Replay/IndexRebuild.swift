import Bytes
import Concurrency
package import Lake
package import Postgres
import Records
import ServiceLifecycle
package import Store
package import Telemetry

/// What a rebuild gives Gold lines to; the executable hands the indexer's parts over.
package protocol RebuildIndex: Sendable {
    /// Writes Gold lines and moves the checkpoint behind them, in one index transaction.
    ///
    /// - Returns: how many texts were embedded.
    func index(lines: [(offset: Int64, line: [UInt8])], moving move: CheckpointMove) async throws -> Int
}

/// How far a rebuild is.
package struct RebuildProgress: Sendable, Equatable {
    /// Source offsets behind the checkpoints when it began, of all generations, and what has come since.
    package var wantedOffsets: Int64 = 0
    /// Of these, those that the index has now.
    package var doneOffsets: Int64 = 0
    /// Documents and deletions written.
    package var documents = 0
    /// Texts embedded.
    package var embedded = 0
    package var nanoseconds: Int64 = 0

    /// Documents a second.
    package var rate: Double { nanoseconds > 0 ? Double(documents) / (Double(nanoseconds) / 1e9) : 0 }
}

/// Makes the index from the lake alone: every fed generation's Gold, from the index's checkpoints to the lake's end.
///
/// An empty index first takes over the lake's generations. It goes on where it ended, since it moves the checkpoints with what it
/// writes: one that was killed is begun again in the same way, and an index whose Gold topic no longer has what it lacks catches
/// up. Nobody else may write to the index meanwhile; who tries, on either side, is refused by the checkpoint.
package struct IndexRebuild: Sendable {
    private let layout: LakeLayout
    private let database: PostgresConfiguration
    private let index: any RebuildIndex
    private let logger: Logger
    private let lane = Lane(name: "rebuild")

    /// Lines of one transaction, and bytes.
    private static let linesMax = 500, bytesMax = 8 << 20
    /// Source offsets that are read at once: most of them have no line in some lakes.
    private static let offsetsMax: Int64 = 20_000
    private static let statementMilliseconds = 60_000

    package init(layout: LakeLayout, database: PostgresConfiguration, index: any RebuildIndex, logger: Logger) {
        self.layout = layout
        self.database = database
        self.index = index
        self.logger = logger
    }

    /// One stretch of a topic partition's Gold in a generation.
    private struct Stretch: Sendable {
        let generation: Int64
        let source: TopicPartition
        let range: OffsetRange
        /// The checkpoint as it stands; nil where there is none yet.
        let checkpoint: Int64?
    }

    /// - Parameter report: called now and then.
    /// - Returns: what it came to, once the index has reached the lake's end, but for what came during its last transaction.
    /// - Throws: ``ReplayError``, ``LakeError``, ``IndexError``; `CancellationError` where the task is cancelled. What was written
    ///   stays.
    package func run(_ report: @Sendable (RebuildProgress) -> Void) async throws -> RebuildProgress {
        try await lane.run { [self] in
            try adopt()
            try erase()
            try suppress()
        }
        var progress = RebuildProgress()
        let began = SystemClock.monotonicNanoseconds()
        // The stream job goes on meanwhile, so each round is much shorter than the one before. Behind one of at most a transaction's work
        // the index is as near to the lake's end as an indexer would be, which may take over.
        var missing = Int64.max
        while missing > Self.linesMax {
            let stretches = try await lane.run { [self] in try self.stretches() }
            missing = stretches.reduce(Int64(0)) { $0 + $1.range.end - $1.range.start }
            progress.wantedOffsets = progress.doneOffsets + missing
            for stretch in stretches {
                try await rebuild(stretch) { offsets, documents, embedded in
                    progress.doneOffsets += offsets
                    progress.documents += documents
                    progress.embedded += embedded
                    progress.nanoseconds = SystemClock.monotonicNanoseconds() - began
                    report(progress)
                }
            }
        }
        try await lane.run { [self] in try countWords() }
        progress.nanoseconds = SystemClock.monotonicNanoseconds() - began
        return progress
    }

    /// Until words are counted the word arm takes all of them for rare ones. An indexer's upkeep counts what it writes, but none
    /// need run: the new index may be searched as it is.
    private func countWords() throws {
        let upkeep = IndexUpkeep(configuration: database)
        repeat {
            try Task.checkCancellation()
        } while try upkeep.countWords(
            timeoutMilliseconds: Self.statementMilliseconds) > 0
    }

    /// Takes over the lake's generations where the index has nothing; else both must agree.
    private func adopt() throws {
        let generations = try GenerationLog(layout: layout).read()
        guard generations.contains(where: { $0.state == .active }) else {
            throw ReplayError("the lake \(layout.root) has no generation yet; run the stream job first")
        }
        let store = GenerationStore(configuration: database)
        let states = try store.states(timeoutMilliseconds: Self.statementMilliseconds)
        let wanted = generations.filter(\.isFed)
        if wanted.allSatisfy({ states[$0.number] == $0.state }) { return }
        let adopted = wanted.map {
            AdoptedGeneration(
                generation: $0.number, parent: $0.parent, state: $0.state, logicVersion: $0.logicVersion)
        }
        do throws(IndexError) {
            try store.adopt(adopted, timeoutMilliseconds: Self.statementMilliseconds)
        } catch {
            guard error.kind == .generation else { throw error }
            throw ReplayError(
                "the index has generations of its own (\(error.message)): make it anew in an empty database (POSTGRES_DSN, or "
                    + "PGDATA_DIR), which it can be while the old one is searched, or let `medallion doctor` say what differs"
            )
        }
        logger.info("the index takes over the lake's generations", ["generations": "\(wanted.map(\.number))"])
    }

    /// What the Gold topic may still bring of erased records is kept out.
    private func erase() throws {
        let store = ErasureStore(configuration: database)
        for state in try ErasureLog(layout: layout).erased() {
            try Task.checkCancellation()
            try store.apply(
                state.erasure, state.records, lookedTo: state.lookedTo,
                timeoutMilliseconds: Self.statementMilliseconds)
        }
    }

    /// Applies what was suppressed and lifted before anything is indexed, so that nothing of it is shown at any moment.
    private func suppress() throws {
        let store = SuppressionStore(configuration: database)
        for entry in try SuppressionLog(layout: layout).read() {
            try Task.checkCancellation()
            try store.apply(entry.entry, timeoutMilliseconds: Self.statementMilliseconds)
        }
        try store.finish(timeoutMilliseconds: Self.statementMilliseconds)
    }

    /// What the index lacks.
    private func stretches() throws -> [Stretch] {
        let reader = LakeReader(layout: layout)
        let checkpoints = try GenerationStore(configuration: database).checkpoints(
            timeoutMilliseconds: Self.statementMilliseconds)
        let sources = try reader.sources()
        var stretches: [Stretch] = []
        for generation in try GenerationLog(layout: layout).read() where generation.state.isComplete && generation.isFed
        {
            for source in sources {
                guard let committed = try reader.committedRange(source) else { continue }
                let checkpoint = checkpoints.first { $0.generation == generation.number && $0.source == source }?
                    .nextOffset
                let start = checkpoint ?? committed.start
                guard let range = OffsetRange(start: start, end: committed.end), !range.isEmpty else { continue }
                stretches.append(
                    Stretch(generation: generation.number, source: source, range: range, checkpoint: checkpoint))
            }
        }
        return stretches
    }

    private func rebuild(_ stretch: Stretch, _ wrote: (Int64, Int, Int) -> Void) async throws {
        var next = stretch.range.start
        var checkpoint = stretch.checkpoint
        while next < stretch.range.end {
            try Task.checkCancellation()
            let from = next
            let part = try await lane.run { [self] in try read(stretch, from: from) }
            let move = CheckpointMove(
                generation: stretch.generation, source: stretch.source, expected: checkpoint, next: part.end)
            let embedded = try await index.index(lines: part.lines, moving: move)
            wrote(part.end - next, part.lines.count, embedded)
            next = part.end
            checkpoint = part.end
        }
    }

    /// The next lines of a stretch, and the offset behind them.
    private func read(
        _ stretch: Stretch, from start: Int64
    ) throws -> (lines: [(offset: Int64, line: [UInt8])], end: Int64) {
        var end = min(stretch.range.end, start + Self.offsetsMax)
        guard let range = OffsetRange(start: start, end: end) else { return ([], end) }
        var lines: [(offset: Int64, line: [UInt8])] = []
        var bytes = 0
        try LakeReader(layout: layout).forEachLine(
            .gold, generation: stretch.generation, source: stretch.source, range: range
        ) { offset, line in
            // Lines of one record stay together.
            if lines.count >= Self.linesMax || bytes >= Self.bytesMax, lines.last?.offset != offset {
                end = offset
                return false
            }
            lines.append((offset, Array(line)))
            bytes += line.count
            return true
        }
        return (lines, end)
    }
}
