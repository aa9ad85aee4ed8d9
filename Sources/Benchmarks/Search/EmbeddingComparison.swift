import Bytes
import Concurrency
import Console
import Embeddings
import Records

/// Our embedder beside sentence-transformers, in turn, on the same texts: documents in bulk, and queries one after the other.
struct EmbeddingComparison {
    /// One side's turns; the best of each counts.
    private struct Speed {
        var documents = 0.0
        var query = Double.infinity
    }

    /// Documents a second, of sentence-transformers'.
    static let documentsGoal = 4.2
    /// How many times as long sentence-transformers takes for one query.
    static let queryGoal = 8.0

    private static let rounds = 2
    private static let ourBatch = 512
    private static let peerBatch = 64
    private static let queries = 100

    let modelDirectory: String
    /// The one that something is wanted of.
    let precision: EmbeddingPrecision
    let documents: [String]
    /// Nil where it is not installed.
    let peer: SearchPeer?

    private var someQueries: [String] {
        var random = SeededGenerator(seed: 5)
        return (0..<Self.queries).map { _ in SearchQueries.next(&random) }
    }

    /// Documents a second that ours embeds in its precision when nothing else is to be done.
    func ours() async throws -> Double {
        var speed = Speed()
        try await measure(precision, someQueries, &speed)
        return speed.documents
    }

    /// All precisions of ours, and the peer's.
    func figures() async throws -> [BenchFigure] {
        let queries = someQueries
        let precisions = EmbeddingPrecision.allCases
        var speeds = [Speed](repeating: Speed(), count: precisions.count)
        var theirs = Speed()
        for _ in 0..<Self.rounds {
            for (place, precision) in precisions.enumerated() {
                try await measure(precision, queries, &speeds[place])
            }
            if let peer { try await measure(peer, queries, &theirs) }
        }
        return figures(precisions, speeds, theirs)
    }

    private func measure(_ precision: EmbeddingPrecision, _ queries: [String], _ speed: inout Speed) async throws {
        let directory = modelDirectory
        var options = LocalEmbedderOptions()
        options.precision = precision
        let settled = options
        let embedder = try await Lane(name: "bench").run {
            try LocalEmbedder(modelDirectory: directory, options: settled)
        }
        defer { embedder.stop() }
        // The first batches of a shape compile it.
        _ = try await embedder.embed(documents, priority: .batch)
        let began = SystemClock.monotonicNanoseconds()
        for start in stride(from: 0, to: documents.count, by: Self.ourBatch) {
            _ = try await embedder.embed(
                Array(documents[start..<min(documents.count, start + Self.ourBatch)]), priority: .batch)
        }
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        speed.documents = max(speed.documents, Double(documents.count) / seconds)
        for query in queries { _ = try await embedder.embed([query], priority: .query) }
        var single = Sample()
        for query in queries {
            let asked = SystemClock.monotonicNanoseconds()
            _ = try await embedder.embed([query], priority: .query)
            single.add(Double(SystemClock.monotonicNanoseconds() - asked) / 1e6)
        }
        speed.query = min(speed.query, single.quantile(0.5))
    }

    private func measure(_ peer: SearchPeer, _ queries: [String], _ speed: inout Speed) async throws {
        let documents = documents
        let (seconds, single) = try await Lane(name: "bench").run {
            let bulk = SearchClient(url: peer.url + "/embed")
            _ = try bulk.post(Self.body(Array(documents.prefix(Self.peerBatch))))
            guard let seconds = try bulk.post(Self.body(documents))["seconds"]?.double, seconds > 0 else {
                throw Failure("the peer does not say how long it took")
            }
            let reply = try SearchClient(url: peer.url + "/embed/queries").post(Self.body(queries + queries))
            var single = Sample()
            for value in (reply["milliseconds"]?.array ?? []).dropFirst(queries.count) { single.add(value.double ?? 0) }
            return (seconds, single)
        }
        speed.documents = max(speed.documents, Double(documents.count) / seconds)
        speed.query = min(speed.query, single.quantile(0.5))
    }

    private static func body(_ texts: [String]) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.key("texts")
        json.beginArray()
        for text in texts { json.string(text) }
        json.endArray()
        json.integer("batch", peerBatch)
        json.endObject()
        return json.bytes
    }

    private func figures(_ precisions: [EmbeddingPrecision], _ speeds: [Speed], _ theirs: Speed) -> [BenchFigure] {
        var figures: [BenchFigure] = []
        for (place, speed) in zip(precisions, speeds) {
            figures += [
                BenchFigure("embedding, \(place.rawValue): documents", speed.documents, "/s"),
                BenchFigure("embedding, \(place.rawValue): one query, p50", speed.query, "ms"),
            ]
        }
        guard theirs.documents > 0 else { return figures }
        figures += [
            BenchFigure("embedding, sentence-transformers: documents", theirs.documents, "/s"),
            BenchFigure("embedding, sentence-transformers: one query, p50", theirs.query, "ms"),
        ]
        for (place, speed) in zip(precisions, speeds) {
            let isChosen = place == precision
            figures += [
                BenchFigure(
                    "embedding, \(place.rawValue) to sentence-transformers: documents",
                    speed.documents / theirs.documents,
                    "times", goal: isChosen ? .atLeast(Self.documentsGoal) : nil),
                BenchFigure(
                    "embedding, sentence-transformers to \(place.rawValue): one query", theirs.query / speed.query,
                    "times",
                    goal: isChosen ? .atLeast(Self.queryGoal) : nil),
            ]
        }
        return figures
    }
}
