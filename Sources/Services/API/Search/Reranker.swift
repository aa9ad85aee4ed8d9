package import Bytes
import Concurrency
import HTTPClient
import JSONScan
import Retrieval
package import Telemetry

/// How a service that orders documents for a query is asked.
package struct RerankConfiguration: Sendable {
    /// Where `POST` goes; may hold a secret.
    package var url: SecretURL
    /// What the service calls its model; empty for its own choice.
    package var model: String
    /// Sent as `Authorization: Bearer`; empty for none. A secret.
    package var key: String
    /// How long a search waits for it.
    package var millisecondsMax: Int
    /// Hits that are given to it, the first of the fused ranking.
    package var hitsMax: Int

    package init(url: SecretURL, model: String = "", key: String = "", millisecondsMax: Int = 1_000, hitsMax: Int = 50)
    {
        self.url = url
        self.model = model
        self.key = key
        self.millisecondsMax = millisecondsMax
        self.hitsMax = hitsMax
    }
}

/// What became of the order of a ranking's first hits.
enum Reranking: Sendable, Equatable {
    /// It is that of the service.
    case done
    /// It is the fused one, and why.
    case left(String)
}

/// Has a service put the first hits of a fused ranking into its own order, as Cohere's and others' `/rerank` does:
/// `{model, query, documents, top_n}` is asked, and `{"results": [{"index", "relevance_score"}]}` comes back.
package final class Reranker: Sendable {
    let configuration: RerankConfiguration
    private let clients: LanePool<HTTPClient>
    private let registry: MetricsRegistry
    private let seconds: Histogram
    private let logger: Logger

    /// Characters of one passage that are sent; the longest that the index makes have fewer.
    private static let charactersMax = 4_000
    private static let replyBytesMax = 1 << 20
    private static let lanes = 4

    package init(_ configuration: RerankConfiguration, metrics: MetricsRegistry, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        registry = metrics
        seconds = metrics.histogram(
            "medallion_api_rerank_seconds", help: "Time to have hits ordered by the service of RERANK_URL.")
        clients = LanePool(name: "rerank", count: Self.lanes, waitersMax: 64, make: { HTTPClient() })
    }

    /// The hits with the first of them in the service's order; in their own where it gives none in time.
    func reranked(_ hits: [Hit], query: String, deadline: Deadline) async throws -> ([Hit], Reranking) {
        let head = Array(hits.prefix(configuration.hitsMax))
        guard head.count > 1 else { return (hits, .done) }
        let start = SystemClock.monotonicNanoseconds()
        do {
            let limit = min(configuration.millisecondsMax, deadline.leftMilliseconds)
            // What another machine works is not this one's, which shares it out.
            let places = try await WorkMeter.$current.withValue(nil) {
                try await self.order(of: head, query: query, deadline: Deadline(milliseconds: limit))
            }
            seconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
            count("done")
            return (places.map { head[$0] } + hits.dropFirst(head.count), .done)
        } catch let error as CancellationError {
            throw error
        } catch {
            count("failed")
            logger.warning("hits stay in the fused order", ["error": "\(error)"])
            return (hits, .left(Self.reason(error, milliseconds: configuration.millisecondsMax)))
        }
    }

    /// Places of the hits in the service's order, each once.
    private func order(of hits: [Hit], query: String, deadline: Deadline) async throws -> [Int] {
        let body = body(hits, query: query)
        let configuration = self.configuration
        let response = try await clients.run(deadline: deadline) { client, timeout in
            var request = HTTPClientRequest(
                method: "POST", url: configuration.url.revealed, headers: [("Content-Type", "application/json")],
                body: body)
            if !configuration.key.isEmpty { request.headers.append(("Authorization", "Bearer \(configuration.key)")) }
            request.bodyBytesMax = Self.replyBytesMax
            let response = try client.request(request, timeoutMilliseconds: timeout)
            try response.requireSuccess()
            return response
        }
        return try Self.order(in: response.body, count: hits.count)
    }

    private func body(_ hits: [Hit], query: String) -> [UInt8] {
        var json = JSONWriter(capacity: 512 * (hits.count + 1))
        json.beginObject()
        if !configuration.model.isEmpty { json.string("model", configuration.model) }
        json.string("query", query)
        json.key("documents")
        json.beginArray()
        for hit in hits { json.string(String(hit.candidate.text.prefix(Self.charactersMax))) }
        json.endArray()
        json.integer("top_n", hits.count)
        json.endObject()
        return json.bytes
    }

    /// The order that a reply gives; documents that it leaves out follow in the order in which they were sent.
    ///
    /// - Throws: ``RerankFault`` where it is no such reply.
    static func order(in reply: [UInt8], count: Int) throws -> [Int] {
        guard let results = try JSONValue.parse(reply)["results"]?.array else {
            throw RerankFault(description: "the reply has no list “results”")
        }
        var scores = [Double?](repeating: nil, count: count)
        for result in results {
            guard let index = result["index"]?.integer.flatMap({ Int(exactly: $0) }), scores.indices.contains(index),
                let score = result["relevance_score"]?.double, score.isFinite, scores[index] == nil
            else {
                throw RerankFault(
                    description:
                        "the reply has a result without a relevance_score, or of a document that was not sent, or sent once"
                )
            }
            scores[index] = score
        }
        guard !results.isEmpty else { throw RerankFault(description: "the reply has no results") }
        return scores.indices.sorted { left, right in
            switch (scores[left], scores[right]) {
            case (let first?, let second?): first == second ? left < right : first > second
            case (_?, nil): true
            case (nil, _?): false
            case (nil, nil): left < right
            }
        }
    }

    private static func reason(_ error: any Error, milliseconds: Int) -> String {
        let late = "the service took longer than \(milliseconds) ms (RERANK_TIMEOUT_MS)"
        switch error {
        case let error as HTTPClientError where error.kind == .timeout: return late
        case is WaitError: return late
        case is RerankFault, is JSONError: return "the service gave no order that can be read"
        default: return "the service did not answer"
        }
    }

    private func count(_ outcome: String) {
        registry.counter(
            "medallion_api_reranked_total",
            help:
                "Rankings whose first hits were put into the order of RERANK_URL (`done`), and those that were not (`failed`).",
            labels: [("outcome", outcome)]
        ).increment()
    }
}

extension Search {
    /// The fused ranking of a hybrid search with its first hits in the service's order, where there is one. Further pages have it
    /// from their cursors.
    func reranked(
        _ hits: [Hit], _ request: SearchRequest, deadline: Deadline, _ stages: StageTimes
    ) async throws -> (hits: [Hit], reranking: Reranking?) {
        // Without words there is nothing that the service could judge by; and who asks for the newest wants no other order.
        guard request.mode == .hybrid, request.like == nil, request.options.order == .relevance, let reranker else {
            return (hits, nil)
        }
        let start = StageTimes.now()
        defer { stages.add(.rerank, since: start) }
        return try await reranker.reranked(hits, query: request.query, deadline: deadline)
    }
}

/// A reply that gives no order.
struct RerankFault: Error, CustomStringConvertible {
    let description: String
}

extension JSONWriter {
    /// Whether the first hits are in the service's order; nothing where there is no such service.
    mutating func reranking(_ reranking: Reranking?) {
        guard let reranking else { return }
        key("reranked")
        switch reranking {
        case .done: bool(true)
        case .left(let reason):
            bool(false)
            string("rerank_reason", reason)
        }
    }
}
