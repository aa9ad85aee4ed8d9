package import Answering
package import Bytes
import Concurrency
import HTTPClient
import Health
import Retrieval
import Synchronization
package import Telemetry

/// A server that speaks OpenAI's `/chat/completions`, and how it is asked.
package struct ChatConfiguration: Sendable {
    /// As replies, metrics and `/health` name it; `model` or `model_fallback`.
    package var name: String
    /// The base, such as `http://localhost:11434/v1`, or the whole path; a query stays behind it. May hold a secret.
    package var url: SecretURL
    /// What the server calls its model; empty for its own choice.
    package var model: String
    /// Sent as `Authorization: Bearer`; empty for none. A secret.
    package var key: String
    /// One answer may take so long, tries and all.
    package var millisecondsMax = 12_000
    /// Tokens that the model may write.
    package var tokensMax = 512
    package var temperature = 0.0
    /// Tokens of the passages that it is given, estimated.
    package var contextTokensMax = 3_000
    /// Passages of the first attempt.
    package var passagesFirst = ChatPrompt.passagesFirst

    package init(name: String, url: SecretURL, model: String, key: String = "") {
        self.name = name
        self.url = url
        self.model = model
        self.key = key
    }

    var endpoint: String {
        let text = url.revealed
        let base = text.prefix { $0 != "?" && $0 != "#" }
        let query = text[base.endIndex...].prefix { $0 != "#" }
        guard !base.hasSuffix("/chat/completions") else { return String(base + query) }
        return base + (base.hasSuffix("/") ? "" : "/") + "chat/completions" + query
    }
}

