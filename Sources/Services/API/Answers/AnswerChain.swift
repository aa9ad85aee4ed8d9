import Answering
import Concurrency
import Retrieval
import Synchronization
import Telemetry

/// Who gave an answer, and how.
struct AnswererUse: Sendable, Equatable {
    var name: String
    var model: String?
    var form: ReplyForm
    /// The first answerer that should have given it, where that one failed.
    var fallbackFrom: String?
    /// What that one failed of.
    var reason: ModelFault.Kind?
    /// The reply ended early; the sentences are those that were whole by then.
    var isIncomplete = false
    /// Passages of the last attempt.
    var passages = 0
    /// Attempts with more and more passages.
    var attempts = 1
    /// Sentences that were proposed and not supported, by what was wrong.
    var dropped: [SupportFault: Int] = [:]
}

/// What of an answer may be sent.
enum AnswerOutput: Sendable {
    /// A model is about to be asked: a stream that begins now notices at once when its client leaves.
    case begin
    /// Checked.
    case sentence(AnswerSentence)
    /// As the model writes it; nothing is known of it yet.
    case draft(String)
}

/// The models that are asked one after the other, and quoting, on which they fall back.
struct AnswerChain: Sendable {
    let models: [ChatAnswerer]
    private let registry: MetricsRegistry

    /// Time that a model leaves for quoting and keeping; a quarter of the request's where that is less.
    private static let reserveMillisecondsMax = 3_000

    init(models: [ChatAnswerer], registry: MetricsRegistry) {
        self.models = models
        self.registry = registry
    }

    /// One of the models, and quoting where it fails; nil where there is no model of that name.
    func only(_ name: String) -> AnswerChain? {
        let named = models.filter { $0.name == name }
        return named.isEmpty ? nil : AnswerChain(models: named, registry: registry)
    }

    /// Quoting alone.
    var quoting: AnswerChain { AnswerChain(models: [], registry: registry) }

    /// What one question needs.
    struct Work: Sendable {
        var question: String
        /// What quoting chooses from; a model is given the first `readCount`.
        var ranking: [Hit]
        var readCount: Int
        /// How many of its first have to do with what the question names; all where it names nothing.
        var relatedCount: Int
        var tokensMax: Int
        var wantsDrafts = false
        var deadline: Deadline
        /// The check of sentences that cite these passages.
        var check: @Sendable ([Hit]) -> CitationCheck
        /// Made where it is needed: it embeds sentences.
        var quoting: @Sendable () async throws -> QuotingAnswerer
        /// Takes what may be sent.
        var output: @Sendable (AnswerOutput) async throws -> Void
    }

    /// - Throws: what the parts of `work` throw; models' faults lead to the next one.
    func answer(_ work: Work) async throws -> (answer: Answer, use: AnswererUse) {
        var failed: (name: String, reason: ModelFault.Kind)?
        if !models.isEmpty { try await work.output(.begin) }
        for model in models {
            let collector = AnswerCollector(work, check: work.check(Array(work.ranking.prefix(work.readCount))))
            var use = AnswererUse(
                name: model.name, model: model.model, form: .json, fallbackFrom: failed?.name, reason: failed?.reason)
            do {
                try await ask(model, work, collector, &use)
                return made(collector, use, AnswerSupport())
            } catch let fault as ModelFault {
                if collector.isBegun {
                    // What was said is said, and holds.
                    (use.isIncomplete, use.reason) = (true, fault.kind)
                    return made(collector, use, AnswerSupport())
                }
                count(fallbackFrom: model.name, fault.kind)
                failed = failed ?? (model.name, fault.kind)
            }
        }
        let quoting = try await work.quoting()
        let collector = AnswerCollector(work, check: work.check(work.ranking), isQuoted: true)
        let task = AnswerTask(question: work.question, passages: work.ranking, tokensMax: work.tokensMax)
        let end = try await quoting.answer(task) { try await collector.take($0) }
        let use = AnswererUse(
            name: quoting.name, model: nil, form: end.form, fallbackFrom: failed?.name, reason: failed?.reason,
            passages: work.readCount)
        return made(collector, use, end.support ?? AnswerSupport())
    }

