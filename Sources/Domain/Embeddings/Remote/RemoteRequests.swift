import Bytes
import HTTPClient
import Synchronization

/// Makes the requests for texts, on the threads of a ``RemoteEmbedder``.
final class RemoteRequests: Sendable {
    /// What came of one request.
    private enum Outcome {
        case vectors([Result<[Float], EmbeddingReply.Fault>])
        /// The server does not take it; what it said.
        case refused(String)
        /// It fails or is late with it, and may not with others or fewer.
        case stuck(EmbeddingError)
        case failed(EmbeddingError)
    }

    private let configuration: RemoteEmbedderConfiguration
    private let queue: RemoteQueue
    private let client = HTTPClient()
    private let breaker = Mutex(CircuitBreaker())
    /// Whether the server is asked for ``RemoteEmbedderConfiguration/dimensions``.
    private let asksDimensions: Mutex<Bool>
    private let refused = Atomic(0)
    private let limits = Mutex(LimitReports())
    private let note: @Sendable (String, String) -> Void

    /// Failures of one request before its texts' calls fail.
    private static let triesMax = 3
    /// The same of one that has several texts, which are tried in parts then.
    private static let lateTriesMax = 2
    private static let pauseFirst: Int64 = 250_000_000
    private static let pauseMax: Int64 = 60_000_000_000
    private static let saidMax = 200

    init(
        _ configuration: RemoteEmbedderConfiguration, _ queue: RemoteQueue,
        note: @escaping @Sendable (String, String) -> Void
    ) {
        (self.configuration, self.queue, self.note) = (configuration, queue, note)
        // Of OpenAI's models these alone can be asked for fewer numbers than they have; others refuse the question.
        asksDimensions = Mutex(configuration.model.contains("text-embedding-3"))
    }

    var refusedTexts: Int { refused.load(ordering: .relaxed) }

    func wake() { client.wake() }

    /// Embeds texts, for which a request may be made now. Where the server refuses them, their halves are tried, and so on,
    /// until it is known which ones it refuses.
    func embed(_ texts: [RemoteText]) {
        var left = [texts]
        var (hasBegun, hasSucceeded) = (true, false)
        var given = 0
        var (most, refused) = (RequestSize.Amount(), RequestSize.Amount?.none)
        while let part = left.popLast() {
            let wanted = part.filter { $0.job.isWaiting }
            guard !wanted.isEmpty else {
                if hasBegun { queue.end(nil) }
                hasBegun = false
                continue
            }
            // Less may have been learnt since it was made.
            if wanted.count > queue.size.texts {
                left += Self.halves(wanted)
                continue
            }
            let amount = Self.amount(wanted)
            let outcome = tried(wanted, hasBegun: hasBegun)
            hasBegun = false
            switch outcome {
            case .vectors(let vectors):
                most.texts = max(most.texts, amount.texts)
                most.tokens = max(most.tokens, amount.tokens)
                queue.learn { $0.took(amount) }
                // Where it took all in smaller parts, there were too many at once.
                if let refused, given == 0, left.isEmpty { queue.learn { $0.refused(refused, took: most) } }
                let unusable = deliver(vectors, of: wanted)
                if unusable.count < wanted.count { hasSucceeded = true }
                guard let fault = unusable.first?.fault else { continue }
                if wanted.count > 1 {
                    // Once more, alone: what else a request has may matter to a server.
                    left += unusable.map { [$0.text] }
                } else {
                    given += 1
                    giveUp(wanted[0], fault.description, isStuck: false, hasSucceeded: &hasSucceeded)
                }
            case .refused, .stuck:
                refused = amount
                guard wanted.count == 1 else {
                    left += Self.halves(wanted)
                    continue
                }
                given += 1
                switch outcome {
                case .refused(let said): giveUp(wanted[0], said, isStuck: false, hasSucceeded: &hasSucceeded)
                case .stuck(let error): giveUp(wanted[0], error.reason, isStuck: true, hasSucceeded: &hasSucceeded)
                default: break
                }
            case .failed(let error):
                for text in wanted + left.flatMap({ $0 }) { text.job.fail(error) }
                return
            }
        }
    }

    /// The first half last, as it is tried first.
    private static func halves(_ texts: [RemoteText]) -> [[RemoteText]] {
        let half = (texts.count + 1) / 2
        return [Array(texts[half...]), Array(texts[..<half])]
    }

    private static func amount(_ texts: [RemoteText]) -> RequestSize.Amount {
        RequestSize.Amount(texts: texts.count, tokens: texts.reduce(0) { $0 + $1.tokens })
    }

    private func deliver(
        _ vectors: [Result<[Float], EmbeddingReply.Fault>], of texts: [RemoteText]
    ) -> [(text: RemoteText, fault: EmbeddingReply.Fault)] {
        var unusable: [(text: RemoteText, fault: EmbeddingReply.Fault)] = []
        for (text, vector) in zip(texts, vectors) {
            switch vector {
            case .success(let vector): text.job.deliver(vector, for: text.place)
            case .failure(let fault): unusable.append((text, fault))
            }
        }
        return unusable
    }

