import Bytes
import Simulator
import Synchronization

/// Invented events that come when they are let go: some at once, others at a steady rate.
final class MeteredSource: PlayableSource {
    /// A stretch of events that were let go.
    private struct Stretch {
        /// The index of its first event.
        var first: Int
        /// The index behind its last event; `Int.max` until it ends.
        var end: Int
        /// Milliseconds after the first client came.
        var start: Int64
        /// Events a second; nil: all at once.
        var rate: Double?

        func due(_ index: Int) -> Int64 {
            start + (rate.map { Int64(Double(index - first) * 1_000 / $0) } ?? 0)
        }
    }

    private struct State {
        /// When the first client came, milliseconds of the monotonic clock.
        var began: Int64?
        var stretches: [Stretch] = []
    }

    /// Later than anything that is waited for, in milliseconds.
    private static let never: Int64 = 1 << 40

    private let events: GeneratedSource
    private let clock: @Sendable () -> Int64
    private let state = Mutex(State())

    /// - Parameters:
    ///   - events: what comes.
    ///   - clock: milliseconds of a monotonic clock, that of the simulator.
    init(
        _ events: GeneratedSource,
        clock: @escaping @Sendable () -> Int64 = { SystemClock.monotonicNanoseconds() / 1_000_000 }
    ) {
        self.events = events
        self.clock = clock
    }

    /// Lets so many go at once.
    func release(_ count: Int) {
        state.withLock { state in
            let first = close(&state)
            state.stretches.append(Stretch(first: first, end: first + count, start: elapsed(state), rate: nil))
        }
    }

    /// Lets events go from now on, so many a second, until the next call of one of these three.
    func run(eventsPerSecond: Double) {
        state.withLock { state in
            let first = close(&state)
            state.stretches.append(Stretch(first: first, end: .max, start: elapsed(state), rate: eventsPerSecond))
        }
    }

    /// Lets no more go.
    func stop() {
        state.withLock { state in _ = close(&state) }
    }

    /// Ends the current stretch; returns the index of the first event that was not let go.
    private func close(_ state: inout State) -> Int {
        guard var last = state.stretches.last else { return 0 }
        if last.end == .max, let rate = last.rate {
            last.end = last.first + max(0, Int(Double(elapsed(state) - last.start) * rate / 1_000))
            state.stretches[state.stretches.count - 1] = last
        }
        return last.end
    }

    private func elapsed(_ state: State) -> Int64 { state.began.map { clock() - $0 } ?? 0 }

    // MARK: PlayableSource

    var summary: String { events.summary }
    var count: Int? { nil }
    var tail: [UInt8] { [] }

    func due(_ index: Int) -> Int64 {
        state.withLock { state in
            state.stretches.last { index >= $0.first && index < $0.end }?.due(index) ?? Self.never
        }
    }

    func timestamp(_ index: Int) -> Int64 { events.timestamp(index) }
    func dataCentre(_ index: Int) -> Int { events.dataCentre(index) }
    func firstIndex(atOrAfter timestamp: Int64) -> Int { events.firstIndex(atOrAfter: timestamp) }
    func appendPayload(_ index: Int, to bytes: inout [UInt8]) { events.appendPayload(index, to: &bytes) }

    func begin(at index: Int) {
        events.begin(at: index)
        state.withLock { $0.began = $0.began ?? clock() }
    }
}
