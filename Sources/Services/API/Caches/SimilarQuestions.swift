import Answering
import Bytes
import Concurrency
import HTTPServer
import Retrieval
import Synchronization
import Telemetry
import Text

/// Questions whose answers are kept, so that one that asks the same in other words is given the answer, too.
///
/// The questions' vectors propose, and ``QuestionForm`` decides: it never takes a question for another one that is denied, turned
/// round, or about another number, day, unit or name. Whether the answer still holds is the cache's own matter.
final class SimilarQuestions: Sendable {
    struct Known: Sendable {
        let question: String
        let form: QuestionForm
        let vector: QueryEmbedder.Vector
        /// Under which its answer is kept.
        let key: String
    }

    /// What may be given an answer: by whom and how it was asked, apart from the words.
    private typealias Scope = String

    private struct State {
        var known: [Scope: [Known]] = [:]
        var order: [(scope: Scope, key: String)] = []
    }

    private let state = Mutex(State())
    let metrics: CacheMetrics
    private static let countMax = 2_048
    /// Below this cosine the words are not even looked at.
    private static let cosineMin: Float = 0.8
    private static let lookedAtMax = 8

    init(_ registry: MetricsRegistry) {
        metrics = CacheMetrics(registry, .semantic)
        metrics.show(
            bytes: { [weak self] in
                self?.state.withLock { state in
                    state.known.values.joined().reduce(0) {
                        $0 + 1_024 + 4 * $1.vector.numbers.count + $1.key.utf8.count
                    }
                } ?? 0
            }, entries: { [weak self] in self?.state.withLock { $0.order.count } ?? 0 }, evictions: { 0 })
    }

    /// Whether anything is kept that could be found.
    func hasAny(in scope: String) -> Bool { state.withLock { $0.known[scope] != nil } }

    /// Questions that ask the same, the nearest first.
    func find(_ form: QuestionForm, _ vector: QueryEmbedder.Vector, in scope: String) -> [(known: Known, cosine: Float)]
    {
        let all = state.withLock { $0.known[scope] ?? [] }
        var near: [(known: Known, cosine: Float)] = []
        for known in all where known.vector.model == vector.model {
            var cosine: Float = 0
            for (a, b) in zip(known.vector.numbers, vector.numbers) { cosine += a * b }
            if cosine >= Self.cosineMin { near.append((known, cosine)) }
        }
        near.sort { $0.cosine > $1.cosine }
        return near.prefix(Self.lookedAtMax).filter { form.fault(against: $0.known.form) == nil }
    }

    /// Notes a question whose answer is kept.
    func keep(_ question: Known, in scope: String) {
        state.withLock { state in
            guard state.known[scope]?.contains(where: { $0.key == question.key }) != true else { return }
            state.known[scope, default: []].append(question)
            state.order.append((scope, question.key))
            while state.order.count > Self.countMax {
                let oldest = state.order.removeFirst()
                state.known[oldest.scope]?.removeAll { $0.key == oldest.key }
                if state.known[oldest.scope]?.isEmpty == true { state.known[oldest.scope] = nil }
            }
        }
    }
}

extension Answers {
    /// What of a question can be compared; nil where it is not compared: it is not English, or has operators of searches.
    private func compared(_ input: AnswerRequest) -> QuestionForm? {
        let query = input.search.query
        guard caches?.similar != nil, input.search.mode != .lexical,
            QuerySyntax(query, fields: CandidateQuery.fields).clauses.allSatisfy({ $0.kind == .words && !$0.isExcluded }
            ),
            let form = try? analyzers.withAnalyzer({ QuestionForm(query, $0) }), form.isRead
        else { return nil }
        return form
    }

    private func scope(of input: AnswerRequest, _ http: HTTPRequest) -> String? {
        var request = input
        (request.search.query, request.search.typed) = ("", "")
        return key(of: request, http)?.text
    }

    /// The answer to a question that asks the same in other words.
    func similar(_ key: ReplyKey?, _ input: AnswerRequest, _ http: HTTPRequest, deadline: Deadline) async throws
        -> MadeAnswer?
    {
        let start = SystemClock.monotonicNanoseconds()
        guard let caches, let similar = caches.similar, let key, key.mayRead, let embedder,
            let form = compared(input), let scope = scope(of: input, http)
        else { return nil }
        guard similar.hasAny(in: scope), let vector = try await vector(of: input, embedder, deadline) else {
            similar.metrics.misses.increment()
            return nil
        }
        for (known, cosine) in similar.find(form, vector, in: scope) {
            guard let found = caches.answers.value(for: known.key, versionMin: input.search.indexVersionMin) else {
                continue
            }
            let tenant = input.search.filter.scope.tenant
            hits.note(found.value.id, of: tenant) { caches.forgetAnswer(known.key, tenant) }
            var use = found.use
            (use.question, use.similarity) = (known.question, Double(cosine))
            similar.metrics.served(ageMilliseconds: use.ageMilliseconds)
            return found.value.again(
                use, to: input, freshness(tenant), nanoseconds: SystemClock.monotonicNanoseconds() - start)
        }
        similar.metrics.misses.increment()
        return nil
    }

    /// Nil where the embedder fails or is slow: then the answer is made as if there were none that is kept.
    private func vector(
        of input: AnswerRequest, _ embedder: QueryEmbedder, _ deadline: Deadline
    ) async throws -> QueryEmbedder.Vector? {
        do {
            return try await embedder.vector(
                of: input.search.query, by: nil, deadline: Deadline(milliseconds: deadline.leftMilliseconds / 4))
        } catch {
            if error is CancellationError { throw error }
            try Task.checkCancellation()
            return nil
        }
    }

    /// Lets others who ask the same have the answer that is kept.
    func note(_ made: MadeAnswer, for key: ReplyKey?, _ http: HTTPRequest) {
        guard let similar = caches?.similar, let key, let numbers = made.result.vector,
            let model = made.result.vectorModel, let form = compared(made.request),
            let scope = scope(of: made.request, http)
        else { return }
        similar.keep(
            SimilarQuestions.Known(
                question: made.request.search.asked, form: form,
                vector: QueryEmbedder.Vector(numbers: numbers, model: model), key: key.text), in: scope)
    }
}
