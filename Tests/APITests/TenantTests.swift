import Access
import Bytes
import HTTPServer
import Health
import JSONScan
import Records
import Retrieval
import ServiceLifecycle
import Telemetry
import Testing

@testable import API

/// Whose documents a request is about.
@Suite struct TenantTests {
    private let scene: TenantScene
    private let acme: TenantID

    init() throws {
        scene = try TenantScene()
        acme = try #require(TenantID("acme"))
    }

    private func caller(_ description: String) throws -> TenantCaller {
        try #require(scene.callers.first { $0.description == description })
    }

    private func ask(_ target: String, _ caller: TenantCaller, _ headers: HTTPHeaders = [:]) async -> HTTPResponse {
        var all = caller.headers
        for field in headers.fields { all[field.name] = field.value }
        return await scene.fixture.reply(HTTPRequest(target: target, headers: all))
    }

    private func error(_ reply: HTTPResponse) -> JSONValue? { (try? JSONValue.parse(reply.body))?["error"] }

    /// All requests by their tenants' own words get documents, and the platform's see the standard tenant where they name none.
    @Test func theKeySaysWhoseDocumentsAreMeant() async throws {
        for caller in scene.callers {
            let body = await scene.body(APIFixture.request(.recent), caller)
            let titles = body["events"]?.array?.compactMap { $0["title"]?.string } ?? []
            #expect(titles.count == TenantScene.documents + 5)
            #expect(titles.allSatisfy { $0.hasPrefix(caller.home.token) }, "\(caller)")
        }
        let key = try #require(try caller("the platform for quokka").headers["X-API-Key"])
        let reply = await scene.fixture.reply(HTTPRequest(target: "/events/recent", headers: ["X-API-Key": key]))
        #expect(String(decoding: reply.body, as: UTF8.self).contains("bilbys"))
    }

    @Test func onlyThePlatformMayNameAnotherTenant() async throws {
        for caller in scene.callers {
            let own = await ask("/events/recent", caller, ["Medallion-Tenant": caller.home.tenant.text])
            #expect(own.status == 200, "\(caller)")
            var refusals: Set<[UInt8]> = []
            for name in ["quokka", "wombat", "default", "nobody", String(repeating: "x", count: 249)]
            where name != caller.home.tenant.text {
                let reply = await ask("/events/recent", caller, ["Medallion-Tenant": name])
                #expect((reply.status == 200) == caller.isPlatformAdmin, "\(caller) as \(name)")
                guard !caller.isPlatformAdmin else { continue }
                #expect(reply.status == 403 && error(reply)?["type"]?.string == "tenant_forbidden")
                refusals.insert(reply.body)
            }
            #expect(refusals.count == (caller.isPlatformAdmin ? 0 : 1), "the refusal tells of no tenant")
            for name in ["", " ", ".", "..", "a b", "a/b", "ü", String(repeating: "x", count: 250)] {
                let reply = await ask("/events/recent", caller, ["Medallion-Tenant": name])
                #expect(reply.status == 422, "\(caller) as \(name)")
                #expect(error(reply)?["detail"]?[0]?["loc"]?[1]?.string == "Medallion-Tenant")
            }
            var twice = caller.headers
            twice[AccessGuard.tenantHeader] = caller.home.tenant.text
            twice.add("medallion-tenant", caller.home.tenant.text)
            let reply = await scene.fixture.reply(HTTPRequest(target: "/events/recent", headers: twice))
            #expect(reply.status == 422)
        }
    }

    /// Pages, probes and paths that there are not look at no tenant.
    @Test func whatHoldsNoDataAsksForNoTenant() async throws {
        for target in ["/live", "/", "/docs", "/openapi.json", "/page/page.js"] {
            let reply = await ask(target, try caller("read of wombat"), ["Medallion-Tenant": "quokka"])
            #expect(reply.status == 200, "\(target)")
        }
    }

    @Test func administratorsOfATenantSeeItsKeysAlone() async throws {
        func names(_ caller: TenantCaller) async -> Set<String?> {
            let keys = await scene.body(APIFixture.request(.keys), caller)["keys"]?.array ?? []
            #expect(keys.count == 3, "\(caller)")
            return Set(keys.map { $0["tenant"]?.string })
        }
        #expect(await names(try caller("admin of quokka")) == ["quokka"])
        #expect(await names(try caller("admin of default")) == ["default"])
        #expect(await names(try caller("the platform for wombat")) == ["wombat"])
        let key = try #require(try caller("the platform for quokka").headers["X-API-Key"])
        let reply = await scene.fixture.reply(HTTPRequest(target: "/keys", headers: ["X-API-Key": key]))
        let all = try JSONValue.parse(reply.body)["keys"]?.array ?? []
        #expect(all.count == 10 && all.contains { $0["tenant"]?.isNull == true })
    }

    /// Figures and details name what is everybody's: as long as there is one tenant, they are its own.
    @Test func figuresOfAllTenantsAreThePlatforms() async throws {
        for caller in scene.callers {
            let status = await ask("/metrics", caller).status
            #expect(status == (caller.isPlatformAdmin ? 200 : 403), "\(caller)")
            let health = await scene.body(APIFixture.request(.health), caller)
            #expect((health["dependencies"] != nil) == caller.isPlatformAdmin, "\(caller)")
            let ready = await scene.body(APIFixture.request(.ready), caller)
            #expect(ready["reasons"]?.array?.isEmpty == !caller.isPlatformAdmin, "\(caller)")
        }
        let keys = TestKeys()
        let (ours, theirs) = (try keys.make(.read), try keys.make(.read, tenant: acme))
        let catalog = CollectionCatalog.recentChanges()
        let fixture = APIFixture(readKeys: keys.read, configure: { $0.collections = catalog })
        fixture.api.access.use(KeyRing(keys.read()))
        func status(_ key: String?) async -> Int {
            await fixture.reply(
                HTTPRequest(target: "/metrics", headers: key.map { ["X-API-Key": $0] } ?? [:])
            ).status
        }
        #expect(await [status(nil), status(ours), status(theirs)] == [200, 200, 403])
        catalog.replace(with: [acme: []])
        #expect(await [status(nil), status(ours), status(theirs)] == [403, 403, 403], "what was stays in figures")
        let alone = CollectionCatalog([acme: []])
        let other = APIFixture(readKeys: keys.read, configure: { $0.collections = alone })
        other.api.access.use(KeyRing(keys.read()))
        let request = HTTPRequest(target: "/metrics", headers: ["X-API-Key": theirs])
        #expect(await other.reply(request).status == 200, "the only tenant")
    }

