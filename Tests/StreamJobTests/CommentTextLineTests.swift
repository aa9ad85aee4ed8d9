import Files
import JSONScan
import Logic
import PlatformTesting
import Testing

/// From code version 3 on Silver has the comment as people read it beside the comment itself, and Gold is made of it.
@Suite struct CommentTextLineTests {
    private static let template = "{title}[: {comment}]. {type}[ ({comment_verbatim})]"
    private static let comment = #""/* Geschichte */ [[Mosel|Fluss]] &amp; '''Tal'''\n\"x\".""#

    private func driver(_ version: TransformSettings.CodeVersion) throws -> ProcessorDriver {
        try ProcessorDriver(template: Self.template) { $0.codeVersion = version }
    }

    @Test func silverHasBothAndGoldIsMadeOfTheText() throws {
        var driver = try driver(.third)
        _ = try driver.feed(change(["comment": Self.comment]))
        let silver = try #require(try driver.silver.first)
        #expect(silver["comment"]?.string == "/* Geschichte */ [[Mosel|Fluss]] &amp; '''Tal'''\n\"x\".")
        #expect(silver["comment_text"]?.string == "Geschichte: Fluss & Tal \"x\".")
        #expect(
            try driver.gold.first?["text"]?.string
                == "Rhein: Geschichte: Fluss & Tal \"x\". edit (/* Geschichte */ [[Mosel|Fluss]] &amp; '''Tal''' \"x\".)"
        )
    }

    /// One event's text must not show in the next one's.
    @Test func aPlainCommentAndNoneFollowAMarkedOne() throws {
        var driver = try driver(.third)
        _ = try driver.feed(change(id: "a", ["comment": Self.comment]))
        _ = try driver.feed(change(id: "b", ["comment": #""plain \"\u0442\"""#]))
        _ = try driver.feed(change(id: "c", ["comment": nil]))
        _ = try driver.feed(change(id: "d", ["comment": #""''''''""#]))
        _ = try driver.feed(change(id: "e", ["comment": #""[[ ]]""#]))
        #expect(
            try driver.silver.dropFirst().map { $0["comment_text"]?.string } == ["plain \"т\"", "", "'", ""])
        #expect(
            try driver.gold.dropFirst().map { $0["text"]?.string } == [
                "Rhein: plain \"т\". edit (plain \"т\")", "Rhein. edit", "Rhein: '. edit ('''''')",
                "Rhein. edit ([[ ]])",
            ])
    }

    /// Wikibase's words may be longer than what they stand for, and every byte may take the longest escape.
    @Test(arguments: [
        #"/* undo:0||1|A */"#, #"/* wbeditentity-update-languages-and-other:0||3 */"#,
        #"/* undo:0||1|A */"# + String(repeating: #"\""#, count: 65_000), String(repeating: #"&quot;"#, count: 10_000),
    ])
    func theLineHasRoomForTheText(comment: String) throws {
        var driver = try driver(.third)
        _ = try driver.feed(change(["comment": "\"\(comment)\""]))
        #expect(try driver.silver.first?["comment_text"]?.string?.isEmpty == false)
    }

    @Test func docsShowWhatIsMade() throws {
        let page = String(decoding: try File.contents(of: PackageRoot.path + "/docs/lake.md"), as: UTF8.self)
        let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
        let head = try #require(lines.firstIndex(of: "| in `comment` | in `comment_text` |"))
        let rows = lines[(head + 2)...].prefix { $0.hasPrefix("|") }
        #expect(rows.count == 7)
        for row in rows {
            let cells = row.dropFirst(2).dropLast(2).split(separator: " | ").map { cell in
                String(cell.dropFirst().dropLast()).replacing("\\|", with: "|")
            }
            var driver = try driver(.third)
            _ = try driver.feed(change(["comment": "\"\(cells[0])\""]))
            #expect(try driver.silver.first?["comment_text"]?.string == cells[1])
        }
    }

    @Test(arguments: [TransformSettings.CodeVersion.first, .second])
    func olderVersionsHaveNoText(version: TransformSettings.CodeVersion) throws {
        var driver = try driver(version)
        _ = try driver.feed(change(["comment": Self.comment]))
        #expect(try driver.silver.first?["comment_text"] == nil)
        #expect(
            try driver.gold.first?["text"]?.string
                == "Rhein: Geschichte: Fluss &amp; '''Tal''' \"x\".. edit (/* Geschichte */ [[Mosel|Fluss]] &amp; '''Tal''' \"x\".)"
        )
    }
}
