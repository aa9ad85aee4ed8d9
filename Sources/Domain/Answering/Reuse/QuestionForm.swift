package import Text

/// Why an answer to one question is not given to another.
package enum ReuseFault: String, Sendable, CaseIterable {
    /// One of them is not read as a question in English.
    case language
    /// Who, when, how many: they ask for different things.
    case kind
    /// One is about what was, the other about what is.
    case tense
    /// Numbers with their signs, bounds and units, or days.
    case number
    /// Denied in one of them.
    case negation
    /// Another word, or the same words in another order.
    case words
}

/// A question in English, taken apart so that another one that asks the same can be told from one that nearly does.
///
/// Strict and not clever: what is left of both when their frames ("do you know", "which person", "of" for "'s") are put into one
/// form must be the same words in the same order, but for inflection and a few synonyms. So a question that is turned round, denied,
/// or about another number, day, unit or name is another question; and so are many that ask the same in quite other words.
package struct QuestionForm: Sendable {
    /// What is asked for.
    enum Kind: Hashable, Sendable {
        case who, whose, when, time, place, reason, count, amount, manner, what, truth
        /// `list`, `describe`.
        case command(String)
    }

    enum Item: Hashable, Sendable {
        case word(String)
        case negation
        /// `never`, `refuse`, `without`: each denies in its own way.
        case denial(String)
        case number([Double], sign: Int?, unit: String?, bound: Int?)
        case day(year: Int?, month: Int?, day: Int?)
    }

    let kind: Kind?
    let isPast: Bool
    /// Whether there is a form of `be`, and of `do`: who was invited is not who invited.
    private let isBe: Bool
    private let isDo: Bool
    let items: [Item]
    /// The noun of `which …`, as it is written: one city is not several.
    let wanted: String?

    /// - Parameter question: as it was asked.
    package init(_ question: String, _ analyzer: TextAnalyzer) {
        let reading = Reading(question, languages: ["en"], analyzer)
        var tokens = Self.tokens(of: reading)
        QuestionFrames.dropOpening(&tokens)
        let isEnglish = !tokens.contains { $0.isForeign }
        let isContracted = QuestionFrames.isContracted(tokens)
        var (kind, isAgent) = QuestionFrames.takeKind(&tokens)
        if !isEnglish { kind = nil }
        self.kind = kind
        // Who was it painted by.
        if kind == .who, tokens.last?.text == "by" {
            tokens.removeLast()
            isAgent = true
        }
        wanted = kind == .what ? tokens.first?.text.flatMap { QuestionFrames.isAuxiliary($0) ? nil : $0 } : nil
        isPast = tokens.contains { $0.text.map(QuestionFrames.isPast) ?? false }
        // Of who it was painted by only the painting is left.
        isBe = !isAgent && (isContracted || QuestionFrames.says(QuestionFrames.formsOfBe, tokens))
        isDo = QuestionFrames.says(QuestionFrames.formsOfDo, tokens)
        tokens = QuestionFrames.withoutSmallWords(QuestionFrames.withoutGenitives(tokens))
        // By whom was it painted: who painted it.
        if isAgent, let verb = tokens.popLast() { tokens.insert(verb, at: 0) }
        items = tokens.map(\.item)
    }

    /// Why the other question is another one; nil where both ask the same.
    package func fault(against other: QuestionForm) -> ReuseFault? {
        guard let kind, let otherKind = other.kind else { return .language }
        guard kind == otherKind, wanted == other.wanted else { return .kind }
        guard items != other.items else {
            guard isPast == other.isPast else { return .tense }
            return isBe == other.isBe && isDo == other.isDo ? nil : .words
        }
        func part(_ isIn: (Item) -> Bool) -> ([Item], [Item]) { (items.filter(isIn), other.items.filter(isIn)) }
        let negations = part {
            switch $0 {
            case .negation, .denial: true
            case .word, .number, .day: false
            }
        }
        guard negations.0 == negations.1 else { return .negation }
        let numbers = part {
            switch $0 {
            case .number, .day: true
            case .word, .negation, .denial: false
            }
        }
        return numbers.0 == numbers.1 ? .words : .number
    }

    /// Whether it is read as a question in English.
    package var isRead: Bool { kind != nil }

    private static func tokens(of reading: Reading) -> [QuestionToken] {
        var placed: [(at: Int, token: QuestionToken)] = reading.words.map { word in
            (word.range.lowerBound, QuestionToken(word))
        }
        for number in reading.numbers {
            placed.append(
                (
                    number.range.lowerBound,
                    QuestionToken(
                        item: .number(
                            number.values.sorted(), sign: number.sign, unit: number.unit,
                            bound: reading.limit(of: number)))
                ))
        }
        for (dates, range) in zip(reading.dates, reading.dateRanges) {
            guard let date = dates.first, dates.count == 1 else {
                // It may be one of two days.
                placed.append((range.lowerBound, QuestionToken(item: .word("\(dates)"))))
                continue
            }
            placed.append(
                (
                    range.lowerBound,
                    QuestionToken(item: .day(year: date.year, month: date.month, day: date.day))
                ))
        }
        for link in reading.links { placed.append((.max, QuestionToken(item: .word(link)))) }
        return QuestionFrames.withoutContractions(placed.sorted { $0.at < $1.at }.map(\.token))
    }
}

/// A word, number or day of a question.
struct QuestionToken: Sendable {
    /// In lower case; nil for what is no word.
    var text: String?
    var item: QuestionForm.Item
    var isCapital = false
    /// Whether a sentence begins with it.
    var isFirst = false
    /// Whether it is a small word of another language.
    var isForeign = false
    var isGenitive = false

    init(item: QuestionForm.Item) { self.item = item }

    init(_ word: ReadWord) {
        var exact = word.exact.replacing("’", with: "'")
        if exact.hasSuffix("'s") {
            exact.removeLast(2)
            isGenitive = true
        }
        text = exact
        (isCapital, isFirst) = (word.isCapital, word.isFirst)
        isForeign =
            word.isCaseless || !word.isCapital && QuestionFrames.foreign.contains(exact)
            || !word.isCapital && exact.unicodeScalars.contains { !$0.isASCII }
        let common = QuestionFrames.common(exact)
        item = !word.isNegator ? .word(common) : QuestionFrames.isPlainNot(exact) ? .negation : .denial(common)
    }

    var isDay: Bool {
        if case .day = item { true } else { false }
    }
}
