import Bytes
import Testing

@testable import Logic

/// What the transform makes of a comment, plain ones included.
private func text(of comment: [UInt8]) -> [UInt8] {
    comment.withUnsafeBufferPointer { bytes in
        var output: [UInt8] = []
        if CommentText.isPlain(bytes) { return comment }
        CommentText.append(bytes, to: &output)
        return output
    }
}

private func text(of comment: String) -> String { String(decoding: text(of: Array(comment.utf8)), as: UTF8.self) }

/// Invented or shortened from what wikis write.
@Suite struct CommentTextTests {
    static let plain = [
        "", "typo", "fixed 3 links", "50 of 60", "исправлена опечатка", "補充來源", "a/b", "(see talk)", "+", "!vote",
        "https://example.org/a_b?c", "No. 5?", "x → y, ← z",
    ]
    static let sections = [
        ("/* History */ typo", "History: typo"), ("/* History */", "History"), ("/*History*/typo", "History: typo"),
        ("/* History */   ", "History"), ("/* Works: */ typo", "Works: typo"),
        ("/* Correct? */ reply", "Correct? reply"),
        ("/* S */: moved", "S: moved"), ("/* S */, x", "S, x"), ("/* S */ ?", "S: ?"), ("/* */ typo", "typo"),
        ("New section /* Sources */", "New section Sources"), ("x /* A */ y", "x A: y"), ("x /* y", "x y"),
        ("a */ b", "a */ b"), ("/* A [[B|C]] */ d", "A C: d"), ("/* Reederei B.&nbsp;W. */ aw", "Reederei B. W. aw"),
        ("/* A */ <!-- x -->", "A"), ("→\u{200E}History: typo", "History: typo"),
        ("[[WP:AES|←]]Created page with 'x'", "Created page with 'x'"), ("←Blanked", "Blanked"), ("→", ""),
        ("2 * 3 */ 4", "2 * 3 */ 4"), ("/*/ x */ y", "/ x: y"),
    ]
    static let links = [
        ("[[Rhine]]", "Rhine"), ("[[Rhine|the river]] flows", "the river flows"),
        ("[[:Category:Dams]] added", "Category:Dams added"), ("[[User talk:A_B]]", "User talk:A B"),
        ("[[a|b|c]]", "c"), ("[[File:x.jpg|thumb|20px|A [[b|c]] d]]", "A c d"), ("[[Bad (Ems)|]].", "Bad (Ems)."),
        ("[[Category:Men|Smith, J.]] x", "Category:Men x"), ("[[:Category:Men|men]]", "men"),
        ("[[Property:P31]]: [[Q5]]", "P31: Q5"), ("[[d:Special:EntityPage/P180]]", "P180"), ("[[Lexeme:L7]]", "L7"),
        ("[[Property:Paul]]", "Property:Paul"), ("[[Item 31]]", "Item 31"), ("[[P31]]", "P31"),
        ("see [https://example.org/x the_page] now", "see the_page now"),
        ("[https://example.org/x]", "https://example.org/x"),
        ("[//example.org x]", "x"), ("[https://example.org/x y", "[https://example.org/x y"),
        ("[http://a.example see [[b]] c] d", "see b c d"), ("[enwiki] x", "[enwiki] x"), ("a[b[1]] c", "a[b[1]] c"),
        ("replaced: , Gary]] → ]]", "replaced: , Gary →"), ("fix [[ and x", "fix and x"), ("[[a b", "a b"),
        ("[[[a]]]", "[a]"), ("50 | 60", "50 | 60"), ("[[a {{b}}]]", "a b"),
    ]
    static let markup = [
        ("adding {{R from name}}", "adding R from name"), ("{{cite|a=1|b= |3}}", "cite a=1 3"),
        ("{{a}}{{b}} {{c}}d", "a b c d"), ("'{{a}}'", "'a'"), ("{{subst:x|{{{1|}}}}}", "x 1"),
        ("{{Tabox → {{Taxobox, {{Ref|2}}", "Tabox → Taxobox, Ref 2"), ("{x} and }}", "{x} and"),
        ("{{lang|[[a|b]]|c", "lang b c"), ("'''Bold''' and ''it''", "Bold and it"), ("'''''x'''''", "x"),
        ("''''q'''s", "'qs"), ("L'Arc 'x'", "L'Arc 'x'"), ("'==A== b'", "'A b'"), ("a==b", "a b"), ("a = b", "a = b"),
        ("hi ~~~~", "hi"), ("a ~ b ~~~~~~", "a ~ b ~~~~~~"), ("a<ref name=\"x\">b</ref>c", "ac"), ("a<ref/>b", "ab"),
        ("before <ref>, as", "before <ref>, as"), ("<ref>a<REF>b</REF >c", "c"), ("H<sub>2</sub>O<br/>x", "H2O x"),
        ("<your name> a<b", "<your name> a<b"), ("1 < 2 > 0", "1 < 2 > 0"), ("<b", "<b"), ("<b <i>x</i>", "<b x"),
        ("a <!-- b --> c", "a c"), ("a <!-- b", "a b"), ("a\tb\n\nc ", "a b c"), ("  a  b", "a b"),
        ("a\u{0}b\u{7F}", "a b"),
        ("CT and MD.", "CT and MD."), (".", ""), (" : ", ""), ("...", ""), (":)", ":)"),
        ("−1, ±2", "−1, ±2"), ("“x”", "“x”"), ("…and", "…and"), (": a", ": a"),
    ]
    static let entities = [
        ("10&nbsp;km", "10 km"), ("A &amp; B", "A & B"), ("&lt;b&gt;", "<b>"), ("2014&ndash;2019", "2014–2019"),
        ("&#8211;&#x2013;&#X1F309;", "––🌉"), ("&auml;&Auml;&szlig;&alpha;&omega;&rarr;", "äÄßαω→"), ("a&shy;b", "ab"),
        ("&#0;&#xD800;&#x110000;&#;&#x;&#150;", "&#0;&#xD800;&#x110000;&#;&#x;&#150;"), ("&amp;lt;", "&lt;"),
        ("&nosuch; &amp &#65", "&nosuch; &amp &#65"), ("&#10;a&#9;b", "a b"), ("s&a wg", "s&a wg"),
        ("&#123456789;", "&#123456789;"), ("&#91;&#91;a|b]]", "[[a|b"), ("&&&", "&&&"), ("&", "&"), ("&#", "&#"),
    ]
    static let automatic = [
        ("/* wbsetclaim-create:2||1 */ [[Property:P31]]: [[Q5]]", "Created claim: P31: Q5"),
        ("/* wbsetlabel-add:1|de */ Rhein", "Added de label: Rhein"),
        ("/* wbeditentity-create-item:0| */", "Created a new item"),
        (
            "/* wbeditentity-update-languages:0||91 */ Bot ([[:toollabs:e/b|details]])",
            "Changed labels, descriptions or aliases in 91 languages: Bot (details)"
        ),
        (
            "/* wbeditentity-update-languages-short:0||en */ from enwiki",
            "Changed label, description or aliases in en: from enwiki"
        ),
        (
            "/* clientsitelink-update:0|dewiki|dewiki:A (x)|dewiki:B */",
            "Page moved from dewiki:A (x) to dewiki:B"
        ),
        ("/* clientsitelink-remove:1||dewiki */ A", "Page deleted on dewiki: A"),
        ("/* wbmergeitems-from:0||Q1 */ [[MediaWiki:Merge.js|merge.js]]", "Merged item from Q1: merge.js"),
        ("/* wbcreateredirect:0||Q1|Q2 */", "Redirected Q1 to Q2"),
        ("/* undo:0||149|Ann B */ self rv", "Undid revision 149 by Ann B: self rv"),
        ("/* restore:0||149|Ann B */", "Restored revision 149 by Ann B"),
        ("/* wbsetlabel-add:1 */ x", "Added label: x"), ("/* wbnew-thing-add:1|2 */ x", "wbnew thing add: x"),
        ("  /* wbsetlabel-set:1|en */", "Changed en label"), ("/* undo: a plan */ x", "undo: a plan: x"),
        ("/* plan:9 */ x", "plan:9: x"), ("/* wbsetlabel-add:1|de", "wbsetlabel-add:1|de"),
        ("x /* wbsetlabel-add:1|de */", "x wbsetlabel-add:1|de"),
        ("/* undo:0||1|[[A]]|B|C|D */", "Undid revision 1 by [[A]]"),
    ]

