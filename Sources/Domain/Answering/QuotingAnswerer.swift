package import Retrieval

/// ``ExtractiveAnswerer`` as an answerer among others: the one that needs no model, and on which all fall back.
package struct QuotingAnswerer: Answerer {
    package let name = "extractive"
    package var model: String? { nil }
    /// Of the first passages, with their cosines to the question where there are vectors.
    private let sentences: [SourceSentence]

    package init(sentences: [SourceSentence]) { self.sentences = sentences }

    package func answer(
        _ task: AnswerTask, emit: @Sendable (AnswerPart) async throws -> Void
    ) async throws -> AnswerEnd {
        let answer = ExtractiveAnswerer.answer(
            question: task.question, hits: task.passages, sentences: sentences, maxTokens: task.tokensMax)
        let end = AnswerEnd(isRefused: answer.isRefused, form: .quotes, support: answer.support)
        guard !answer.isRefused else { return end }
        let places = answer.citations.map { citation in task.passages.firstIndex { $0 == citation.hit } }
        for sentence in answer.sentences {
            let numbers = sentence.citations.compactMap { places[$0 - 1].map { $0 + 1 } }
            try await emit(.sentence(ProposedSentence(text: sentence.text, citations: numbers)))
        }
        return end
    }
}
