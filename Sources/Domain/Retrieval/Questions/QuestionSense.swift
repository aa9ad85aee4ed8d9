/// What a question asks for: a thing that it names, and what it wants to know of it.
///
/// A passage about the right page is no answer by itself: how old its visitors are is not said by an edit of its references. And
/// a passage that says what is asked for of another page is none either. So the name is held against titles and text, word for
/// word, and what is left of the question, its matter, against what is left of the sentence.
package struct QuestionSense: Sendable {
    /// What a sentence has to do with the question, before any vector is looked at.
    enum Relation: Equatable {
        /// About something else: another page, year or place, or the reverse of what is asked for.
        case another
        /// About what the question names, and nothing more is asked for.
        case told
        /// About what the question names; the share of the rest that it has, by rarity.
        case named(coverage: Double)
        /// The question names nothing that could be told from its other words.
        case open
    }

    /// What remains of the question without what it names and the words of asking, to be embedded; empty where nothing remains,
    /// where it names nothing, and where it is not English, the language that the model knows.
    package let matter: String
    /// Stems of the question in order.
    private let stems: [String]
    /// Of the title that the question holds, word for word.
    private let title: [String]
    /// Words of the name that a question about a page as a whole ends with; empty for other questions.
    private let page: [String]
    private let numbers: Set<String>
    /// Stems of capitalised words.
    private let names: Set<String>
    /// Stems that are asked for beside names.
    private let wanted: [String]

    /// - Parameter titles: of the passages that may answer it.
    package init(question: String, titles: [String]) {
        let words = Self.words(question)
        let isEnglish = QuestionNames.isEnglish(question) || Self.hasManyEnglishWords(words)
        stems = Self.stems(question)
        let capitals = Self.capitals(question)
        let named = isEnglish ? Self.page(words) : []
        // A small number counts things.
        numbers = Set(stems.filter { $0.contains(where: \.isNumber) && !($0.count < 3 && $0.allSatisfy(\.isNumber)) })
        let written = capitals.union(stems.filter { $0.contains(where: \.isNumber) })
        title = Self.title(in: stems, of: titles, page: named.flatMap(Self.stems), written: written)
        page = title.isEmpty ? named : []
        // German writes all nouns with a capital.
        let hasNames = isEnglish || words.contains { Self.romanceWords.contains($0.lowercased()) }
        names = hasNames ? capitals : []
        let said = title.isEmpty ? names.union(numbers) : Set(title)
        var seen = said.union(Self.recordStems)
        wanted = stems.filter { seen.insert($0).inserted }
        let isMatterAsked = isEnglish && page.isEmpty && !said.isEmpty && !wanted.isEmpty
        matter = isMatterAsked ? Self.matter(words, without: said) : ""
    }

    /// - Parameter hits: the passages that may answer it.
    package init(question: String, hits: [Hit]) {
        self.init(question: question, titles: hits.map(\.candidate.title))
    }

    /// - Parameters:
    ///   - sentence: of a passage.
    ///   - title: the passage's.
    ///   - passage: its text: what a sentence calls `it` is named before.
    ///   - weight: how rare a stem is.
    func relation(
        of sentence: String, title other: String, passage: String, weight: (String) -> Double
    ) -> Relation {
        let whole = Self.stems(other)
        let bareTitle = Self.bare(other)
        let bare = bareTitle.utf8.count == other.utf8.count ? whole : Self.stems(bareTitle)
        let told = Self.stems(Self.matter(of: sentence, title: other))
        let matter = Set(told)
        let present = matter.union(whole)
        guard numbers.isSubset(of: present) else { return .another }
        let isNamed = names.isSubset(of: present) || names.isSubset(of: present.union(Self.stems(passage)))
        guard isNamed else { return .another }
        if !title.isEmpty {
            guard bare == title || whole == title else { return .another }
        } else if !page.isEmpty {
            let isNamed =
                page.count > 1 ? Self.mentions(page, in: [other, sentence]) : Self.contains(bare, Self.stems(page[0]))
            return isNamed ? .told : .another
        } else if names.isEmpty, numbers.isEmpty {
            return OpposedActions.areOpposed(asked: stems, told: told) ? .another : .open
        }
        guard !wanted.isEmpty else { return .told }
        if OpposedActions.areOpposed(asked: stems, told: told) { return .another }
        let total = wanted.reduce(0) { $0 + weight($1) }
        let has = title.isEmpty ? present : matter
        let found = wanted.reduce(0) { $0 + (OpposedActions.synonyms(of: $1).isDisjoint(with: has) ? 0 : weight($1)) }
        return .named(coverage: total > 0 ? found / total : 0)
    }

    /// A sentence without the title that it begins with: every sentence of a page has that, whatever it says.
    package static func matter(of sentence: String, title: String) -> String {
        guard !title.isEmpty, sentence.hasPrefix(title) else { return sentence }
        let rest = sentence.dropFirst(title.count).drop { !$0.isLetter && !$0.isNumber }
        return rest.isEmpty ? sentence : String(rest)
    }

    /// Stems of the words that are written like names: with a capital, but not because a sentence begins or all words have one.
    private static func capitals(_ question: String) -> Set<String> {
        var (capitals, all, isFirst) = (Set<String>(), 0, true)
        var found = 0
        for part in question.split(whereSeparator: \.isWhitespace) {
            let word = part.drop { !$0.isLetter && !$0.isNumber }.prefix { $0 != "'" && $0 != "’" }
            if word.contains(where: \.isLetter) { all += 1 }
            if word.first?.isUppercase == true {
                found += 1
                if !isFirst, !politeWords.contains(word.lowercased().filter(\.isLetter)) {
                    capitals.formUnion(stems(String(word)))
                }
            }
            isFirst = part.last.map { ".!?:".contains($0) } ?? false
        }
        return all >= 4 && found * 5 > all * 4 ? [] : capitals
    }

    /// The longest title that the question holds, word for word, with its namespace or without; where it asks about a page as a
    /// whole, that page's rather than one that is a part of its name. A title of one or two words is a name only where it is
    /// written like one: `reset password` may be what is asked for, whatever page has it as a title.
    private static func title(
        in question: [String], of titles: [String], page: [String], written: Set<String>
    ) -> [String] {
        let held = titles.flatMap { [stems($0), stems(bare($0))] }.filter { stems in
            contains(question, stems) && !Set(stems).isSubset(of: recordStems)
                && (stems.count > 2 || Set(stems).isSubset(of: written))
        }
        if held.contains(page) { return page }
        return held.filter { page.isEmpty || $0.count > 1 }.max { $0.count < $1.count } ?? []
    }

    private static func hasManyEnglishWords(_ words: [Substring]) -> Bool {
        words.count { englishWords.contains($0.lowercased()) } > 1
    }

    // MARK: The page

    /// `Who edited Bridge of Sighs?`: the words between those of asking at its beginning and end, where they begin with a capital
    /// or a number and are no clause; empty where the question is built otherwise.
    private static func page(_ words: [Substring]) -> [String] {
        func isOfAsking(_ word: Substring) -> Bool {
            let low = word.lowercased()
            return askingWords.contains(low) || Words.functionWords.contains(low)
                || recordStems.contains(Words.stem(low))
        }
        let lead = words.prefix(while: isOfAsking)
        let rest = words.dropFirst(lead.count)
        let tail = rest.reversed().prefix(while: isOfAsking)
        let name = rest.dropLast(tail.count)
        let isAbout = (lead + tail).contains { recordStems.contains(Words.stem($0.lowercased())) }
        guard isAbout, let first = name.first?.first, first.isUppercase || first.isNumber,
            !name.contains(where: { clauseWords.contains($0.lowercased()) })
        else { return [] }
        return name.map(String.init)
    }

    /// Whether one of the texts has the words in a row, as they are written, and no number beside them: `1920 Glacier in Crete`
    /// is another page.
    private static func mentions(_ name: [String], in texts: [String]) -> Bool {
        texts.contains { text in
            let words = Self.words(text)
            guard words.count >= name.count else { return false }
            return (0...words.count - name.count).contains { start in
                let end = start + name.count
                guard zip(words[start..<end], name).allSatisfy({ $0 == $1 }) else { return false }
                let beside = [start > 0 ? words[start - 1] : "", end < words.count ? words[end] : ""]
                return !beside.contains { $0.first?.isNumber ?? false }
            }
        }
    }

    /// Without the namespace before a colon: `Talk:Bridge`.
    private static func bare(_ title: String) -> String {
        guard let colon = title.firstIndex(of: ":"), colon != title.startIndex else { return title }
        let after = title[title.index(after: colon)...]
        guard let first = after.first, !first.isWhitespace, title[..<colon].allSatisfy({ $0.isLetter || $0 == " " })
        else { return title }
        return String(after)
    }

    // MARK: The matter

    /// The question's words without those of the name and those of asking before it.
    private static func matter(_ words: [Substring], without said: Set<String>) -> String {
        var kept: [Substring] = []
        for word in words {
            if said.contains(Words.stem(word.lowercased())) {
                while let last = kept.last, joiningWords.contains(last.lowercased()) { kept.removeLast() }
            } else {
                kept.append(word)
            }
        }
        var start = 0
        while start < kept.count {
            let low = kept[start].lowercased()
            let isOfAsking = askingWords.contains(low) || recordStems.contains(Words.stem(low))
            // "… that concern how luminous it gets": a question within the question is its matter.
            if !isOfAsking || start > 0 && questionWords.contains(low) { break }
            start += 1
        }
        return kept[start...].joined(separator: " ")
    }

    private static func list(_ words: String) -> Set<String> {
        Set(words.split { $0 == " " || $0 == "\n" }.map(String.init))
    }

    private static func words(_ text: String) -> [Substring] {
        text.split { !$0.isLetter && !$0.isNumber && $0 != "'" && $0 != "’" }
    }

    private static func stems(_ text: String) -> [String] {
        Words.sequence(text).filter { !Words.functionWords.contains($0) && !foreignFunctionWords.contains($0) }
            .map(Words.stem)
    }

    private static func contains(_ words: [String], _ row: [String]) -> Bool {
        guard !row.isEmpty, words.count >= row.count else { return false }
        return (0...words.count - row.count).contains { words[$0..<$0 + row.count].elementsEqual(row) }
    }

    /// Words by which a question begins, and what may stand between them.
    private static let askingWords = list(
        """
        a about am an any anybody anyone anything are at been can concern concerns connection could dealt describe did
        do does explain find for from give has have how i in is list looking me of on please show some somebody
        something tell that the there to was were what when where which who whom whose why with written wrote
        """)
    private static let questionWords: Set<String> = ["how", "what", "when", "where", "which", "who", "whose", "why"]
    private static let joiningWords: Set<String> = ["about", "at", "from", "in", "of", "on", "the", "to", "with"]
    /// A name that has one of these is a part of a sentence.
    private static let clauseWords: Set<String> = [
        "are", "did", "do", "does", "had", "has", "have", "is", "that", "was", "were", "which", "who",
    ]
    /// Stems that ask about the record and not about its content.
    private static let recordStems: Set<String> = QuestionWords.recordStems.union(
        Words.content("user editor contributor work make makes made making done"))
    /// Words that English alone has.
    private static let englishWords: Set<String> = [
        "did", "does", "from", "has", "have", "into", "of", "that", "the", "this", "were", "which", "who", "with",
    ]
    /// French, Spanish, Italian and Russian ones that German does not have: these languages write names with a capital, like English.
    private static let romanceWords = list(
        """
        che chi cuándo del della di du el est et gli il la las le les los que quel quelle qui quién qué sulla в кто на
        о что
        """)
    private static let politeWords: Set<String> = ["hello", "hi", "please", "thank", "thanks"]
    /// German, French, Spanish, Italian and Russian words that say little, and those that ask.
    private static let foreignFunctionWords = list(
        """
        als am au auf aus aux bei che chi comment con cosa cuándo dans das de del dem den der des di die dove du dónde
        e ein eine einen einer el en est et fue für ha haben hat il im ist la las le les los lo mit nach où par por
        pour pourquoi quand quando que qui quien quién qué sind su sul sulla sur un una und une von wann war warum
        welche welcher welches wer wie wo wurde y zu zum zur über в где и как когда кто на о с что
        """)
}
