/// What an English question names: its capitalised words and numbers, which say what it is about more exactly than any
/// other words do. `Harbour Lantern Tunnel` is not what a page about the Harbour Lantern Bridge tells of, however near the
/// two are to a model.
///
/// Only of questions that begin with an English word for asking: German writes all nouns with a capital, many scripts have
/// none.
struct QuestionNames {
    /// How much of the names a sentence has.
    enum Match {
        case all
        /// A word of a name is missing.
        case some
        /// A name is missing.
        case absent
        /// Of a name of several words some are there, but not the last, which says what kind of thing it is or whose, or not
        /// even half by rarity, or not its number: another one of nearly the same name.
        case another
    }

    private static let shareMin = 0.5
    /// Shorter numbers count things.
    private static let numberLengthMin = 3

    /// Each name's stems, in order.
    private let names: [[String]]

    /// - Parameter ignored: stems that say nothing of what a question is about.
    init(question: String, ignored: Set<String>) {
        let words = question.split(whereSeparator: \.isWhitespace)
        var names: [[String]] = []
        var isOpen = false
        guard Self.isEnglish(words) else {
            self.names = []
            return
        }
        for word in words.dropFirst() {
            let bare = Self.letters(word)
            if bare.contains(where: { $0.isUppercase || $0.isNumber }) {
                let meant = Words.content(bare).subtracting(ignored)
                let stems = Words.sequence(bare).map(Words.stem).filter(meant.contains)
                if !isOpen { names.append([]) }
                names[names.count - 1] += stems
                isOpen = Self.isJoined(word)
            } else if !Self.connectingWords.contains(bare) {
                isOpen = false
            }
        }
        self.names = names.filter { !$0.isEmpty }
    }

    /// - Parameter weight: how rare a stem is.
    func match(_ present: Set<String>, weight: (String) -> Double) -> Match {
        var match = Match.all
        for name in names {
            let found = name.filter(present.contains)
            guard found.count < name.count else { continue }
            // A year or an identifier is no other one.
            let numbers = name.filter { !present.contains($0) && $0.contains(where: \.isNumber) }
            if numbers.contains(where: { $0.count >= Self.numberLengthMin || !found.isEmpty }) { return .another }
            guard !found.isEmpty, let last = name.last else {
                match = .absent
                continue
            }
            let share = Self.sum(found, weight) / max(Self.sum(name, weight), .leastNormalMagnitude)
            if !present.contains(last) || share < Self.shareMin { return .another }
            if match == .all { match = .some }
        }
        return match
    }

    private static func sum(_ words: [String], _ weight: (String) -> Double) -> Double {
        words.reduce(0) { $0 + weight($1) }
    }

    /// Whether it begins with an English word for asking.
    static func isEnglish(_ question: String) -> Bool {
        isEnglish(question.split(whereSeparator: \.isWhitespace))
    }

    private static func isEnglish(_ words: [Substring]) -> Bool {
        guard let first = words.first.map({ letters($0).lowercased() }) else { return false }
        // `Was` begins German questions, too.
        if first == "was" { return words.dropFirst().contains { englishWords.contains(letters($0)) } }
        // So do other languages with these (Dutch, Danish, Spanish, Italian).
        if sharedWords.contains(first) {
            return words.dropFirst().contains { certainWords.contains(letters($0).lowercased()) }
        }
        return askingWords.contains(first)
    }

    /// Without punctuation around it.
    private static func letters(_ word: Substring) -> String {
        let isOuter: (Character) -> Bool = { !$0.isLetter && !$0.isNumber }
        return String(word.drop(while: isOuter).reversed().drop(while: isOuter).reversed())
    }

    /// Whether a name may go on behind this word: no comma or point ends it there.
    private static func isJoined(_ word: Substring) -> Bool {
        word.last.map { $0.isLetter || $0.isNumber || $0 == "'" || $0 == "’" } ?? false
    }

    private static let askingWords: Set<String> = [
        "are", "can", "could", "describe", "did", "do", "does", "explain", "find", "give", "had", "has", "have", "how",
        "i", "is", "list", "show", "summarise", "summarize", "tell", "were", "what", "when", "where", "which", "who",
        "whom",
        "whose", "why",
    ]
    private static let sharedWords: Set<String> = [
        "are", "can", "do", "find", "give", "had", "has", "i", "is", "list", "show",
    ]
    private static let englishWords: Set<String> = [
        "and", "by", "for", "from", "of", "the", "to", "when", "why", "with",
    ]
    /// Words of no other language whose questions begin with one of ``sharedWords``: `of`, `for`, `by` and `to` are Dutch or Danish.
    private static let certainWords = Set(
        """
        about am and anybody anyone anything article articles been change changed changes could did does edit edited edits from how
        it looking pages that the there this user users what when which who why with you your
        """.split { $0 == " " || $0 == "\n" }.map(String.init))
    private static let connectingWords: Set<String> = ["and", "de", "of", "the", "von"]
}