/// Asks a chat model. Blocking calls are on lanes; one that is cancelled closes its connection at once, so that the server
/// stops writing.
package final class ChatAnswerer: Answerer {
    package let name: String
    let configuration: ChatConfiguration
    private let lanes: LanePool<ChatConnection>
    private let dialect = Mutex(ChatDialect())
    private let breaker = Mutex(CircuitBreaker())
    private let lastFault = Mutex<ModelFault?>(nil)
    private let metrics: ModelMetrics
    private let logger: Logger
    private let now: @Sendable () -> Int64

    /// Answers that a server writes at once.
    private static let lanesMax = 8
    private static let triesMax = 3
    private static let lessonsMax = 6
    private static let shortQuestionBytesMax = 300

    /// - Parameter now: monotonic nanoseconds, by which the breaker goes.
    package init(
        _ configuration: ChatConfiguration, metrics: MetricsRegistry, logger: Logger,
        now: @escaping @Sendable () -> Int64 = { SystemClock.monotonicNanoseconds() }
    ) {
        name = configuration.name
        self.configuration = configuration
        self.logger = logger
        self.now = now
        self.metrics = ModelMetrics(metrics, server: configuration.name)
        lanes = LanePool(
            name: configuration.name, count: Self.lanesMax, waitersMax: 64, waitMillisecondsMax: 2_000,
            make: { ChatConnection() }, interruption: { $0.interruption })
    }

    package var model: String? { configuration.model.isEmpty ? nil : configuration.model }

    /// Passages of one attempt after the other: few first, twice as many after each refusal, up to what the context takes. Those
    /// that have nothing to do with what the question names are not worth another attempt.
    ///
    /// - Parameter related: how many of the first passages have to do with it.
    func contexts(_ task: AnswerTask, related: Int) -> [Int] {
        let first = configuration.passagesFirst
        let last = min(prompt(task, count: task.passages.count).passages, max(first, related))
        var counts: [Int] = []
        var next = first
        while next < last {
            counts.append(next)
            next *= 2
        }
        return counts + [last]
    }

    private func prompt(_ task: AnswerTask, count: Int, halvings: Int = 0) -> ChatPrompt {
        let dialect = dialect.withLock { $0 }
        return ChatPrompt(
            question: task.question, passages: task.passages, count: count,
            tokensMax: configuration.contextTokensMax >> max(halvings, dialect.halvings), form: dialect.form,
            boundary: ChatPrompt.newBoundary())
    }

    package func answer(
        _ task: AnswerTask, emit: @Sendable (AnswerPart) async throws -> Void
    ) async throws -> AnswerEnd {
        guard let pass = breaker.withLock({ $0.begin(now()) }) else {
            let last = lastFault.withLock { $0?.description } ?? ""
            metrics.count(ModelFault.Kind.resting.rawValue)
            throw ModelFault(.resting, "not asked for a while after: \(last)")
        }
        do {
            let end = try await tried(task, emit: emit)
            breaker.withLock { $0.succeeded(pass) }
            lastFault.withLock { $0 = nil }
            metrics.count(end.isRefused ? "refused_\(end.form.rawValue)" : end.form.rawValue)
            return end
        } catch let fault as ModelFault {
            metrics.count(fault.kind.rawValue)
            // Too many at once is nothing that the server did, and what is wrong with one request is not with the next.
            if fault.kind == .busy || fault.isOfRequest {
                breaker.withLock { $0.abandoned(pass) }
            } else {
                breaker.withLock { $0.failed(pass, now()) }
            }
            if fault.kind != .busy { note(fault) }
            throw fault
        } catch {
            breaker.withLock { $0.abandoned(pass) }
            throw error
        }
    }

    private func note(_ fault: ModelFault) {
        lastFault.withLock { $0 = fault }
        logger.warning(
            "a model gave no answer",
            [
                "server": name, "error": fault.description,
                "detail": fault.logged(key: configuration.key, url: configuration.url),
            ])
    }

    private func tried(
        _ task: AnswerTask, emit: @Sendable (AnswerPart) async throws -> Void
    ) async throws -> AnswerEnd {
        let deadline = Deadline(milliseconds: min(configuration.millisecondsMax, task.millisecondsLeft))
        var (tries, lessons, halvings) = (1, 0, dialect.withLock(\.halvings))
        while true {
            do {
                let end = try await once(task, deadline, halvings: halvings, emit: emit)
                dialect.withLock { [halvings] in $0.learn(fromAnswerTo: halvings) }
                return end
            } catch let fault as ModelFault {
                if fault.isAboutRequest, lessons < Self.lessonsMax, learns(from: fault, task, &halvings) {
                    lessons += 1
                    continue
                }
                guard tries < Self.triesMax, let pause = fault.pauseMilliseconds(attempt: tries - 1),
                    pause < deadline.leftMilliseconds
                else { throw fault }
                tries += 1
                try await Task.sleep(for: .milliseconds(pause))
            }
        }
    }

    /// Whether asking otherwise makes sense.
    ///
    /// A context that is too small is remembered for a while where the question is short: whoever asks a long one must not take
    /// passages from others.
    private func learns(from fault: ModelFault, _ task: AnswerTask, _ halvings: inout Int) -> Bool {
        guard ChatDialect.saysTooLong(fault.detail) else {
            return dialect.withLock { $0.learn(fromRefusal: fault.detail) }
        }
        guard halvings < ChatDialect.halvingsMax else { return false }
        halvings += 1
        if task.question.utf8.count <= Self.shortQuestionBytesMax {
            dialect.withLock { [halvings] in $0.learn(halvings: halvings) }
        }
        return true
    }

    private func once(
        _ task: AnswerTask, _ deadline: Deadline, halvings: Int, emit: @Sendable (AnswerPart) async throws -> Void
    ) async throws -> AnswerEnd {
        let dialect = self.dialect.withLock { $0 }
        let prompt = prompt(task, count: task.passages.count, halvings: halvings)
        let request = request(dialect, prompt)
        // Bounded by the bytes of a reply.
        let (parts, hand) = AsyncStream<AnswerPart>.makeStream()
        let start = SystemClock.monotonicNanoseconds()
        async let done = asked(request, dialect.form, task.wantsDrafts, deadline, hand)
        for await part in parts { try await emit(part) }
        let outcome = try await done
        metrics.observe(
            nanoseconds: SystemClock.monotonicNanoseconds() - start, firstNanoseconds: outcome.firstNanoseconds,
            outcome.usage)
        return AnswerEnd(isRefused: outcome.isRefusal, form: outcome.form, isIncomplete: outcome.isIncomplete)
    }

    private func asked(
        _ request: HTTPClientRequest, _ form: ReplyForm, _ drafts: Bool, _ deadline: Deadline,
        _ hand: AsyncStream<AnswerPart>.Continuation
    ) async throws -> ChatConnection.Outcome {
        defer { hand.finish() }
        do {
            // What another machine works is not this one's, which shares it out.
            return try await WorkMeter.$current.withValue(nil) {
                try await lanes.run(deadline: deadline) { connection, timeout in
                    try connection.ask(request, form: form, milliseconds: timeout, drafts: drafts) { hand.yield($0) }
                }
            }
        } catch let error as WaitError {
            throw ModelFault(.busy, error.description)
        } catch let error as LaneError {
            throw ModelFault(.busy, error.description)
        }
    }

    private func request(_ dialect: ChatDialect, _ prompt: ChatPrompt) -> HTTPClientRequest {
        let body = dialect.body(
            prompt, model: configuration.model, tokensMax: configuration.tokensMax,
            temperature: configuration.temperature)
        var request = HTTPClientRequest(
            method: "POST", url: configuration.endpoint,
            headers: [("Content-Type", "application/json"), ("Accept", "text/event-stream, application/json")],
            body: body)
        if !configuration.key.isEmpty { request.headers.append(("Authorization", "Bearer \(configuration.key)")) }
        return request
    }

    /// What is known of the server without asking it: a model costs money, and a probe would wake it every two seconds.
    var health: HealthReport {
        let state = breaker.withLock { $0.state(now()) }
        let detail = [
            ("model", configuration.model), ("reply", dialect.withLock(\.form.rawValue)), ("circuit", state.rawValue),
        ]
        guard let fault = lastFault.withLock({ $0 }) else { return HealthReport(.ok, "", detail: detail) }
        return HealthReport(
            .degraded, "its last answer failed, and others answer in its place: \(fault.description)", detail: detail)
    }
}