    /// The pipeline's page shows a tenant its own sources, and the platform all of them.
    @Test func statusShowsOnesOwnSources() async throws {
        for caller in scene.callers {
            let body = await scene.body(APIFixture.request(.status), caller)
            #expect(body["sources"]?.array?.compactMap { $0["name"]?.string } == [caller.home.source.name], "\(caller)")
            #expect(body["freshness_reason"]?.string == caller.home.source.name)
        }
        let key = try #require(try caller("the platform for quokka").headers["X-API-Key"])
        let reply = await scene.fixture.reply(HTTPRequest(target: "/pipeline/status", headers: ["X-API-Key": key]))
        #expect(try JSONValue.parse(reply.body)["sources"]?.array?.count == 3)
    }

    /// What waits of another tenant's source is not this one's delay.
    @Test func aDelayIsOfOnesOwnSources() async throws {
        let flow = scene.fixture.api.dependencies.flow
        for (number, marked) in MarkedTenant.all.enumerated() {
            flow.note(
                IndexLook(
                    generation: 1, indexVersion: 5, indexedAtMilliseconds: nil,
                    places: [0: IndexLook.Place(next: 0, low: 0, high: number == 0 ? 90_000 : Int64(number))],
                    atMilliseconds: 0),
                of: marked.source.name, topic: marked.source.topic)
        }
        for caller in scene.callers {
            let number = try #require(MarkedTenant.all.firstIndex(of: caller.home))
            let delay = await scene.body(APIFixture.request(.status), caller)["delay"]
            #expect(delay?["events"]?.integer == (number == 0 ? 90_000 : Int64(number)), "\(caller)")
        }
    }

    /// A label for each declared tenant, and for nobody else.
    @Test func requestsAreCountedByDeclaredTenants() async throws {
        let keys = TestKeys()
        let (known, unknown) = (try keys.make(.read, tenant: acme), try keys.make(.read, tenant: TenantID("other")))
        let platform = try keys.make(.admin)
        let fixture = APIFixture(
            readKeys: keys.read, configure: { $0.collections = CollectionCatalog([.standard: [], acme: []]) })
        fixture.api.access.use(KeyRing(keys.read()))
        let asked: [HTTPHeaders] = [
            [:], ["X-API-Key": known], ["X-API-Key": unknown], ["X-API-Key": platform],
            ["X-API-Key": platform, "Medallion-Tenant": "acme"], ["X-API-Key": platform, "Medallion-Tenant": "x"],
            ["X-API-Key": platform, "Medallion-Tenant": ".."],
        ]
        let names = asked.map { fixture.api.access.names($0).tenant?.text }
        #expect(names == [nil, "acme", "other", nil, "acme", "x", nil])
        let declared = asked.filter { headers in
            fixture.api.access.names(headers).tenant.map { fixture.api.access.tenants().contains($0) } ?? false
        }
        #expect(declared.count == 2)
    }

    /// A stream ends when its key opens something else, and one of a tenant without sources when it gets one.
    @Test func aStreamEndsWithItsTenantsSight() async throws {
        let access = scene.fixture.api.access
        let asker = try caller("read of quokka")
        let request = HTTPRequest(target: "/stream", headers: asker.headers)
        #expect(access.isWelcome(request, as: asker.home.tenant) && !access.isWelcome(request, as: .standard))
        access.use(KeyRing([]))
        #expect(!access.isWelcome(request, as: asker.home.tenant))
        #expect(throws: APIError.self) { try access.tenant(of: request) }
        let before = scene.hub.events(of: acme)
        #expect(
            before === scene.hub.events(of: try #require(TenantID("other"))), "no stream for each name that is asked")
        let stop = StopSignal()
        let running = Task { await scene.hub.run(stop: stop) }
        var source = MarkedTenant.all[0].source
        (source.topic, source.tenant) = ("acme.raw", acme)
        scene.topic.state.withLock { $0.epochs["acme.raw"] = "e1acme" }
        scene.topic.add(0, 0, topic: "acme.raw")
        scene.topic.index([0: 1], topic: "acme.raw")
        scene.hub.follow(MarkedTenant.all.map(\.source) + [source])
        #expect(scene.hub.events(of: acme) !== before)
        let admin = try scene.keys.make(.admin, tenant: acme)
        access.use(KeyRing(scene.keys.read()))
        var stream: StreamReader?
        // Until it was read once, there is none yet.
        while stream == nil {
            let reader = try StreamReader(
                HTTPRequest(target: "/stream?last_event_id=e1acme;acme.raw/0:0", headers: ["X-API-Key": admin]),
                scene.fixture.api)
            if await !reader.isRefused() { stream = reader }
        }
        let reading = try #require(stream)
        try await eventually { reading.frameCount >= 1 }
        #expect(SeenFrame.parse(reading.body).map(\.name) == ["event"])
        stop.request()
        await running.value
        await reading.end()
    }
}
