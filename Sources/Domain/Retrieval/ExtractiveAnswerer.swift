/// A sentence of a retrieved passage, as a candidate for an answer.
package struct SourceSentence: Sendable, Equatable {
    package var text: String
    /// Which hit it comes from: index into the hits given to ``ExtractiveAnswerer/sentences(of:)``.
    package var hitIndex: Int
    /// Cosine of its vector and the question's; nil where there is no vector.
    package var cosine: Double?
    /// Cosine of its matter and the question's (``QuestionSense``); nil where that was not looked at.
    package var matterCosine: Double?

    package init(text: String, hitIndex: Int, cosine: Double?) {
        self.text = text
        self.hitIndex = hitIndex
        self.cosine = cosine
    }
}

/// A sentence of an answer and the documents that say it.
package struct AnswerSentence: Sendable, Equatable {
    package var text: String
    /// Numbers of citations, from 1, ascending; empty only in a refusal.
    package var citations: [Int]

    package init(text: String, citations: [Int]) {
        self.text = text
        self.citations = citations
    }
}

/// A document that an answer cites.
package struct Citation: Sendable, Equatable {
    /// Its number in the answer, from 1, in order of first use.
    package var number: Int
    package var hit: Hit

    package init(number: Int, hit: Hit) {
        self.number = number
        self.hit = hit
    }
}

/// An answer put together from sentences of the hits.
package struct Answer: Sendable, Equatable {
    package var sentences: [AnswerSentence]
    package var citations: [Citation]
    /// Whether the support was too weak; then there is one sentence, ``ExtractiveAnswerer/refusal``, and no citation.
    package var isRefused: Bool
    /// Why, for `debug`.
    package var support: AnswerSupport

    package init(sentences: [AnswerSentence], citations: [Citation], isRefused: Bool, support: AnswerSupport) {
        self.sentences = sentences
        self.citations = citations
        self.isRefused = isRefused
        self.support = support
    }
}

/// What an answer was decided on.
package struct AnswerSupport: Sendable, Equatable {
    /// Sentences looked at.
    package var considered = 0
    /// Of those, the ones that passed the thresholds.
    package var supported = 0
    /// The best sentence's score, cosine and coverage; nil where there was no sentence.
    package var bestScore: Double?
    package var bestCosine: Double?
    package var bestCoverage: Double?
    /// Words of the question that were looked for.
    package var questionWords: [String] = []

    package init(considered: Int = 0, questionWords: [String] = []) {
        self.considered = considered
        self.questionWords = questionWords
    }
}

