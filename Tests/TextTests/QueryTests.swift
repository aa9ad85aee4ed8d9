import Testing

@testable import Text

@Suite struct QuerySyntaxTests {
    /// `words`, `"phrase"`, `prefix*`, each with `-` where it is excluded and `field:` where it has one.
    private func clauses(_ text: String) -> [String] {
        QuerySyntax(text, fields: ["title", "user"]).clauses.map { clause in
            let shown =
                switch clause.kind {
                case .words: clause.text
                case .phrase: "\"\(clause.text)\""
                case .prefix: "\(clause.text)*"
                }
            return (clause.isExcluded ? "-" : "") + (clause.field.map { $0 + ":" } ?? "") + shown
        }
    }

    @Test(arguments: [
        ("harbour lantern", ["harbour lantern"]), ("", []), ("  ", []),
        ("\"grey heron\" nest", ["\"grey heron\"", "nest"]), ("a „zwei Worte“ b", ["a", "\"zwei Worte\"", "b"]),
        (
            "“two words” «deux mots» »zwei Worte« ”två ord”",
            ["\"two words\"", "\"deux mots\"", "\"zwei Worte\"", "\"två ord\""]
        ),
        ("„polskie słowa”", ["\"polskie słowa\""]), ("\"\" x \" \"", ["x"]),
        ("(\"in brackets\")", ["(", "\"in brackets\"", ")"]),
        ("bridge -tunnel", ["bridge", "-tunnel"]),
        ("bridge -\"old tunnel\" green", ["bridge", "-\"old tunnel\"", "green"]),
        ("moor*", ["moor*"]), ("moor* -lan*", ["moor*", "-lan*"]), ("東*", ["東*"]), ("File:Foo*", ["File:Foo*"]),
        ("title:bridge green", ["title:bridge", "green"]), ("TITLE:Bridge", ["title:Bridge"]),
        ("title:\"old bridge\" -user:bot", ["title:\"old bridge\"", "-user:bot"]), ("title:moor*", ["title:moor*"]),
        // Text that only looks like syntax.
        ("\"unbalanced quote", ["\"unbalanced quote"]), ("5\" disk 3\"", ["5\" disk 3\""]), ("„offen", ["„offen"]),
        ("a - b", ["a - b"]), ("-", ["-"]), ("-- x", ["-- x"]), ("--flag", ["--flag"]),
        ("well-known co-op", ["well-known co-op"]),
        ("**", ["**"]), ("*", ["*"]), ("a* *b x*y", ["a* *b x*y"]), ("C++", ["C++"]), ("C++ -C#", ["C++", "-C#"]),
        ("foo:bar", ["foo:bar"]), ("title: bridge", ["title: bridge"]), ("title:", ["title:"]),
        ("subtitle:x", ["subtitle:x"]),
        ("https://en.wikipedia.org/wiki/A:B", ["https://en.wikipedia.org/wiki/A:B"]),
        ("user:title:x", ["user:title:x"]),
        ("12:30 16:9", ["12:30 16:9"]), ("don't -can't", ["don't", "-can't"]), ("'single quotes'", ["'single quotes'"]),
        // Nothing is found by exclusion alone.
        ("-40", ["-40"]), ("-a -\"b c\"", ["-a -\"b c\""]), ("-title:x", ["-title:x"]),
        ("title:::", ["title:::"]), ("title:\"", ["title:\""]), ("x -\"", ["x -\""]), ("x -", ["x -"]),
    ])
    func whatIsReadAs(text: String, expected: [String]) { #expect(clauses(text) == expected) }

    @Test(arguments: [
        ("harbour  lantern?", "harbour  lantern?"), ("\"grey heron\" -nest moor* title:x", "grey heron moor x"),
        ("-40", "-40"), ("**", "**"), ("", ""), ("bridge -tunnel", "bridge"), ("C++ -\"a b\" C#", "C++ C#"),
    ])
    func whatIsEmbedded(text: String, expected: String) {
        #expect(QuerySyntax(text, fields: ["title"]).plainText == expected)
    }

    /// Who searches by a paragraph does not demand the words that it quotes.
    @Test func aParagraphHasNoOperators() {
        let words = (1...TextQuery.wordsMax - 2).map { "word\($0)" }.joined(separator: " ")
        #expect(clauses("\"grey heron\" \(words)") == ["\"grey heron\"", words])
        let paragraph = "\"grey heron\" -nest \(words) title:x"
        #expect(clauses(paragraph) == [paragraph])
        #expect(QuerySyntax(paragraph, fields: ["title"]).plainText == paragraph)
    }

    @Test func startsAreOffsetsInTheQuery() {
        let text = "é „zwei Worte“ -title:Zürich moor*"
        let bytes = Array(text.utf8)
        for clause in QuerySyntax(text, fields: ["title"]).clauses {
            #expect(bytes[clause.start...].starts(with: clause.text.utf8))
        }
    }
}

@Suite struct TextQueryTests {
    let analyzer: TextAnalyzer

