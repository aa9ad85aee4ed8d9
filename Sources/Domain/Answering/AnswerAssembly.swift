package import Retrieval

/// Puts checked sentences together to an answer, and numbers what they cite in the order of first use.
package struct AnswerAssembly: Sendable {
    /// What was found so far.
    package private(set) var sentences: [AnswerSentence] = []
    package private(set) var citations: [Citation] = []
    private var said: Set<[String]> = []
    private var tokensLeft: Int

    /// - Parameter tokensMax: bound of the answer's length, by ``ExtractiveAnswerer/estimatedTokens(_:)``.
    package init(tokensMax: Int) { tokensLeft = tokensMax }

    /// Whether no further sentence is wanted.
    package var isFull: Bool { sentences.count >= Self.sentencesMax || tokensLeft <= 0 }

    /// Sentences of an answer at most; what a model writes beyond them is dropped.
    package static let sentencesMax = 12

    /// Adds a sentence with the passages that support it.
    ///
    /// - Returns: the sentence as it stands in the answer; nil where it was said before, or finds no room.
    package mutating func add(_ text: String, supportedBy hits: [Hit]) -> AnswerSentence? {
        let tokens = ExtractiveAnswerer.estimatedTokens(text)
        guard !isFull, tokens <= tokensLeft, said.insert(Words.sequence(text)).inserted else { return nil }
        tokensLeft -= tokens
        let sentence = AnswerSentence(text: text, citations: Set(hits.map { number(of: $0) }).sorted())
        sentences.append(sentence)
        return sentence
    }

    /// The answer; the refusal where nothing was added.
    package func answer(_ support: AnswerSupport) -> Answer {
        guard !sentences.isEmpty else {
            let refusal = AnswerSentence(text: ExtractiveAnswerer.refusal, citations: [])
            return Answer(sentences: [refusal], citations: [], isRefused: true, support: support)
        }
        return Answer(sentences: sentences, citations: citations, isRefused: false, support: support)
    }

    private mutating func number(of hit: Hit) -> Int {
        let same = citations.first { known in
            known.hit.candidate.docID == hit.candidate.docID
                && known.hit.candidate.collection == hit.candidate.collection
                && known.hit.candidate.passage == hit.candidate.passage
        }
        if let same { return same.number }
        citations.append(Citation(number: citations.count + 1, hit: hit))
        return citations.count
    }
}
