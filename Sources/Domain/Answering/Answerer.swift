package import Retrieval

/// What an answerer is given.
package struct AnswerTask: Sendable {
    package var question: String
    /// Numbered from 1 in this order; an answerer can cite no other number.
    package var passages: [Hit]
    /// Bound of the answer's length, by ``ExtractiveAnswerer/estimatedTokens(_:)``.
    package var tokensMax: Int
    /// Whether pieces are wanted as they come, before anything is checked.
    package var wantsDrafts: Bool
    /// How long the answer may take.
    package var millisecondsLeft = Int.max

    package init(question: String, passages: [Hit], tokensMax: Int, wantsDrafts: Bool = false) {
        self.question = question
        self.passages = passages
        self.tokensMax = tokensMax
        self.wantsDrafts = wantsDrafts
    }
}

/// A sentence that an answerer would like to say. Nothing of it is sent before ``CitationCheck`` found support for it.
package struct ProposedSentence: Sendable, Equatable {
    package var text: String
    /// Numbers of passages as the answerer wrote them: any number, also of passages that were never given.
    package var citations: [Int]

    package init(text: String, citations: [Int]) {
        self.text = text
        self.citations = citations
    }
}

/// What an answerer says, piece by piece.
package enum AnswerPart: Sendable, Equatable {
    case sentence(ProposedSentence)
    /// Text as it came, for readers who asked for it.
    case draft(String)
}

/// How an answerer ended, if it did not fail.
package struct AnswerEnd: Sendable, Equatable {
    /// Whether it said that the passages do not hold the answer.
    package var isRefused: Bool
    /// How sentences and citations were told apart.
    package var form: ReplyForm
    /// What it was decided on, where words of the question decide; for `debug`.
    package var support: AnswerSupport?
    /// Whether it was stopped in the middle; the sentences are those that were whole by then.
    package var isIncomplete = false

    package init(isRefused: Bool, form: ReplyForm, support: AnswerSupport? = nil, isIncomplete: Bool = false) {
        self.isRefused = isRefused
        self.form = form
        self.support = support
        self.isIncomplete = isIncomplete
    }
}

/// How an answerer writes sentences and the passages that they cite.
package enum ReplyForm: String, Sendable {
    /// JSON by a schema that the server enforces.
    case json
    /// Text with marks such as `[2]`.
    case marks
    /// Sentences of the passages.
    case quotes
}

/// Anything that answers a question from numbered passages: by quoting, or by asking a model. An answerer may say what it
/// likes; what a reader sees of it is decided by ``CitationCheck``, which is the same for all.
package protocol Answerer: Sendable {
    /// As replies and metrics name it.
    var name: String { get }
    /// The model behind it; nil where there is none.
    var model: String? { get }

    /// Answers, handing over each sentence as soon as it is whole. `emit` may suspend; no more is read meanwhile than the
    /// answerer's own bounds allow. Ends at once when the task is cancelled.
    ///
    /// - Throws: what went wrong; what `emit` throws.
    func answer(
        _ task: AnswerTask, emit: @Sendable (AnswerPart) async throws -> Void
    ) async throws -> AnswerEnd
}
