import Markup
import Testing

@Suite("Text of HTML and Markdown")
struct MarkupTests {
    private static func text(_ markup: MarkupText) -> String { String(decoding: markup.text, as: UTF8.self) }

    @Test("HTML: paragraphs, lists and tables are text; scripts, styles, navigation and what is hidden are not")
    func html() throws {
        let page = """
            <!doctype html><html lang="de-DE"><head><title> Ein
             Titel </title><link rel="canonical" href="https://a.example/x"><style>p{}</style></head><body><nav>menu</nav>
            <h1>Head <b>ing</b></h1><p>One <i>two</i>
             three<br>four</p><script>alert(1)</script><ul><li>a<li>b</ul><table><tr><td>1<td>2<tr><td>3</table><pre>x
              y
            </pre>tail &amp; &eacute;<svg><title>no</title></svg><p hidden>no</p><!-- no --></body></html>
            """
        let markup = try Markup.html(Array(page.utf8))
        #expect(
            Self.text(markup)
                == "Head ing\n\nOne two three\nfour\n\na\nb\n\n1 2\n3\n\nx\n  y\n\ntail & é")
        #expect(markup.title == "Ein Titel")
        #expect(markup.heading == "Head ing")
        #expect(markup.language == "de-DE")
        #expect(markup.url == "https://a.example/x")
    }

    @Test("Markdown: marks are gone, lists keep their lines, HTML in it is read as HTML")
    func markdown() throws {
        let page = """
            # Title *em*

            Para one
            soft `code` [link](http://x) ![alt](i.png)

            - a
            - b

            ```
            code
              block
            ```

            <div>html <b>here</b><script>no</script></div>

            | a | b |
            |---|---|
            | 1 | 2 |

            ~~gone~~ <b>inline</b> &amp; end
            """
        let markup = try Markup.markdown(Array(page.utf8))
        #expect(
            Self.text(markup)
                == "Title em\n\nPara one soft code link alt\n\na\nb\n\ncode\n  block\n\nhtml here\n\na b\n1 2\n\n"
                + "gone inline & end")
        #expect(markup.heading == "Title em")
    }

    @Test(
        "HTML that lies 100,000 deep is refused at once, whatever it is made of",
        arguments: ["<div>", "<b>", "<table>", "<p><b a=1>", "<svg>", "<font size=1><p>x</p>", "<object><div>"])
    func deepHTML(part: String) {
        #expect(throws: MarkupError.tooDeep) {
            try Markup.html(Array(String(repeating: part, count: 100_000).utf8))
        }
    }

    @Test(
        "What only looks deep is read: shapes that close themselves, and tags in comments, attributes, scripts and styles",
        arguments: [
            "<svg>" + String(repeating: "<path d='m0 0'/>", count: 3_000) + "</svg>",
            "<math>" + String(repeating: "<mspace />", count: 3_000) + "</math>",
            "<!--" + String(repeating: "<div>", count: 3_000) + "-->",
            "<p title=\"" + String(repeating: "<div>", count: 3_000) + "\">",
            "<p title = '" + String(repeating: "<div>", count: 3_000) + "'>",
            "<script>'" + String(repeating: "<div>", count: 3_000) + "'</script>",
            "<STYLE>/*" + String(repeating: "<div>", count: 3_000) + "*/</style>",
        ])
    func onlyLooksDeep(part: String) throws {
        #expect(Self.text(try Markup.html(Array((part + "<p>end").utf8))).hasSuffix("end"))
    }

    @Test(
        "What hides depth behind the beginnings of such things is refused all the same",
        arguments: ["<!-->", "<!--->", "<p a=b\">", "<script></script>", "<svg/></svg>"])
    func hiddenDepth(start: String) {
        #expect(throws: MarkupError.tooDeep) {
            try Markup.html(Array((start + String(repeating: "<div>", count: 100_000)).utf8))
        }
    }

    @Test("Markdown that several threads read at once is read alike by all") func sameOnAllThreads() async throws {
        let page = Array(String(repeating: "A ~~word~~ and | more\n\n", count: 500).utf8)
        let wanted = try Markup.markdown(page)
        #expect(!wanted.text.contains(UInt8(ascii: "~")))
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask { try (0..<20).allSatisfy { _ in try Markup.markdown(page) == wanted } }
            }
            for try await isSame in group { #expect(isSame) }
        }
    }

    @Test("HTML in which few bytes make many elements ends at the limit of memory")
    func manyElements() {
        let formats = (0..<1_000).map { "<b a=\($0)>" }.joined()
        let page = "<p>" + formats + String(repeating: "<p>x", count: 200_000)
        #expect(throws: MarkupError.tooComplex) { try Markup.html(Array(page.utf8)) }
    }

    @Test(
        "Markdown that lies 100,000 deep, and what is known to be slow, ends within the limits",
        arguments: ["> ", "* ", "[", "![", "*a ", "`", "a**b", "[a](b", "|a\n", "*a_", "<!--", "a\n> "])
    func deepMarkdown(part: String) {
        // Either a text or a named error: it returns.
        _ = try? Markup.markdown(Array(String(repeating: part, count: 100_000).utf8))
    }

    @Test(
        "Blank lines and lines of a paragraph deep within lists and quotes are counted, and end at once where they are too many",
        arguments: [("* ", "\n"), ("* ", "\r"), ("* ", " \r\n"), ("> * ", ">\n"), ("> ", "a\n"), ("> ", "*a_")])
    func manyLines(mark: String, line: String) {
        let page = String(repeating: mark, count: 2_000) + "a\n" + String(repeating: line, count: 500_000)
        #expect(throws: MarkupError.tooComplex) { try Markup.markdown(Array(page.utf8)) }
    }

    @Test(
        "Tags that look through all that is open are counted, also where end tags are out of order",
        arguments: [
            String(repeating: "<span>", count: 2_000) + String(repeating: "</h1>", count: 150_000),
            String(repeating: "<div>", count: 2_000) + String(repeating: "<p></p>", count: 100_000),
            String(repeating: "<b><div></b>", count: 30_000), String(repeating: "<span><div></span>", count: 30_000),
        ])
    func manyTags(page: String) {
        #expect(throws: MarkupError.tooComplex) { try Markup.html(Array(page.utf8)) }
    }

    @Test("What closes nothing hides no depth, nor does what ends a shape", arguments: ["<div></x>", "<svg><div/>"])
    func stayingOpen(part: String) {
        #expect(throws: MarkupError.tooDeep) { try Markup.html(Array(String(repeating: part, count: 20_000).utf8)) }
    }

    @Test("Long documents as people write them are far from every bound")
    func longDocuments() throws {
        let item =
            "* item of a list\n\n    1. nested `item`\n\n       > text of *it*, with [words](x) and words\n\n***\n\n"
        let markdown = try Markup.markdown(Array(String(repeating: item, count: 20_000).utf8))
        #expect(markdown.text.count > 20_000 * 30)
        let row = "<tr><td><span><b>word<td><div><font>word</div></font></span>"
        let table = "<div><p>unclosed <span>word</div>" + "<table>" + String(repeating: row, count: 500) + "</table>"
        let html = try Markup.html(Array(String(repeating: table, count: 4).utf8))
        #expect(html.text.count > 4 * 500 * 8)
        let division = "<div class=a><span>x <b>y</span></b><ul><li>a<li>b</ul></div>\n"
        #expect(try Markup.html(Array(String(repeating: division, count: 20_000).utf8)).text.count > 20_000 * 6)
    }

    @Test("Nothing, and bytes of any kind, crash neither")
    func anyBytes() throws {
        #expect(try Markup.html([]).text.isEmpty)
        #expect(try Markup.markdown([]).text.isEmpty)
        let bytes = (0..<4_096).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) }
        _ = try Markup.html(bytes)
        _ = try Markup.markdown(bytes)
    }
}
