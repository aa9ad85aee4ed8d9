import Bytes
import Concurrency
import Console
import Synchronization

/// How many of the nearest ten are found, by asking the same with `exact` and without, over HTTP.
struct SearchRecall {
    /// Queries by kind.
    let queries: [(name: String, texts: [String])]

    /// What is wanted, of each kind.
    static let goal = 0.97

    /// - Parameter count: of each kind.
    init(_ input: IndexBenchInput, count: Int) throws {
        var random = SeededGenerator(seed: 97)
        queries = [
            ("the benchmark's queries", (0..<count).map { _ in SearchQueries.next(&random) }),
            ("phrases", try RecallQueries(input, .phrases).texts(count)),
        ]
    }

    /// - Parameters:
    ///   - modes: of searches; `vector` is the arm alone.
    ///   - isOurs: whether something is wanted of it.
    func figures(of side: String, url: String, modes: [String], isOurs: Bool) throws -> [BenchFigure] {
        let client = SearchClient(url: url)
        return try modes.flatMap { mode in
            try queries.flatMap { kind in
                var tally = RecallTally()
                var allWords = 0
                for text in kind.texts {
                    let reply = try client.reply(text, mode: mode, isExact: false)
                    tally.add(
                        found: SearchClient.documents(reply),
                        exact: try client.documents(text, mode: mode, isExact: true))
                    if SearchClient.hasAllWords(reply) { allWords += 1 }
                }
                let isWanted = isOurs && mode == "vector"
                var figures = [
                    BenchFigure(
                        Self.name(side, kind.name, mode), tally.share, "", goal: isWanted ? .atLeast(Self.goal) : nil)
                ]
                if isOurs, mode != "vector" {
                    figures.append(
                        BenchFigure(
                            "\(side), word arm ranked all there is, \(kind.name)",
                            Double(allWords) / Double(max(1, kind.texts.count)), "", goal: .atLeast(Self.goal)))
                }
                return figures
            }
        }
    }

    static func name(_ side: String, _ kind: String, _ mode: String) -> String {
        mode == "vector"
            ? "\(side), recall@10 of the vector arm, \(kind)"
            : "\(side), \(mode): top 10 as by an exact vector arm, \(kind)"
    }
}

/// How many of the exact ten were among those found.
struct RecallTally: Sendable {
    private var found = 0
    private var wanted = 0

    mutating func add(found: [String], exact: [String]) {
        self.found += Set(found).intersection(exact).count
        wanted += Set(exact).count
    }

    /// From 0 to 1; 0 before the first.
    var share: Double { Double(found) / Double(max(1, wanted)) }
}

/// Recall under load: each approximate search is followed at once by the exact one.
///
/// The index may change between the two, so this is a lower bound.
final class RecallAlong: Sendable {
    private let crew = Crew()
    private let tally = Mutex(RecallTally())
    private let seconds: Int

    private static let everyMilliseconds = 500

    /// Starts a thread that ends by itself after so long.
    init(url: String, texts: [String], seconds: Int) throws {
        self.seconds = seconds
        let end = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        try crew.add("recall") { [self] in
            let client = SearchClient(url: url)
            var number = 0
            while SystemClock.monotonicNanoseconds() < end, !texts.isEmpty {
                let text = texts[number % texts.count]
                number += 1
                let found = try client.documents(text, mode: "vector", isExact: false)
                let exact = try client.documents(text, mode: "vector", isExact: true)
                tally.withLock { $0.add(found: found, exact: exact) }
                Pause.milliseconds(Self.everyMilliseconds)
            }
        }
    }

    /// Blocks until it has ended.
    func share() throws -> Double {
        try crew.wait(seconds: seconds + 120)
        return tally.withLock { $0.share }
    }
}
