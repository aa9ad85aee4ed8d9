import Testing

@testable import Text

@Suite struct WordsTests {
    let analyzer: TextAnalyzer

    init() throws { analyzer = try TextAnalyzer() }

    /// Exact forms, the parts of camel case in brackets behind their word.
    private func exact(_ text: String) -> String {
        var previous = -1
        return analyzer.words(of: text, languages: []).map { word in
            defer { previous = word.position }
            return word.position == previous ? "[\(word.exact)]" : word.exact
        }.joined(separator: " ")
    }

    private func forms(_ text: String, _ languages: [String] = []) -> [String] {
        analyzer.words(of: text, languages: languages).flatMap(\.forms)
    }

    @Test(arguments: [
        ("Repainted the North tower.", "repainted the north tower"),
        ("Grüße aus Köln", "grüsse aus köln"), ("STRASSE Straße", "strasse strasse"),
        ("Москва—Сити", "москва сити"), ("Αθήνα ΣΟΦΟΣ σοφός", "αθήνα σοφοσ σοφόσ"), ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("שָׁלוֹם עולם", "שָׁלוֹם עולם"), ("السلام عليكم", "السلام عليكم"), ("می‌خواهم", "میخواهم"),
        ("தமிழ் మాట్లాడు", "தமிழ் మాట్లాడు"), ("Հայաստան საქართველო", "հայաստան საქართველო"),
        ("የኢትዮጵያ ሕዝብ።", "የኢትዮጵያ ሕዝብ"), ("བོད་ཡིག", "བོད ཡིག"), ("ᠮᠣᠩᠭᠣᠯ", "ᠮᠣᠩᠭᠣᠯ"),
        ("東京都庁", "東京 都庁"), ("第3章", "第 3 章"), ("2020年の本", "2020 年 の 本"), ("ｶﾞﾗｽ ﾎﾟｽﾄ", "ガラス ポスト"),
        ("번역을 부탁해", "번역을 부탁해"), ("LG전자 Google은", "lg 전자 google 은"),
        ("ภาษาไทย", "ภาษา ไทย"), ("ພາສາລາວ", "ພາສາ ລາວ"), ("ភាសាខ្មែរ", "ភាសាខ្មែរ"), ("မြန်မာဘာသာ", "မြန်မာဘာသာ"),
        ("User:X/sandbox", "user x sandbox"), ("Alpha/Beta Gamma", "alpha beta gamma"), ("Node.js", "node js"),
        ("by mooring.png.", "by mooring png"), ("en.wikipedia.org", "en wikipedia org"), ("snake_case", "snake case"),
        ("camelCase HTTPServer", "camelcase [camel] [case] httpserver [http] [server]"),
        ("iPhone15Pro eBay", "iphone15pro [phone15] [pro] ebay [bay]"), ("Q64 mp3 B2B", "q64 mp3 b2b"),
        ("{{template}} [[Link|text]]", "template link text"),
        ("1,234.5 1234.5 1,23 1234,567", "1234 5 1234 5 1 23 1234 567"),
        ("1,234,567", "1234567"), ("don't d’Artagnan", "don t d artagnan"), ("well-known co‑op", "well known co op"),
        ("٢٠٢٠ २०२०", "٢٠٢٠ २०२०"), ("½ ㎏ Ⅳ №5", "1 2 kg iv no5"), ("so\u{AD}ft wo\u{200D}rd", "soft word"),
        ("🎉 party 👍🏽 ❤️ 🇩🇪🇫🇷", "🎉 party 👍 ❤ 🇩🇪 🇫🇷"), ("100 € ♥ → ■", "100 € ♥"),
        ("", ""), (" \u{0}\n\t", ""), ("!?… — ()", ""), ("\u{301}\u{302} \u{20E3}", ""), ("\u{202E}abc\u{202C}", "abc"),
        ("a\u{0}b", "a b"), ("\u{FFFD}x\u{FEFF}y", "xy"),
    ])
    func exactForms(text: String, expected: String) { #expect(exact(text) == expected) }

    @Test(arguments: [
        ("User:X/sandbox", ["w:user:x/sandbox"]), ("Node.js", ["w:node.js", "w:nodejs"]),
        ("File:Mooring.png", ["w:file:mooring.png", "w:mooring.png", "w:mooringpng"]),
        ("snake_case", ["w:snake_case", "w:snakecase"]), ("AT&T", ["w:at&t", "w:att"]),
        ("C++, C#; .NET", ["w:c++", "w:c#", "w:.net"]),
        ("don’t", ["w:don't", "w:dont"]), ("1,234.5", ["w:1234.5"]), ("1.2.3", ["w:1.2.3"]),
        ("Covid-19", ["w:covid-19", "w:covid19"]),
        ("צה״ל", ["w:צה\"ל", "w:צהל"]), ("end--begin wait...what", []), ("a, b; c", []),
        ("Zürich", ["f:zurich", "f:zuerich"]), ("Łódź", ["f:lodz"]), ("Ørsted", ["f:orsted", "f:oersted"]),
        ("ёлка Йод їжак", ["f:елка"]), ("Ἀθῆναι", ["f:αθηναι"]), ("שָׁלוֹם", ["f:שלום"]), ("أحمد", ["f:احمد"]),
        ("٢٠٢٠", ["f:2020"]),
        ("São-Paulo", ["f:sao", "w:são-paulo", "w:sãopaulo", "w:saopaulo"]),
        ("हिन्दी ภาษา", ["b:ภา", "b:าษ", "b:ษา"]),
        ("東京", ["b:東京", "b:東", "b:京"]), ("번역을", ["b:번역", "b:역을"]), ("山", []),
    ])
    func moreForms(text: String, expected: [String]) {
        #expect(forms(text).sorted() == expected.sorted())
    }

    @Test func stemsAreOfTheLanguagesAskedFor() {
        #expect(forms("running moorings", ["en"]) == ["s:run", "s:moor"])
        #expect(forms("Häuser", ["de"]) == ["s:haus", "f:hauser", "f:haeuser"])
        #expect(forms("cafés", ["en"]) == ["s:café", "s:cafe", "f:cafes"])
        #expect(forms("running", []) == [])
        #expect(forms("running", ["tlh", "porter", "english", ""]) == [])
        #expect(forms("nationale Häuser", ["de-AT", "en"]).contains("s:haus"))
        #expect(forms("книгами", ["ru"]) == ["s:книг"])
        #expect(forms("mp3s don", ["en"]) == [])
    }
}