    init() throws { analyzer = try TextAnalyzer() }

    private func query(_ text: String, _ languages: [String] = ["en"]) -> TextQuery {
        analyzer.query(QuerySyntax(text, fields: ["title"]), languages: languages)
    }

    private func finds(_ query: String, _ text: String, _ languages: [String] = ["en"]) -> Bool {
        let words = analyzer.words(of: text, languages: languages)
        return self.query(query, languages).words.allSatisfy {
            $0.isExtra || TextPropertyTests.isFound($0, in: words)
        }
    }

    @Test(arguments: [
        ("running", "he runs"), ("runs", "running late"), ("run", "running late"), ("running", "a run"),
        ("Zurich", "Zürich"), ("Zürich", "Zurich"), ("zuerich", "Zürich"), ("Zürich", "Zuerich"),
        ("ZÜRICH", "zu\u{308}rich"),
        ("Strasse", "Straße"), ("Straße", "STRASSE"), ("Orsted", "Ørsted"), ("Ørsted", "Orsted"), ("Lodz", "Łódź"),
        ("Malmo", "Malmö"), ("Malmoe", "Malmö"), ("cafe", "cafés"), ("Cafés", "a cafe"), ("елка", "ёлка"),
        ("ёлка", "елка"),
        ("αθηνα", "Αθήνα"), ("احمد", "أحمد"), ("שלום", "שָׁלוֹם"), ("2020", "٢٠٢٠"), ("२०२०", "2020"),
        ("Istanbul", "İstanbul"),
        ("sandbox", "User:X/sandbox"), ("x", "User:X/sandbox"), ("User:X/sandbox", "User:X/sandbox"),
        ("Beta", "Alpha/Beta Gamma"),
        ("node", "Node.js"), ("Node.js", "Node.js"), ("nodejs", "Node.js"), ("mooring", "mooring.png"),
        ("png", "mooring.png"),
        ("mooring", "Pictures of moorings"), ("wikipedia", "see https://en.wikipedia.org/wiki/X"),
        ("camel", "camelCase"),
        ("camelcase", "camelCase"), ("CamelCase", "camelcase"), ("case", "camelCase"), ("snake", "snake_case"),
        ("snake_case", "snake case"), ("snake case", "snake_case"), ("email", "e-mail"), ("e-mail", "e mail"),
        ("wifi", "Wi-Fi"),
        ("dont", "don't"), ("don’t", "don't"), ("obrien", "O'Brien"), ("Brien", "O’Brien"), ("ete", "l'été"),
        ("1234.5", "1,234.5"),
        ("1,234.5", "1234.5"), ("1234", "1,234"), ("q64", "Q64"), ("Q64", "[[Q64]]"), ("template", "{{template}}"),
        ("東京", "東京都"), ("郵便局", "山頂の郵便局を追記しました"), ("登山道", "富士山の登山道"), ("外滩", "上海外滩"), ("外币汇率", "更新外币汇率换算表"),
        ("山", "富士山"), ("번역", "번역을 부탁해"), ("전자", "LG전자"), ("Google", "Google은"), ("ガラス", "ｶﾞﾗｽ"),
        ("กรุงเทพ", "กรุงเทพมหานคร"),
        ("hawaii", "Hawaiʻi"), ("Quran", "Qurʾān"), ("обєкт", "об'єкт"), ("об’єкт", "обʼєкт"), ("AT&T", "AT&T"),
        ("🎉", "party 🎉🎉"),
    ])
    func queriesMeetTexts(query: String, text: String) { #expect(finds(query, text)) }

    @Test(arguments: [
        ("running", "walking"), ("Zürich", "Bern"), ("京都", "東京"), ("郵便局", "郵便と放送局"), ("64", "Q64"), ("a", "ab"),
    ])
    func queriesMissOtherTexts(query: String, text: String) { #expect(!finds(query, text)) }

    @Test func theExactFormIsWorthMost() {
        for text in ["running", "Zürich", "Node.js", "外滩", "camelCase", "1,234.5"] {
            for word in query(text).words where !word.isExtra {
                #expect(word.alternatives[0] == QueryWord.Alternative(word.text, QueryWeight.exact))
                #expect(word.alternatives.dropFirst().allSatisfy { $0.weight < QueryWeight.exact })
                #expect(Set(word.alternatives.map(\.term)).count == word.alternatives.count)
            }
        }
        #expect(
            query("running").words[0].alternatives.map(\.term) == [
                "running", "w:running", "f:running", "s:running", "s:run", "run",
            ])
        #expect(query("郵便局").words.filter { !$0.isExtra }.map(\.bigrams) == [["b:郵便", "b:便局"]])
    }

    /// Also behind the words that are looked up.
    @Test func wordsThatAQueryRepeatsAreCounted() {
        let others = (1...TextQuery.wordsMax).map { "word\($0)" }.joined(separator: " ")
        let words = query("Moor heron, the moor \(others) moor HERON camelCase").words
        #expect(words.map(\.frequency).prefix(3) == [3, 2, 1])
        #expect(query("a/b a/b").words.map(\.frequency) == [2, 1, 2], "a compound's whole is what it was")
        #expect(query("東京 東京").words.first?.frequency == 2)
        #expect(QueryWeight.repeated(1) == 1)
        #expect(QueryWeight.repeated(2) > 1.7 && QueryWeight.repeated(1_000_000) < 9)
    }

    @Test func wholesAddToTheRank() {
        func extras(_ text: String) -> [String] { query(text).words.filter(\.isExtra).map(\.text) }
        #expect(extras("User:X/sandbox") == ["user:x/sandbox"])
        #expect(extras("Node.js") == ["node.js"])
        #expect(
            extras("https://en.wikipedia.org/wiki/Main_Page") == [
                "https://en.wikipedia.org/wiki/main_page", "en.wikipedia.org", "main_page",
            ])
        #expect(extras("C++") == ["c++"])
        #expect(extras("camelCase") == ["camel", "case"])
        #expect(extras("plain words") == [])
    }

