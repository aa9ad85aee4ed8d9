#if canImport(Glibc)
    import Glibc
#endif

/// When a sentence is good enough to be part of an answer.
///
/// Two signals: the cosine of question and sentence (meaning; but unrelated short texts of one style, or of a script that
/// the model does not know, also come close), and coverage (the share of the question's words, by rarity, that the
/// sentence or its title holds). One may be weak only where the other is strong. And what an English question names must not
/// be something else in the sentence, see ``QuestionNames``.
///
/// Those of questions that name something were chosen on the `tune` half of labelled questions (docs/search.md, Judging answers),
/// with MiniLM. On 4,000 recorded edits (`AnswerQualityTests`) nearly every question about a page that is there is answered from that
/// page, and nearly every one about a page that is not there, or about anything else, is refused.
package struct AnswerThresholds: Sendable, Equatable {
    /// From here on the cosine alone is enough, for questions in Latin letters.
    package var cosineAlone = 0.60
    /// From here on the cosine is enough together with ``coverageBeside``.
    package var cosineBeside = 0.35
    package var coverageBeside = 0.60
    /// From here on coverage alone is enough, given two words or more, a question that names the page, or no vectors at all; and
    /// where no name is missing, since a page of the same kind elsewhere, or of another year, has all other words.
    package var coverageAlone = 0.75
    /// Where the question names what the sentence is about: from here on the share of its matter that the sentence has is enough,
    package var matterCoverage = 0.60
    /// from here on the cosine of both matters,
    package var matterCosine = 0.44
    /// or both together from here on.
    package var matterCoverageBeside = 0.40
    package var matterCosineBeside = 0.36
    /// Further sentences must reach this share of the best one's score; where a matter is asked for, this larger one.
    package var relativeToBest = 0.70
    package var matterRelativeToBest = 0.95

    package init() {}

    /// Whether a cosine that is not there yet may decide on it.
    func wantsCosine(_ sentence: ScoredSentence, hasMatter: Bool) -> Bool {
        switch sentence.relation {
        case .another, .told: false
        case .named: hasMatter && sentence.matterCosine == nil
        case .open: sentence.cosine == nil
        }
    }

    /// Beside the best sentence, given what that has to do with the question.
    func shareOfBest(_ relation: QuestionSense.Relation) -> Double {
        if case .named = relation { matterRelativeToBest } else { relativeToBest }
    }

    func accepts(_ sentence: ScoredSentence, words: QuestionWords) -> Bool {
        switch sentence.relation {
        case .another: return false
        case .told: return true
        case .named(let coverage):
            if coverage >= matterCoverage { return true }
            guard let cosine = sentence.matterCosine else { return false }
            return cosine >= matterCosine || coverage >= matterCoverageBeside && cosine >= matterCosineBeside
        case .open: return acceptsOpen(sentence, words: words)
        }
    }

    /// For a question that names nothing.
    private func acceptsOpen(_ sentence: ScoredSentence, words: QuestionWords) -> Bool {
        let coverage = sentence.coverage
        let cosine = sentence.cosine
        if sentence.names == .another { return false }
        let isCovered = coverage >= coverageAlone && sentence.names != .absent
        if isCovered, words.words.count >= 2 || cosine == nil || sentence.namesPage { return true }
        guard let cosine else { return false }
        // A question made of function words only ("what is it about?") has nothing to cover.
        if words.words.isEmpty { return cosine >= cosineAlone }
        if cosine >= cosineAlone && words.isMostlyLatin && sentence.names == .all { return true }
        return cosine >= cosineBeside && coverage >= coverageBeside && sentence.names != .absent
    }
}

/// The words that a question asks about, weighted by how rare they are in what was retrieved.
struct QuestionWords {
    /// Stems, sorted.
    let words: [String]
    /// Whether most letters of what is asked about are Latin, the only script that MiniLM was trained on in earnest.
    let isMostlyLatin: Bool
    private let names: QuestionNames
    private let weights: [String: Double]
    private let totalWeight: Double
    /// Of a stem that nothing has.
    private let unknownWeight: Double

    init(question: String, hits: [Hit]) {
        self.init(question: question, texts: hits.map { $0.candidate.title + " " + $0.candidate.text })
    }