    /// Asks with few passages first, and with twice as many where nothing came of it.
    private func ask(
        _ model: ChatAnswerer, _ work: Work, _ collector: AnswerCollector, _ use: inout AnswererUse
    ) async throws {
        var task = AnswerTask(
            question: work.question, passages: Array(work.ranking.prefix(work.readCount)), tokensMax: work.tokensMax,
            wantsDrafts: work.wantsDrafts)
        guard !task.passages.isEmpty else { return }
        let passages = task.passages
        for (attempt, count) in model.contexts(task, related: work.relatedCount).enumerated() {
            let reserve = min(Self.reserveMillisecondsMax, work.deadline.limitMilliseconds / 4)
            task.millisecondsLeft = work.deadline.leftMilliseconds - reserve
            guard task.millisecondsLeft > 0 else { throw ModelFault(.timeout, "no time is left for it") }
            task.passages = Array(passages.prefix(count))
            (use.passages, use.attempts) = (count, attempt + 1)
            let end = try await model.answer(task) { try await collector.take($0) }
            (use.form, use.isIncomplete) = (end.form, end.isIncomplete)
            if collector.isBegun { return }
        }
    }

    private func made(
        _ collector: AnswerCollector, _ use: AnswererUse, _ support: AnswerSupport
    ) -> (answer: Answer, use: AnswererUse) {
        var use = use
        let state = collector.result
        use.dropped = state.dropped
        registry.counter(
            "medallion_api_supported_sentences_total",
            help: "Sentences of answers that a passage they cite supports, by answerer.",
            labels: [("answerer", use.name)]
        ).increment(by: state.assembly.sentences.count)
        for (fault, number) in state.dropped {
            registry.counter(
                "medallion_api_dropped_sentences_total",
                help:
                    "Sentences that an answerer proposed and that no passage supports, by answerer and what is wrong.",
                labels: [("answerer", use.name), ("fault", fault.rawValue)]
            ).increment(by: number)
        }
        return (state.assembly.answer(support), use)
    }

    private func count(fallbackFrom name: String, _ reason: ModelFault.Kind) {
        registry.counter(
            "medallion_api_answer_fallbacks_total",
            help: "Answers that the next answerer had to give, by the one that failed and why.",
            labels: [("server", name), ("reason", reason.rawValue)]
        ).increment()
    }
}

/// Takes what an answerer says, checks it, and passes on what holds.
private final class AnswerCollector: Sendable {
    struct State: Sendable {
        var assembly: AnswerAssembly
        var dropped: [SupportFault: Int] = [:]
    }

    private let work: AnswerChain.Work
    private let check: CitationCheck
    private let isQuoted: Bool
    private let state: Mutex<State>

    init(_ work: AnswerChain.Work, check: CitationCheck, isQuoted: Bool = false) {
        self.work = work
        self.check = check
        self.isQuoted = isQuoted
        state = Mutex(State(assembly: AnswerAssembly(tokensMax: work.tokensMax)))
    }

    var result: State { state.withLock { $0 } }
    var isBegun: Bool { state.withLock { !$0.assembly.sentences.isEmpty } }

    func take(_ part: AnswerPart) async throws {
        switch part {
        case .draft(let text): try await work.output(.draft(text))
        case .sentence(let proposed):
            guard proposed.text != ExtractiveAnswerer.refusal, !state.withLock({ $0.assembly.isFull }) else { return }
            switch try await check.outcome(proposed, isQuoted: isQuoted) {
            case .dropped(let fault): state.withLock { $0.dropped[fault, default: 0] += 1 }
            case .supported(let places):
                let added = state.withLock { state in
                    state.assembly.add(proposed.text, supportedBy: places.map { work.ranking[$0] })
                }
                if let added { try await work.output(.sentence(added)) }
            }
        }
    }
}
