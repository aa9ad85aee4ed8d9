import Files
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Lake

/// Each generation stores the logic of every topic, and what it stores stays.
@Suite struct GenerationLogicTests {
    private let fixture: LakeFixture
    private let log: GenerationLog
    private let changes = TopicLogic(
        kind: TopicLogic.recentChange, tenant: "default", collection: "changes", logicVersion: "v3-aaaaaaaaaaaa",
        settings: #"{"template":"\"{title}\""}"#)
    private let products = TopicLogic(
        kind: "document", tenant: "shop", collection: "products", logicVersion: "v1-bbbbbbbbbbbb", settings: "{}")

    init() throws {
        fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        log = GenerationLog(layout: fixture.layout)
    }

    @Test func aSourceAddedLaterIsKnownToAllFedGenerations() throws {
        #expect(try log.adopt("t.change", changes).logicVersion == "v3-aaaaaaaaaaaa")
        for _ in 0..<3 { _ = try log.createChild(of: 1, logic: .byTopic(["t.change": changes])) }
        try log.prune(3)
        let active = try log.adopt("products", products)
        #expect(active.number == 1)
        for generation in try log.read() where generation.number != 3 {
            #expect(generation.logic.logic(of: "t.change") == changes)
            #expect(generation.logic.logic(of: "products") == products)
            #expect(generation.logic.logic(of: "other") == nil)
            #expect(generation.logicVersion.wholeMatch(of: /all-[0-9a-f]{12}/) != nil)
        }
        #expect(try log.read()[2].logic == .byTopic(["t.change": changes]))
        #expect(try log.read().map(\.state) == [.active, .created, .pruned, .created])
        // The database may still know the fingerprint of before.
        #expect(try log.logicVersions(of: 1) == ["v3-aaaaaaaaaaaa", active.logicVersion])
        // Again, or with another declaration: what is stored stays.
        let before = try File.contents(of: log.path)
        let other = TopicLogic(
            kind: "document", tenant: "shop", collection: "other", logicVersion: "v1-c", settings: "[]")
        #expect(try log.adopt("products", other) == active)
        #expect(try File.contents(of: log.path) == before)
    }

    @Test func aChildHasTheLogicOfEveryTopic() throws {
        _ = try log.adopt("t.change", changes)
        let planned = try log.read()[0].logic.replacing(["t.change": products], held: [])
        _ = try log.adopt("products", products)
        // Made of what the parent was before the second source came.
        #expect(throws: LakeError.self) { try log.createChild(of: 1, logic: planned) }
        let logic = try log.read()[0].logic.replacing(["products": changes], held: [])
        let child = try log.createChild(of: 1, logic: logic)
        #expect(child.logic == .byTopic(["t.change": changes, "products": changes]))
        #expect(try log.read()[1] == child)
    }

    /// A list of former formats has one logic, for the topics that the lake holds; others come with theirs.
    @Test func aFormerListTakesMoreSources() throws {
        _ = try log.createFirst(.former(logicVersion: "v2-1", settings: "{}"))
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        try writer.commit(try LakeFixture.batch(0, 10, time: 5, writer: writer))
        // Of recent changes it is the logic, whatever is declared.
        let before = try File.contents(of: log.path)
        let former = try log.adopt(LakeFixture.source.topic, changes).logic
        #expect(former.logic(of: LakeFixture.source.topic)?.logicVersion == "v2-1")
        #expect(former.logic(of: LakeFixture.source.topic)?.collection == LakeFixture.source.topic)
        #expect(throws: LakeError.self) { try log.adopt(LakeFixture.source.topic, products) }
        #expect(try File.contents(of: log.path) == before)
        let both = try log.adopt("products", products)
        #expect(both.logic.logic(of: "products") == products)
        #expect(both.logic.logic(of: LakeFixture.source.topic) == former.logic(of: LakeFixture.source.topic))
        #expect(both.logicVersion != "v2-1" && both.state == .active)
        #expect(try log.read() == [both])
    }

    @Test func anEntryIsReadAsItIsWritten() throws {
        _ = try log.adopt("t.change", changes)
        let entry = try JSONValue.parse(try log.read()[0].json)
        #expect(entry["settings"] == nil && entry["logics"]?.array?.count == 1)
        let written = String(decoding: try log.read()[0].json, as: UTF8.self)
        for (text, damage) in [
            (#""tenant":"default","#, ""), (#""type":"recent_change""#, #""type":3"#),
            (#""collection":"changes","#, ""), (#""topic":"t.change","#, ""), (#""logics":["#, #""logics":[1,"#),
            (#""logics":["#, #""logics":[],"other":["#),
        ] {
            let damaged = written.replacing(text, with: damage)
            try #require(damaged != written)
            let value = try JSONValue.parse(Array(damaged.utf8))
            #expect(LakeGeneration(value) == nil, "\(text)")
        }
        // A byte that turned: the list is refused, not read as another one.
        var bytes = try File.contents(of: log.path)
        let place = try #require(bytes.firstIndex(of: UInt8(ascii: "c")))
        bytes[place + 20] ^= 1
        bytes += bytes
        try File.replace(log.path, with: bytes)
        #expect(throws: LakeError.self) { try log.read() }
    }
}
