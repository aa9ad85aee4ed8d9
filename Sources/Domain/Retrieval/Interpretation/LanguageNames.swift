/// Languages by their English names.
enum LanguageNames {
    struct Language: Sendable, Equatable {
        /// As documents have it.
        let code: String
        /// With which names of wikis begin.
        let wikiPrefix: String
    }

    /// The language whose name begins at a token, and the place behind it.
    static func language(at start: Int, in question: QuestionText) -> (Language, end: Int)? {
        guard let first = question.word(start) else { return nil }
        if let second = question.word(start + 1), let found = table[first + " " + second] { return (found, start + 2) }
        return table[first].map { ($0, start + 1) }
    }

    /// Name, and the code where it is the wikis' prefix, too.
    private static let names = """
        afrikaans af, albanian sq, amharic am, arabic ar, armenian hy, azerbaijani az, basque eu, belarusian be, bengali bn,
        bosnian bs, breton br, bulgarian bg, burmese my, catalan ca, cebuano ceb, chinese zh, croatian hr, czech cs, danish da,
        dutch nl, english en, esperanto eo, estonian et, finnish fi, french fr, galician gl, georgian ka, german de, greek el,
        gujarati gu, hausa ha, hebrew he, hindi hi, hungarian hu, icelandic is, igbo ig, indonesian id, irish ga, italian it,
        japanese ja, javanese jv, kannada kn, kazakh kk, khmer km, korean ko, kurdish ku, kyrgyz ky, latin la, latvian lv,
        lithuanian lt, luxembourgish lb, macedonian mk, malay ms, malayalam ml, maltese mt, marathi mr, mongolian mn, nepali ne,
        norwegian no, nynorsk nn, occitan oc, persian fa, polish pl, portuguese pt, punjabi pa, romanian ro, russian ru,
        scots sco, serbian sr, sinhala si, slovak sk, slovene sl, slovenian sl, somali so, spanish es, sundanese su, swahili sw,
        swedish sv, tagalog tl, tamil ta, tatar tt, telugu te, thai th, turkish tr, ukrainian uk, urdu ur, uzbek uz,
        vietnamese vi, waray war, welsh cy, yiddish yi, yoruba yo, zulu zu
        """
    /// Name, code, prefix.
    private static let renamed = [
        ("cantonese", "yue", "zh_yue"), ("classical chinese", "lzh", "zh_classical"),
        ("simple english", "en", "simple"),
        ("egyptian arabic", "arz", "arz"), ("swiss german", "gsw", "als"), ("low german", "nds", "nds"),
    ]

    static let table: [String: Language] = {
        var table: [String: Language] = [:]
        for entry in names.split(whereSeparator: { $0 == "," || $0 == "\n" }) {
            let words = entry.split(separator: " ")
            guard words.count == 2 else { continue }
            table[String(words[0])] = Language(code: String(words[1]), wikiPrefix: String(words[1]))
        }
        for (name, code, prefix) in renamed { table[name] = Language(code: code, wikiPrefix: prefix) }
        return table
    }()
}
