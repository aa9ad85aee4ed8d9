import Access
import Bytes
import Glibc
import HTTPServer
import Health
import IndexTesting
import JSONScan
import Records
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import API

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
    /// What replies say of it.
    let freshness = FreshnessBox()

    /// How fresh the index is told to be.
    final class FreshnessBox: Sendable {
        let value = Mutex(
            Freshness(
                .fresh, eventsBehind: 3, waitMilliseconds: 0, indexedAtMilliseconds: 1_763_700_000_000, generation: 1,
                indexVersion: 5))

        func set(_ state: Freshness.State, _ reason: String, eventsBehind: Int64? = nil) {
            value.withLock {
                $0.state = state
                $0.reason = reason
                $0.eventsBehind = eventsBehind
            }
        }
    }

    final class EmbeddedTexts: Sendable {
        let texts = Mutex<[String]>([])
        let isFailing = Mutex(false)
    }

    init(
        hasEmbedder: Bool = true, embedder custom: QueryEmbedder? = nil, timeoutMilliseconds: Int = 30_000,
        streamsMax: Int = 8_000, streamsPerKeyMax: Int = 0, streamsPerAddressMax: Int = 0,
        lanes: Int = 2, isAnswerEnabled: Bool = true, events: EventHub? = nil, readyLagMax: Int64 = 0,
        refusesStaleAnswers: Bool = false,
        access: AccessConfiguration = AccessConfiguration(), accessLog: String = "",
        readKeys: (@Sendable () throws -> [APIKey])? = nil,
        adjust: (inout SearchAPIDependencies) -> Void = { _ in },
        configure: (inout SearchAPIConfiguration) -> Void = { _ in }
    ) {
        let (index, embedded, freshness) = (self.index, self.embedded, self.freshness)
        let embedder = QueryEmbedder(modelName: "bag-of-words") { texts in
            if embedded.isFailing.withLock({ $0 }) { throw FakeFailure() }
            embedded.texts.withLock { $0 += texts }
            return texts.map(FakeIndex.embed)
        }
        var configuration = SearchAPIConfiguration()
        configuration.requestTimeoutMilliseconds = timeoutMilliseconds
        configuration.streamsMax = streamsMax
        configuration.streamsPerKeyMax = streamsPerKeyMax
        configuration.streamsPerAddressMax = streamsPerAddressMax
        configuration.storeLanes = lanes
        configuration.isAnswerEnabled = isAnswerEnabled
        configuration.freshnessLimits.eventsBehindMax = readyLagMax
        configuration.isStaleAnswerRefused = refusesStaleAnswers
        configuration.access = access
        configuration.accessLog = accessLog
        configure(&configuration)
        var dependencies = SearchAPIDependencies(
            makeStore: { index.makeStore() }, makeTraceSource: { FakeTraceSource(index: index) },
            embedder: hasEmbedder ? custom ?? embedder : nil, health: health, metrics: MetricsRegistry(),
            logger: Logger("api", level: .error),
            pipeline: { _ in
                PipelineStatus(
                    kind: .recording, name: "recentchange.jsonl.zst",
                    receivedAtMilliseconds: SystemClock.epochMilliseconds())
            })
        dependencies.freshness = { _ in freshness.value.withLock { $0 } }
        dependencies.events = events
        dependencies.readKeys = readKeys
        dependencies.flow = Self.flow()
        adjust(&dependencies)
        api = SearchAPI(configuration: configuration, dependencies: dependencies)
    }

    /// Three of seven events wait, and nobody has told how far the lake is.
    private static func flow() -> PipelineFlow {
        let flow = PipelineFlow(clock: { 0 })
        flow.note(
            IndexLook(
                generation: 1, indexVersion: 5, indexedAtMilliseconds: nil,
                places: [0: IndexLook.Place(next: 4, low: 0, high: 7)], atMilliseconds: 0),
            of: "source", topic: "source")
        return flow
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
        await json(Self.posting(route.rawValue, body))
    }

    /// What a health page says is read as operators see it: in memory nobody comes from this machine.
    func get(
        _ route: Route, _ query: [(name: String, value: String)] = [], path: [String: String] = [:]
    ) async -> (status: Int, body: JSONValue) {
        switch route {
        case .health: json(api.operation.health(isDetailed: true))
        case .ready: json(api.operation.ready(isDetailed: true))
        default: await json(Self.request(route, query, path: path))
        }
    }

    /// Serves a request through the router in memory.
    func reply(_ request: HTTPRequest) async -> HTTPResponse {
        await api.router().respond(to: request, shapeFault: SearchAPI.faultShaper)
    }

    /// A body as clients send it.
    static func posting(_ target: String, _ body: String, _ headers: HTTPHeaders = [:]) -> HTTPRequest {
        var headers = headers
        headers.add("Content-Type", "application/json")
        return HTTPRequest(method: .post, target: target, headers: headers, body: Array(body.utf8))
    }

    static func request(
        _ route: Route, _ query: [(name: String, value: String)] = [], path: [String: String] = [:]
    ) -> HTTPRequest {
        var target = route.rawValue
        for (name, value) in path { target = target.replacing("{\(name)}", with: encoded(value)) }
        let pairs = query.map { "\(encoded($0.name))=\(encoded($0.value))" }
        return HTTPRequest(target: target + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")))
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "%0\(digits)" : "%\(digits)"
        }.joined()
    }

    private func json(_ request: HTTPRequest) async -> (status: Int, body: JSONValue) {
        json(await reply(request))
    }

    private func json(_ response: HTTPResponse) -> (status: Int, body: JSONValue) {
        #expect(response.headers["Content-Type"] == "application/json")
        let body = try? JSONValue.parse(response.body)
        #expect(body != nil, "not JSON: \(String(decoding: response.body, as: UTF8.self))")
        return (response.status, body ?? .null)
    }
}

