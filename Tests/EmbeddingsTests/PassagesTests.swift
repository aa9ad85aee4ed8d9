import Bytes
import Testing

@testable import Embeddings

@Suite struct PassagesTests {
    @Test func aShortTextIsOnePassageUnchanged() throws {
        let tokenizer = try Model.tokenizer.get()
        for text in ["", " ", "Rosa Parks\n", String(repeating: "word ", count: 200)] {
            #expect(Passages.split(text, tokenizer: tokenizer) == [text])
        }
    }

    @Test func longTextsAreCutAtWhitespaceAndLoseNoWord() throws {
        let tokenizer = try Model.tokenizer.get()
        let seed: UInt64 = 5
        var random = SeededGenerator(seed: seed)
        let words = ["river", "Überschwemmung", "—", "naïve", "x86-64", "大雨", "[SEP]", "antidisestablishmentarianism"]
        for _ in 0..<20 {
            let text = (0..<Int.random(in: 100...900, using: &random)).map { _ in
                words.randomElement(using: &random) ?? ""
            }.joined(separator: Bool.random(using: &random) ? " " : "\n\t")
            let maxTokens = Int.random(in: 8...256, using: &random)
            let passages = Passages.split(text, tokenizer: tokenizer, maxTokens: maxTokens)
            #expect(passages.allSatisfy { tokenizer.tokenCount($0) <= maxTokens })
            #expect(
                passages.flatMap { $0.split(whereSeparator: \.isWhitespace) }.joined()
                    == text.filter { !$0.isWhitespace })
        }
    }

    @Test func aTextWithoutSpacesIsCutBetweenCharacters() throws {
        let tokenizer = try Model.tokenizer.get()
        let text = String(repeating: "東京都の人口統計を更新", count: 90)
        let passages = Passages.split(text, tokenizer: tokenizer)
        #expect(passages.joined() == text)
        #expect(passages.count >= 4 && passages.count <= 8)
        #expect(passages.allSatisfy { tokenizer.tokenCount($0) <= 256 })
    }
}
