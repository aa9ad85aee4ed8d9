import Bytes
import Records

/// Words of a question that may name something, and what has to hold around them so that they do.
struct Phrase: Sendable {
    /// What has to stand before the words.
    enum Need: Sendable, Equatable {
        /// Nothing: no other meaning is likely.
        case nothing
        /// Something that happens, such as news: "what happened yesterday".
        case happening
        /// An edit: "pages changed in 2021". What is asked of a topic stays a topic: "laws changed in 2021".
        case editing
        /// Documents, or edits: "articles before 2020".
        case documents
        /// Texts that have a language: "articles in French".
        case texts
    }

    let kind: Interpretation.Kind
    /// What its filter tests.
    let attribute: AttributeName
    /// Places of the question's tokens.
    let tokens: Range<Int>
    /// Nil where it cannot be asked.
    let filter: Filter?
    var isRelative = false
    var need = Need.nothing
    /// Words that may follow, beside the end, punctuation and other phrases.
    var followers: Set<String> = []
    /// Words that may not stand before.
    var refused: Set<String> = []
    /// Quoted texts have their own end.
    var isClosed = false
}

/// All that may name something in a question.
enum Phrases {
    /// In the order of the question; no word is in two of them.
    static func all(in question: QuestionText, now: CivilTime) -> [Phrase] {
        var phrases: [Phrase] = []
        let times = TimePhrases(question: question, now: now)
        let places = PlacePhrases(question: question)
        var index = 0
        while index < question.tokens.count {
            if let phrase = times.phrase(at: index) ?? places.phrase(at: index) {
                phrases.append(phrase)
                index = phrase.tokens.upperBound
            } else {
                index += 1
            }
        }
        return phrases
    }
}

/// What stands around phrases.
struct PhraseContext {
    let question: QuestionText
    let phrases: [Phrase]

    // Words of edits, whatever stands before them.
    private static let editNouns: Set<String> = ["edits", "reverts", "rollbacks", "revisions"]
    // Those that are of edits only where nothing says of what: not "tax changes".
    private static let changeNouns: Set<String> = ["changes", "updates", "uploads", "renames"]
    private static let participles: Set<String> = [
        "edited", "changed", "updated", "modified", "revised", "reverted", "created", "added", "deleted", "removed",
        "moved", "renamed", "uploaded", "posted", "vandalised", "vandalized", "protected",
    ]
    private static let documents: Set<String> = [
        "articles", "pages", "documents", "entries", "notes", "items", "files", "images", "photos", "posts", "messages",
        "redirects",
    ]
    private static let texts: Set<String> = [
        "articles", "pages", "documents", "entries", "notes", "posts", "messages", "comments", "edits", "results",
        "anything", "something",
    ]
    private static let happenings: Set<String> = ["happened", "happening", "new", "news", "on", "edits", "headlines"]
    private static let auxiliaries: Set<String> = [
        "was", "were", "is", "are", "been", "be", "being", "has", "have", "got", "recently", "just", "newly", "last",
        "most", "actually",
    ]
    /// With which a question begins before it names what it asks for.
    private static let openers: Set<String> = [
        "show", "list", "find", "get", "give", "me", "us", "all", "any", "the", "every", "each", "recent", "latest",
        "newest",
        "new", "minor", "major", "bot", "human", "anonymous", "what", "which", "are", "were", "is", "there", "who",
        "made",
        "please", "search", "for", "only", "some", "many", "how", "number", "of", "oldest", "first", "last", "big",
        "large",
        "small", "largest", "biggest", "reverted", "automated",
    ]

    /// Whether the words mean what they may mean.
    func isClear(_ phrase: Phrase) -> Bool {
        if let before = question.word(phrase.tokens.lowerBound - 1), phrase.refused.contains(before) { return false }
        return mayEnd(phrase) && hasNeed(phrase)
    }

    private func mayEnd(_ phrase: Phrase) -> Bool {
        let next = phrase.tokens.upperBound
        guard !phrase.isClosed, question.tokens.indices.contains(next) else { return true }
        if question.tokens[next].isAfterBreak { return !isListed(phrase, before: next) }
        if phrases.contains(where: { $0.tokens.lowerBound == next }) { return true }
        guard let word = question.word(next) else { return false }
        return phrase.followers.contains(word)
    }

    /// "In Danish, Swedish or Norwegian", "on dewiki, enwiki and frwiki": one of them is not what is meant.
    private func isListed(_ phrase: Phrase, before next: Int) -> Bool {
        guard phrase.kind == .language || phrase.kind == .wiki, let word = question.word(next) else { return false }
        return LanguageNames.table[word] != nil || PlacePhrases.isDatabase(word)
    }

    /// The words before a phrase, without those of other phrases; the last one first.
    private func words(before phrase: Phrase) -> [String] {
        var words: [String] = []
        var index = phrase.tokens.lowerBound - 1
        while index >= 0 {
            if let other = phrases.first(where: { $0.tokens.contains(index) }) {
                index = other.tokens.lowerBound - 1
                continue
            }
            words.append(question.tokens[index].isQuoted ? "\"" : question.tokens[index].word)
            index -= 1
        }
        return words
    }

    private func hasNeed(_ phrase: Phrase) -> Bool {
        let words = words(before: phrase)
        switch phrase.need {
        case .nothing: return true
        case .happening: return happens(words) || isEditing(words)
        case .editing: return isEditing(words)
        case .documents: return isEditing(words) || isHead(words, Self.documents)
        case .texts:
            guard let last = words.first else {
                return question.tokens[phrase.tokens].first?.isQuoted == false && isOpening(phrase)
            }
            if Self.texts.contains(last) { return true }
            return ["written", "edited"].contains(last) && words.dropFirst().first.map(Self.texts.contains) == true
        }
    }

    /// "In French: …"
    private func isOpening(_ phrase: Phrase) -> Bool {
        let next = phrase.tokens.upperBound
        return phrase.tokens.lowerBound == 0 && question.tokens.indices.contains(next)
            && question.tokens[next].isAfterBreak
    }

    /// "edits …", "all changes …", "pages changed …", "what was edited …".
    private func isEditing(_ words: [String]) -> Bool {
        guard let last = words.first else { return false }
        if Self.editNouns.contains(last) || isHead(words, Self.changeNouns) { return true }
        guard Self.participles.contains(last) else { return false }
        let rest = words.dropFirst().drop { Self.auxiliaries.contains($0) }
        guard let subject = rest.first else { return false }
        if Self.documents.contains(subject) { return true }
        return ["what", "who", "anything", "something"].contains(subject) && rest.count == 1
    }

    /// Whether the last word is one of these, and those before it only ask for it.
    private func isHead(_ words: [String], _ nouns: Set<String>) -> Bool {
        guard let last = words.first, nouns.contains(last) else { return false }
        return words.dropFirst().allSatisfy { Self.openers.contains($0) || Self.participles.contains($0) }
    }

    /// "what happened …", "what's new …", "news …".
    private func happens(_ words: [String]) -> Bool {
        guard let last = words.first, Self.happenings.contains(last) else { return false }
        let rest = Array(words.dropFirst())
        switch last {
        case "happened", "happening":
            return rest.first == "what" || rest.first == "what's"
                || (rest.first.map(Self.auxiliaries.contains) == true && rest.dropFirst().first == "what")
        case "new": return ["what's", "whats", "anything"].contains(rest.first) || rest.starts(with: ["is", "what"])
        case "on": return rest.starts(with: ["going", "what's"]) || rest.starts(with: ["going", "is", "what"])
        default: return true
        }
    }
}