    @Test func kindsOfClausesGoWhereTheyBelong() {
        let query = query("green \"grey heron\" -tunnel -\"old road\" moor* -lan* title:bridge")
        #expect(query.words.map(\.text) == ["green", "bridge"])
        #expect(query.words.map(\.field) == [nil, "title"])
        #expect(query.phrases.map { $0.words.map(\.text) } == [["grey", "heron"]])
        #expect(query.excludedWords.map(\.text) == ["tunnel"])
        #expect(query.excludedPhrases.map { $0.words.map(\.text) } == [["old", "road"]])
        #expect(query.prefixes == [QueryPrefix(prefix: "moor", field: nil)])
        #expect(query.excludedPrefixes == [QueryPrefix(prefix: "lan", field: nil)])
        #expect(self.query("-running late").excludedWords[0].alternatives.allSatisfy { !$0.term.hasSuffix("run") })
        #expect(
            self.query("Node.js*").prefixes.map(\.prefix) == ["js"]
                && self.query("Node.js*").words.map(\.text) == ["node"]
        )
        #expect(self.query("!!! ?").isEmpty && !self.query("moor*").isEmpty)
    }

    @Test(arguments: [
        ("\"grey heron\"", "A Grey  Heron!", true), ("\"grey heron\"", "heron grey", false),
        ("\"grey heron\"", "grey old heron", false),
        ("\"rey heron\"", "grey heron", false), ("\"grey her\"", "grey heron", false),
        ("\"Zurich station\"", "Zürich station", true),
        ("\"github actions\"", "GitHub Actions", true), ("\"GitHub Actions\"", "github actions", true),
        ("\"node js\"", "Node.js", true),
        ("\"Node.js\"", "node js", true), ("\"京都\"", "東京都", true), ("\"登山道は\"", "富士山の登山道は山頂", true),
        ("\"東京 都庁\"", "東京都庁", false),
        ("\"iPS細胞\"", "新しいiPS細胞の研究", true), ("\"running late\"", "run late", false),
        ("\"1,234 apples\"", "1234 apples", true),
    ])
    func phrasesAreHeld(phrase: String, text: String, isHeld: Bool) throws {
        let phrase = try #require(query(phrase).phrases.first)
        #expect(analyzer.holds(phrase, in: analyzer.words(of: text, languages: ["en"])) == isHeld)
    }

    @Test func languagesOfDocumentsAndQueriesFit() {
        #expect(StemLanguages.ofDocument("de") == ["de"] && StemLanguages.ofDocument("pt-BR") == ["pt"])
        #expect(StemLanguages.ofDocument("und") == ["en"] && StemLanguages.ofDocument("") == ["en"])
        #expect(StemLanguages.ofDocument("ja") == [] && StemLanguages.ofDocument("english") == [])
        #expect(StemLanguages.ofQuery(filter: [], usual: ["en", "de"]) == ["en", "de"])
        #expect(StemLanguages.ofQuery(filter: ["de", "und", "ja"], usual: ["en"]) == ["de", "en"])
        #expect(finds("Häuser", "das Haus", ["de"]) && !finds("Häuser", "das Haus", ["en"]))
        #expect(StemLanguages.all.allSatisfy { !analyzer.words(of: "nationalization", languages: [$0]).isEmpty })
    }
}
