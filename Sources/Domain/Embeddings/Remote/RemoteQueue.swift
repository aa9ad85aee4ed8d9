import Bytes
import Dispatch
import HTTPClient
import Synchronization

/// What waits for a server, and when it may be asked; queries come before sentences, these before documents, and a replay's last.
final class RemoteQueue: Sendable {
    private struct State {
        var lines: [RemoteLine] = EmbeddingPriority.allCases.map { _ in RemoteLine() }
        var gate: RateGate
        var size: RequestSize
        /// What the server's last refusal for its limits said; nil once it took a request.
        var limitSaid: String?
        /// When it was last looked for texts that nobody waits for.
        var lateNanoseconds: Int64 = 0
        /// By ``arrivals``: whether a signal was given that no thread has followed yet.
        var areSignalled = [false, false]
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
                size: RequestSize(textsMax: configuration.textsMax, tokensMax: configuration.tokensMax)))
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
        case .replay: 3
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
            signal(priority.isOfDocuments ? 1 : 0, &state)
            return nil
        }
        if let refusal { job.fail(refusal) }
    }

    /// The next texts for a thread, once the server may be asked for them; nil when it was stopped. Blocks.
    ///
    /// - Parameter forDocuments: whether it takes documents, or queries and sentences.
    func take(forDocuments: Bool) -> [RemoteText]? {
        let kind = forDocuments ? 1 : 0
        while true {
            let step: Step = state.withLock { state in
                if state.isStopped { return .stopped }
                state.areSignalled[kind] = false
                let now = SystemClock.monotonicNanoseconds()
                let late = takeLate(&state, now)
                if !late.isEmpty { return .late(late, .late(state.limitSaid)) }
                let first = Self.line(forDocuments ? .batch : .query)
                let line = state.lines[first].isEmpty ? first + 1 : first
                guard !state.lines[line].isEmpty else { return .pause(Self.pauseMax) }
                // What somebody waits for takes the next turn of a server that gives few.
                if forDocuments, !state.lines[0].isEmpty || !state.lines[1].isEmpty { return .pause(Self.turn) }
                let most = state.size.now
                let next = state.lines[line].next(textsMax: most.texts, tokensMax: most.tokens, isTaken: false)
                let sum = next.reduce(0) { $0 + $1.tokens }
                let pause = state.gate.pause(tokens: sum, now)
                guard pause == 0 else { return .pause(min(pause, Self.pauseMax)) }
                state.gate.begin(tokens: sum, now)
                let texts = state.lines[line].next(textsMax: most.texts, tokensMax: most.tokens, isTaken: true)
                // One signal wakes one thread; this one tells the next.
                if !state.lines[first].isEmpty || !state.lines[first + 1].isEmpty { signal(kind, &state) }
                return .take(texts)
            }
            switch step {
            case .stopped: return nil
            case .take(let texts): return texts
            case .late(let jobs, let error): jobs.forEach { $0.fail(error) }
            case .pause(let nanoseconds):
                _ = arrivals[kind].wait(timeout: .now() + .nanoseconds(Int(nanoseconds)))
            }
        }
    }

    private enum Step {
        case stopped
        case take([RemoteText])
        case late([RemoteJob], EmbeddingError)
        case pause(Int64)
    }

    private static let pauseMax: Int64 = 1_000_000_000
    private static let turn: Int64 = 10_000_000
    private static let lateSpacing: Int64 = 20_000_000

    private func takeLate(_ state: inout State, _ now: Int64) -> [RemoteJob] {
        guard now - state.lateNanoseconds >= Self.lateSpacing else { return [] }
        state.lateNanoseconds = now
        return state.lines.indices.flatMap { state.lines[$0].takeLate(now) }
    }

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
    ///   - sent: when it began.
    ///   - rest: how long the server is left alone.
    func end(_ reply: (headers: HTTPClientHeaders, status: Int)?, sent: Int64? = nil, rest: Int64 = 0) {
        state.withLock { state in
            let now = SystemClock.monotonicNanoseconds()
            if let reply {
                state.gate.end(reply.headers, status: reply.status, sent: sent, now)
            } else {
                state.gate.end()
            }
            if rest > 0 { state.gate.rest(rest, now) }
            for kind in arrivals.indices { signal(kind, &state) }
        }
    }

    /// What a request may have for now.
    var size: RequestSize.Amount { state.withLock { $0.size.now } }

    /// Takes in what became of a request's size.
    func learn(_ change: (inout RequestSize) -> Void) { state.withLock { change(&$0.size) } }

    /// What waits in vain is told what the server said; nil: that it took a request.
    func noteLimit(_ said: String?) { state.withLock { $0.limitSaid = said } }

    /// The error of texts whose time is over.
    var lateError: EmbeddingError { .late(state.withLock { $0.limitSaid }) }

    func stop() {
        let jobs = state.withLock { state in
            state.isStopped = true
            return state.lines.indices.flatMap { state.lines[$0].takeAll() }
        }
        for job in jobs { job.fail(EmbeddingError.stopped) }
        for _ in 0..<RemoteEmbedder.threads { arrivals.forEach { $0.signal() } }
    }

    /// Wakes one thread, unless one is being woken.
    private func signal(_ kind: Int, _ state: inout State) {
        guard !state.areSignalled[kind] else { return }
        state.areSignalled[kind] = true
        arrivals[kind].signal()
    }
}
