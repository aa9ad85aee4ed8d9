import Bytes
import Derivation
import Files
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Sources
import StreamJob
import Testing

/// What an erasure is about is found by the stored logic, and leaves a lake that a stream job is writing.
@Suite(.serialized) struct ErasingTests {
    private static let user = "Zoë \"Quote\" Ünïcode 🎉 例 \\ O'Brien"

    private static func erasure(
        _ kind: ErasureTarget.Kind, _ name: String, wiki: String? = nil, collection: String = "wikimedia.recentchange",
        id: String = "e-0123456789abcdef"
    ) throws -> Erasure {
        let target = try #require(ErasureTarget(kind: kind, collection: collection, name: name, wiki: wiki))
        return Erasure(
            id: id, tenant: .standard, target: target, reason: "request 17", by: "ann",
            atMilliseconds: 1_700_000_000_000)
    }

    /// A JSON string.
    private static func quoted(_ text: String, escapesAll: Bool = false) -> String {
        guard escapesAll else {
            var json = JSONWriter()
            json.string(text)
            return String(decoding: json.bytes, as: UTF8.self)
        }
        let units = text.utf16.map { unit in
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        return "\"" + units.joined() + "\""
    }

    /// Of every seven records one is the user's, one is theirs and broken, and one has the name as a title.
    private static func payload(_ index: Int) -> [UInt8] {
        let id = "event-\(index)"
        switch index % 7 {
        case 2: return Array(change(id: id, ["user": quoted(user, escapesAll: index % 2 == 0)]).utf8)
        case 4: return Array(change(id: id, ["user": quoted(user), "namespace": "\"none\""]).utf8)
        case 6: return Array(change(id: id, ["title": quoted("About " + user)]).utf8)
        default: return Array(change(id: id, ["user": "\"User \(index)\"", "title": "\"Page \(index)\""]).utf8)
        }
    }

    private static func isTheirs(_ index: Int) -> Bool { [2, 4].contains(index % 7) }

    // MARK: Matching

    private struct Case: Sendable {
        let kind: ErasureTarget.Kind
        let name: String
        var wiki: String?
        let payload: String
        let isOne: Bool
    }

    private static let cases: [Case] = [
        Case(kind: .user, name: user, payload: change(["user": quoted(user)]), isOne: true),
        Case(kind: .user, name: user, payload: change(["user": quoted(user, escapesAll: true)]), isOne: true),
        Case(kind: .user, name: user, payload: change(["user": quoted(user + " ")]), isOne: false),
        Case(kind: .user, name: "Rhein", payload: change(), isOne: false),
        Case(kind: .user, name: user, payload: change(["title": quoted(user)]), isOne: false),
        Case(kind: .user, name: user, payload: change(["user": nil, "comment": quoted(user)]), isOne: false),
        Case(kind: .user, name: "7", payload: change(["user": "7"]), isOne: false),
        Case(kind: .user, name: user, payload: "{\"user\":" + quoted(user) + "}", isOne: true),
        Case(kind: .user, name: user, payload: "not JSON " + user, isOne: false),
        Case(kind: .page, name: "Rhein", payload: change(), isOne: true),
        Case(kind: .page, name: "Rhein", wiki: "dewiki", payload: change(), isOne: true),
        Case(kind: .page, name: "Rhein", wiki: "enwiki", payload: change(), isOne: false),
        Case(kind: .page, name: "Rhein", wiki: "dewiki", payload: change(["wiki": nil]), isOne: false),
        Case(kind: .page, name: "rhein", payload: change(), isOne: false),
    ]

    @Test func recordsAreFoundByTheirFields() throws {
        let generations = try Self.generations(
            .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))),
            "wikimedia.recentchange")
        for one in Self.cases {
            let erasure = try Self.erasure(one.kind, one.name, wiki: one.wiki)
            let match = try ErasureMatch(erasure, topic: "wikimedia.recentchange", generations: generations)
            let record = BronzeRecord(offset: 1, timestampMilliseconds: 1, value: Array(one.payload.utf8))
            #expect(match.record(record) == one.isOne, "\(one)")
        }
        // Another tenant's or collection's is nobody's.
        for erasure in [try Self.erasure(.page, "Rhein", collection: "other")] {
            let match = try ErasureMatch(erasure, topic: "wikimedia.recentchange", generations: generations)
            #expect(!match.record(BronzeRecord(offset: 1, timestampMilliseconds: 1, value: Array(change().utf8))))
        }
    }

    @Test func linesAreFoundByTheirMembers() throws {
        let generations = try Self.generations(
            .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))),
            "wikimedia.recentchange")
        var driver = try ProcessorDriver()
        _ = try driver.feed(change(["user": Self.quoted(Self.user)]))
        let made = driver.processor.generations[0].lines
        for (kind, name, wiki, isOne) in [
            (.user, Self.user, nil, true), (.user, "Rhein", nil, false), (.page, "Rhein", "dewiki", true),
            (.page, "Rhein", "enwiki", false), (.page, Self.user, nil, false),
        ] as [(ErasureTarget.Kind, String, String?, Bool)] {
            let match = try ErasureMatch(
                try Self.erasure(kind, name, wiki: wiki), topic: "wikimedia.recentchange", generations: generations)
            for line in [made.silver, made.gold] {
                #expect(
                    match.derived(line.dropLast()[...]) == isOne,
                    "\(kind) \(name): \(String(decoding: line, as: UTF8.self))")
            }
        }
    }

    /// A mapping says where title and user of documents stand, in each generation's own way.
    @Test func documentsAreFoundByTheirMapping() throws {
        let author = try #require(FieldPath("meta.author"))
        var settings = try DocumentSource.settings()
        let user = try #require(AttributeName("user"))
        settings = DocumentSettings(
            mapping: settings.mapping, attributes: [MappedAttribute(user, .string, at: author)])
        let generations = try Self.generations(.document(settings), DocumentSource.topic)
        let payload = Array(
            #"{"id":"a","name":"Lamp","text":"x","user":"nobody","meta":{"author":\#(Self.quoted(Self.user))}}"#.utf8)
        for (kind, name, isOne) in [
            (.user, Self.user, true), (.user, "nobody", false), (.page, "Lamp", true), (.page, "a", false),
        ] as [(ErasureTarget.Kind, String, Bool)] {
            let match = try ErasureMatch(
                try Self.erasure(kind, name, collection: DocumentSource.topic), topic: DocumentSource.topic,
                generations: generations)
            #expect(
                match.record(BronzeRecord(offset: 1, timestampMilliseconds: 1, value: payload)) == isOne,
                "\(kind) \(name)")
        }
    }

    private static func generations(_ logic: LogicSettings, _ topic: String) throws -> [LakeGeneration] {
        let folder = try TemporaryFolder()
        let log = GenerationLog(layout: LakeLayout(root: folder.path))
        _ = try log.createFirst(.byTopic([topic: try TopicLogic(logic, tenant: .standard, collection: topic)]))
        return try log.read()
    }

    // MARK: Beside a stream job

    private func begin(_ erasure: Erasure, _ layout: LakeLayout, _ parts: [TopicPartition]) throws {
        try ErasureLog(layout: layout).append(.erase(erasure, parts: parts))
    }

    private func check(_ fixture: StreamFixture, count: Int) throws {
        let theirs = (0..<count).filter(Self.isTheirs)
        for layer in Layer.allCases {
            let lines = try fixture.lines("lake", layer, generation: layer == .bronze ? nil : 1)
            for line in lines where line.contains("Ünïcode") || line.contains(Self.quoted(Self.user, escapesAll: true))
            {
                // What mentions them stays: the title of another record.
                #expect(line.contains("About Zoë"), "\(layer): \(line)")
            }
            if layer == .bronze {
                #expect(lines.count == count)
                #expect(lines.filter { $0.contains(#""erased":"e-0123456789abcdef""#) }.count == theirs.count)
            }
            if layer == .quarantine { #expect(lines.isEmpty) }
            if layer == .silver { #expect(lines.count == count - theirs.count) }
        }
        var findings: [String] = []
        let report = try LakeVerifier(layout: fixture.layout("lake")) { findings.append("\($0.place): \($0.problem)") }
            .run()
        #expect(findings == [] && report.linesErased == theirs.count)
    }

    /// The growing hour is sealed under the job's hands, and it goes on; what comes later is not erased.
    @Test func aRunningStreamJobTakesItOut() async throws {
        let fixture = try StreamFixture()
        let (first, all) = (140, 210)
        try fixture.produce((0..<first).map(Self.payload))
        let layout = fixture.layout("lake")
        let sources = [fixture.source(0), fixture.source(1)]
        let stop = StopSignal()
        let job = try fixture.job(lake: "lake")
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: layout)
        try await waitUntil {
            try sources.allSatisfy { try reader.committedRange($0)?.end ?? 0 >= Int64(first / 2) }
        }
        let erasure = try Self.erasure(.user, Self.user)
        try begin(erasure, layout, sources)
        try await waitUntil { try ErasureLog(layout: layout).read().first?.isFound == true }
        for source in sources {
            // The job may still hold what it is done with.
            try await waitUntil {
                do {
                    try Eraser(layout: layout, source: source).finish(erasure.id, now: 1)
                    return true
                } catch LakeError.locked { return false }
            }
        }
        #expect(try ErasureLog(layout: layout).read().first?.isDone == true)
        try check(fixture, count: first)
        try fixture.produce((first..<all).filter { !Self.isTheirs($0) }.map(Self.payload))
        let more = Int64((first..<all).filter { !Self.isTheirs($0) }.count / 2)
        try await waitUntil {
            try sources.allSatisfy { try reader.committedRange($0)?.end ?? 0 >= Int64(first / 2) + more }
        }
        stop.request()
        try await running
        // A replay makes the same of what is left.
        let generation = try #require(try GenerationLog(layout: layout).active())
        let end = Int64(first / 2) + more
        #expect(try fixture.replayed("lake", generation, from: 0, to: end) == fixture.held("lake", 1, from: 0, to: end))
        #expect(
            try fixture.replayed("lake", generation, from: 30, to: end) == fixture.held("lake", 1, from: 30, to: end))
    }

    /// The window of a running job lets go of what was erased, so that it makes what a replay makes.
    @Test func whatWasErasedHidesNothing() async throws {
        let fixture = try StreamFixture()
        let layout = fixture.layout("lake")
        let sources = [fixture.source(0), fixture.source(1)]
        func produce(_ ids: [String], user: String) throws {
            try fixture.produce(
                ids.map { Array(change(id: $0, ["user": Self.quoted(user), "comment": #""A kettle of tin""#]).utf8) })
        }
        let reader = LakeReader(layout: layout)
        func wait(until end: Int64) async throws {
            try await waitUntil { try sources.allSatisfy { try reader.committedRange($0)?.end ?? 0 >= end } }
        }
        try produce(["first-0", "first-1"], user: Self.user)
        let stop = StopSignal()
        let job = try fixture.job(
            lake: "lake", template: "{comment}", stages: DocumentStages(nearDuplicates: .init(offsets: 1_000)))
        async let running: Void = job.run(stop: stop)
        try await wait(until: 1)
        let erasure = try Self.erasure(.user, Self.user)
        try begin(erasure, layout, sources)
        try await waitUntil { try ErasureLog(layout: layout).read().first?.isFound == true }
        try produce(["second-0", "second-1"], user: "another")
        try produce(["third-0", "third-1"], user: "a third one")
        try await wait(until: 3)
        stop.request()
        try await running
        let gold = try fixture.lines("lake", .gold, generation: 1)
        #expect(gold.count == 2 && gold.allSatisfy { $0.contains("second-") })
        let generation = try #require(try GenerationLog(layout: layout).active())
        #expect(try fixture.replayed("lake", generation, from: 0, to: 3) == fixture.held("lake", 1, from: 0, to: 3))
        #expect(try fixture.replayed("lake", generation, from: 2, to: 3) == fixture.held("lake", 1, from: 2, to: 3))
    }

    /// Who asked for it was killed: the next start of the stream job does all of it.
    @Test func theNextStartFinishesIt() async throws {
        let fixture = try StreamFixture()
        try fixture.produce((0..<140).map(Self.payload))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: 70)
        let layout = fixture.layout("lake")
        try begin(try Self.erasure(.user, Self.user), layout, [fixture.source(0), fixture.source(1)])
        let stop = StopSignal()
        let job = try fixture.job(lake: "lake")
        async let running: Void = job.run(stop: stop)
        try await waitUntil { try ErasureLog(layout: layout).read().first?.isDone == true }
        stop.request()
        try await running
        try check(fixture, count: 140)
    }
}