/// Waits until something is so, at most a minute.
func eventually(_ isSo: () async throws -> Bool) async throws {
    for _ in 0..<12_000 {
        if try await isSo() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("it did not come to be")
    throw FakeFailure()
}

/// Runs `body` against the API on a port of this machine.
func withAPI<T: Sendable>(
    _ fixture: APIFixture, configure: (inout HTTPServerConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable (UInt16) async throws -> T
) async throws -> T {
    var configuration = HTTPServerConfiguration()
    configure(&configuration)
    let server = SearchServer(api: fixture.api, configuration: configuration, drainSeconds: 1)
    let stop = StopSignal()
    try await server.prepare(stop: stop)
    let running = Task { try await server.run(stop: stop) }
    let result: Result<T, any Error>
    do {
        guard let port = server.port else { throw FakeFailure() }
        result = .success(try await body(port))
    } catch {
        result = .failure(error)
    }
    stop.request()
    try await running.value
    return try result.get()
}

extension AccessConfiguration {
    /// As with the default settings: the loopback interface, whose requests may read and are told details.
    static func ofThisMachine(hosts: [String] = [], origins: [String] = []) -> AccessConfiguration {
        var access = AccessConfiguration()
        access.isAnonymousReadAllowed = false
        access.addressRate = 5
        access.local = LocalAccess(
            trust: LocalTrust(hosts: hosts, origins: origins), readsAnonymously: true, isUnlimited: true, isAlone: true)
        return access
    }
}

/// The paths that the tests ask for.
enum Route: String {
    case search = "/search"
    case answer = "/answer"
    case answersGiven = "/answers"
    case answerGiven = "/answers/{answer_id}"
    case answerTrace = "/answers/{answer_id}/trace"
    case recent = "/events/recent"
    case stream = "/stream"
    case trace = "/trace/{doc_id}"
    case impact = "/impact"
    case health = "/health"
    case ready = "/ready"
    case live = "/live"
    case status = "/pipeline/status"
    case history = "/history"
    case keys = "/keys"
    case metrics = "/metrics"
    case page = "/"
    case docs = "/docs"
    case document = "/openapi.json"
    case pageFile = "/page/{file}"
}

extension JSONValue {
    /// The names of an object's members, in order.
    var keys: [String] { object?.map(\.key) ?? [] }

    subscript(_ index: Int) -> JSONValue? {
        guard let array, array.indices.contains(index) else { return nil }
        return array[index]
    }
}
