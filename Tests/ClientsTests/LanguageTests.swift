import LanguageDetection
import Testing

@Suite("Languages of texts")
struct LanguageTests {
    @Test(
        "The language of a sentence is found, under the code that other parts of the platform use",
        arguments: [
            ("This is a text in English about kettles, which are used to boil water.", "en"),
            ("Der Kessel ist aus Stahl und fasst zwei Liter Wasser.", "de"),
            ("これは日本語の文章です。", "ja"),
            ("這是繁體中文的文章", "zh"),
            ("这是简体中文的文章", "zh"),
            ("Iki tulisan ing basa Jawa sing rada dawa lan apik", "jv"),
            ("Dette er en norsk tekst om kjeler som koker vann", "no"),
        ])
    func found(text: String, code: String) {
        let finding = LanguageDetector.detect(text)
        #expect(finding?.code == code && finding?.isReliable == true)
        #expect(LanguageDetector.detect(Array(text.utf8))?.code == code)
    }

    @Test("Nothing is found where there is nothing to find it by", arguments: ["", "hello", "12345", "\n\n", "\u{0}"])
    func notFound(text: String) {
        #expect(LanguageDetector.detect(text) == nil)
    }

    @Test("Bytes that are no UTF-8 have no language")
    func noUTF8() {
        #expect(LanguageDetector.detect([0xff, 0xfe, 0x41]) == nil)
        #expect(LanguageDetector.detect(Array("Der Kessel ist aus Stahl".utf8) + [0xe2, 0x82]) == nil)
    }

    @Test("A long text is cut between two characters", arguments: 0..<4)
    func long(shift: Int) {
        let text = String(repeating: "a", count: shift) + " " + String(repeating: "日本語の文章です。", count: 4_000)
        #expect(LanguageDetector.detect(text)?.code == "ja")
    }
}
