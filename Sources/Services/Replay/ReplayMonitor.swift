import Bytes
package import Store
import Synchronization
package import Telemetry

/// What a replay does at a moment.
package enum ReplayPhase: String, Sendable {
    /// It waits for the stream job to feed the new generation.
    case handover
    /// Records run through the logic, into lake and index.
    case records
    /// The new generation takes over what its parent shows outside of the range.
    case inherit
    /// What was taken over gets vectors of another model.
    case vectors
    /// All is there but the word that it is.
    case finish
    case done
}

/// How far a replay is, in memory.
package struct ReplayProgress: Sendable, Equatable {
    package var phase = ReplayPhase.handover
    /// nil of a dry run, and before it is made.
    package var generation: Int64?
    package var figures = ReplayFigures()
    /// Whose vectors it makes; nil: of the active generation's model.
    package var model: String?
    package var wish = ReplayWish()
    /// Source offsets a second since this process runs it, pauses left out.
    package var offsetsPerSecond = 0.0
    /// Of the records; nil while nothing tells.
    package var secondsLeft: Double?
    package var samples = ReplaySamples()
    /// Texts that have no vector yet, each once; nil where that is not counted.
    package var embeddingsNeeded: Int?
    /// Whether there were too many to tell them apart: there are at least so many.
    package var isEmbeddingsNeededLeast = false

    package init() {}

    /// Of the source offsets, from 0 to 1.
    package var share: Double {
        figures.wanted > 0 ? Double(figures.done) / Double(figures.wanted) : phase == .done ? 1 : 0
    }
}

/// Tells how far a replay is, and tells the replay to pause, to go on, or to go at some rate.
package final class ReplayMonitor: Sendable {
    private struct State: Sendable {
        var progress: ReplayProgress
        var isCancelled = false
        /// When the records began, and how many were done then.
        var beganNanoseconds: Int64?
        var doneBefore: Int64 = 0
        var pausedNanoseconds: Int64 = 0
        /// The end of the last stretch of records, from which the rate counts.
        var stretchNanoseconds: Int64 = 0
    }

    private let state: Mutex<State>
    /// Between two looks at what is wished.
    private static let lookMilliseconds = 50

    /// Who is told what the replay reads and writes; nil: nobody.
    let runs: (any RunEventSink)?
    private let chunkRecordsMax: Int
    /// So many records are noted together, a fraction of a second's work: what a kill costs.
    package static let chunkRecordsMax = 2_000

    /// - Parameters:
    ///   - wish: until another one is said.
    ///   - runs: who is told what the replay reads and writes; nil: nobody.
    ///   - chunkRecordsMax: records between two looks at most.
    package init(
        _ wish: ReplayWish = ReplayWish(), runs: (any RunEventSink)? = nil,
        chunkRecordsMax: Int = ReplayMonitor.chunkRecordsMax
    ) {
        self.runs = runs
        self.chunkRecordsMax = chunkRecordsMax
        var progress = ReplayProgress()
        progress.wish = wish
        state = Mutex(State(progress: progress))
    }

    /// How far it is now.
    package var progress: ReplayProgress {
        state.withLock { state in
            var progress = state.progress
            guard let began = state.beganNanoseconds else { return progress }
            let spent = SystemClock.monotonicNanoseconds() - began - state.pausedNanoseconds
            let done = progress.figures.done - state.doneBefore
            guard spent > 0, done > 0 else { return progress }
            progress.offsetsPerSecond = Double(done) / (Double(spent) / 1e9)
            if progress.phase == .records || progress.phase == .vectors {
                progress.secondsLeft =
                    Double(max(0, progress.figures.wanted - progress.figures.done)) / progress.offsetsPerSecond
            }
            return progress
        }
    }

    /// From now on this is wished.
    package func set(_ wish: ReplayWish) {
        state.withLock { $0.progress.wish = wish }
    }

    /// Ends the replay at its next record.
    package func cancel() {
        state.withLock { $0.isCancelled = true }
    }

    func edit(_ body: (inout ReplayProgress) -> Void) {
        state.withLock { body(&$0.progress) }
    }

    /// Records begin to run.
    func beginRecords(wanted: Int64) {
        state.withLock { state in
            state.progress.phase = .records
            state.progress.figures.wanted = wanted
            let now = SystemClock.monotonicNanoseconds()
            (state.beganNanoseconds, state.stretchNanoseconds) = (now, now)
            state.doneBefore = state.progress.figures.done
        }
    }

    /// Documents begin to get vectors of another model, which count as records do.
    func beginVectors(left: Int64) {
        state.withLock { state in
            state.progress.phase = .vectors
            state.progress.figures.wanted = state.progress.figures.done + left
            let now = SystemClock.monotonicNanoseconds()
            (state.beganNanoseconds, state.stretchNanoseconds) = (now, now)
            (state.doneBefore, state.pausedNanoseconds) = (state.progress.figures.done, 0)
        }
    }

    /// Records of one stretch at most, so that a wish is heard twice a second.
    var stretchRecordsMax: Int {
        let rate = state.withLock { $0.progress.wish.rate }
        return rate > 0 ? min(max(1, rate / 2), chunkRecordsMax) : chunkRecordsMax
    }

    /// Called on the reading lane behind each stretch of records; blocks while it shall pause, or is too early.
    ///
    /// - Parameter check: made at each look.
    /// - Throws: `CancellationError` after ``cancel()``; what `check` throws.
    func hold(records: Int, _ check: () throws -> Void) throws {
        var isPausing = false
        var pausedSince: Int64 = 0
        while true {
            try check()
            let (wish, began, isCancelled) = state.withLock {
                ($0.progress.wish, $0.stretchNanoseconds, $0.isCancelled)
            }
            if isCancelled { throw CancellationError() }
            let now = SystemClock.monotonicNanoseconds()
            if wish.isPaused {
                if !isPausing { (isPausing, pausedSince) = (true, now) }
            } else {
                if isPausing {
                    let paused = now - pausedSince
                    state.withLock {
                        $0.pausedNanoseconds += paused
                        $0.stretchNanoseconds += paused
                    }
                    isPausing = false
                    continue
                }
                let due = wish.rate > 0 ? began + Int64(Double(records) / Double(wish.rate) * 1e9) : now
                if now >= due {
                    state.withLock { $0.stretchNanoseconds = max(due, now - 1_000_000_000) }
                    return
                }
            }
            Pause.milliseconds(Self.lookMilliseconds)
        }
    }
}
