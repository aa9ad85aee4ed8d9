/// What of English questions says nothing of what they are about.
enum QuestionFrames {
    /// Whether a form of `be` or `do` stands in a question tells what is done to somebody from what that one does.
    static let formsOfBe: Set<String> = ["is", "are", "was", "were", "am", "be", "been", "being"]
    static let formsOfDo: Set<String> = ["do", "does", "did"]

    private static let articles: Set<String> = ["the", "a", "an"]
    /// Before a day they say nothing; elsewhere what is in a box is not on it.
    private static let placeWords: Set<String> = ["in", "at", "on"]
    private static let fillers: Set<String> = ["s", "there", "please", "that", "exactly", "actually"]
    /// Words without which a question asks the same, whatever stands beside them.
    private static let dropped = formsOfBe.union(formsOfDo).union(articles).union(fillers)

    /// What of a question says something.
    ///
    /// A capital makes a name of a small word (`IT`, `hepatitis A`), unless a question begins with it; so does the end of an article.
    static func withoutSmallWords(_ tokens: [QuestionToken]) -> [QuestionToken] {
        tokens.indices.filter { place in
            guard let text = tokens[place].text, !tokens[place].isCapital || tokens[place].isFirst else { return true }
            let next = tokens.indices.contains(place + 1) ? tokens[place + 1] : nil
            if text == "it" { return next?.text != "that" }
            if articles.contains(text) { return next == nil }
            if placeWords.contains(text) { return next?.isDay != true }
            return !dropped.contains(text)
        }.map { tokens[$0] }
    }

    /// Whether one of some words is said.
    static func says(_ words: Set<String>, _ tokens: [QuestionToken]) -> Bool {
        tokens.contains { token in
            guard let text = token.text, !token.isCapital || token.isFirst else { return false }
            return words.contains(text)
        }
    }

    /// Whether it denies what it stands beside, and says nothing else.
    static func isPlainNot(_ word: String) -> Bool {
        ["not", "cannot", "t"].contains(word) || word.hasSuffix("n't")
    }

    /// Whether there is a `what's` for `what is`.
    static func isContracted(_ tokens: [QuestionToken]) -> Bool {
        let asking: Set<String> = ["who", "what", "when", "where", "why", "how"]
        return tokens.indices.contains { place in
            guard let text = tokens[place].text, asking.contains(text) else { return false }
            return tokens[place].isGenitive || tokens.indices.contains(place + 1) && tokens[place + 1].text == "s"
        }
    }

    /// `didn't`, of which readings make `didn` and `t`, as `did not`.
    static func withoutContractions(_ tokens: [QuestionToken]) -> [QuestionToken] {
        var tokens = tokens
        for place in tokens.indices.dropFirst() where tokens[place].text == "t" {
            guard let text = tokens[place - 1].text, text.hasSuffix("n"), auxiliaries.contains(String(text.dropLast()))
            else { continue }
            let verb = String(text.dropLast())
            (tokens[place - 1].text, tokens[place - 1].item) = (verb, .word(common(verb)))
        }
        return tokens
    }

    /// Small words of other languages that English texts do not have in lower case.
    static let foreign: Set<String> = [
        "ist", "die", "der", "das", "und", "wie", "wer", "wo", "wann", "warum", "hat", "el", "la", "los", "las", "es",
        "est", "le", "les", "il", "qui", "que", "quand", "pourquoi", "dans", "che", "quando", "dove", "een", "het",
        "wat", "waar", "hoe", "wie", "som", "hvem", "hva", "er", "quien", "donde", "como", "onde", "um", "uma",
    ]

    private static let openings: [[String]] = [
        "can you please tell me", "could you please tell me", "can you tell me", "could you tell me", "do you know",
        "does anybody know", "does anyone know", "would you tell me", "i would like to know", "i want to know",
        "i'd like to know", "please tell me", "tell me", "i wonder", "i was wondering", "please say", "say", "so",
        "hello", "hi", "remind me",
    ].map { $0.split(separator: " ").map(String.init) }.sorted { $0.count > $1.count }

    /// Takes away what comes before a question proper.
    static func dropOpening(_ tokens: inout [QuestionToken]) {
        while let opening = openings.first(where: { begins(tokens[...], with: $0) }), tokens.count > opening.count {
            tokens.removeFirst(opening.count)
        }
        while tokens.count > 1, ["please", "thanks"].contains(tokens.last?.text) { tokens.removeLast() }
    }

