import Testing

@testable import Text

/// Hostile and senseless texts: nothing crashes, and what comes out is bounded by what went in.
@Suite struct TextBoundsTests {
    private static let texts: [(start: String, repeated: String, count: Int)] = [
        ("", "!?.,;:", 1_400),
        ("", "\u{1}\u{0}\u{1B}", 2_700),
        ("", "\u{301}\u{316}", 4_000),
        ("a", "\u{316}\u{301}", 100_000),
        ("", "🎉", 8_000),
        ("", "👩\u{200D}", 4_000),
        ("", "\u{202E}\u{2066}x\u{202C}", 2_000),
        ("", "a", 100_000),
        ("", "aB", 4_000),
        ("", "a.", 4_000),
        ("", "東/", 4_000),
        ("", "東", 8_000),
        ("", "ก", 8_000),
        ("", "각", 8_000),
        ("", "\u{1100}\u{1161}", 4_000),
        ("", "\u{FDFA}", 8_000),
        ("", "א\"", 4_000),
        ("1", ",234", 2_000),
        ("", "\u{FFFD}\u{FFFE}\u{10FFFF}", 2_000),
        ("", "“„\"«»", 1_600),
        ("", " -", 4_000),
        ("", "title:", 1_400),
        ("", "*", 8_000),
        ("", "\u{E000}\u{378}\u{1FAFF}", 2_000),
        ("", "\u{AD}\u{200D}\u{FE0F}", 3_000),
    ]

    @Test(arguments: texts) func anyTextIsTaken(start: String, repeated: String, count: Int) throws {
        try take(start + String(repeating: repeated, count: count))
    }

    @Test func manyWordsAreTaken() throws {
        try take((0..<2_000).map { "word\($0)" }.joined(separator: " "))
    }

    private func take(_ text: String) throws {
        let analyzer = try TextAnalyzer()
        let words = analyzer.words(of: text, languages: StemLanguages.all)
        #expect(words.count <= 5 * text.unicodeScalars.count)
        var bytes = 0
        for word in words {
            bytes += word.exact.utf8.count
            for form in word.forms { bytes += form.utf8.count }
        }
        #expect(bytes <= 60 * text.utf8.count)
        let query = analyzer.query(QuerySyntax(text, fields: ["title"]), languages: StemLanguages.all)
        let phrases = query.phrases + query.excludedPhrases
        let all: [QueryWord] = query.words + query.excludedWords + phrases.flatMap(\.words)
        #expect(all.count <= TextQuery.wordsMax)
        #expect(all.allSatisfy { $0.alternatives.count <= 40 && $0.bigrams.count <= TextQuery.bigramsMax })
        let snippet = analyzer.snippet(of: text, showing: SnippetWords(query, languages: ["en"]))
        #expect(snippet.count <= Snippet.charactersMax && snippet.utf8.count <= Snippet.bytesMax + 6)
    }

    @Test func longWordsKeepApartAndTheirBeginning() throws {
        let analyzer = try TextAnalyzer()
        let long = String(repeating: "x", count: 200)
        let words = analyzer.words(of: "\(long)a \(long)b é\(long)", languages: ["en"])
        #expect(words.count == 3 && Set(words.map(\.exact)).count == 3)
        #expect(
            words.allSatisfy {
                $0.exact.utf8.count == TextTerm.bytesMax || $0.exact.utf8.count == TextTerm.bytesMax - 1
            })
        #expect(words[0].exact.hasPrefix(String(repeating: "x", count: 47) + "~"))
    }

    @Test func whatIsBehindTheFirstMebibyteHasNoWords() throws {
        let analyzer = try TextAnalyzer()
        let text = String(repeating: "ä ", count: NormalizedText.bytesMax / 3 + 1) + "end"
        let words = analyzer.words(of: text, languages: [])
        #expect(words.count == NormalizedText.bytesMax / 3 + 1 || words.count == NormalizedText.bytesMax / 3)
        #expect(words.last?.exact == "ä")
    }

    @Test func queriesAreCutAtTheBoundAndSaySo() throws {
        let analyzer = try TextAnalyzer()
        func query(_ count: Int) -> TextQuery {
            analyzer.query(
                QuerySyntax((0..<count).map { "word\($0)" }.joined(separator: " "), fields: []), languages: ["en"])
        }
        #expect(query(32).words.count == 32 && !query(32).isCut)
        #expect(query(33).words.count == 32 && query(33).isCut)
        // Fewer than make a paragraph, more than are looked up.
        let mixed = QuerySyntax("a b \"c d e\" " + String(repeating: "-x/y title:v/w ", count: 12), fields: ["title"])
        let result = analyzer.query(mixed, languages: [])
        #expect(result.isCut && result.phrases[0].words.count == 3)
    }
}