/// What is counted of one server.
struct ModelMetrics: Sendable {
    private let registry: MetricsRegistry
    private let server: String
    private let seconds: Histogram
    private let firstSeconds: Histogram

    init(_ registry: MetricsRegistry, server: String) {
        self.registry = registry
        self.server = server
        seconds = registry.histogram(
            "medallion_api_model_seconds", help: "Time of a reply of a language model, from the request to its end.",
            labels: [("server", server)])
        firstSeconds = registry.histogram(
            "medallion_api_model_first_text_seconds", help: "Time to the first word of a reply of a language model.",
            labels: [("server", server)])
    }

    func count(_ outcome: String) {
        registry.counter(
            "medallion_api_model_answers_total",
            help:
                "Answers that a language model was asked for, by server and outcome: the form of its reply (`json`, "
                + "`marks`), `refused_` and the form, or why there was none.",
            labels: [("server", server), ("outcome", outcome)]
        ).increment()
    }

    func observe(nanoseconds: Int64, firstNanoseconds: Int64?, _ usage: ChatReply.Usage?) {
        seconds.observe(Double(nanoseconds) / 1e9)
        if let firstNanoseconds { firstSeconds.observe(Double(firstNanoseconds) / 1e9) }
        for (kind, tokens) in [("prompt", usage?.prompt ?? 0), ("completion", usage?.completion ?? 0)] where tokens > 0
        {
            registry.counter(
                "medallion_api_model_tokens_total", help: "Tokens that language models read and wrote, as they told.",
                labels: [("server", server), ("kind", kind)]
            ).increment(by: tokens)
        }
    }
}
