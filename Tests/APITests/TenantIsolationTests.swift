import Bytes
import HTTPServer
import JSONScan
import PlatformTesting
import Records
import Retrieval
import ServiceLifecycle
import Synchronization
import Testing

@testable import API

/// No reply holds anything of another tenant, or depends on whether there is anything. `TEST_SEED` replays another run.
@Suite struct TenantIsolationTests {
    private static let probes = LongTests.areWanted ? 10_000 : 500

    /// What differs from reply to reply, and what the request itself said.
    private static func normal(_ text: String, _ said: String...) -> String {
        var text = text.replacing(/"(latency_ms|uptime_sec)":[0-9.eE+-]+/, with: "N")
            .replacing(/"now":"[^"]*"/, with: "T").replacing(/"answer_id":"[^"]*"/, with: "A")
            .replacing(/"next_cursor":"[^"]*"/, with: "C").replacing(/"question_words":\[[^\]]*\]/, with: "Q")
            .replacing(/Content-Length: [0-9]+/, with: "L").replacing(/;dur=[0-9.eE-]+/, with: "")
        for said in said where !said.isEmpty {
            // A fault echoes the beginning of what is long.
            text = text.replacing(said, with: "@").replacing(String(said.prefix(100)) + "…", with: "@")
        }
        // Words are added up in the order of a set, which shows in the last digit.
        return text.replacing(/(\.[0-9]{12})[0-9]+/) { String($0.output.1) }
    }

