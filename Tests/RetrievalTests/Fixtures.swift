import Bytes
import Records
import Retrieval

/// A candidate with only the fields that a test cares about.
func candidate(
    _ docID: String, passage: Int32 = 0, title: String = "", text: String = "", vector: (Int, Double)? = nil,
    lexical: (Int, Double)? = nil
) -> Candidate {
    Candidate(
        docID: docID, version: 1, passage: passage, collection: "wikimedia.recentchange", title: title,
        url: "https://example.org/\(docID)", text: text, eventTimeMilliseconds: 1_630_000_000_000, language: "en",
        attributes: AttributeList([
            .wiki: .string("enwiki"), .type: .string("edit"), .user: .string("U"), .isBot: .bool(false),
        ]), lineageJSON: Array("{}".utf8),
        vector: vector.map { ArmPlace(rank: $0.0, score: $0.1) },
        lexical: lexical.map { ArmPlace(rank: $0.0, score: $0.1) })
}

/// Hits in the given order, the vector arm's cosine as given.
func hits(_ texts: [(title: String, text: String, cosine: Double)]) -> [Hit] {
    let candidates = texts.enumerated().map { index, one in
        candidate("d\(index)", title: one.title, text: one.text, vector: (index + 1, one.cosine))
    }
    return ReciprocalRankFusion.fuse(candidates)
}

/// Random text out of an alphabet with everything that could go wrong: joiners, bidi controls, flags, controls.
func randomText(_ generator: inout SeededGenerator, lengthMax: Int) -> String {
    let alphabet: [String] = [
        "a", "b", "Word", " ", "  ", ". ", "! ", "? ", "。", "。」", "।", "\n", "\r\n", "\t", "e.g. ", "Dr. ", "3.14", "…",
        "é", "e\u{301}", "👩‍👩‍👧‍👦", "🇩🇪", "\u{202E}", "\u{200F}", "שלום", "مرحبا؟", "日本語", "ไทย", "\u{0}", "\u{FEFF}", "\"",
        ")",
        "\u{2028}",
    ]
    var text = ""
    for _ in 0..<Int.random(in: 0...lengthMax, using: &generator) {
        text += alphabet.randomElement(using: &generator) ?? ""
    }
    return text
}
