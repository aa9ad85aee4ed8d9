import Bytes
import JSONScan
import PlatformTesting
import Testing

@testable import Embeddings

@Suite struct TokenizerTests {
    /// Tokenizes texts both ways and reports the first few that differ.
    private func expectEqualToReference(_ texts: [String], maxTokens: Int = 256) throws {
        let tokenizer = try Model.tokenizer.get()
        let reference = try Model.referenceTokens(texts, maxTokens: maxTokens)
        #expect(reference.count == texts.count)
        var differing: [String] = []
        for (text, expected) in zip(texts, reference) where differing.count < 5 {
            let actual = tokenizer.encode(text, maxTokens: maxTokens)
            if actual != expected { differing.append("\(text.debugDescription): \(actual) not \(expected)") }
        }
        #expect(differing.isEmpty)
    }

    /// Every fifth; all of them in the long trials.
    private static func sample(of texts: [String]) -> [String] {
        LongTests.areWanted ? texts : texts.enumerated().filter { $0.offset % 5 == 2 }.map(\.element)
    }

    @Test func everyScalarIsTreatedAsTheReferenceDoes() throws {
        var texts: [String] = []
        var text = ""
        for scalar in (1...0x10FFFF as ClosedRange<UInt32>).lazy.compactMap(Unicode.Scalar.init) {
            // Private use planes hold nothing but characters that vanish; their edges will do.
            if scalar.value > 0xF0100, scalar.value < 0x10FF00 { continue }
            // Unassigned or rare planes of ideographs: every 16th.
            let isRare = scalar.value > 0x20000 && scalar.value < 0x2F800 || scalar.value > 0x30000
            if isRare, scalar.value % 16 != 5 { continue }
            text.unicodeScalars.append(contentsOf: ["a", scalar, "b", " "])
            if text.utf8.count > 500 {
                texts.append(text)
                text = ""
            }
        }
        texts.append(text)
        try expectEqualToReference(texts, maxTokens: 1 << 20)
    }

    @Test func randomMixesOfTheDifficultScalarsEqualTheReference() throws {
        // Marks that stay and can be reordered, marks that vanish, ideographs, Hangul, special tokens, punctuation.
        let seed: UInt64 = 17
        var random = SeededGenerator(seed: seed)
        let table = UnicodeTable.reference
        let marks = (0x80...0x1EFFF as ClosedRange<UInt32>).filter { table[$0].combiningClass > 0 }
        #expect(marks.count > 80)
        let parts: [[Unicode.Scalar]] = [
            marks.compactMap(Unicode.Scalar.init),
            Array("\u{301}\u{327}\u{338}\u{900}\u{93C}\u{200D}\u{FEFF}\u{AD}\u{FFFD}".unicodeScalars),
            Array("aZé ßİıΣςǅﬁ½²Ⅷ".unicodeScalars), Array("漢字豈𠀀각힣ガ".unicodeScalars),
            Array("\t\n\r \u{85}\u{A0}\u{3000}\u{2028}".unicodeScalars), Array("[]-'`$\u{37E}—。「".unicodeScalars),
            Array("\u{1D15E}\u{1D1C0}\u{302E}\u{302F}\u{1E944}🏳️‍🌈".unicodeScalars),
        ]
        let specials = ["[SEP]", "[CLS]", "[PAD]", "[UNK]", "[MASK]", "[sep]", "[[SEP]]", "##ing", "[unused1]"]
        var texts: [String] = []
        for _ in 0..<8_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 1...24, using: &random) {
                if Int.random(in: 0..<12, using: &random) == 0 {
                    text.append(
                        contentsOf: specials.randomElement(using: &random).map(\.unicodeScalars) ?? "".unicodeScalars)
                } else if let scalar = parts.randomElement(using: &random)?.randomElement(using: &random) {
                    text.append(scalar)
                }
            }
            texts.append(String(text))
        }
        try expectEqualToReference(texts)
    }

    @Test(.enabled(if: Recordings.folder != nil, "\(Recordings.absence)"))
    func everyTextOfTheRecordingsEqualsTheReference() throws {
        var texts: Set<String> = []
        for name in ["recentchange-original.jsonl.zst", "recentchange-reshaped.jsonl.zst", "edge-cases.jsonl"] {
            var parser = try JSONFieldParser(paths: ["title", "comment", "user"])
            try Recordings.bytes(name).withUnsafeBytes { bytes in
                for line in bytes.split(separator: 0x0A) {
                    guard parser.parseObject(UnsafeRawBufferPointer(rebasing: line)) == nil else { continue }
                    for index in 0..<3 where parser.field(index).kind == .string {
                        let text = String(decoding: parser.field(index).text, as: UTF8.self)
                        if !text.utf8.contains(0) { texts.insert(text) }
                    }
                }
            }
        }
        #expect(texts.count > 60_000)
        try expectEqualToReference(Self.sample(of: texts.sorted()))
    }

    @Test(.enabled(if: Recordings.folder != nil, "\(Recordings.absence)"))
    func longTextsAreCutAsTheReferenceCutsThem() throws {
        let text = String(decoding: try Recordings.bytes("cisi/CISI.ALL"), as: UTF8.self)
        let texts = text.split(separator: "\n.I").map(String.init)
        #expect(texts.count >= 1460)
        for maxTokens in [3, 64, 256] { try expectEqualToReference(Self.sample(of: texts), maxTokens: maxTokens) }
    }
}
