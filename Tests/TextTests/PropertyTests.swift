import Bytes
import Foundation
import Testing

@testable import Text

/// What holds of any text.
@Suite struct TextPropertyTests {
    /// Letters, marks and signs of many scripts, what surrounds them, and what normal forms take apart.
    private static let pieces: [String] =
        [
            "a", "B", "ß", "ﬁ", "é", "e\u{301}", "Å", "Å", "ǆ", "İ", "ı", "ø", "Ł", "Ω", "Ω", "σς", "й", "и\u{306}",
            "ё", "ї",
        ]
        + ["א", "שׁ", "ب", "أ", "ﷺ", "ک", "ी", "क़", "ক", "ா", "ก", "ำ", "ํา", "น้ำ", "ລາວ", "ខ្មែរ", "မြန်", "ཀ་"]
        + ["東", "京", "都", "ガ", "ｶﾞ", "カ\u{3099}", "ー", "の", "豈", "㍿", "한", "한", "글", "𠀀", "𐍈", "𝒳", "½", "²", "Ⅳ"]
        + [
            "１", "2", "٣", "३", "1,234", "3.14", " ", "  ", "\n", "\u{A0}", "\u{3000}", ".", ",", "-", "_", "/", ":",
            "'", "’",
        ]
        + ["…", "—", "(", "\"", "״", "#", "++", "&", "@", "・", "🎉", "👩‍👩‍👧", "❤️", "🇩🇪", "\u{301}", "\u{200D}", "\u{AD}"]
        + [
            "\u{0}", "\u{202E}", "\u{FEFF}", "\u{FFFD}", "\u{E000}", "\u{345}", "\u{327}\u{301}", "camelCase", "word",
            "running",
        ]

    /// What has no spelling of its own: normal forms make several words of one character, or the half of one belongs to
    /// the word before it; and capital letters make a letter of a mark.
    private static let inseparable = ["½", "²", "ﷺ", "㍿", "Ⅳ", "ำ", "ํา", "\u{345}"]

    static func text(_ generator: inout SeededGenerator, countMax: Int = 30, leavingOut: [String] = []) -> String {
        (0..<Int.random(in: 0...countMax, using: &generator)).map { _ in
            pieces.filter { !leavingOut.contains($0) }.randomElement(using: &generator) ?? ""
        }.joined()
    }

