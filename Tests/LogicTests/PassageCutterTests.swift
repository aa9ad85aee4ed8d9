import Bytes
import Records
import Testing

@testable import Logic

struct PassageCutterTests {
    private func cut(_ text: String, _ settings: PassageSettings = .init()) -> [String] {
        ranges(text, settings).map { range in
            let scalars = Array(text.unicodeScalars)[range.scalars]
            let bytes = Array(text.utf8)[range.bytes]
            #expect(String(String.UnicodeScalarView(scalars)).utf8.elementsEqual(bytes), "both ranges say the same")
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private func ranges(_ text: String, _ settings: PassageSettings) -> [PassageRange] {
        var cutter = PassageCutter(settings)
        var passages: [PassageRange] = []
        let bytes = Array(text.utf8)
        bytes.withUnsafeBytes { cutter.cut($0, into: &passages) }
        return passages
    }

    @Test func aTextThatFitsListsNoPassage() {
        #expect(cut("") == [])
        #expect(cut("Rosa Parks") == [])
        #expect(cut(String(repeating: "a", count: 480)) == [])
        #expect(cut(String(repeating: "京", count: 240)) == [])
        #expect(cut(String(repeating: "한", count: 80)) == [])
        #expect(cut(String(repeating: " ", count: 4_000)) == [])
        #expect(cut("word" + String(repeating: " ", count: 4_000)) == [])
    }

    @Test func oneMoreAndThereAreTwo() {
        #expect(cut(String(repeating: "a", count: 481)).map(\.count) == [480, 1])
        #expect(cut(String(repeating: "京", count: 241)).map(\.count) == [240, 1])
        #expect(cut(String(repeating: "한", count: 81)).map(\.count) == [80, 1])
    }

    @Test func aPassageEndsAtASentence() {
        let settings = PassageSettings(weightMax: 40, overlap: 0)
        #expect(
            cut("The river rose by two metres overnight. Hundreds left their homes. It is still raining.", settings)
                == ["The river rose by two metres overnight. Hundreds left their homes.", "It is still raining."])
        #expect(cut("大雨で川が増水した。住民は避難した。雨は今も降り続いている。夜までには止む見込みだ。道路も閉鎖中だ。", settings).count == 2)
        #expect(
            cut("He lives in approx. three houses at once and nobody knows why he does, does he? No.", settings).first
                == "He lives in approx. three houses at once and nobody knows why he")
    }

    @Test func theOverlapIsWholeSentencesElseWords() {
        let settings = PassageSettings(weightMax: 40, overlap: 15)
        #expect(
            cut("The river rose by two metres overnight. Many left their homes. It is still raining there.", settings)
                == [
                    "The river rose by two metres overnight. Many left their homes.",
                    "Many left their homes. It is still raining there.",
                ])
        let words = cut(String(repeating: "alpha beta gamma delta ", count: 8), settings)
        #expect(words.count > 2)
        for (one, next) in zip(words, words.dropFirst()) {
            let first = next.split(separator: " ")[0]
            #expect(one.contains(first) && ["alpha", "beta", "gamma", "delta"].contains(first))
        }
    }

    @Test func marksStayWithTheirCharacters() {
        let settings = PassageSettings(weightMax: 40, overlap: 0)
        // Devanagari with signs, and a family of emoji with joiners and tones.
        for unit in ["किताबें", "👩🏽‍👩🏽‍👧🏽‍👦🏽", "e\u{301}\u{302}"] {
            let text = String(repeating: unit, count: 60)
            let passages = cut(text, settings)
            #expect(passages.count > 1 && passages.joined() == text)
            for passage in passages {
                let first = passage.unicodeScalars.first
                #expect(first?.properties.generalCategory != .nonspacingMark && first?.value != 0x200D)
            }
        }
    }

    /// Seeds 1 to 40; words of many scripts, long words, white space of every kind.
    @Test(arguments: 1...40) func everyCharacterIsInAPassageAndNoneIsTooHeavy(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let words = [
            "river", "Überschwemmung", "наводнение", "大雨。", "홍수", "बाढ़।", "น้ำท่วม", "فيضان", "e.g.", "No.", "?!", "(yes.)",
            String(repeating: "x", count: 700), String(repeating: "雨", count: 300), "🇺🇳👩🏽‍🚀", "\u{301}", "0", "—",
        ]
        let spaces = [" ", "  ", "\n", "\n\n\t", "\u{3000}", "", ". ", String(repeating: " ", count: 300)]
        var text = ""
        for _ in 0..<Int.random(in: 0...300, using: &random) {
            text += (words.randomElement(using: &random) ?? "") + (spaces.randomElement(using: &random) ?? "")
        }
        let settings = PassageSettings(
            weightMax: Int.random(in: 1...300, using: &random), overlap: Int.random(in: -1...200, using: &random))
        let found = ranges(text, settings)
        #expect(found == ranges(text, settings))
        let scalars = Array(text.unicodeScalars)
        guard !found.isEmpty else {
            #expect(weight(trimmed(scalars)) <= 2 * settings.weightMax)
            return
        }
        #expect(found.count > 1)
        var end = 0
        for (number, range) in found.enumerated() {
            let passage = scalars[range.scalars]
            #expect(!passage.isEmpty && weight(passage) <= 2 * settings.weightMax)
            #expect(passage.first?.properties.isWhitespace == false && passage.last?.properties.isWhitespace == false)
            // Nothing but white space lies between, and each brings something new.
            if range.scalars.lowerBound > end {
                #expect(scalars[end..<range.scalars.lowerBound].allSatisfy { $0.properties.isWhitespace })
            } else if number > 0 {
                #expect(weight(scalars[range.scalars.lowerBound..<end]) <= 2 * settings.overlap)
            }
            #expect(range.scalars.upperBound > end)
            end = range.scalars.upperBound
        }
        #expect(scalars[end...].allSatisfy { $0.properties.isWhitespace })
    }

    private func weight(_ scalars: ArraySlice<Unicode.Scalar>) -> Int {
        scalars.reduce(0) { $0 + PassageWeight.halves(of: $1.value) }
    }

    private func trimmed(_ scalars: [Unicode.Scalar]) -> ArraySlice<Unicode.Scalar> {
        let start = scalars.firstIndex { !$0.properties.isWhitespace } ?? scalars.endIndex
        let end = scalars.lastIndex { !$0.properties.isWhitespace }.map { $0 + 1 } ?? scalars.endIndex
        return scalars[start..<max(start, end)]
    }

    /// Texts of nothing but what looks like the end of a sentence, or white space: the work grows with the length alone.
    @Test func textsOfOneCharacterAreCutInTime() {
        for text in [")", ".", ".)", "\n", " ", "\u{301}", "\u{200D}", "。"] {
            let passages = ranges(String(repeating: text, count: 100_000), PassageSettings())
            #expect(passages.count <= 2_500, "\(text.debugDescription)")
        }
    }

    @Test func settingsKeepTheirBounds() {
        #expect(PassageSettings() == PassageSettings(weightMax: 240, overlap: 48))
        #expect(PassageSettings(weightMax: 9_999, overlap: 9_999) == PassageSettings(weightMax: 240, overlap: 120))
        #expect(PassageSettings(weightMax: 0, overlap: -5) == PassageSettings(weightMax: 40, overlap: 0))
    }
}
