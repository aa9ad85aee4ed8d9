import Bytes
import Glibc
import JSONScan
import Retrieval
import SearchAPI
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

func sleepMilliseconds(_ milliseconds: Int) {
    usleep(UInt32(milliseconds) * 1_000)
}

/// An API over a ``FakeIndex``, asked in memory.
struct APIFixture {
    let index = FakeIndex()
    let api: SearchAPI
    let health = HealthRegistry()
    /// Texts that were embedded.
    let embedded = EmbeddedTexts()

    final class EmbeddedTexts: Sendable {
        let texts = Mutex<[String]>([])
        let isFailing = Mutex(false)
    }

    init(
        hasEmbedder: Bool = true, embedder custom: QueryEmbedder? = nil, timeoutMilliseconds: Int = 5_000,
        lanes: Int = 2, isAnswerEnabled: Bool = true
    ) {
        let (index, embedded) = (self.index, self.embedded)
        let embedder = QueryEmbedder(modelName: "bag-of-words") { texts in
            if embedded.isFailing.withLock({ $0 }) { throw FakeFailure() }
            embedded.texts.withLock { $0 += texts }
            return texts.map(FakeIndex.embed)
        }
        var configuration = SearchAPIConfiguration()
        configuration.requestTimeoutMilliseconds = timeoutMilliseconds
        configuration.storeLanes = lanes
        configuration.isAnswerEnabled = isAnswerEnabled
        api = SearchAPI(
            configuration: configuration,
            dependencies: SearchAPIDependencies(
                makeStore: { index.makeStore() }, makeTraceSource: { FakeTraceSource(index: index) },
                embedder: hasEmbedder ? custom ?? embedder : nil, health: health, metrics: MetricsRegistry(),
                logger: Logger("api", level: .error),
                pipeline: {
                    PipelineStatus(
                        kind: .recording, name: "recentchange.jsonl.zst",
                        receivedAtMilliseconds: SystemClock.epochMilliseconds(), eventsBehind: 3)
                }))
    }

    /// A few edits about different things, in several scripts, one of them hostile.
    func fill() {
        index.add("d-bridge", title: "Golden Gate Bridge", comment: "repainted towers section", user: "Ann")
        index.add("d-tahoe", title: "Lake Tahoe", comment: "new depth figure from survey", user: "Bob")
        index.add(
            "d-moskva", title: "Москва", comment: "исправлена опечатка в разделе", wiki: "ruwiki", language: "ru",
            user: "Иван")
        index.add(
            "d-hostile", title: "<img src=x onerror=alert(1)>", comment: "\u{202E}gnihtyna</script>\u{0007}",
            wiki: "arwiki", language: "ar", type: "new", user: "محمد")
        index.add(
            "d-bot", title: "Golden Gate Park", comment: "category added by bot", wiki: "dewiki", language: "de",
            user: "CatBot", isBot: true, eventTime: 1_630_000_000_000)
    }

    func post(_ route: Route, _ body: String) async -> (status: Int, body: JSONValue) {
        await ask(route, APIRequest(body: Array(body.utf8)))
    }

    func get(
        _ route: Route, _ query: [(name: String, value: String)] = [], path: [String: String] = [:]
    ) async -> (status: Int, body: JSONValue) {
        await ask(route, APIRequest(query: query, pathParameters: path))
    }

    private func ask(_ route: Route, _ request: APIRequest) async -> (status: Int, body: JSONValue) {
        let reply = await api.handle(route, request)
        #expect(reply.contentType == "application/json")
        let body = try? JSONValue.parse(reply.body)
        #expect(body != nil, "not JSON: \(String(decoding: reply.body, as: UTF8.self))")
        return (reply.status, body ?? .null)
    }
}

extension JSONValue {
    /// The names of an object's members, in order.
    var keys: [String] { object?.map(\.key) ?? [] }

    subscript(_ index: Int) -> JSONValue? {
        guard let array, array.indices.contains(index) else { return nil }
        return array[index]
    }
}
