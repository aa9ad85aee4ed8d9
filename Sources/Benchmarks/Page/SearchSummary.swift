import Console

/// The eight rows of the search benchmark that say most.
struct SearchSummary {
    private let figures: [String: BenchFigure]

    init(_ report: BenchReport) {
        figures = Dictionary(report.figures.map { ($0.name, $0) }) { first, _ in first }
    }

    /// A table in Markdown; `–` where something was not measured.
    var table: [String] {
        [
            "| on one machine, load generator included | wanted | medallion | \(SearchNames.peer) | LanceDB in it |",
            "| --- | --- | ---: | ---: | ---: |",
            rates(4), rates(16), latency("p50", clients: 1, ratio: true), latency("p95", clients: 4, ratio: false),
            recall, indexing, freshness, embedding,
        ]
    }

    private func rates(_ clients: Int) -> String {
        let key = SearchNames.ratio(clients) + ": queries"
        return row(
            "hybrid searches/s, \(clients) clients", wanted(key, "times"),
            value(SearchNames.side(SearchNames.ours, clients) + ": queries") + times(key),
            value(SearchNames.side(SearchNames.peer, clients) + ": queries"),
            value(SearchNames.side(SearchNames.lance, clients) + ": queries"))
    }

    private func latency(_ quantile: String, clients: Int, ratio: Bool) -> String {
        let ours = SearchNames.side(SearchNames.ours, clients) + ": \(quantile)"
        let key = SearchNames.ratio(clients) + ": \(quantile)"
        return row(
            "their \(quantile), \(clients) client\(clients == 1 ? "" : "s"), ms",
            ratio ? wanted(key, "times") : wanted(ours, "ms"), value(ours) + (ratio ? times(key) : ""),
            value(SearchNames.side(SearchNames.peer, clients) + ": \(quantile)"),
            value(SearchNames.side(SearchNames.lance, clients) + ": \(quantile)"))
    }

    private var recall: String {
        func both(_ side: String) -> String {
            pair(
                SearchRecall.name(side, "the benchmark's queries", "vector"),
                SearchRecall.name(side, "phrases", "vector"))
        }
        return row(
            "recall@10 of the vectors, for those searches / phrases",
            wanted(SearchRecall.name(SearchNames.ours, "phrases", "vector"), ""), both(SearchNames.ours),
            both(SearchNames.peer), both(SearchNames.lance))
    }

    private var indexing: String {
        let key = SearchNames.ratio(4, SearchNames.indexing) + ": queries"
        return row(
            "searches/s, 4 clients, while 100 documents/s are indexed", wanted(key, "times"),
            value(SearchNames.side(SearchNames.ours, 4, SearchNames.indexing) + ": queries") + times(key),
            value(SearchNames.side(SearchNames.peer, 4, SearchNames.indexing) + ": queries"), "–")
    }

    private var freshness: String {
        let (p50, p95) = (FreshnessBench.name("hybrid", "p50"), FreshnessBench.name("hybrid", "p95"))
        let recall = figures[SearchNames.recallBeside].map { ", recall@10 \(BenchReport.short($0.value))" } ?? ""
        return row(
            "written to found, p50 / p95, ms, at \(value(SearchNames.eventsWatched)) events/s with 50 searches/s",
            [wanted(p50, ""), wanted(p95, "")].joined(separator: " / "), pair(p50, p95) + recall, "–", "–")
    }

    private var embedding: String {
        let precision = figures["embedding, int8 to sentence-transformers: documents"]?.goal == nil ? "float" : "int8"
        let theirs = "embedding, sentence-transformers"
        let key = "embedding, \(precision) to sentence-transformers: documents"
        return row(
            "embedding: documents/s / one query, ms", wanted(key, "times"),
            pair("embedding, \(precision): documents", "embedding, \(precision): one query, p50") + times(key),
            pair("\(theirs): documents", "\(theirs): one query, p50"), "–")
    }

    private func row(_ cells: String...) -> String { "| " + cells.joined(separator: " | ") + " |" }

    private func value(_ name: String) -> String { figures[name].map { BenchReport.short($0.value) } ?? "–" }

    private func pair(_ first: String, _ second: String) -> String { "\(value(first)) / \(value(second))" }

    private func times(_ name: String) -> String {
        figures[name].map { " (\(BenchReport.short($0.value)) times)" } ?? ""
    }

    private func wanted(_ name: String, _ unit: String) -> String {
        guard let goal = figures[name]?.goal else { return "" }
        return goal.text + (unit.isEmpty ? "" : " \(unit)")
    }
}
