import Synchronization

/// Texts of one `embed` call on their way to a server.
final class RemoteJob: Sendable {
    private struct State {
        var vectors: [[Float]]
        var missing: Int
        var continuation: CheckedContinuation<[[Float]], any Error>?
    }

    let id: UInt64
    let texts: [String]
    /// Of each text, estimated.
    let tokens: [Int]
    /// Nobody waits longer, monotonic.
    let deadlineNanoseconds: Int64
    private let state: Mutex<State>

    init(
        id: UInt64, texts: [String], deadlineNanoseconds: Int64,
        continuation: CheckedContinuation<[[Float]], any Error>
    ) {
        (self.id, self.texts, self.deadlineNanoseconds) = (id, texts, deadlineNanoseconds)
        tokens = texts.map(Self.tokens)
        state = Mutex(
            State(
                vectors: [[Float]](repeating: [], count: texts.count), missing: texts.count,
                continuation: continuation))
    }

    /// Three bytes a token: four are usual in English, three in the scripts of East Asia.
    static func tokens(_ text: String) -> Int { text.utf8.count / 3 + 1 }

    var isWaiting: Bool { state.withLock { $0.continuation != nil } }

    /// Takes the vector of a text, empty where the server refused it; the last one ends the call.
    func deliver(_ vector: [Float], for text: Int) {
        let done = state.withLock { state -> (CheckedContinuation<[[Float]], any Error>, [[Float]])? in
            state.vectors[text] = vector
            state.missing -= 1
            guard state.missing == 0, let continuation = state.continuation.take() else { return nil }
            return (continuation, state.vectors)
        }
        if let (continuation, vectors) = done { continuation.resume(returning: vectors) }
    }

    /// Ends the call; later ones change nothing.
    func fail(_ error: any Error) {
        state.withLock { $0.continuation.take() }?.resume(throwing: error)
    }
}

/// A text of a job.
struct RemoteText: Sendable {
    let job: RemoteJob
    let place: Int

    var text: String { job.texts[place] }
    var tokens: Int { job.tokens[place] }
}

/// Texts that wait for a server; those of one kind are asked for in the order of their calls, whoever called, as many at once
/// as a request may have.
struct RemoteLine {
    private var jobs: [RemoteJob] = []
    /// Texts of the first job that were taken.
    private var taken = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func add(_ job: RemoteJob) {
        jobs.append(job)
        count += job.texts.count
    }

    /// The next texts: one at least, where there is one.
    ///
    /// - Parameter isTaken: whether they are taken out.
    mutating func next(textsMax: Int, tokensMax: Int, isTaken: Bool) -> [RemoteText] {
        var texts: [RemoteText] = []
        var tokens = 0
        var (job, place) = (0, taken)
        while job < jobs.count, texts.count < textsMax {
            guard place < jobs[job].texts.count else {
                (job, place) = (job + 1, 0)
                continue
            }
            let text = RemoteText(job: jobs[job], place: place)
            guard texts.isEmpty || tokens + text.tokens <= tokensMax else { break }
            tokens += text.tokens
            texts.append(text)
            place += 1
        }
        if isTaken {
            count -= texts.count
            jobs.removeFirst(job)
            taken = place
            if jobs.isEmpty { taken = 0 }
        }
        return texts
    }

    /// Takes out those that nobody waits for any more, or longer than they were to.
    ///
    /// - Returns: the latter ones.
    mutating func takeLate(_ now: Int64) -> [RemoteJob] {
        guard jobs.contains(where: { $0.deadlineNanoseconds <= now || !$0.isWaiting }) else { return [] }
        var late: [RemoteJob] = []
        var left: [RemoteJob] = []
        for (number, job) in jobs.enumerated() {
            let texts = job.texts.count - (number == 0 ? taken : 0)
            if job.isWaiting, job.deadlineNanoseconds > now {
                left.append(job)
                continue
            }
            if job.isWaiting { late.append(job) }
            count -= texts
            if number == 0 { taken = 0 }
        }
        jobs = left
        return late
    }

    mutating func takeAll() -> [RemoteJob] {
        defer { (jobs, taken, count) = ([], 0, 0) }
        return jobs
    }
}
