import Bytes
import Dispatch
import HTTPClient
import Synchronization

/// What waits for a server, and when it may be asked; queries come before sentences, and these before documents.
final class RemoteQueue: Sendable {
    private struct State {
        var lines: [RemoteLine] = [RemoteLine(), RemoteLine(), RemoteLine()]
        var gate: RateGate
        var textsMax: Int
        var isStopped = false
        var nextID: UInt64 = 0
    }

    let configuration: RemoteEmbedderConfiguration
    private let state: Mutex<State>
    /// For the threads that take queries and sentences, and those that take documents.
    private let arrivals = [DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)]

    init(_ configuration: RemoteEmbedderConfiguration) {
        self.configuration = configuration
        state = Mutex(
            State(
                gate: RateGate(requestsPerMinute: configuration.requestsPerMinute),
                textsMax: configuration.textsMax))
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }
    var waiting: Int { state.withLock { $0.lines.reduce(0) { $0 + $1.count } } }

    func makeID() -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private static func line(_ priority: EmbeddingPriority) -> Int {
        switch priority {
        case .query: 0
        case .sentence: 1
        case .batch: 2
        }
    }

    func add(_ job: RemoteJob, priority: EmbeddingPriority) {
        let line = Self.line(priority)
        let refusal: EmbeddingError? = state.withLock { state in
            if state.isStopped { return .stopped }
            let waiting = state.lines[line].count
            guard waiting == 0 || waiting + job.texts.count <= configuration.waitingMax else {
                return .overloaded(waiting: waiting, of: "texts")
            }
            state.lines[line].add(job)
            return nil
        }
        if let refusal { return job.fail(refusal) }
        wake()
    }

    /// The next texts for a thread, once the server may be asked for them; nil when it was stopped. Blocks.
    ///
    /// - Parameter forDocuments: whether it takes documents, or queries and sentences.
    func take(forDocuments: Bool) -> [RemoteText]? {
        while true {
            let step: Step = state.withLock { state in
                if state.isStopped { return .stopped }
                let now = SystemClock.monotonicNanoseconds()
                let late = state.lines.indices.flatMap { state.lines[$0].takeLate(now) }
                if !late.isEmpty { return .late(late) }
                let line = forDocuments ? 2 : (state.lines[0].isEmpty ? 1 : 0)
                guard !state.lines[line].isEmpty else { return .pause(Self.pauseMax) }
                // What somebody waits for takes the next turn of a server that gives few.
                if forDocuments, !state.lines[0].isEmpty || !state.lines[1].isEmpty { return .pause(Self.turn) }
                let (texts, tokens) = (state.textsMax, configuration.tokensMax)
                let next = state.lines[line].next(textsMax: texts, tokensMax: tokens, isTaken: false)
                let sum = next.reduce(0) { $0 + $1.tokens }
                let pause = state.gate.pause(tokens: sum, now)
                guard pause == 0 else { return .pause(min(pause, Self.pauseMax)) }
                state.gate.begin(tokens: sum, now)
                return .take(state.lines[line].next(textsMax: texts, tokensMax: tokens, isTaken: true))
            }
            switch step {
            case .stopped: return nil
            case .take(let texts): return texts
            case .late(let jobs): jobs.forEach { $0.fail(EmbeddingError.late) }
            case .pause(let nanoseconds):
                _ = arrivals[forDocuments ? 1 : 0].wait(timeout: .now() + .nanoseconds(Int(nanoseconds)))
            }
        }
    }

    private enum Step {
        case stopped
        case take([RemoteText])
        case late([RemoteJob])
        case pause(Int64)
    }

    private static let pauseMax: Int64 = 1_000_000_000
    private static let turn: Int64 = 10_000_000

    /// Waits until one more request of texts that were taken may be made.
    ///
    /// - Returns: false when it was stopped, or the texts' time is over.
    func begin(_ texts: [RemoteText]) -> Bool {
        let tokens = texts.reduce(0) { $0 + $1.tokens }
        let deadline = texts.map(\.job.deadlineNanoseconds).max() ?? 0
        while true {
            let now = SystemClock.monotonicNanoseconds()
            let pause: Int64? = state.withLock { state in
                if state.isStopped || now >= deadline { return nil }
                let pause = state.gate.pause(tokens: tokens, now)
                if pause == 0 { state.gate.begin(tokens: tokens, now) }
                return pause
            }
            guard let pause else { return false }
            if pause == 0 { return true }
            let wait = DispatchTime.now() + .nanoseconds(Int(min(pause, Self.turn * 5)))
            // Not woken by arrivals: others take those.
            _ = DispatchSemaphore(value: 0).wait(timeout: wait)
        }
    }

    /// A request ended.
    ///
    /// - Parameters:
    ///   - reply: nil where none came.
    ///   - rest: how long the server is left alone.
    func end(_ reply: (headers: HTTPClientHeaders, status: Int)?, rest: Int64 = 0) {
        state.withLock { state in
            let now = SystemClock.monotonicNanoseconds()
            if let reply {
                state.gate.end(reply.headers, status: reply.status, now)
            } else {
                state.gate.end()
            }
            if rest > 0 { state.gate.rest(rest, now) }
        }
        wake()
    }

    /// The server takes fewer texts at once.
    func learn(textsMax: Int) { state.withLock { $0.textsMax = max(1, min($0.textsMax, textsMax)) } }

    func stop() {
        let jobs = state.withLock { state in
            state.isStopped = true
            return state.lines.indices.flatMap { state.lines[$0].takeAll() }
        }
        for job in jobs { job.fail(EmbeddingError.stopped) }
        wake()
    }

    private func wake() {
        for _ in 0..<RemoteEmbedder.threads { arrivals.forEach { $0.signal() } }
    }
}
