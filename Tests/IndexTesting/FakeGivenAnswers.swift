package import Records
package import Retrieval

extension FakeStore {
    package func givenAnswer(id: String, tenant: TenantID, timeoutMilliseconds: Int) throws -> GivenAnswer? {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            state.answers.first { $0.id == id && $0.tenant == tenant }.map {
                GivenAnswer(
                    answer: $0, feedback: (state.feedback[id] ?? []).reversed(), hits: state.hits[id] ?? 0)
            }
        }
    }

    package func givenAnswers(_ query: AnswerListQuery, timeoutMilliseconds: Int) throws -> [AnswerSummary] {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            state.answers.filter { answer in
                answer.tenant == query.tenant && query.isRefused.map { $0 == answer.isRefused } ?? true
                    && answer.createdAtMilliseconds >= query.sinceMilliseconds ?? 0
                    && answer.createdAtMilliseconds < query.beforeMilliseconds ?? .max
                    && query.after.map { (answer.createdAtMilliseconds, answer.id) < ($0.createdAtMilliseconds, $0.id) }
                        ?? true
                    && query.citedDocID.map { id in answer.documents.contains { $0.docID == id && $0.isCited } } ?? true
            }
            .sorted { ($0.createdAtMilliseconds, $0.id) > ($1.createdAtMilliseconds, $1.id) }.prefix(query.limit)
            .map { answer in
                let feedback = state.feedback[answer.id] ?? []
                return AnswerSummary(
                    id: answer.id, question: answer.question, createdAtMilliseconds: answer.createdAtMilliseconds,
                    generation: answer.generation, indexVersion: answer.indexVersion, isRefused: answer.isRefused,
                    up: Int64(feedback.count { $0.verdict == .up }),
                    down: Int64(feedback.count { $0.verdict == .down }), hits: state.hits[answer.id] ?? 0)
            }
        }
    }

    package func save(
        _ feedback: AnswerFeedback, of id: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws -> AnswerFeedback.Keeping {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return index.state.withLock { state in
            guard state.answers.contains(where: { $0.id == id && $0.tenant == tenant }) else { return .unknownAnswer }
            var said = state.feedback[id] ?? []
            said.removeAll { $0.keyID == feedback.keyID }
            guard said.count < AnswerFeedback.keptMax else { return .full }
            state.feedback[id] = said + [feedback]
            return .kept
        }
    }
}
