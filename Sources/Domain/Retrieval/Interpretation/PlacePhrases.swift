import Logic
import Records

/// Wikis, languages, users and pages in questions.
struct PlacePhrases: Sendable {
    let question: QuestionText

    private static let projects = [
        "wikipedia": "wiki", "wiktionary": "wiktionary", "wikibooks": "wikibooks", "wikinews": "wikinews",
        "wikiquote": "wikiquote", "wikisource": "wikisource", "wikiversity": "wikiversity", "wikivoyage": "wikivoyage",
    ]
    /// Of no language.
    private static let others = ["wikidata": "wikidatawiki", "wikispecies": "specieswiki"]
    private static let othersByName: Set<String> = [
        "wikidatawiki", "commonswiki", "specieswiki", "metawiki", "mediawikiwiki",
    ]
    private static let followers: Set<String> = [
        "about", "regarding", "concerning", "mentioning", "since", "during", "in", "by", "before", "after", "between",
        "from",
        "that", "which", "with", "to", "over", "within", "today", "yesterday", "this", "last", "on", "for", "who",
        "what",
        "did", "was", "were", "has", "have", "had",
    ]
    /// "A book on Wikidata" is about it.
    private static let refused: Set<String> = [
        "article", "book", "books", "paper", "papers", "tutorial", "tutorials", "lecture", "talk", "talks", "research",
        "report", "reports", "essay", "essays", "thesis", "information", "facts", "introduction", "perspective",
        "debate",
        "views", "focus", "focused", "based", "built", "relies", "rely", "depend", "depends", "opinion", "opinions",
        "statistics", "data", "documentary", "guide", "course", "study", "studies", "work", "works", "impact", "effect",
        "influence", "literature", "history", "criticism", "attack", "attacks", "ban", "policy", "chapter", "page",
        "wrote",
    ]
    private static let languageFollowers: Set<String> = [
        "about", "regarding", "concerning", "mentioning", "since", "on", "by", "from", "that", "which", "with",
    ]
    private static let editNouns: Set<String> = ["edits", "reverts", "rollbacks", "revisions"]

    /// The phrase that begins at a token; nil where none does.
    func phrase(at index: Int) -> Phrase? {
        wiki(index) ?? language(index) ?? user(index) ?? page(index)
    }

    private static func filter(_ attribute: AttributeName, _ values: String...) -> Filter? {
        try? Filter(must: [.texts(attribute, values)])
    }

    // MARK: Wikis

    /// "on the German Wikipedia", "on dewiki", "on de.wikipedia.org", "on Wikidata", "on Commons".
    private func wiki(_ start: Int) -> Phrase? {
        guard let preposition = question.word(start), preposition == "on" || preposition == "in" else { return nil }
        let first = question.word(start + 1) == "the" ? start + 2 : start + 1
        guard
            let found = languageWiki(first)
                ?? namedWiki(first, isOn: preposition == "on", hasArticle: first > start + 1)
        else { return nil }
        return Phrase(
            kind: .wiki, attribute: .wiki, tokens: start..<found.end, filter: Self.filter(.wiki, found.wiki),
            followers: Self.followers, refused: Self.refused)
    }

    private func languageWiki(_ start: Int) -> (wiki: String, end: Int)? {
        guard let (language, end) = LanguageNames.language(at: start, in: question), let word = question.word(end),
            let project = Self.projects[word]
        else { return nil }
        return (language.wikiPrefix + project, end + 1)
    }

    private func namedWiki(_ index: Int, isOn: Bool, hasArticle: Bool) -> (wiki: String, end: Int)? {
        guard let word = question.word(index) else { return nil }
        if Self.isDatabase(word) { return (word, index + 1) }
        let labels = word.split(separator: ".")
        if labels.count == 2 || (labels.count == 3 && labels[2] == "org"),
            let project = Self.projects[String(labels[1])]
        {
            let wiki = String(labels[0]).replacing("-", with: "_") + project
            if Self.isDatabase(wiki) { return (wiki, index + 1) }
        }
        // "In Wikidata" explains how it is built, "the Commons" sits in Westminster.
        guard isOn, !hasArticle else { return nil }
        if let wiki = Self.others[word] { return (wiki, index + 1) }
        if word == "wikimedia", question.word(index + 1) == "commons" { return ("commonswiki", index + 2) }
        return word == "commons" && question.tokens[index].isCapital ? ("commonswiki", index + 1) : nil
    }

    /// Whether it is the name of a wiki's database.
    static func isDatabase(_ name: String) -> Bool {
        var name = name
        return othersByName.contains(name) || name.withUTF8 { !WikiLanguage.code(wiki: $0).elementsEqual("und".utf8) }
    }

    // MARK: Languages

    /// "articles in French", "pages written in German". What is sung or said in French is a topic.
    ///
    /// Documents of an unknown language stay: some collections say of none which it is, and nothing would be left of them.
    private func language(_ start: Int) -> Phrase? {
        guard question.word(start) == "in", let (language, end) = LanguageNames.language(at: start + 1, in: question)
        else { return nil }
        return Phrase(
            kind: .language, attribute: .lang, tokens: start..<end, filter: Self.filter(.lang, language.code, "und"),
            need: .texts, followers: Self.languageFollowers)
    }

    // MARK: Users and pages, whose names stand in quotation marks

    /// "by user "Ann Lee"", "edits by "Ann Lee"".
    private func user(_ start: Int) -> Phrase? {
        guard let word = question.word(start), ["by", "from", "of"].contains(word) else { return nil }
        var index = start + 1
        if question.word(index) == "the" { index += 1 }
        var isNamed = false
        if let word = question.word(index), ["user", "editor", "bot"].contains(word) {
            isNamed = true
            index += 1
        }
        guard question.tokens.indices.contains(index), question.tokens[index].isQuoted else { return nil }
        guard isNamed || (word == "by" && question.word(start - 1).map(Self.editNouns.contains) == true) else {
            return nil
        }
        return Phrase(
            kind: .user, attribute: .user, tokens: start..<index + 1,
            filter: Self.filter(.user, question.tokens[index].word), isClosed: true)
    }

    /// "on the page "Golden Gate Bridge"", "page "Golden Gate Bridge"".
    private func page(_ start: Int) -> Phrase? {
        var index = start
        if let word = question.word(index), ["on", "to", "of", "from", "in"].contains(word) { index += 1 }
        if question.word(index) == "the" { index += 1 }
        guard let word = question.word(index), word == "page" || word == "article" else { return nil }
        // Jimmy Page "Stairway to Heaven".
        if index == start, index > 0, question.tokens[index].isCapital { return nil }
        index += 1
        if let word = question.word(index), ["titled", "called", "named"].contains(word) { index += 1 }
        guard question.tokens.indices.contains(index), question.tokens[index].isQuoted else { return nil }
        return Phrase(
            kind: .page, attribute: Interpretation.pageAttribute, tokens: start..<index + 1,
            filter: Self.filter(Interpretation.pageAttribute, question.tokens[index].word), isClosed: true)
    }
}

extension Interpretation {
    /// What a collection calls the attribute that names a document's page.
    static let pageAttribute: AttributeName = {
        guard let name = AttributeName("page") else { preconditionFailure("page is a name of an attribute") }
        return name
    }()
}