    /// A text that is refused alone: it is the text's fault where the server takes others, and the server's else.
    ///
    /// - Parameter isStuck: whether the server failed with it, which may have passed: then it is asked anew for another text, and
    ///   once more for this one.
    private func giveUp(_ text: RemoteText, _ said: String, isStuck: Bool, hasSucceeded: inout Bool) {
        if !hasSucceeded || isStuck {
            switch tried([text], as: ["passage"], hasBegun: false) {
            case .vectors(let vectors): hasSucceeded = vectors.allSatisfy { (try? $0.get()) != nil }
            case .failed(let error), .stuck(let error): return text.job.fail(error)
            case .refused: hasSucceeded = false
            }
        }
        if isStuck, hasSucceeded {
            switch tried([text], hasBegun: false) {
            case .vectors(let vectors):
                if let vector = try? vectors[0].get() { return text.job.deliver(vector, for: text.place) }
            case .failed(let error): return text.job.fail(error)
            case .refused, .stuck: break
            }
        }
        guard hasSucceeded else {
            return text.job.fail(
                EmbeddingError(.model, operation, reason: "it refuses every text: \(said)", hint: Self.hint))
        }
        refused.add(1, ordering: .relaxed)
        note("the embedding server refuses a text, which is found by its words alone", said)
        text.job.deliver([], for: text.place)
    }

    /// Asks until something comes of it, as often as may be.
    private func tried(_ texts: [RemoteText], as inputs: [String]? = nil, hasBegun: Bool) -> Outcome {
        var hasBegun = hasBegun
        var (failures, refusals) = (0, 0)
        while true {
            if !hasBegun, !queue.begin(texts) { return .failed(queue.isStopped ? .stopped : queue.lateError) }
            hasBegun = false
            if SystemClock.monotonicNanoseconds() >= texts.map(\.job.deadlineNanoseconds).max() ?? 0 {
                // No failure of the server.
                queue.end(nil)
                return .failed(queue.lateError)
            }
            guard let pass = breaker.withLock({ $0.begin(SystemClock.monotonicNanoseconds()) }) else {
                queue.end(nil)
                return .failed(EmbeddingError(.unreachable, operation, reason: "it failed often and is left alone"))
            }
            switch ask(inputs ?? texts.map(\.text), until: texts.map(\.job.deadlineNanoseconds).max() ?? 0) {
            case .done(let outcome):
                let now = SystemClock.monotonicNanoseconds()
                if case .failed = outcome {
                    breaker.withLock { $0.failed(pass, now) }
                } else {
                    breaker.withLock { $0.succeeded(pass) }
                }
                return outcome
            case .again:
                breaker.withLock { $0.abandoned(pass) }
                if queue.isStopped { return .failed(.stopped) }
            case .limited(let headers, let said):
                breaker.withLock { $0.abandoned(pass) }
                let own = min(Self.pauseMax, Self.pauseFirst << Int64(min(refusals, 10)))
                refusals += 1
                queue.noteLimit(said)
                queue.end((headers, 429), rest: RateGate.asked(by: headers) ?? own)
                if let count = limits.withLock({ $0.admit(SystemClock.monotonicNanoseconds()) }) {
                    note("the embedding server refuses requests for its limits (\(count) since the last report)", said)
                }
            case .failed(let error, let rest, let cause):
                failures += 1
                // Of these texts rather than of the server, for all that is known.
                let isStuck = inputs == nil && (cause == .texts || cause == .time && texts.count > 1)
                let triesMax = Self.triesMax(isStuck ? cause : .server, texts: texts.count)
                let now = SystemClock.monotonicNanoseconds()
                breaker.withLock { isStuck ? $0.abandoned(pass) : $0.failed(pass, now) }
                let pause = isStuck && failures >= triesMax ? 0 : Self.pauseFirst << Int64(failures - 1)
                queue.end(nil, rest: rest ?? pause)
                if failures < triesMax { continue }
                if isStuck, cause == .time { queue.learn { $0.wasLate(Self.amount(texts)) } }
                return isStuck ? .stuck(error) : .failed(error)
            }
        }
    }

    /// Several texts are tried in parts soon.
    private static func triesMax(_ cause: Cause, texts: Int) -> Int {
        guard texts > 1 else { return triesMax }
        return switch cause {
        case .server: triesMax
        case .texts: 1
        case .time: lateTriesMax
        }
    }

    private enum Reply {
        case done(Outcome)
        /// Something was learnt, or it was stopped.
        case again
        /// Its limits are reached; what it said.
        case limited(HTTPClientHeaders, String)
        case failed(EmbeddingError, rest: Int64?, Cause = .server)
    }

    /// What a failure may be owed to.
    private enum Cause {
        /// The server is away or busy, or its reply is none.
        case server
        /// The server failed at what it was asked: Ollama does with texts for which its model computes no number.
        case texts
        /// It was connected, and had not answered when the time of a request was over.
        case time
    }

