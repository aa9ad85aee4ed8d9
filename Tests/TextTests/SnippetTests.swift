import Bytes
import Testing

@testable import Text

@Suite struct SnippetTests {
    let analyzer: TextAnalyzer

    init() throws { analyzer = try TextAnalyzer() }

    private func make(
        from text: String, query: String, languages: [String] = ["en"], charactersMax: Int = Snippet.charactersMax
    ) -> String {
        let query = analyzer.query(QuerySyntax(query, fields: ["title"]), languages: languages)
        return analyzer.snippet(
            of: text, showing: SnippetWords(query, languages: languages), charactersMax: charactersMax)
    }

    @Test func shortTextIsWholeWithBlanksMadeOne() {
        #expect(make(from: " a\n\n b\u{0}\tc ", query: "x") == "a b c")
        #expect(make(from: "", query: "x") == "")
    }

    /// ASCII is read byte by byte, other texts by their characters.
    @Test func blanksOfASCIIAreMadeOne() {
        let seed: UInt64 = 31
        var random = SeededGenerator(seed: seed)
        let parts = ["heron", "a", "x.y", "\r\n", "\n", " ", "\t ", "\u{7F}", "\u{0}", "-", "\r"]
        for _ in 0..<400 {
            let text = (0..<Int.random(in: 0...80, using: &random)).map { _ in
                parts[Int.random(in: 0..<parts.count, using: &random)]
            }.joined()
            let whole = text.split { $0.isWhitespace || $0 == "\u{7F}" || $0 == "\u{0}" }.joined(separator: " ")
            #expect(make(from: text, query: "heron", charactersMax: 1_000) == whole, "seed \(seed)")
        }
    }

    private static let filler = String(repeating: "filler words everywhere ", count: 40)

    @Test(arguments: [
        ("the Eiffel tower in Paris", "Eiffel towers", "Eiffel tower"),
        ("trains at Zürich station", "Zurich", "Zürich"), ("trains at Zurich station", "Zürich", "Zurich"),
        ("draft in User:Lantern/sandbox today", "sandbox", "User:Lantern/sandbox"),
        ("replaced mooring.png by another", "moor*", "mooring.png"), ("released Node.js again", "nodejs", "Node.js"),
        ("der Brief nach Łódź kam", "lodz", "Łódź"), ("the WikiProject met", "project", "WikiProject"),
        ("seen in 東京都庁 again", "都庁", "東京都庁"), ("주소는 번역을 부탁해", "번역", "번역을"),
        ("went to กรุงเทพมหานคร by bus", "กรุงเทพ", "กรุงเทพมหานคร"),
        ("a running count was kept", "runs", "running count"), ("the grey heron stood", "\"grey heron\"", "grey heron"),
        ("a keeper's diary cited", "title:keeper -words", "keeper's diary"),
    ])
    func showsTheWordsAskedFor(part: String, query: String, shown: String) {
        let snippet = make(from: Self.filler + part + " " + Self.filler, query: query)
        #expect(snippet.contains(shown))
        #expect(snippet.hasPrefix("…") && snippet.hasSuffix("…"))
    }

    @Test func showsTheBeginningWhereNothingIsFound() {
        #expect(make(from: Self.filler, query: "nothing").hasPrefix("filler"))
        #expect(make(from: Self.filler, query: "").hasPrefix("filler"))
    }

    /// The rare word says more than one that is everywhere.
    @Test func showsMostOfTheQuery() {
        let text = Self.filler + "harbour at dawn. " + Self.filler + "the harbour lantern bridge " + Self.filler
        #expect(make(from: text, query: "lantern bridge of the harbour").contains("the harbour lantern bridge"))
        #expect(make(from: text, query: "filler lantern").contains("lantern"))
    }

    @Test func cutsBetweenWordsInScriptsWithoutSpaces() throws {
        let text =
            String(repeating: "更新外币汇率换算表，", count: 60) + "富士山の登山道は山頂の郵便局まで続いている。"
            + String(repeating: "中华人民共和国，", count: 60)
        let snippet = make(from: text, query: "郵便局")
        #expect(snippet.contains("山頂の郵便局まで"))
        let inner = String(snippet.dropFirst().dropLast())
        let range = try #require(text.range(of: inner))
        let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
        let end = text.utf8.distance(from: text.startIndex, to: range.upperBound)
        let words = analyzer.words(of: text, languages: [])
        #expect(words.contains { $0.range.lowerBound == start })
        #expect(!words.contains { $0.range.lowerBound < end && $0.range.upperBound > end })
    }

    @Test(arguments: 1...60 as ClosedRange<UInt64>) func isBoundedAndCutsOnlyBetweenCharacters(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text = TextPropertyTests.text(&generator, countMax: 600)
        let snippet = make(from: text, query: "word 日本 שלום running")
        #expect(snippet.count <= Snippet.charactersMax)
        #expect(snippet.utf8.count <= Snippet.bytesMax + 6)
        let flat = make(from: text, query: "", charactersMax: Int.max)
        let inner = snippet.drop { $0 == "…" }.reversed().drop { $0 == "…" }.reversed()
        #expect(flat.count <= Snippet.charactersMax || isRun(Array(inner), of: Array(flat)) || inner.contains("…"))
    }

    @Test func manyMarksOnOneLetterAreBounded() {
        let zalgo = "a" + String(repeating: "\u{301}", count: 50_000)
        #expect(make(from: String(repeating: zalgo + " ", count: 3), query: "a").utf8.count < 2_100)
    }

    private func isRun(_ part: [Character], of whole: [Character]) -> Bool {
        guard !part.isEmpty, whole.count >= part.count else { return part.isEmpty }
        return (0...whole.count - part.count).contains { whole[$0..<$0 + part.count].elementsEqual(part) }
    }

    /// One request's snippets from several tasks at once.
    @Test func analyzersAreSharedByTasks() async throws {
        let analyzers = TextAnalyzers(count: 2)
        let query = QuerySyntax("郵便局 runs", fields: [])
        let snippets = try Snippets(query: query, languages: ["en"], analyzers: analyzers)
        let expected = make(from: Self.filler + "running to the 郵便局 " + Self.filler, query: "郵便局 runs")
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<64 {
                group.addTask { try snippets.snippet(of: Self.filler + "running to the 郵便局 " + Self.filler) }
            }
            for try await snippet in group { #expect(snippet == expected) }
        }
        #expect(expected.contains("running to the 郵便局"))
    }
}