    @Test func noReplyTellsOfAnotherTenant() async throws {
        let seed = LongTests.seed(11)
        var random = SeededGenerator(seed: seed)
        let scene = try TenantScene()
        var found = 0
        for number in 0..<Self.probes {
            let probe = TenantProbe.random(using: &random)
            let caller = scene.callers[Int.random(in: scene.callers.indices, using: &random)]
            if probe.isOfPlatform, caller.isPlatformAdmin { continue }
            let place = Comment(rawValue: "seed \(seed), probe \(number) by \(caller): \(probe)")
            let nothing = await scene.text(probe.request(MarkedTenant.nobodys), caller)
            for other in caller.home.others {
                #expect(!nothing.contains(other.token), place)
                let reply = await scene.text(probe.request(other.token), caller)
                #expect(Self.normal(reply, other.token) == Self.normal(nothing, MarkedTenant.nobodys), place)
                #expect(!reply.contains(other.token) || nothing.contains(MarkedTenant.nobodys), place)
            }
            guard probe.finds else { continue }
            // The twin at home finds what the others cannot: so they were asked for something that is there.
            found += 1
            let own = await scene.text(probe.request(caller.home.token), caller)
            #expect(own.hasPrefix("200\n") && own.contains(caller.home.token), place)
            let isSearch = own.contains(#""hits":["#) || own.contains(#""events":["#)
            #expect(!isSearch || own.contains(#""title":"\#(caller.home.token) lantern"#), place)
        }
        #expect(found > Self.probes / 4)
        keptAnswersAreTheirTenants(scene)
    }

    private func keptAnswersAreTheirTenants(_ scene: TenantScene) {
        let kept = scene.fixture.index.state.withLock { $0.answers }
        #expect(kept.count > Self.probes / 10 && Set(kept.map(\.tenant)).count == MarkedTenant.all.count)
        for answer in kept {
            let text = String(decoding: answer.retrievedJSON, as: UTF8.self)
            let request = try? JSONValue.parse(answer.requestJSON)["filters"]
            #expect(request != nil && request?["tenant"] == nil)
            for marked in MarkedTenant.all where marked.tenant != answer.tenant {
                #expect(!text.contains(marked.token))
            }
        }
    }

    /// A tenant's cursor is worth to another what a cursor of another search, or a text that is none, is worth.
    @Test func cursorsAreWorthNothingElsewhere() async throws {
        let scene = try TenantScene()
        func search(_ query: String, _ cursor: String?) -> HTTPRequest {
            APIFixture.posting(
                "/search", #"{"query": "\#(query)", "top_k": 2\#(cursor.map { #", "cursor": "\#($0)""# } ?? "")}"#)
        }
        func recent(_ cursor: String?) -> HTTPRequest {
            APIFixture.request(.recent, [("limit", "2")] + (cursor.map { [("cursor", $0)] } ?? []))
        }
        func cursor(_ request: HTTPRequest, _ caller: TenantCaller) async -> String {
            await scene.body(request, caller)["next_cursor"]?.string ?? ""
        }
        for caller in scene.callers {
            let (mine, listed) = (await cursor(search("lantern", nil), caller), await cursor(recent(nil), caller))
            #expect(await scene.text(search("lantern", mine), caller).hasPrefix("200\n"))
            #expect(await scene.text(recent(listed), caller).hasPrefix("200\n"))
            let another = await cursor(search("towers", nil), caller)
            let refused = await scene.text(search("lantern", another), caller)
            let nonsense = await scene.text(recent("1.2.3.4"), caller)
            #expect(refused.hasPrefix("422\n") && nonsense.hasPrefix("422\n") && nonsense.contains("cursor_invalid"))
            for other in scene.callers where other.home != caller.home {
                let theirs = await cursor(search("lantern", nil), other)
                let reply = await scene.text(search("lantern", theirs), caller)
                #expect(Self.normal(reply, theirs) == Self.normal(refused, another), "\(caller) with that of \(other)")
                let place = await cursor(recent(nil), other)
                let list = await scene.text(recent(place), caller)
                #expect(Self.normal(list, place) == Self.normal(nonsense, "1.2.3.4"), "\(caller) with that of \(other)")
            }
            // Those of one tenant share theirs.
            for other in scene.callers where other.home == caller.home {
                let theirs = await cursor(search("lantern", nil), other)
                #expect(await scene.text(search("lantern", theirs), caller).hasPrefix("200\n"))
            }
        }
    }

    /// Errors of what the API depends on are told to the platform's administrators alone.
    @Test func faultsAreNotToldToTenants() async throws {
        let scene = try TenantScene()
        struct Fault: Error, CustomStringConvertible {
            let description = MarkedTenant.all.map(\.source.topic).joined(separator: ", ")
        }
        scene.fixture.index.state.withLock { $0.failure = Fault() }
        let requests = [
            APIFixture.posting("/search", #"{"query": "lantern"}"#), APIFixture.request(.recent),
            APIFixture.posting("/answer", #"{"query": "lantern"}"#),
            APIFixture.request(.trace, path: ["doc_id": "shared-1"]),
        ]
        for (caller, request) in scene.callers.flatMap({ caller in requests.map { (caller, $0) } }) {
            let text = await scene.text(request, caller)
            #expect(text.hasPrefix("503\n"))
            for marked in MarkedTenant.all {
                #expect(text.contains(marked.token) == caller.isPlatformAdmin, "\(caller)")
            }
        }
    }

    // MARK: The stream

    /// So many documents of each tenant are in the topics.
    private static let events: Int64 = 4

    private static func fill(_ scene: TenantScene) {
        for offset in 0..<events {
            for marked in MarkedTenant.all {
                scene.topic.add(
                    0, offset, wiki: "\(marked.token)wiki", text: "\(marked.token) lantern", collection: "notes",
                    topic: marked.source.topic)
            }
        }
        for marked in MarkedTenant.all { scene.topic.index([0: events], topic: marked.source.topic) }
    }

    /// The id of a place in a topic of that word, and in the caller's own, if that is to be.
    private static func id(_ word: String, _ offset: Int64, _ own: String?) -> String {
        let topics = [word, own].compactMap(\.self).sorted()
        var vector = OffsetVector()
        for topic in topics {
            vector[TopicPartition(topic: "\(topic).raw", partition: 0)] = topic == own ? 1 : offset
        }
        return StreamID(epoch: topics.map { "e1\($0)" }.joined(separator: "-"), vector: vector).text
    }

    /// What a client gets until it has `count` frames.
    private static func stream(
        _ scene: TenantScene, _ caller: TenantCaller, _ id: String, _ query: [(name: String, value: String)],
        count: Int
    ) async throws -> String {
        var request = StreamScene.request(after: id, query)
        for field in caller.headers.fields { request.headers.add(field.name, field.value) }
        let reader = try StreamReader(request, scene.fixture.api)
        try await eventually { reader.frameCount >= count }
        reader.leave()
        await reader.end()
        return reader.text
    }

    @Test func noStreamTellsOfAnotherTenant() async throws {
        let seed = LongTests.seed(12)
        var random = SeededGenerator(seed: seed)
        let scene = try TenantScene()
        Self.fill(scene)
        let stop = StopSignal()
        let running = Task { await scene.hub.run(stop: stop) }
        try await eventually { scene.topic.state.withLock { $0.opened } >= MarkedTenant.all.count }
        for number in 0..<Self.probes / 20 {
            let caller = scene.callers[Int.random(in: scene.callers.indices, using: &random)]
            let (home, offset) = (caller.home.token, Int64.random(in: 0..<Self.events, using: &random))
            let query: [(name: String, value: String)] = Bool.random(using: &random) ? [("stages", "committed")] : []
            let place = Comment(rawValue: "seed \(seed), probe \(number) by \(caller)")
            // At home the id leads to what lies behind it.
            let own = try await Self.stream(
                scene, caller, Self.id(home, offset, nil), query, count: Int(Self.events - offset))
            #expect(own.contains("\(home) lantern") && !own.contains("reset"), place)
            for other in caller.home.others {
                #expect(!own.contains(other.token), place)
                // An id of the other's topic alone is one of a log that is not there; beside it, one's own place is kept.
                for isMixed in [false, true] {
                    let count = 1 + (isMixed ? Int(Self.events) - 1 : 0)
                    // The topics of an id stand in the order of their names.
                    if isMixed, (MarkedTenant.nobodys < home) != (other.token < home) { continue }
                    let ids = [MarkedTenant.nobodys, other.token].map { Self.id($0, offset, isMixed ? home : nil) }
                    let nothing = try await Self.stream(scene, caller, ids[0], query, count: count)
                    let reply = try await Self.stream(scene, caller, ids[1], query, count: count)
                    #expect(!nothing.contains(other.token) && nothing.contains("event: reset"), place)
                    #expect(
                        Self.normal(reply, other.token) == Self.normal(nothing, MarkedTenant.nobodys), place)
                }
            }
        }
        stop.request()
        await running.value
    }

    /// Live events, steps, gaps and resets go to their tenant's clients; what a source's topic holds of another tenant to none.
    @Test func whatComesWhileOneListensIsItsTenants() async throws {
        let scene = try TenantScene()
        let stop = StopSignal()
        let running = Task { await scene.hub.run(stop: stop) }
        try await eventually { scene.topic.state.withLock { $0.opened } >= MarkedTenant.all.count }
        let readers = try scene.callers.map { caller in
            var request = StreamScene.request([("stages", "received,committed,searchable")])
            for field in caller.headers.fields { request.headers.add(field.name, field.value) }
            return try StreamReader(request, scene.fixture.api)
        }
        try await eventually {
            MarkedTenant.all.allSatisfy { marked in
                scene.hub.events(of: marked.tenant).clientCount == scene.callers.count { $0.home == marked }
            }
        }
        scene.topic.state.withLock { state in
            state.steps = MarkedTenant.all.map { marked in
                let place = TopicPartition(topic: marked.source.topic, partition: 0)
                return StageStep(
                    .received, docID: "\(marked.token)-0", topicPartition: place, offset: 0, atMilliseconds: 0)
            }
        }
        Self.fill(scene)
        for marked in MarkedTenant.all {
            scene.topic.addGap(.unreadable, 0, Self.events..<Self.events + 2, topic: marked.source.topic)
            scene.topic.index([0: Self.events + 2], topic: marked.source.topic)
        }
        for (caller, reader) in zip(scene.callers, readers) {
            // An event, and its steps; a step of the raw record; a gap.
            try await eventually { reader.frameCount >= 3 * Int(Self.events) + 2 }
            let (text, names) = (reader.text, Set(SeenFrame.parse(reader.body).map(\.name)))
            #expect(names == ["event", "received", "committed", "searchable", "gap"], "\(caller): \(names)")
            #expect(text.contains("\(caller.home.token) lantern") && text.contains("\(caller.home.token)-source"))
            for other in caller.home.others { #expect(!text.contains(other.token), "\(caller)") }
        }
        stop.request()
        await running.value
        for reader in readers { await reader.end() }
    }
}