    @Test(arguments: plain) func aPlainCommentIsItsOwnText(comment: String) {
        var comment = comment
        let (isPlain, output) = comment.withUTF8 { bytes in
            var output: [UInt8] = []
            CommentText.append(bytes, to: &output)
            return (CommentText.isPlain(bytes), output)
        }
        #expect(isPlain)
        #expect(output == Array(comment.utf8))
    }

    @Test(arguments: sections + links + markup) func markupGivesWayToItsWords(comment: String, expected: String) {
        #expect(text(of: comment) == expected)
        // Only entities make text that looks like markup.
        #expect(text(of: expected) == expected)
    }

    @Test(arguments: entities) func entitiesAreWhatTheyStandFor(comment: String, expected: String) {
        #expect(text(of: comment) == expected)
    }

    @Test(arguments: automatic) func automaticSummariesAreWords(comment: String, expected: String) {
        #expect(text(of: comment) == expected)
    }

    @Test func everyMessageHasWordsOfBoundedLength() {
        var names: Set<String> = []
        for row in WikibaseSummary.rows {
            #expect(names.insert("\(row.name)").inserted, "\(row.name)")
            let made = text(of: "/* \(row.name):1|second|third|fourth */ end")
            var words = "\(row.words)"
            #expect(words.utf8.count <= CommentText.growthMax)
            for (name, value) in [("$1", "1"), ("$2", "second"), ("$3", "third"), ("$4", "fourth")] {
                guard let place = words.range(of: name) else { continue }
                words.replaceSubrange(place, with: value)
            }
            #expect(made == words + ": end")
        }
        #expect(names.count < 255)
    }
}

