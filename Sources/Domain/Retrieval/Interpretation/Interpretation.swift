import Bytes
package import Records

/// What was understood of a question: which of its words name a time, a wiki, a language, a user or a page, and the question
/// without them.
package struct Interpretation: Sendable, Hashable {
    /// What words name.
    package enum Kind: String, Sendable, CaseIterable {
        /// When the documents' events happened: for changes of wikis, when somebody edited, and never what a page is about.
        case time
        case wiki
        case language
        case user
        case page
    }

    /// Words of the question that became a filter.
    package struct Part: Sendable, Hashable {
        package let kind: Kind
        /// The words as they stand in the question.
        package let text: String
        /// What they say, of all documents of the standard tenant.
        package let filter: Filter
        /// Whether it follows from the time at which the question was asked.
        package let isRelative: Bool
    }

    /// The question as it was asked.
    package let asked: String
    /// In the order of the question; none where nothing was understood.
    package let parts: [Part]
    /// What is searched: the question without those words, or all of it where nothing else is left.
    package let query: String

    /// Nothing was understood.
    package static func none(_ text: String) -> Interpretation { Interpretation(asked: text, parts: [], query: text) }

    /// Whether it follows from the time at which the question was asked.
    package var isRelative: Bool { parts.contains(where: \.isRelative) }

    /// A filter narrowed by what was understood; the filter as it was where both are too much together.
    package func narrow(_ filter: Filter) -> Filter {
        var tests = parts.flatMap(\.filter.must)
        for part in parts {
            let time = part.filter.time
            guard time.from != nil || time.to != nil else { continue }
            tests.append(
                AttributeTest(
                    .eventTime,
                    .between(from: time.from.map(AttributeValue.time), to: time.to.map(AttributeValue.time))))
        }
        return (try? filter.adding(must: tests)) ?? filter
    }
}

/// Reads questions by rules that take clear forms alone. A filter that nobody meant hides what was looked for, and one that was
/// missed costs some places in the ranking: where words may be meant otherwise, they stay words.
package struct QuestionInterpreter: Sendable {
    /// When the question was asked, milliseconds since 1970, cut to the minute: so all pages of a minute ask alike.
    package let referenceMilliseconds: Int64
    /// Whether a filter may be made of an attribute: collections declare it, and the request's own filters leave it alone.
    let isOpen: @Sendable (AttributeName) -> Bool

    /// The unit of times that are relative to now.
    package static let stepMilliseconds: Int64 = 60_000

    package init(nowMilliseconds: Int64, isOpen: @escaping @Sendable (AttributeName) -> Bool) {
        let past = nowMilliseconds % Self.stepMilliseconds
        referenceMilliseconds = nowMilliseconds - (past < 0 ? past + Self.stepMilliseconds : past)
        self.isOpen = isOpen
    }

    /// What a question names.
    package func interpret(_ text: String) -> Interpretation {
        let question = QuestionText(text)
        let phrases = Phrases.all(in: question, now: CivilTime(epochMilliseconds: referenceMilliseconds)).filter {
            isOpen($0.attribute)
        }
        let context = PhraseContext(question: question, phrases: phrases)
        // Two times, or two wikis: nobody knows which is meant, or whether both are.
        let counts = Dictionary(phrases.map { ($0.kind, 1) }, uniquingKeysWith: +)
        let taken = phrases.filter { counts[$0.kind] == 1 && context.isClear($0) }
        let parts = taken.compactMap { phrase -> Interpretation.Part? in
            guard let filter = phrase.filter else { return nil }
            return Interpretation.Part(
                kind: phrase.kind, text: question.text(of: phrase.tokens), filter: filter,
                isRelative: phrase.isRelative)
        }
        guard !parts.isEmpty else { return .none(text) }
        let rest = question.without(taken.map(\.tokens))
        return Interpretation(asked: text, parts: parts, query: rest ?? text)
    }
}
