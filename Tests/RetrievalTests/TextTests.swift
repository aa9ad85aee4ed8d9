import Bytes
import Retrieval
import Testing

@Suite struct WordsTests {
    @Test func wordsOfManyScripts() {
        #expect(Words.sequence("The Café's 3.14 naïve!") == ["the", "café", "s", "3", "14", "naïve"])
        #expect(Words.sequence("東京 2020年") == ["東", "京", "2020", "年"])
        #expect(Words.sequence("Москва—Сити") == ["москва", "сити"])
        #expect(Words.sequence("हिन्दी भाषा") == ["हिन्दी", "भाषा"])
        #expect(Words.sequence("…!?") == [])
    }

    @Test func endingsMeet() {
        #expect(Words.stem("edited") == Words.stem("edits"))
        #expect(Words.stem("editing") == Words.stem("edited"))
        #expect(Words.stem("categories") == Words.stem("category"))
        #expect(Words.stem("class") == "class")
        #expect(Words.stem("red") == "red")
        #expect(Words.content("Who was the editor of it?") == ["editor"])
    }
}

@Suite struct SentencesTests {
    static let long = "This sentence is long enough to stand alone in an answer"

    @Test func endsOfManyScripts() {
        let (a, b) = (Self.long + ".", Self.long + "!")
        #expect(Sentences.split("\(a) \(b)") == [a, b])
        #expect(Sentences.split("\(a)\n\(b)\r\n\(a)") == [a, b, a])
        let chinese = String(repeating: "漢", count: 50)
        #expect(Sentences.split("\(chinese)。\(chinese)！\(chinese)") == [chinese + "。", chinese + "！", chinese])
        let hindi = String(repeating: "शब्द ", count: 15) + "है।"
        #expect(Sentences.split("\(hindi) \(hindi)") == [hindi, hindi])
        #expect(Sentences.split("He said “\(a)” \(b)") == ["He said “\(a)”", b])
    }

    @Test func pointsThatEndNothing() {
        for text in [
            "\(Self.long) by J. Smith and \(Self.long)", "\(Self.long), e.g. Something that \(Self.long)",
            "\(Self.long) of Dr. Watson and \(Self.long)", "\(Self.long) costs 3.14 and \(Self.long)",
            "\(Self.long) www.example.org \(Self.long)", "\(Self.long) vs. the rest \(Self.long)",
        ] {
            #expect(Sentences.split(text) == [text])
        }
    }

    @Test func shortPiecesJoinTheirNeighbour() {
        #expect(Sentences.split("Berlin: Fixed. Per talk. See above.") == ["Berlin: Fixed. Per talk. See above."])
        #expect(Sentences.split("  \n\t ") == [])
        #expect(Sentences.split("") == [])
    }

    /// No word is lost, invented or moved, and every bound holds.
    @Test(arguments: 1...60 as ClosedRange<UInt64>) func wordsSurvive(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text = randomText(&generator, lengthMax: 2_000)
        let sentences = Sentences.split(text)
        func withoutSpace(_ text: String) -> [Unicode.Scalar] {
            text.unicodeScalars.filter { !$0.properties.isWhitespace }
        }
        #expect(withoutSpace(sentences.joined(separator: " ")) == withoutSpace(text))
        #expect(sentences.allSatisfy { !$0.isEmpty && $0.count <= Sentences.charactersMax })
    }
}
