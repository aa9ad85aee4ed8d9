import Console
import Files
import PlatformTesting
import Testing

@testable import Benchmarks

/// The page of figures, and its summary in a README.
@Suite struct BenchmarksPageTests {
    private static func report() -> BenchReport {
        BenchReport(
            title: "search: 3 documents",
            figures: [
                BenchFigure("medallion, 4 clients: queries", 700, "/s"),
                BenchFigure("medallion, 4 clients: p95", 11.5, "ms", goal: .atMost(12)),
                BenchFigure("FastAPI service, 4 clients: queries", 60, "/s"),
                BenchFigure("medallion to FastAPI service, 4 clients: queries", 11.667, "times", goal: .atLeast(10)),
                BenchFigure("written to found, hybrid, p50", 190, "ms", goal: .atMost(180)),
                BenchFigure("load average", 2, "", target: "other work on this machine"),
            ])
    }

    private static func page() -> BenchmarksPage {
        var page = BenchmarksPage(commit: "abc123", date: 1_764_504_000_000)
        page.machine = .init(processor: "a processor", cores: 2, memoryBytes: 24_000_000_000, system: "Debian 12")
        page.runs = [.init(name: "search", command: "medallion bench search --seconds 5", report: report())]
        return page
    }

    @Test func whatWasMeasuredOnWhatIsSaid() {
        let lines = Self.page().text.split(separator: "\n").map(String.init)
        for line in [
            "| machine | 2 cores of a processor, 24 GB, Debian 12 |", "| date | 2025-11-30 |", "| commit | abc123 |",
            "| command | `medallion bench search --seconds 5` |", "Search: 3 documents.",
            "| medallion, 4 clients: p95 | 11.5 ms | at most 12 | reached |",
            "| written to found, hybrid, p50 | 190 ms | at most 180 | missed |",
            "| load average | 2.0 |  | other work on this machine |",
        ] {
            #expect(lines.contains(line), "\(line)")
        }
    }

    @Test func theSummaryHasEightRowsWhateverWasMeasured() {
        let table = Self.page().summaryTable
        #expect(table.count == 2 + 8)
        #expect(table[2] == "| hybrid searches/s, 4 clients | at least 10 times | 700 (11.7 times) | 60.0 | – |")
        let empty = SearchSummary(BenchReport(title: "search")).table
        #expect(empty.count == 2 + 8)
        let columns = table.map { $0.count { $0 == "|" } }
        #expect(Set(columns) == [6])
    }

    @Test func aReadmeGetsTheSummaryWhereItHasAPlace() throws {
        let text = "a\n\(BenchmarksPage.marks.begin)\nold\n\(BenchmarksPage.marks.end)\nb\n"
        let changed = try #require(BenchmarksPage.replacingSummary(in: text, with: ["one", "two"]))
        #expect(changed == "a\n\(BenchmarksPage.marks.begin)\none\ntwo\n\(BenchmarksPage.marks.end)\nb\n")
        #expect(BenchmarksPage.replacingSummary(in: changed, with: ["one", "two"]) == changed)
        #expect(BenchmarksPage.replacingSummary(in: "a\n", with: ["one"]) == nil)
        #expect(BenchmarksPage.replacingSummary(in: text, with: []) == nil)
    }

    @Test func pageAndReadmeAreWritten() throws {
        let folder = try TemporaryFolder()
        try Folder.create(folder.path + "/docs")
        let readme = folder.path + "/README.md"
        let marks = BenchmarksPage.marks
        try File.replace(readme, with: Array("a\n\(marks.begin)\n\(marks.end)\nb\n".utf8))
        try BenchmarksPage.Place(folder.path + "/docs/benchmarks.md").write(Self.page())
        let page = String(decoding: try File.contents(of: folder.path + "/docs/benchmarks.md"), as: UTF8.self)
        #expect(page == Self.page().text)
        let lines = String(decoding: try File.contents(of: readme), as: UTF8.self).split(separator: "\n").map(
            String.init)
        #expect(lines.first == "a" && lines.last == "b" && lines.count == 4 + 10 + 1)
        #expect(lines.contains { $0.contains("(docs/benchmarks.md)") })
    }

    @Test func theReadmeLiesAboveThePage() {
        #expect(BenchmarksPage.Place("docs/benchmarks.md").readme == "docs/../README.md")
        #expect(BenchmarksPage.Place("benchmarks.md").readme == "./../README.md")
        #expect(BenchmarksPage.Place("/a/docs/benchmarks.md").link == "docs/benchmarks.md")
    }

    @Test func optionsOfAPageNeedAPage() throws {
        func command(_ words: String...) throws -> BenchCommand {
            try BenchCommand(try ParsedArguments(words, BenchCommand.table))
        }
        _ = try command("search", "--passages", "1000")
        _ = try command("report", "--benches", "search,lake", "--output", "x.md")
        for words in [
            ["search", "--output", "x.md"], ["lake", "--benches", "lake"], ["nothing"], ["report", "--benches", "x"],
        ] {
            #expect(throws: UsageError.self) {
                _ = try BenchCommand(try ParsedArguments(words, BenchCommand.table))
            }
        }
    }
}