    private func ask(_ texts: [String], until deadline: Int64) -> Reply {
        let asksDimensions = asksDimensions.withLock { $0 }
        var request = HTTPClientRequest(
            method: "POST", url: configuration.endpoint,
            headers: [("Content-Type", "application/json"), ("Accept", "application/json")],
            body: EmbeddingReply.request(
                texts, model: configuration.model, dimensions: asksDimensions ? configuration.dimensions : nil))
        if !configuration.key.isEmpty { request.headers.append(("Authorization", "Bearer \(configuration.key)")) }
        request.bodyBytesMax = EmbeddingReply.bytesMax(texts: texts.count, dimensions: configuration.dimensions)
        let sent = SystemClock.monotonicNanoseconds()
        let left = (deadline - sent) / 1_000_000
        let reply: HTTPClientResponse
        do throws(HTTPClientError) {
            reply = try client.request(
                request, timeoutMilliseconds: Int(max(1, min(left, Int64(configuration.millisecondsMax)))),
                shouldStop: { queue.isStopped })
        } catch {
            if error.kind == .stopped {
                queue.end(nil)
                return .again
            }
            // Of a connection that is not made libcurl has other words.
            let isLate =
                error.kind == .timeout && left >= Int64(configuration.millisecondsMax)
                && error.detail.hasPrefix("Operation timed out")
            return .failed(
                EmbeddingError(.unreachable, operation, reason: said(error.description)), rest: nil,
                isLate ? .time : .server)
        }
        guard (200..<300).contains(reply.status) else { return refusal(reply, sent: sent) }
        do throws(EmbeddingReply.Fault) {
            let vectors = try EmbeddingReply.vectors(
                reply.body, texts: texts.count, dimensions: configuration.dimensions)
            queue.noteLimit(nil)
            queue.end((reply.headers, reply.status), sent: sent)
            return .done(.vectors(vectors))
        } catch {
            if case .wrongDimensions(let count, let wanted) = error, count > wanted, !asksDimensions {
                // It may be able to give fewer.
                self.asksDimensions.withLock { $0 = true }
                queue.end((reply.headers, reply.status))
                return .again
            }
            return .failed(
                EmbeddingError(.inference, operation, reason: error.description, hint: Self.hint), rest: nil)
        }
    }

    private func refusal(_ reply: HTTPClientResponse, sent: Int64) -> Reply {
        let text = "status \(reply.status): " + String(decoding: reply.body.prefix(4_096), as: UTF8.self)
        switch reply.status {
        case 429:
            guard text.contains("insufficient_quota") else { return .limited(reply.headers, said(text)) }
            // OpenAI's word for an account without money, which no time brings back.
            queue.end((reply.headers, reply.status), sent: sent)
            return .done(.failed(EmbeddingError(.model, operation, reason: said(text), hint: Self.quotaHint)))
        case 400, 413, 422:
            queue.end((reply.headers, reply.status), sent: sent)
            return .done(.refused(said(text)))
        case 408, 500...:
            // llama.cpp's words for a text that is longer than it computes at once.
            if text.contains("too large to process") {
                queue.end((reply.headers, reply.status), sent: sent)
                return .done(.refused(said(text)))
            }
            return .failed(
                EmbeddingError(.unreachable, operation, reason: said(text)), rest: RateGate.asked(by: reply.headers),
                reply.status == 500 ? .texts : .server)
        default:
            queue.end((reply.headers, reply.status), sent: sent)
            return .done(.failed(EmbeddingError(.model, operation, reason: said(text), hint: Self.hint)))
        }
    }

    private var operation: String { "embed by \(configuration.url)" }
    private static let quotaHint = "the account of EMBED_API_KEY has no quota left"
    private static let hint = "look at EMBED_URL, EMBED_MODEL, EMBED_API_KEY and EMBED_DIMS"

    /// What a server said, without secrets and cut.
    private func said(_ text: String) -> String {
        let key = configuration.key
        let text = configuration.url.scrubbed(key.isEmpty ? text : text.replacing(key, with: "***"))
        return String(text.filter { !$0.isNewline }.prefix(Self.saidMax))
    }
}

/// Lets one report a minute through: a server's limits are reached time and again while there is a backlog.
private struct LimitReports {
    private var count = 0
    private var last: Int64?

    /// - Returns: refusals since the last report, this one included, where it is time for one.
    mutating func admit(_ now: Int64) -> Int? {
        count += 1
        if let last, now - last < 60_000_000_000 { return nil }
        defer { count = 0 }
        last = now
        return count
    }
}

extension EmbeddingError {
    /// - Parameter said: what the server refused last for its limits.
    static func late(_ said: String?) -> EmbeddingError {
        EmbeddingError(
            .overloaded, "embed",
            reason: "the embedding server gave no vector in time" + (said.map { "; it said: \($0)" } ?? ""),
            hint: "try again later")
    }
}