    init(question: String, texts: [String]) {
        let all = Words.content(question)
        var specific = all.subtracting(Self.recordStems)
        // "Which edits were made to …?"
        if specific.count < all.count { specific.subtract(Self.wordsOfMaking) }
        words = (specific.isEmpty ? all : specific).sorted()
        names = QuestionNames(question: question, ignored: Self.recordStems)
        // Texts that have each of the question's words; others have no weight of their own.
        let asked = all.union(words)
        var counts: [String: Int] = [:]
        for text in texts {
            var present: Set<String> = []
            Words.forEach(text) { word in
                let stem = Words.stem(word)
                if asked.contains(stem), !Words.functionWords.contains(word) { present.insert(stem) }
            }
            for word in present { counts[word, default: 0] += 1 }
        }
        // Inverse document frequency as in BM25 with the +1 that keeps it positive (Robertson, Zaragoza 2009).
        let total = Double(texts.count)
        var weights: [String: Double] = [:]
        for word in asked {
            let count = Double(counts[word] ?? 0)
            weights[word] = log1p((total - count + 0.5) / (count + 0.5))
        }
        self.weights = weights
        unknownWeight = log1p((total + 0.5) / 0.5)
        totalWeight = words.reduce(0) { $0 + (weights[$1] ?? 0) }
        // By what it asks about: "Who edited …" may be followed by a name of any script.
        var (latin, other) = (0, 0)
        for scalar in (words.isEmpty ? question : words.joined()).unicodeScalars where scalar.properties.isAlphabetic {
            if scalar.value < 0x250 { latin += 1 } else { other += 1 }
        }
        isMostlyLatin = latin >= other
    }

    /// Stems that ask about the record and not about its content ("What changed in the article …?"): finding them in a
    /// sentence supports nothing.
    static let recordStems: Set<String> = Words.content(
        "article page entry change edit update modify revise happen recent recently latest last new news tell wiki wikipedia"
    )

    /// Stems that say nothing beside those.
    private static let wordsOfMaking = Words.content("make makes made making done")

    /// How rare a stem is in what was retrieved, whether the question has it or not.
    func weight(of stem: String) -> Double { weights[stem] ?? unknownWeight }

    /// Whether there are words, and the question has all of them.
    func areAll(_ others: Set<String>) -> Bool {
        !others.isEmpty && others.isSubset(of: words)
    }

    /// How much of what the question names is among these words.
    func match(_ present: Set<String>) -> QuestionNames.Match { names.match(present) { weights[$0] ?? 0 } }

    /// Share of the weight of the question's words that `present` holds; 0 for a question without any.
    func coverage(of present: Set<String>) -> Double {
        guard totalWeight > 0 else { return 0 }
        let found = words.reduce(0) { $0 + (present.contains($1) ? weights[$1] ?? 0 : 0) }
        return found / totalWeight
    }
}

/// A sentence with what it is judged by.
struct ScoredSentence {
    /// What is shown.
    var text: String
    let hitIndex: Int
    /// Place in rank order; breaks ties.
    let place: Int
    let cosine: Double?
    let coverage: Double
    let score: Double
    /// How much it or its title has of what the question names.
    let names: QuestionNames.Match
    /// Whether the question has all words of its title.
    let namesPage: Bool
    /// What it has to do with what the question names.
    let relation: QuestionSense.Relation
    /// Of its matter and the question's; nil where that was not looked at.
    let matterCosine: Double?
    /// Its words in order.
    let words: [String]

    /// Weight of the cosine beside coverage where both exist.
    static let cosineShare = 0.6

    init(
        _ sentence: SourceSentence, place: Int, of passage: Candidate, wanted: QuestionWords, sense: QuestionSense
    ) {
        let title = passage.title
        text = sentence.text
        hitIndex = sentence.hitIndex
        self.place = place
        words = Words.sequence(sentence.text)
        cosine = sentence.cosine
        let present = Words.content(sentence.text + " " + title)
        coverage = wanted.coverage(of: present)
        names = wanted.match(present)
        namesPage = wanted.areAll(Words.content(title))
        relation = sense.relation(
            of: sentence.text, title: title, passage: passage.text, weight: wanted.weight)
        matterCosine = sentence.matterCosine
        if case .named(let coverage) = relation {
            score = Self.cosineShare * (sentence.matterCosine ?? 0) + (1 - Self.cosineShare) * coverage
        } else if let cosine = sentence.cosine {
            score = Self.cosineShare * cosine + (1 - Self.cosineShare) * coverage
        } else {
            score = coverage
        }
    }

    /// Whether the words of `other` occur here in a row: then this sentence's document supports `other`.
    func contains(_ other: ScoredSentence) -> Bool {
        let wanted = other.words
        guard !wanted.isEmpty, words.count >= wanted.count else { return false }
        return (0...words.count - wanted.count).contains { start in
            words[start..<start + wanted.count].elementsEqual(wanted)
        }
    }

    /// Whether showing `other` beside this one would tell a reader nothing new: one contains the other, or four words
    /// of five are shared.
    func says(sameAs other: ScoredSentence) -> Bool {
        if contains(other) || other.contains(self) { return true }
        let (mine, theirs) = (Set(words), Set(other.words))
        let shared = mine.intersection(theirs).count
        let all = mine.count + theirs.count - shared
        return all > 0 && Double(shared) >= Self.sameShare * Double(all)
    }

    static let sameShare = 0.8
}