    private static func begins(_ tokens: ArraySlice<QuestionToken>, with words: [String]) -> Bool {
        tokens.count >= words.count && zip(tokens, words).allSatisfy { $0.text == $1 }
    }

    private typealias Phrase = (words: [String], kind: QuestionForm.Kind, isAgent: Bool)

    private static let phrases: [Phrase] = {
        let table: [(QuestionForm.Kind, String)] = [
            (.who, "who, whom, which person, what person, who is it that, who was it that"), (.whose, "whose"),
            (
                .when,
                "when, at what point in time, in what year, in which year, what year, which year, on what date, on which date, what date, which date"
            ),
            (.time, "at what time, what time, at which time"),
            (
                .place,
                "where, in what place, in which place, at what place, at which place, in what location, in which location"
            ),
            (.reason, "why, for what reason, for which reason, how come"),
            (.count, "how many, what number of, what is the number of, what was the number of"),
            (.amount, "how much, what amount of"), (.manner, "how, in what way, in which way, by what means"),
            (.what, "what, which"),
        ]
        var phrases: [Phrase] = table.flatMap { kind, list in
            list.split(separator: ",").map { ($0.split(separator: " ").map(String.init), kind, false) }
        }
        for agent in ["by whom", "by which person", "by what person", "by who"] {
            phrases.append((agent.split(separator: " ").map(String.init), .who, true))
        }
        return phrases.sorted { $0.words.count > $1.words.count }
    }()

    private static let auxiliaries: Set<String> = [
        "is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "can", "could", "will", "would",
        "should", "must", "may", "might",
    ]
    static func isAuxiliary(_ word: String) -> Bool { auxiliaries.contains(word) || isSmall(word) }

    private static func isSmall(_ word: String) -> Bool {
        dropped.contains(word) || placeWords.contains(word) || word == "it"
    }

    private static let commands: Set<String> = [
        "list", "describe", "explain", "name", "summarise", "summarize", "show",
    ]

    /// Takes out what says what is asked for.
    ///
    /// - Returns: that, and whether it is the one by whom something was done; nil where it is no question.
    static func takeKind(_ tokens: inout [QuestionToken]) -> (kind: QuestionForm.Kind?, isAgent: Bool) {
        guard let first = tokens.first?.text else { return (nil, false) }
        for place in [0, tokens.count] {
            for phrase in phrases {
                let start = place == 0 ? 0 : tokens.count - phrase.words.count
                guard start >= 0, begins(tokens[start...], with: phrase.words) else { continue }
                guard place == 0 || phrase.kind != .what || !auxiliaries.contains(first) else { continue }
                tokens.removeSubrange(start..<(start + phrase.words.count))
                return (phrase.kind, phrase.isAgent)
            }
        }
        if auxiliaries.contains(first) { return (.truth, false) }
        if commands.contains(first) {
            tokens.removeFirst()
            return (.command(first), false)
        }
        return (nil, false)
    }

    /// `the capital of France` as `France's capital`.
    static func withoutGenitives(_ tokens: [QuestionToken]) -> [QuestionToken] {
        var tokens = tokens
        var place = tokens.count - 1
        while place > 0 {
            defer { place -= 1 }
            guard tokens[place].text == "of" else { continue }
            var start = place + 1
            while start < tokens.count, tokens[start].text.map(articles.contains) == true { start += 1 }
            guard start < tokens.count, isThing(tokens[start]) else { continue }
            var end = start + 1
            while end < tokens.count, tokens[start].isCapital, tokens[end].isCapital { end += 1 }
            var first = place
            while first > 0, isThing(tokens[first - 1]), !tokens[first - 1].isCapital { first -= 1 }
            guard first < place else { continue }
            let (thing, owner) = (Array(tokens[first..<place]), Array(tokens[start..<end]))
            tokens.replaceSubrange(first..<end, with: owner + thing)
        }
        return tokens
    }

    private static func isThing(_ token: QuestionToken) -> Bool {
        guard let text = token.text, case .word = token.item else { return false }
        return !isSmall(text) && !auxiliaries.contains(text) && WordLists.roles[text] == nil
    }

    // MARK: Words

