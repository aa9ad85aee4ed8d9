import Access
import HTTPServer
import Health
import IndexTesting
import JSONScan
import Records
import Retrieval
import Telemetry
import Testing

@testable import API

/// A tenant of the tests with its own word, which is in everything that only it may see: ids, titles, words, users, collections,
/// attributes, topics, sources.
struct MarkedTenant: Sendable, Hashable {
    /// Six letters, in no word of the program.
    let token: String
    let tenant: TenantID

    /// Two with names of their own, and the standard one.
    static let all = [
        MarkedTenant("quokka", TenantID("quokka") ?? .standard),
        MarkedTenant("wombat", TenantID("wombat") ?? .standard),
        MarkedTenant("bilbys", .standard),
    ]
    /// The word of nobody: what is asked for by it does not exist.
    static let nobodys = "numbat"

    private init(_ token: String, _ tenant: TenantID) {
        self.token = token
        self.tenant = tenant
    }

    var others: [MarkedTenant] { Self.all.filter { $0 != self } }

    var source: StreamSource {
        StreamSource(name: "\(token)-source", topic: "\(token).raw", goldTopic: "\(token).gold", tenant: tenant)
    }

    var collections: [CollectionDeclaration] {
        ["notes", "\(token)orders"].compactMap { name in
            guard let name = CollectionName(name), let size = AttributeName("\(token)_size") else { return nil }
            return CollectionDeclaration(
                name: name,
                attributes: CollectionDeclaration.recentChangeAttributes + [AttributeDeclaration(size, .integer)])
        }
    }
}

/// Who asks: with a key of a role, without one, or an administrator of the platform who names the tenant.
struct TenantCaller: Sendable, CustomStringConvertible {
    let home: MarkedTenant
    let headers: HTTPHeaders
    /// Whether it may see what does not tell tenants apart.
    let isPlatformAdmin: Bool
    let description: String
}

/// An API over one index that holds documents of several tenants, some of one id and in collections of one name.
struct TenantScene: Sendable {
    let fixture: APIFixture
    let topic = FakeTopic()
    let hub: EventHub
    let keys = TestKeys()
    /// By the home's word.
    let callers: [TenantCaller]

    /// Of each tenant; three more share their ids with those of the others.
    static let documents = 8

    init() throws {
        let (topic, keys) = (self.topic, self.keys)
        hub = EventHub(
            topics: topic, sources: MarkedTenant.all.map(\.source), indexed: { topic.state.withLock { $0.indexed } },
            metrics: MetricsRegistry(), logger: Logger("stream", level: .error))
        var callers: [TenantCaller] = []
        let platform = try keys.make(.admin)
        for marked in MarkedTenant.all {
            for role in Role.allCases {
                callers.append(
                    TenantCaller(
                        home: marked, headers: ["X-API-Key": try keys.make(role, tenant: marked.tenant)],
                        isPlatformAdmin: false, description: "\(role) of \(marked.tenant)"))
            }
            callers.append(
                TenantCaller(
                    home: marked, headers: ["X-API-Key": platform, "Medallion-Tenant": marked.tenant.text],
                    isPlatformAdmin: true, description: "the platform for \(marked.tenant)"))
            guard marked.tenant == .standard else { continue }
            callers.append(
                TenantCaller(home: marked, headers: [:], isPlatformAdmin: false, description: "anybody"))
        }
        self.callers = callers
        fixture = Self.fixture(keys, hub)
        fixture.api.access.use(KeyRing(keys.read()))
        topic.state.withLock { state in
            for marked in MarkedTenant.all { state.epochs[marked.source.topic] = "e1\(marked.token)" }
        }
        for number in 0..<Self.documents {
            for marked in MarkedTenant.all { Self.add(marked, number, to: fixture.index) }
        }
    }

    private static func fixture(_ keys: TestKeys, _ hub: EventHub) -> APIFixture {
        // To this model all tenants' words are one, so that whose word is asked for changes no score.
        let embedder = QueryEmbedder(modelName: "bag-of-words") { texts in
            texts.map { text in
                FakeIndex.embed(
                    MarkedTenant.all.reduce(text) { $0.replacing($1.token, with: MarkedTenant.nobodys) })
            }
        }
        return APIFixture(
            embedder: embedder, events: hub, readKeys: keys.read,
            adjust: { dependencies in
                @Sendable func of(_ tenant: TenantID?) -> [MarkedTenant] {
                    MarkedTenant.all.filter { tenant == nil || $0.tenant == tenant }
                }
                dependencies.pipeline = { tenant in
                    PipelineStatus(kind: .live, name: of(tenant).map { "https://\($0.token)/" }.joined(separator: ", "))
                }
                dependencies.freshness = { tenant in
                    Freshness(.late, reason: of(tenant).map(\.source.name).joined(separator: ", "), eventsBehind: 1)
                }
                dependencies.sources = { tenant in
                    of(tenant).map { SourceStatus(name: $0.source.name, connector: "none", freshness: .notLookedAt) }
                }
                for marked in MarkedTenant.all {
                    dependencies.health.report(
                        "source \(marked.token)", isRequired: true,
                        HealthReport(
                            .failed, "\(marked.source.topic) is gone", detail: [("topic", marked.source.topic)]))
                    dependencies.metrics.counter(
                        "medallion_test_total", help: "A test's.", labels: [("source", marked.source.name)]
                    ).increment()
                }
            },
            configure: { configuration in
                configuration.collections = CollectionCatalog(
                    Dictionary(uniqueKeysWithValues: MarkedTenant.all.map { ($0.tenant, $0.collections) }))
            })
    }

    private static func add(_ marked: MarkedTenant, _ number: Int, to index: FakeIndex) {
        let token = marked.token
        var attributes = AttributeList()
        if let size = AttributeName("\(token)_size") { attributes.set(size, .integer(Int64(number))) }
        func add(_ id: String, _ collection: String) {
            index.add(
                id, title: "\(token) lantern \(number)",
                comment: "the \(token)flux of the lantern towers was repainted, section \(number)",
                wiki: number.isMultiple(of: 2) ? "enwiki" : "\(token)wiki", user: "\(token)user",
                namespace: Int64(number), collection: collection, others: attributes, tenant: marked.tenant,
                topic: marked.source.topic)
        }
        add("\(token)-\(number)", number.isMultiple(of: 3) ? "notes" : "\(token)orders")
        if number < 3 { add("shared-\(number)", "notes") }
        if number == 3 { for collection in ["notes", "\(token)orders"] { add("twice", collection) } }
    }

    /// The reply to a caller, as one text: status, headers, body.
    func text(_ request: HTTPRequest, _ caller: TenantCaller) async -> String {
        var request = request
        for field in caller.headers.fields where request.headers[field.name] == nil {
            request.headers.add(field.name, field.value)
        }
        let reply = await fixture.reply(request)
        let head = reply.headers.fields.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
        return "\(reply.status)\n\(head)\n\n\(String(decoding: reply.body, as: UTF8.self))"
    }

    func body(_ request: HTTPRequest, _ caller: TenantCaller) async -> JSONValue {
        let text = await text(request, caller)
        let body = text.split(separator: "\n\n", maxSplits: 1).last ?? ""
        return (try? JSONValue.parse(Array(body.utf8))) ?? .null
    }
}