extension String {
    /// Without Foundation.
    fileprivate func range(of other: String) -> Range<String.Index>? { firstRange(of: other) }
}

/// Whatever the comment is: a text that is valid, on one line, and hardly longer.
@Suite struct HostileCommentTests {
    private static let pieces = [
        "[[", "]]", "[", "]", "{{", "}}", "{", "}", "|", "'", "''", "'''", "/*", "*/", "/", "*", "<", ">", "<ref",
        "<ref>",
        "</ref>", "<ref/>", "<!--", "-->", "<b>", "</b>", "<br ", "&", ";", "&amp;", "&#", "&#x41;", "&#1114111;",
        "&nbsp;",
        "=", "==", "~", "~~~~", " ", "  ", "\n", "\u{0}", "\u{7F}", "a", "word", "é", "東京", "😀", "\u{200F}", "\u{202E}",
        "→", "←", "\u{200E}", ".", ":", ",", ";", "!", "http://", "[http://x.y ", "//", "Category:", "[[Category:",
        "subst:",
        "_", "P31", "Property:", "Special:EntityPage/", "/* undo:0||1|A */", "/* wbsetlabel-add:1|de */",
        "wbsetlabel-add:1|",
        "\u{A0}", "\u{3000}", "\u{AD}", "\u{301}", "ref", "0",
    ]

    private func check(_ comment: [UInt8], _ note: @autoclosure () -> String) {
        let made = text(of: comment)
        let growth = made.count - comment.count
        #expect(growth <= CommentText.growthMax, "\(note())")
        #expect(String(validating: made, as: UTF8.self) != nil, "\(note())")
        #expect(made.first != 0x20 && made.last != 0x20, "\(note())")
        let isOneLine = made.indices.allSatisfy { index in
            made[index] >= 0x20 && made[index] != 0x7F
                && !(made[index] == 0x20 && index + 1 < made.count && made[index + 1] == 0x20)
        }
        #expect(isOneLine, "\(note())")
        // What looks plain takes the short way, and the long one must agree.
        comment.withUnsafeBufferPointer { bytes in
            guard CommentText.isPlain(bytes) else { return }
            var long: [UInt8] = []
            CommentText.append(bytes, to: &long)
            #expect(long == comment, "\(note())")
        }
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func anyMixtureOfMarks(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for round in 0..<400 {
            var comment = ""
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                comment += Self.pieces.randomElement(using: &random) ?? ""
            }
            check(Array(comment.utf8), "seed \(seed), round \(round): \(comment.debugDescription)")
        }
    }

    /// Every mark 65,536 bytes long, and 1,000 deep around a word.
    @Test(arguments: pieces) func longAndDeep(piece: String) {
        let count = 65_536 / piece.utf8.count
        check(Array(String(repeating: piece, count: count).utf8), piece)
        check(Array(String(repeating: piece + " ", count: count / 2).utf8), piece)
        check(Array(String(repeating: piece + "x", count: count / 2).utf8), piece)
        for (open, close) in [
            (piece, "]]"), (piece, "}}"), (piece, "*/"), (piece, "|x]]"), ("[[a|", piece), ("{{", piece),
        ] {
            let deep =
                String(repeating: open, count: 1_000) + "word" + String(repeating: close, count: 1_000)
            check(Array(deep.utf8), "\(open) \(close)")
        }
    }

    /// Marks are found eight bytes at a time: each at every place of a comment, up to every end.
    @Test(arguments: Array("[]{}|'*<&=~\u{0}\u{1F}\u{7F}".utf8)) func aMarkIsFoundWhereverItStands(mark: UInt8) {
        for count in 1...40 {
            for place in 0..<count {
                var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: count)
                bytes[place] = mark
                let found = bytes.withUnsafeBufferPointer { buffer in
                    buffer.baseAddress.map { CommentMarks.next(in: $0, from: 0, to: count) }
                }
                #expect(found == place, "\(mark) at \(place) of \(count)")
            }
        }
    }

    @Test func noOtherByteIsAMark() {
        let marks = Set("[]{}|'*<&=~\u{7F}".utf8).union(0..<0x20)
        for byte in UInt8.min...UInt8.max where !marks.contains(byte) {
            let bytes =
                [UInt8](repeating: UInt8(ascii: "x"), count: 7) + [byte, UInt8(ascii: "x"), byte]
                + Array("xxxxxxx".utf8)
            let found = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { CommentMarks.next(in: $0, from: 0, to: bytes.count) }
            }
            #expect(found == bytes.count, "\(byte)")
        }
    }
}