    private static let pastAuxiliaries: Set<String> = ["was", "were", "did", "had"]
    private static let pastVerbs: Set<String> = [
        "became", "began", "bought", "broke", "brought", "built", "came", "caught", "chose", "drew", "drove", "fell",
        "felt", "flew", "fought", "found", "gave", "got", "grew", "held", "knew", "led", "left", "lost", "made", "met",
        "paid", "ran", "rose", "said", "sang", "sank", "saw", "sent", "shot", "sold", "spoke", "spent", "stole",
        "stood", "struck", "swam", "taught", "threw", "told", "took", "went", "won", "wore", "wrote",
    ]

    static func isPast(_ word: String) -> Bool {
        pastAuxiliaries.contains(word) || pastVerbs.contains(word) || word.count > 4 && word.hasSuffix("ed")
    }

    /// Words that mean the same in any question; the first one stands for all. Forms that rules do not know are among them.
    private static let alike: [String: String] = {
        let groups = [
            "start starts started starting begin begins began begun beginning commence commenced",
            "end ends ended ending finish finishes finished", "buy buys bought purchase purchased",
            "build builds built construct constructed constructs", "film films movie movies",
            "big large", "bigger larger", "biggest largest", "author authors writer writers",
            "edit edits edited editing change changes changed changing modify modified", "article articles page pages",
            "remove removes removed removing delete deletes deleted deleting",
            "add adds added adding insert inserted inserts", "write writes wrote written writing",
            "win wins won winning", "make makes made making", "give gives gave given", "take takes took taken",
            "become becomes became", "come comes came", "go goes went gone", "lead leads led", "lose loses lost",
            "pay pays paid", "run runs ran", "see sees saw seen", "sell sells sold", "hold holds held",
            "steal steals stole stolen", "teach teaches taught", "draw draws drew drawn", "choose chooses chose chosen",
            "rise rises rose risen", "fall falls fell fallen", "grow grows grew grown", "speak speaks spoke spoken",
            "children kids", "child kid", "photo photos photograph photographs", "doctor physician",
            "all every each", "let allow allows allowed permit permits permitted",
        ]
        var result: [String: String] = [:]
        for group in groups {
            let words = group.split(separator: " ").map(String.init)
            for word in words { result[word] = words[0] }
        }
        return result
    }()

    /// Words that look like an inflection of another one and are none.
    private static let apart: Set<String> = [
        "founded", "wounded", "grounded", "bounded", "news", "species", "series", "united", "texas", "glasses", "goods",
        "means", "arms", "customs", "during", "thing", "nothing", "something", "king", "ring", "spring", "string",
        "evening", "morning", "ceiling", "building", "meeting", "painting", "seed", "need", "speed", "feed", "indeed",
        "hundred", "red", "bed", "less", "access", "process", "congress", "progress", "success", "address", "always",
        "perhaps", "previous", "various", "famous", "serious", "bus", "gas", "campus", "virus", "status", "census",
    ]

    /// One form for a word's inflections, and for what means the same.
    static func common(_ word: String) -> String {
        if let one = alike[word] { return one }
        guard word.count > 3, !apart.contains(word), word.utf8.allSatisfy({ (97...122).contains($0) }) else {
            return word
        }
        let stem = stem(of: word)
        return alike[stem] ?? alike[stem + "e"] ?? stem
    }

    private static func stem(of word: String) -> String {
        var stem = word
        if word.hasSuffix("ies"), word.count > 4 {
            stem = String(word.dropLast(3)) + "y"
        } else if word.hasSuffix("ied"), word.count > 4 {
            stem = String(word.dropLast(3)) + "y"
        } else if word.hasSuffix("ss") || word.hasSuffix("us") || word.hasSuffix("is") {
            return word
        } else if word.hasSuffix("es"), ["sh", "ch", "x", "z", "ss"].contains(where: word.dropLast(2).hasSuffix) {
            stem = String(word.dropLast(2))
        } else if word.hasSuffix("s") {
            stem = String(word.dropLast())
        } else if word.hasSuffix("ed"), word.count > 4 {
            stem = String(word.dropLast(2))
        } else if word.hasSuffix("ing"), word.count > 5 {
            stem = String(word.dropLast(3))
        }
        let end = stem.suffix(2)
        if stem != word, end.count == 2, end.first == end.last, let last = end.last, !"lse".contains(last) {
            stem.removeLast()
        }
        // `paint`, `close` and `closed` meet without the e.
        if stem.hasSuffix("e"), stem.count > 3 { stem.removeLast() }
        return stem
    }
}