/// Answers by quoting: picks sentences of the retrieved text that speak to the question, or refuses.
///
/// It never writes a word of its own, so that each sentence is supported by its citations by construction: a
/// citation's passage contains the sentence's words in a row.
package enum ExtractiveAnswerer {
    /// What a refusal says, exactly.
    package static let refusal = "I don't have enough information."
    /// Hits whose sentences are looked at; further down the ranking answers are rare and each costs an embedding.
    package static let hitsMax = 12
    /// Sentences looked at.
    package static let sentencesConsideredMax = 48
    /// Sentences that are embedded for one answer.
    package static let sentencesEmbeddedMax = 4
    /// Sentences of an answer: it is to be read, not scrolled.
    package static let sentencesMax = 5
    /// Citations of one sentence: more do not make it truer.
    package static let citationsPerSentenceMax = 5

    /// How many hits are searched for those that have to do with what the question names: each is read word by word.
    private static let lookedAtMax = 40
    /// First hits of each arm that are read, wherever the fused ranking has them.
    package static let armDepth = 2

    /// The ranking with those of its first hits in front that have to do with what the question names; and among the first
    /// `count`, which are read, the first hits of each arm: the page that a question names may be the first by words and far by
    /// meaning, and the other way round. Half of them stay the fused ranking's.
    ///
    /// - Returns: also how many hits have to do with it, of those that were looked at; all where the question names nothing.
    package static func order(_ ranking: [Hit], question: String, count: Int) -> (hits: [Hit], relatedCount: Int) {
        let looked = Array(ranking.prefix(max(count, lookedAtMax)))
        let wanted = QuestionWords(question: question, hits: looked)
        let sense = QuestionSense(question: question, hits: looked)
        var (related, others): ([Hit], [Hit]) = ([], [])
        for hit in looked {
            let relation = sense.relation(
                of: hit.candidate.text, title: hit.candidate.title, passage: "", weight: wanted.weight)
            if relation == .another { others.append(hit) } else { related.append(hit) }
        }
        let hits = withArmsFirst(related + others + ranking.dropFirst(looked.count), count: count)
        return (hits, related.count)
    }

    private static func withArmsFirst(_ ranking: [Hit], count: Int) -> [Hit] {
        let late = ranking.indices.dropFirst(count).filter { place in
            let candidate = ranking[place].candidate
            return [candidate.vector, candidate.lexical].contains { $0.map { $0.rank <= armDepth } ?? false }
        }.prefix(count / 2)
        let first = Array(ranking.prefix(count - late.count))
        let rest = ranking.indices.dropFirst(first.count).filter { !late.contains($0) }
        return first + late.map { ranking[$0] } + rest.map { ranking[$0] }
    }

    /// The sentences of the first hits, in rank order. A sentence that is its whole passage takes the passage's cosine;
    /// the others have none yet and are to be embedded.
    package static func sentences(of hits: [Hit]) -> [SourceSentence] {
        var result: [SourceSentence] = []
        for (index, hit) in hits.prefix(hitsMax).enumerated() {
            let pieces = Sentences.split(hit.candidate.text)
            for piece in pieces {
                guard result.count < sentencesConsideredMax else { return result }
                let cosine = pieces.count == 1 ? hit.candidate.vector?.score : nil
                result.append(SourceSentence(text: piece, hitIndex: index, cosine: cosine))
            }
        }
        return result
    }

    /// Compares those sentences with the question by meaning on which words do not decide; the nearest ones only, as each costs an
    /// embedding.
    ///
    /// - Parameters:
    ///   - vector: the question's, L2-normalised.
    ///   - embed: vectors of texts, L2-normalised; of ``sentencesEmbeddedMax`` sentences at most, and of the question's matter.
    /// - Returns: the sentences, with cosines.
    package static func compared(
        _ sentences: [SourceSentence], question: String, vector: [Float], hits: [Hit],
        thresholds: AnswerThresholds = AnswerThresholds(), embed: ([String]) async throws -> [[Float]]
    ) async throws -> [SourceSentence] {
        let wanted = QuestionWords(question: question, hits: hits)
        let sense = QuestionSense(question: question, hits: hits)
        let undecided = scored(sentences, hits: hits, wanted: wanted, sense: sense)
            .filter {
                thresholds.wantsCosine($0, hasMatter: !sense.matter.isEmpty) && !thresholds.accepts($0, words: wanted)
            }
            .map { (nearness: $0.coverage + (hits[$0.hitIndex].candidate.vector?.score ?? 0), place: $0.place) }
            .sorted { ($0.nearness, $1.place) > ($1.nearness, $0.place) }
            .prefix(sentencesEmbeddedMax).map(\.place)
        guard !undecided.isEmpty else { return sentences }
        let hasMatter = !sense.matter.isEmpty
        let texts = undecided.map { place in
            let sentence = sentences[place]
            guard hasMatter else { return sentence.text }
            return QuestionSense.matter(of: sentence.text, title: hits[sentence.hitIndex].candidate.title)
        }
        let vectors = try await embed((hasMatter ? [sense.matter] : []) + texts)
        let asked = hasMatter ? vectors.first ?? [] : vector
        var sentences = sentences
        for (place, other) in zip(undecided, vectors.dropFirst(hasMatter ? 1 : 0)) {
            // A server may refuse a text, whose vector is empty then.
            guard !asked.isEmpty, !other.isEmpty else { continue }
            let cosine = Double(zip(asked, other).reduce(Float(0)) { $0 + $1.0 * $1.1 })
            if hasMatter { sentences[place].matterCosine = cosine } else { sentences[place].cosine = cosine }
        }
        return sentences
    }

    private static func scored(
        _ sentences: [SourceSentence], hits: [Hit], wanted: QuestionWords, sense: QuestionSense
    ) -> [ScoredSentence] {
        sentences.enumerated().compactMap { place, sentence in
            guard hits.indices.contains(sentence.hitIndex) else { return nil }
            let passage = hits[sentence.hitIndex].candidate
            let one = ScoredSentence(sentence, place: place, of: passage, wanted: wanted, sense: sense)
            return one.words.isEmpty ? nil : one
        }
    }

    /// Puts an answer together.
    ///
    /// - Parameters:
    ///   - hits: the ranking; all of it serves to tell rare words from common ones.
    ///   - sentences: from ``sentences(of:)``, with cosines filled in where vectors exist.
    ///   - maxTokens: bound of the answer's length by ``estimatedTokens(_:)``.
    package static func answer(
        question: String, hits: [Hit], sentences: [SourceSentence], maxTokens: Int,
        thresholds: AnswerThresholds = AnswerThresholds()
    ) -> Answer {
        let wanted = QuestionWords(question: question, hits: hits)
        var scored = scored(
            sentences, hits: hits, wanted: wanted, sense: QuestionSense(question: question, hits: hits))
        scored.sort { ($0.score, $1.place) > ($1.score, $0.place) }
        var support = AnswerSupport(considered: scored.count, questionWords: wanted.words)
        if let best = scored.first {
            (support.bestScore, support.bestCosine) = (best.score, best.cosine)
            support.bestCoverage = best.coverage
        }
        let supported = scored.filter { thresholds.accepts($0, words: wanted) }
        support.supported = supported.count
        guard let best = supported.first else { return refused(support) }
        // Beside the page that the question names, pages of nearly the same name are something else.
        let close = supported.filter {
            $0.score >= best.score * thresholds.shareOfBest(best.relation) && ($0.namesPage || !best.namesPage)
        }
        return assemble(close, hits: hits, maxTokens: maxTokens, support: support)
    }

    /// Tokens of `text`, estimated as one for every four bytes of UTF-8 (about right for English in byte pair and
    /// WordPiece vocabularies, high for Cyrillic, right for Han).
    package static func estimatedTokens(_ text: String) -> Int {
        (text.utf8.count + 3) / 4
    }

    private static func refused(_ support: AnswerSupport) -> Answer {
        Answer(
            sentences: [AnswerSentence(text: refusal, citations: [])], citations: [], isRefused: true, support: support)
    }

    private static func assemble(
        _ ordered: [ScoredSentence], hits: [Hit], maxTokens: Int, support: AnswerSupport
    ) -> Answer {
        var chosen: [ScoredSentence] = []
        var tokensLeft = maxTokens
        for candidate in ordered where chosen.count < sentencesMax {
            guard !chosen.contains(where: { $0.says(sameAs: candidate) }) else { continue }
            var text = candidate.text
            if estimatedTokens(text) > tokensLeft {
                // The best sentence is cut rather than left out; cutting a later one would only add noise.
                guard chosen.isEmpty else { continue }
                text = cut(text, maxTokens: maxTokens)
                guard !text.isEmpty else { continue }
            }
            tokensLeft -= estimatedTokens(text)
            var kept = candidate
            kept.text = text
            chosen.append(kept)
        }
        var citations: [Citation] = []
        var sentences: [AnswerSentence] = []
        for sentence in chosen {
            let numbers = supporters(of: sentence, among: ordered, hits: hits).map { index in
                number(of: hits[index], in: &citations)
            }
            sentences.append(AnswerSentence(text: sentence.text, citations: numbers.sorted()))
        }
        guard !sentences.isEmpty else { return refused(support) }
        return Answer(sentences: sentences, citations: citations, isRefused: false, support: support)
    }

    /// The hits whose passage says the sentence word for word: its own first, then others in order of score.
    private static func supporters(
        of sentence: ScoredSentence, among ordered: [ScoredSentence], hits: [Hit]
    ) -> [Int] {
        var result = [sentence.hitIndex]
        for other in ordered where result.count < citationsPerSentenceMax {
            if !result.contains(other.hitIndex), other.contains(sentence) { result.append(other.hitIndex) }
        }
        return result
    }

    private static func number(of hit: Hit, in citations: inout [Citation]) -> Int {
        let same = citations.first { known in
            known.hit.candidate.docID == hit.candidate.docID
                && known.hit.candidate.collection == hit.candidate.collection
                && known.hit.candidate.passage == hit.candidate.passage
        }
        if let same { return same.number }
        citations.append(Citation(number: citations.count + 1, hit: hit))
        return citations.count
    }

    /// The head of `text` within `maxTokens`, at a word's end where there is one, marked by `…`.
    private static func cut(_ text: String, maxTokens: Int) -> String {
        let bytesMax = maxTokens * 4 - "…".utf8.count
        var head = ""
        for character in text {
            guard head.utf8.count + character.utf8.count <= bytesMax else { break }
            head.append(character)
        }
        if let space = head.lastIndex(where: \.isWhitespace) { head = String(head[..<space]) }
        return head.isEmpty ? "" : head + "…"
    }
}
