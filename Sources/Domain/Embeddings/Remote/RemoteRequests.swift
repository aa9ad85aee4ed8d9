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
        case failed(EmbeddingError)
    }

    private let configuration: RemoteEmbedderConfiguration
    private let queue: RemoteQueue
    private let client = HTTPClient()
    private let breaker = Mutex(CircuitBreaker())
    /// Whether the server is asked for ``RemoteEmbedderConfiguration/dimensions``.
    private let asksDimensions: Mutex<Bool>
    private let refused = Atomic(0)
    private let note: @Sendable (String, String) -> Void

    /// Failures of one request before its texts' calls fail.
    private static let triesMax = 3
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
        var (refusals, given, most) = (0, 0, 0)
        while let part = left.popLast() {
            let wanted = part.filter { $0.job.isWaiting }
            guard !wanted.isEmpty else {
                if hasBegun { queue.end(nil) }
                hasBegun = false
                continue
            }
            let outcome = tried(wanted, hasBegun: hasBegun)
            hasBegun = false
            switch outcome {
            case .vectors(let vectors):
                most = max(most, wanted.count)
                // Where it took all in smaller parts, there were too many at once.
                if refusals > 0, given == 0, left.isEmpty { queue.learn(textsMax: most) }
                let unusable = deliver(vectors, of: wanted)
                if unusable.count < wanted.count { hasSucceeded = true }
                guard let fault = unusable.first?.fault else { continue }
                if wanted.count > 1 {
                    // Once more, alone: what else a request has may matter to a server.
                    left += unusable.map { [$0.text] }
                } else {
                    given += 1
                    giveUp(wanted[0], fault.description, hasSucceeded: &hasSucceeded)
                }
            case .refused(let said):
                refusals += 1
                guard wanted.count > 1 else {
                    given += 1
                    giveUp(wanted[0], said, hasSucceeded: &hasSucceeded)
                    continue
                }
                let half = (wanted.count + 1) / 2
                left += [Array(wanted[half...]), Array(wanted[..<half])]
            case .failed(let error):
                for text in wanted + left.flatMap({ $0 }) { text.job.fail(error) }
                return
            }
        }
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
    private func giveUp(_ text: RemoteText, _ said: String, hasSucceeded: inout Bool) {
        if !hasSucceeded {
            let probe = RemoteText(job: text.job, place: text.place)
            switch tried([probe], as: ["passage"], hasBegun: false) {
            case .vectors(let vectors): hasSucceeded = vectors.allSatisfy { (try? $0.get()) != nil }
            case .failed(let error): return text.job.fail(error)
            case .refused: break
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
            if !hasBegun, !queue.begin(texts) { return .failed(queue.isStopped ? .stopped : .late) }
            hasBegun = false
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
            case .limited(let headers):
                breaker.withLock { $0.abandoned(pass) }
                let own = min(Self.pauseMax, Self.pauseFirst << Int64(min(refusals, 10)))
                refusals += 1
                queue.end((headers, 429), rest: RateGate.asked(by: headers) ?? own)
            case .failed(let error, let rest):
                breaker.withLock { $0.failed(pass, SystemClock.monotonicNanoseconds()) }
                failures += 1
                queue.end(nil, rest: rest ?? Self.pauseFirst << Int64(failures - 1))
                if failures >= Self.triesMax { return .failed(error) }
            }
        }
    }

    private enum Reply {
        case done(Outcome)
        /// Something was learnt, or it was stopped.
        case again
        case limited(HTTPClientHeaders)
        case failed(EmbeddingError, rest: Int64?)
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
        let left = (deadline - SystemClock.monotonicNanoseconds()) / 1_000_000
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
            return .failed(EmbeddingError(.unreachable, operation, reason: said(error.description)), rest: nil)
        }
        guard (200..<300).contains(reply.status) else { return refusal(reply, asksDimensions) }
        do throws(EmbeddingReply.Fault) {
            let vectors = try EmbeddingReply.vectors(
                reply.body, texts: texts.count, dimensions: configuration.dimensions)
            queue.end((reply.headers, reply.status))
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

    private func refusal(_ reply: HTTPClientResponse, _ asksDimensions: Bool) -> Reply {
        let text = "status \(reply.status): " + String(decoding: reply.body.prefix(4_096), as: UTF8.self)
        switch reply.status {
        case 429: return .limited(reply.headers)
        case 400, 413, 422:
            queue.end((reply.headers, reply.status))
            return .done(.refused(said(text)))
        case 408, 500...:
            // llama.cpp's words for a text that is longer than it computes at once.
            if text.contains("too large to process") {
                queue.end((reply.headers, reply.status))
                return .done(.refused(said(text)))
            }
            return .failed(
                EmbeddingError(.unreachable, operation, reason: said(text)), rest: RateGate.asked(by: reply.headers))
        default:
            queue.end((reply.headers, reply.status))
            return .done(.failed(EmbeddingError(.model, operation, reason: said(text), hint: Self.hint)))
        }
    }

    private var operation: String { "embed by \(configuration.url)" }
    private static let hint = "look at EMBED_URL, EMBED_MODEL, EMBED_API_KEY and EMBED_DIMS"

    /// What a server said, without secrets and cut.
    private func said(_ text: String) -> String {
        let key = configuration.key
        let text = configuration.url.scrubbed(key.isEmpty ? text : text.replacing(key, with: "***"))
        return String(text.filter { !$0.isNewline }.prefix(Self.saidMax))
    }
}

extension EmbeddingError {
    static let late = EmbeddingError(
        .overloaded, "embed", reason: "the embedding server gave no vector in time", hint: "try again later")
}
