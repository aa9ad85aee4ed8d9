import Bytes
import Console
import Files
import Glibc

/// docs/benchmarks.md: what benchmarks found on one machine, what was wanted, and what others reach or promise.
struct BenchmarksPage {
    /// One benchmark that ran.
    struct Run {
        let name: String
        /// As one types it.
        let command: String
        let report: BenchReport
    }

    /// Where the page lies, and the README.md that shows its first table.
    struct Place {
        let page: String
        /// In the folder above the page's; it is changed where it has ``BenchmarksPage/marks``.
        let readme: String

        /// The page from where the README is: `docs/benchmarks.md`.
        var link: String { page.split(separator: "/").suffix(2).joined(separator: "/") }

        init(_ page: String) {
            self.page = page
            let folder = page.contains("/") ? String(page[..<(page.lastIndex(of: "/") ?? page.startIndex)]) : "."
            readme = folder + "/../README.md"
        }

        /// Writes the page, and the summary into the README where it has a place for it.
        func write(_ content: BenchmarksPage) throws {
            try File.replace(page, with: Array(content.text.utf8))
            guard access(readme, W_OK) == 0 else { return }
            let text = String(decoding: try File.contents(of: readme), as: UTF8.self)
            let table = content.summaryTable
            let more = [
                "", "All figures, machine and commands: [\(link)](\(link)), written by `medallion bench report`.",
            ]
            guard let changed = BenchmarksPage.replacingSummary(in: text, with: table.isEmpty ? [] : table + more)
            else {
                return
            }
            if changed != text { try File.replace(readme, with: Array(changed.utf8)) }
        }
    }

    /// Lines between which a README shows the summary.
    static let marks = (begin: "<!-- summary of docs/benchmarks.md -->", end: "<!-- end of summary -->")

    let commit: String
    /// Milliseconds since 1970.
    let date: Int64
    var machine = Machine.current()
    var runs: [Run] = []

    init(commit: String, date: Int64) {
        self.commit = commit
        self.date = date
    }

    /// The whole page in Markdown.
    var text: String {
        var lines = [
            "# Benchmarks", "",
            "Written by `medallion bench report`; what is measured is told in [operations.md](operations.md#how-fast-it-should-be).",
            "", "| | |", "| --- | --- |", "| machine | \(machine.text) |",
            "| date | \(CivilTime.rfc3339(date).prefix(10)) |", "| commit | \(commit.isEmpty ? "unknown" : commit) |",
        ]
        lines += runs.map { "| command | `\($0.command)` |" }
        if let table = summary { lines += ["", "## In short", ""] + table }
        lines += ["", "## What others promise", ""] + Promises.table
        for run in runs {
            lines += ["", "## \(run.name)", "", Self.sentence(run.report.title), ""] + Self.table(run.report)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The rows that a README shows; empty without the search benchmark.
    var summaryTable: [String] { summary ?? [] }

    private var summary: [String]? {
        runs.first { $0.name == "search" }.map { SearchSummary($0.report).table }
    }

    private static func sentence(_ title: String) -> String {
        (title.first.map { $0.uppercased() } ?? "") + title.dropFirst() + "."
    }

    private static func table(_ report: BenchReport) -> [String] {
        ["| figure | | wanted | |", "| --- | ---: | --- | --- |"]
            + report.figures.map { figure in
                let unit = figure.unit.isEmpty ? "" : " \(figure.unit)"
                let verdict = figure.goal.map { $0.isReached(by: figure.value) ? "reached" : "missed" }
                return "| \(figure.name) | \(BenchReport.short(figure.value))\(unit) "
                    + "| \(figure.goal?.text ?? "") | \(verdict ?? figure.target ?? "") |"
            } + report.findings.map { "| wrong | \($0) | | |" }
    }

    /// A text with what stands between the marks replaced; nil where it has no marks.
    static func replacingSummary(in text: String, with table: [String]) -> String? {
        guard !table.isEmpty, let begin = text.firstRange(of: marks.begin),
            let end = text[begin.upperBound...].firstRange(of: marks.end)
        else { return nil }
        return text[..<begin.upperBound] + "\n" + table.joined(separator: "\n") + "\n" + text[end.lowerBound...]
    }

    /// What it was measured on.
    struct Machine {
        var processor = ""
        var cores = 0
        var memoryBytes: Int64 = 0
        var system = ""

        /// `2 cores of AMD EPYC 9R45, 24 GB, Debian GNU/Linux 12`
        var text: String {
            let gigabytes = Int((Double(memoryBytes) / 1e9).rounded())
            return "\(cores) cores of \(processor), \(gigabytes) GB, \(system)"
        }

        static func current() -> Machine {
            func value(_ file: String, _ key: String, _ separator: Character) -> String? {
                // Files of /proc tell no size, so they are read up to a bound.
                guard let file = try? File(file, .read), let bytes = try? file.read(at: 0, count: 16_384) else {
                    return nil
                }
                for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(key) {
                    guard let at = line.firstIndex(of: separator) else { continue }
                    return line[line.index(after: at)...].trimmed
                }
                return nil
            }
            return Machine(
                processor: value("/proc/cpuinfo", "model name", ":") ?? "an unknown processor",
                cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
                memoryBytes: Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE))),
                system: value("/etc/os-release", "PRETTY_NAME", "=") ?? "Linux")
        }
    }
}

extension Substring {
    /// Without blanks and quotation marks around it.
    fileprivate var trimmed: String {
        let skipped: Set<Character> = [" ", "\t", "\""]
        let front = drop { skipped.contains($0) }
        guard let last = front.lastIndex(where: { !skipped.contains($0) }) else { return "" }
        return String(front[...last])
    }
}

/// What the makers of other software say about how soon what is written is found.
private enum Promises {
    static let table =
        ["| | how soon what is written is found | source |", "| --- | --- | --- |"]
        + rows.map { "| \($0.who) | \($0.what) | <\($0.where)> |" }

    private static let rows: [(who: String, what: String, `where`: String)] = [
        (
            "Elasticsearch", "within a second, by default: an index is refreshed once a second",
            "https://www.elastic.co/docs/manage-data/data-store/near-real-time-search"
        ),
        (
            "Pinecone", "eventually; \u{201C}a slight delay\u{201D}, of which no bound is given",
            "https://docs.pinecone.io/guides/index-data/check-data-freshness"
        ),
        (
            "LanceDB",
            "at once, by comparing all rows that came since the indexes were last optimised, which slows searches",
            "https://docs.lancedb.com/indexing/reindexing"
        ),
    ]
}