    private static func form(_ words: [TextWord]) -> [String] { words.map { "\($0.position) \($0.exact) \($0.forms)" } }

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func normalFormsHaveTheSameWords(seed: UInt64) throws {
        let analyzer = try TextAnalyzer()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let text = Self.text(&generator)
            let words = Self.form(analyzer.words(of: text, languages: ["en", "de"]))
            for other in [
                text.precomposedStringWithCanonicalMapping, text.decomposedStringWithCanonicalMapping,
                text.precomposedStringWithCompatibilityMapping, text.decomposedStringWithCompatibilityMapping,
            ] {
                let same = Self.form(analyzer.words(of: other, languages: ["en", "de"]))
                #expect(same == words, "\(text.debugDescription)")
            }
        }
    }

    /// Words that need no normal form go past ICU's; both ways find the same.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func shortCutsChangeNothing(seed: UInt64) throws {
        let (analyzer, slow) = (try TextAnalyzer(), try TextAnalyzer(isPlainFast: false))
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let isASCII = Bool.random(using: &generator)
            let text =
                isASCII
                ? String(decoding: (0..<60).map { _ in UInt8.random(in: 0..<128, using: &generator) }, as: UTF8.self)
                : Self.text(&generator)
            #expect(analyzer.words(of: text, languages: ["en"]) == slow.words(of: text, languages: ["en"]))
        }
    }

    /// The scripts whose words are not folded have no capital letters.
    @Test func caselessLettersStayAsTheyAre() throws {
        let forms = try NormalForms()
        for value in 0...UInt32(0x2FFFF) {
            let kind = CharacterTable.shared.kind(value)
            guard kind == .hangul || kind == .ideograph || kind == .unspaced, let scalar = Unicode.Scalar(value) else {
                continue
            }
            var (normal, folded): ([UInt16], [UInt16]) = ([], [])
            Array(String(scalar).utf16).withUnsafeBufferPointer { forms.append($0, in: forms.compatible, to: &normal) }
            normal.withUnsafeBufferPointer { forms.append($0, in: forms.caseFolded, to: &folded) }
            if normal != folded { Issue.record("U+\(String(value, radix: 16))") }
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func rangesPlacesAndTermsAreWellFormed(seed: UInt64) throws {
        let analyzer = try TextAnalyzer()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let text = Self.text(&generator)
            var (position, start) = (-1, 0)
            for word in analyzer.words(of: text, languages: ["en"]) {
                #expect(word.position == position || word.position == position + 1)
                #expect(word.position == position || word.range.lowerBound >= start)
                #expect(!word.range.isEmpty && word.range.upperBound <= text.utf8.count)
                for bound in [word.range.lowerBound, word.range.upperBound] {
                    let index = text.utf8.index(text.startIndex, offsetBy: bound)
                    #expect(index.samePosition(in: text.unicodeScalars) != nil)
                }
                #expect(!word.exact.isEmpty && word.exact.utf8.count <= TextTerm.bytesMax && !word.exact.contains(":"))
                for form in word.forms {
                    let mark = TextTerm.mark(of: form)
                    #expect(mark != nil && form.utf8.count <= TextTerm.bytesMax + 2)
                    #expect(mark == .bigram || form.dropFirst(2) != word.exact, "\(word)")
                }
                (position, start) = (word.position, word.range.lowerBound)
            }
        }
    }

    /// In texts whose scripts have spaces, words end where ICU's end, but for punctuation inside of a word.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func wordsEndWhereTheLibrarysEnd(seed: UInt64) throws {
        let analyzer = try TextAnalyzer()
        let boundaries = try WordBoundaries()
        let letters = [
            "a", "b", "É", "z", "д", "Ж", "ω", "ש", "ب", "क", "ि", "ক", "த", "ா", "ა", "Ա", "አ", "1", "7", "٣",
        ]
        let others = [" ", "\n", "(", "!", "–", "»", "።", "।", "؟", "、", "|"]
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let text = (0..<40).map { _ in
                (Int.random(in: 0..<5, using: &generator) == 0 ? others : letters).randomElement(using: &generator)
                    ?? ""
            }.joined()
            let units = Array(text.utf16)
            var ends: [Int] = []
            boundaries.ends(of: units, into: &ends)
            let theirs = zip([0] + ends, ends).map { String(decoding: units[$0..<$1], as: UTF16.self) }
                .filter { word in
                    word.unicodeScalars.contains { letters.contains(String($0)) && $0 != "ि" && $0 != "ா" }
                }
            let bytes = Array(text.utf8)
            var last = -1
            let ours = analyzer.words(of: text, languages: []).compactMap { word -> String? in
                defer { last = word.position }
                return word.position == last ? nil : String(decoding: bytes[word.range], as: UTF8.self)
            }
            #expect(ours == theirs, "\(text.debugDescription)")
        }
    }

    /// A word of a text, asked for in any spelling, is found in it.
    @Test(arguments: 1...20 as ClosedRange<UInt64>) func wordsAreFoundInTheirText(seed: UInt64) throws {
        let analyzer = try TextAnalyzer()
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let text = Self.text(&generator, leavingOut: Self.inseparable)
            let bytes = Array(text.utf8)
            let words = analyzer.words(of: text, languages: ["en"])
            for word in words {
                let typed = String(decoding: bytes[word.range], as: UTF8.self)
                for spelling in [typed, typed.uppercased(), typed.decomposedStringWithCompatibilityMapping] {
                    let query = analyzer.queryWords(of: spelling, languages: ["en"]).filter { !$0.isExtra }
                    #expect(query.allSatisfy { Self.isFound($0, in: words) }, "\(spelling) in \(text.debugDescription)")
                }
            }
        }
    }

    /// Any piece of a text without spaces is found in it, wherever the dictionary cuts the one and the other.
    @Test(arguments: [
        "富士山の登山道は山頂の郵便局まで続いている東京都庁前駅", "上海外滩更新外币汇率换算表中华人民共和国", "ประเทศไทยมีน้ำและทำงานทุกวันในกรุงเทพมหานคร",
        "ພາສາລາວເປັນພາສາທາງການ", "ភាសាខ្មែរជាភាសាផ្លូវការនៃប្រទេសកម្ពុជា", "မြန်မာနိုင်ငံသည်အရှေ့တောင်အာရှ",
        "レオナルドダヴィンチはイタリアの芸術家", "대한민국의수도는서울특별시이다",
    ])
    func piecesAreFoundInTextWithoutSpaces(text: String) throws {
        let analyzer = try TextAnalyzer()
        let words = analyzer.words(of: text, languages: [])
        let clusters = analyzer.unspacedClusters(of: text.precomposedStringWithCompatibilityMapping)
        for start in clusters.indices {
            for end in start + 2...max(start + 2, min(start + 8, clusters.count)) where end <= clusters.count {
                let piece = clusters[start..<end].joined()
                let query = analyzer.queryWords(of: piece, languages: ["en"])
                #expect(query.allSatisfy { $0.isExtra || Self.isFound($0, in: words) }, "\(piece)")
            }
        }
    }

    static func isFound(_ word: QueryWord, in words: [TextWord]) -> Bool {
        let terms = Set(words.flatMap { [$0.exact] + $0.forms })
        return word.alternatives.contains { terms.contains($0.term) }
            || !word.bigrams.isEmpty && word.bigrams.allSatisfy(terms.contains)
    }
}
