import Arms
import Bytes
import Concurrency
import Embeddings
import Records
import Retrieval
import Simulator
import Text

/// The queries of a benchmark of growth, and what searching with them takes.
struct GrowthSearches: Sendable {
    struct Rate: Sendable {
        var perSecond = 0.0
        /// Processor time of a query, microseconds.
        var microseconds = 0.0
        var milliseconds = Sample()
    }

    private static let top = 10

    private let queries: [(kind: RecallQueries.Kind, query: ArmsQuery)]

    init(_ input: GrowthInput, _ embedder: LocalEmbedder, each: Int) async throws {
        var queries: [(kind: RecallQueries.Kind, query: ArmsQuery)] = []
        let analyzer = try TextAnalyzer()
        for kind in RecallQueries.Kind.allCases {
            let texts = try RecallQueries(input.input, kind).texts(each)
            for (text, vector) in zip(texts, try await embedder.embed(texts, priority: .batch)) {
                var query = ArmsQuery(filter: .all)
                query.vector = vector
                (query.vectorLimit, query.lexicalLimit) = (SearchLimits.candidatesPerArm, SearchLimits.candidatesPerArm)
                query.words = analyzer.queryWords(of: text, languages: ["en"]).map { word in
                    word.alternatives.map { ($0.term, $0.weight) }
                }
                queries.append((kind, query))
            }
        }
        self.queries = queries
    }

    enum Part: String, CaseIterable {
        case both = "both arms"
        case vector = "the vector arm"
        case words = "the word arm"
    }

    private func query(_ number: Int, _ part: Part) -> ArmsQuery {
        var query = queries[number % queries.count].query
        if part == .vector { query.lexicalLimit = 0 }
        if part == .words { query.vectorLimit = 0 }
        return query
    }

    /// Searches for some time.
    ///
    /// - Parameter search: one search; called by so many threads at once as there are clients.
    func rate(
        _ part: Part, clients: Int, seconds: Double, _ search: @escaping @Sendable (ArmsQuery) throws -> Void
    ) async throws -> Rate {
        let (began, processor) = (SystemClock.monotonicNanoseconds(), ProcessorTime.seconds())
        let until = began + Int64(seconds * 1e9)
        let samples = try await withThrowingTaskGroup(of: Sample.self) { group in
            for client in 0..<clients {
                group.addTask {
                    try await Lane(name: "bench").run {
                        var sample = Sample()
                        var number = client * 7
                        while true {
                            let start = SystemClock.monotonicNanoseconds()
                            guard start < until || sample.values.isEmpty else { return sample }
                            try search(query(number, part))
                            sample.add(Double(SystemClock.monotonicNanoseconds() - start) / 1e6)
                            number += 1
                        }
                    }
                }
            }
            var samples: [Sample] = []
            for try await sample in group { samples.append(sample) }
            return samples
        }
        var rate = Rate()
        for value in samples.flatMap(\.values) { rate.milliseconds.add(value) }
        let count = Double(max(1, rate.milliseconds.values.count))
        rate.perSecond = count / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
        rate.microseconds = (ProcessorTime.seconds() - processor) / count * 1e6
        return rate
    }

    /// Of the ten nearest vectors, the share that the vector arm finds, and how long that takes.
    ///
    /// - Parameter step: one query in so many is tried.
    func recall(
        of index: ArmsIndex, _ kinds: [RecallQueries.Kind], filter: Filter = .all, step: Int = 1
    ) -> (recall: Double, milliseconds: Sample) {
        var (found, wanted, sample) = (0, 0, Sample())
        for place in stride(from: 0, to: queries.count, by: step) where kinds.contains(queries[place].kind) {
            var query = query(place, .vector)
            query.filter = filter
            func nearest(_ isExact: Bool) -> Set<Int64> {
                query.isExact = isExact
                return Set(index.search(query).places.prefix(Self.top).map(\.passageID))
            }
            let exact = nearest(true)
            let began = SystemClock.monotonicNanoseconds()
            let near = nearest(false)
            sample.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
            wanted += exact.count
            found += near.intersection(exact).count
        }
        return (Double(found) / Double(max(1, wanted)), sample)
    }
}
