import Bytes
import Console

/// Searches by one closed loop after the other: ours, the peer's, and again.
struct SearchRates {
    /// One of those that are compared.
    struct Side {
        let name: String
        let url: String
        /// Of the service and of its database, at this moment.
        let processorSeconds: () -> Double
    }

    /// What one side did with a number of clients, a value for each round.
    private struct Tally {
        var rates = Sample()
        var p50 = Sample()
        var p95 = Sample()
        var p99 = Sample()
        /// Milliseconds of processor time a query.
        var processor = Sample()
        /// Documents a second that were indexed meanwhile.
        var indexed = Sample()
        var failures = 0

        mutating func add(_ result: WrkLoad.Result, processorSeconds: Double, documents: Double, seconds: Int) {
            rates.add(result.requestsPerSecond)
            p50.add(result.p50Milliseconds)
            p95.add(result.p95Milliseconds)
            p99.add(result.p99Milliseconds)
            processor.add(processorSeconds * 1e3 / max(1, result.requestsPerSecond * Double(seconds)))
            indexed.add(documents / Double(seconds))
            failures += result.failures
        }

        func figures(_ name: String, isIndexing: Bool) -> [BenchFigure] {
            var figures = [
                BenchFigure("\(name): queries", rates.quantile(0.5), "/s"),
                BenchFigure("\(name): p50", p50.quantile(0.5), "ms"),
                BenchFigure("\(name): p95", p95.quantile(0.5), "ms"),
                BenchFigure("\(name): p99", p99.quantile(0.5), "ms"),
            ]
            figures.append(
                isIndexing
                    ? BenchFigure("\(name): documents indexed", indexed.quantile(0.5), "/s")
                    : BenchFigure("\(name): processor time, database included", processor.quantile(0.5), "ms/query"))
            if failures > 0 { figures.append(BenchFigure("\(name): failed", Double(failures), "")) }
            return figures
        }
    }

    /// The first is ours, and the second the one that ours is held against.
    let sides: [Side]
    let seconds: Int
    let rounds: Int
    let folder: String
    /// The platform, where it indexes at the same time; nil where it does not.
    var indexing: BenchDeployment?

    private static let warmUpSeconds = 2
    /// Between turns, until what a busy machine left behind is indexed.
    private static let catchUpSecondsMax = 20
    private static let recordsWaitingMax = 200.0

    /// Quick rounds that are not counted: shapes are compiled, caches filled.
    func warmUp() throws {
        for (place, side) in sides.enumerated() {
            for clients in [1, 8] {
                _ = try load(clients, seconds: Self.warmUpSeconds, seed: 1_000 + place, side)
            }
        }
    }

    /// - Parameters:
    ///   - clients: numbers of connections, one after the other.
    ///   - goals: by number of clients, what is wanted of ours.
    func run(clients: [Int], goals: [Int: SearchGoals]) throws -> [BenchFigure] {
        let label = indexing == nil ? "" : SearchNames.indexing
        var tallies: [String: Tally] = [:]
        for round in 0..<rounds {
            for count in clients {
                for (place, side) in sides.enumerated() {
                    try catchUp()
                    let before = (side.processorSeconds(), try indexing?.documentsIndexed() ?? 0)
                    let result = try load(count, seconds: seconds, seed: round * 1_000 + count * 10 + place + 1, side)
                    let after = (side.processorSeconds(), try indexing?.documentsIndexed() ?? 0)
                    tallies["\(side.name) \(count)", default: Tally()].add(
                        result, processorSeconds: after.0 - before.0, documents: after.1 - before.1, seconds: seconds)
                }
            }
        }
        return clients.flatMap { count in
            var figures: [BenchFigure] = []
            for side in sides {
                let name = SearchNames.side(side.name, count, label)
                figures += (tallies["\(side.name) \(count)"] ?? Tally()).figures(name, isIndexing: indexing != nil)
            }
            return Self.judged(
                figures, sides.map { tallies["\($0.name) \(count)"] ?? Tally() }, count, label, goals[count])
        }
    }

    /// Waits for documents that the turn before held up, for a while.
    private func catchUp() throws {
        guard let indexing else { return }
        for _ in 0..<Self.catchUpSecondsMax * 2 {
            if try indexing.recordsWaiting() <= Self.recordsWaitingMax { return }
            Pause.milliseconds(500)
        }
    }

    private func load(_ clients: Int, seconds: Int, seed: Int, _ side: Side) throws -> WrkLoad.Result {
        try WrkLoad(folder: folder, connections: clients, seconds: seconds)
            .run(side.url, script: SearchQueries.script(seed: seed))
    }

    private static func judged(
        _ figures: [BenchFigure], _ tallies: [Tally], _ clients: Int, _ label: String, _ goals: SearchGoals?
    ) -> [BenchFigure] {
        var figures = figures
        if let limit = goals?.p95Milliseconds, let place = figures.firstIndex(where: { $0.name.hasSuffix(": p95") }) {
            figures[place].goal = .atMost(limit)
        }
        guard tallies.count > 1 else { return figures }
        let (ours, peer) = (tallies[0], tallies[1])
        let name = SearchNames.ratio(clients, label)
        figures.append(
            BenchFigure(
                "\(name): queries", ours.rates.quantile(0.5) / max(peer.rates.quantile(0.5), 1e-9), "times",
                goal: goals?.rateTimes.map { .atLeast($0) }))
        figures.append(
            BenchFigure(
                "\(name): p50", ours.p50.quantile(0.5) / max(peer.p50.quantile(0.5), 1e-9), "times",
                goal: goals?.p50Times.map { .atMost($0) }))
        return figures
    }
}

/// What is wanted of searches, at some number of clients.
struct SearchGoals {
    /// Of the peer's queries a second.
    var rateTimes: Double?
    /// Of the peer's.
    var p50Times: Double?
    var p95Milliseconds: Double?
}

/// Names of figures, by which a page finds them.
enum SearchNames {
    static let ours = "medallion"
    static let peer = "FastAPI service"
    static let lance = "FastAPI with LanceDB"
    static let indexing = "while documents are indexed"
    static let paced = "200 searches/s while documents are indexed"
    static let pacedShare = "200 searches/s while documents are indexed: within 250 ms"
    static let eventsWatched = "freshness is watched at"
    static let recallBeside = "recall@10 of the vector arm beside"
    static let drain = "burst: drained"
    static let recovery = "burst: seconds until edits are found within 500 ms again"

    static func side(_ side: String, _ clients: Int, _ label: String = "") -> String {
        "\(side), \(text(clients))\(label.isEmpty ? "" : " " + label)"
    }

    static func ratio(_ clients: Int, _ label: String = "") -> String {
        "medallion to FastAPI service, \(text(clients))\(label.isEmpty ? "" : " " + label)"
    }

    private static func text(_ clients: Int) -> String { "\(clients) client\(clients == 1 ? "" : "s")" }
}
