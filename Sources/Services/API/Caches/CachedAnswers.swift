import Bytes
import HTTPServer
import Retrieval

/// Answers that are given again.
extension Answers {
    /// Nil where the answer is not to be kept, and none that is kept given.
    func key(of input: AnswerRequest, _ request: HTTPRequest) -> ReplyKey? {
        guard let caches, !input.isDebug else { return nil }
        return ReplyKey(
            input.search, settings: caches.settings, role: access.roleName(of: request), request
        ) { writer in
            writer.integer(input.maxTokens)
            for model in chain.models { writer.string(model.name) }
        }
    }

    /// The answer that is kept and still holds.
    func known(_ key: ReplyKey?, _ input: AnswerRequest) -> MadeAnswer? {
        let start = SystemClock.monotonicNanoseconds()
        guard let caches, let key, key.mayRead, let known = caches.answers.value(for: key.text) else { return nil }
        let tenant = input.search.filter.scope.tenant
        hits.note(known.value.id, of: tenant) { caches.forgetAnswer(key.text, tenant) }
        return known.value.again(
            known.use, to: input, freshness(tenant), nanoseconds: SystemClock.monotonicNanoseconds() - start)
    }
}
