import Derivation
import Files
import Foundation
import JSONScan
import Kafka
import Lake
import Logic
import PlatformTesting
import Records
import Simulator
import StreamJob
import Testing

/// What lake_format.py found in examples or a lake.
struct Findings: Decodable {
    let lines: [String: Int]
    let duckdb: [String: Int]?
    let recipe: Int?
    let unseen: [String]
    let problems: [String]

    init(_ arguments: [String]) throws {
        let script = PackageRoot.path + "/Tests/StreamJobTests/lake_format.py"
        let output = try PythonTool.run([script, PackageRoot.path + "/schemas"] + arguments)
        self = try JSONDecoder().decode(Findings.self, from: Data(output))
    }
}

/// The files as others read them: by `schemas/`, by docs/lake.md, and by DuckDB.
@Suite(.serialized) struct LakeFormatTests {
    /// Invented events and every kind of poison, a second generation, one topic partition sealed: all of it fits.
    @Test func aLakeFitsItsSchemasAndOtherReaders() async throws {
        let fixture = try StreamFixture()
        try fixture.produce(generated(600))
        try fixture.produceOdd()
        let first = Int64(300 + StreamFixture.odd.count)
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: first)
        var settings = TransformSettings(template: try TextTemplate("{title} [{comment}]"))
        settings.dropsBots = true
        // So that texts of one sentence have passages.
        settings.passages = PassageSettings(weightMax: 40)
        var hasher = try LibraryHasher()
        _ = try GenerationLog(layout: fixture.layout("lake")).createChild(
            of: 1,
            logic: .former(
                logicVersion: try settings.logicVersion(hasher: &hasher),
                settings: String(decoding: settings.canonicalJSON, as: UTF8.self)))
        try fixture.produce(generated(200, from: 600))
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: first + 100)
        do {
            var writer = try PartitionWriter.open(layout: fixture.layout("lake"), source: fixture.source(0))
            try writer.seal()
        }
        let findings = try Findings(["lake", fixture.folder.file("lake"), PackageRoot.path + "/docs/lake.md"])
        #expect(findings.problems == [])
        var expected = ["bronze": try fixture.lines("lake", .bronze, generation: nil).count]
        for layer in Layer.derived {
            expected[layer.rawValue] =
                try fixture.lines("lake", layer, generation: 1).count
                + fixture.lines("lake", layer, generation: 2).count
        }
        #expect(expected["bronze"] == 800 + 2 * StreamFixture.odd.count)
        #expect(findings.lines == expected)
        #expect(findings.duckdb == expected)
        #expect(findings.recipe == expected["bronze"])
        // Every member that a schema has did occur.
        #expect(findings.unseen == [])
    }

    /// `UPDATE_GOLDEN=1 swift test --filter LakeFormatTests` rewrites the lines; the events are written by hand.
    @Test func theExamplesAreWhatBecomesOfTheExampleEvents() throws {
        let examples = PackageRoot.path + "/schemas/examples"
        var driver = try ProcessorDriver()
        driver.key = Array("dewiki:Rhein".utf8)
        for (name, value) in [("sse_id", #"[{"offset":1}]"#), ("ingest_time_ms", "1795242600300")] {
            Array(name.utf8).withUnsafeBufferPointer { name in
                Array(value.utf8).withUnsafeBytes { driver.headers.add(name, $0) }
            }
        }
        for event in try lines(of: examples + "/events.jsonl") { _ = try driver.feed(Array(event)) }
        _ = try driver.feed(Array(#"{"$schema":"/mediawiki/recentchange/1.0.1","meta":{"id":"6b1f3a52-"#.utf8))
        _ = try driver.feed(nil)
        let made = driver.processor.generations[0].lines
        let layers = [
            ("bronze", driver.processor.bronze), ("silver", made.silver), ("gold", made.gold),
            ("quarantine", made.quarantine),
        ]
        for (name, text) in layers {
            let path = "\(examples)/\(name).jsonl"
            if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
                try Data(text).write(to: URL(filePath: path))
            }
            #expect(try lines(of: path) == text.split(separator: 0x0A), "\(name)")
        }
        let findings = try Findings(["examples"])
        #expect(findings.problems == [])
        #expect(findings.lines == ["bronze": 10, "silver": 4, "gold": 2, "quarantine": 4])
    }

    /// A change of a schema is a new version: what a version says is recorded in schemas/versions.json by its hash,
    /// without titles and descriptions. `UPDATE_GOLDEN=1` adds new versions and changes none.
    @Test func aSchemaChangeIsAVersion() throws {
        let script = PackageRoot.path + "/Tests/StreamJobTests/lake_format.py"
        let path = PackageRoot.path + "/schemas/versions.json"
        let output = try PythonTool.run([script, PackageRoot.path + "/schemas", "versions"])
        let present = try JSONDecoder().decode([String: String].self, from: Data(output))
        let recorded = try JSONDecoder().decode([String: String].self, from: Data(File.contents(of: path)))
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
            let all = recorded.merging(present) { old, _ in old }
            try (encoder.encode(all) + Data("\n".utf8)).write(to: URL(filePath: path))
        }
        for (id, hash) in present {
            #expect(
                recorded[id] == hash,
                "\(id) is new (record it with UPDATE_GOLDEN=1), or another than it was: then give it the next version"
            )
        }
    }

    /// The example entries of the logs are entries to the product, too.
    @Test func theExampleEntriesAreRead() throws {
        let examples = PackageRoot.path + "/schemas/examples"
        var kinds: Set<String> = []
        let log = try CommitLog(reading: examples + "/commit.jsonl")
        try log.forEach { record in
            kinds.insert(record.kind.rawValue)
            return true
        }
        #expect(kinds == ["commit", "handover", "seal", "format", "rewrite"])
        let folder = try TemporaryFolder()
        try File.replace(folder.file("_generations.log"), with: File.contents(of: examples + "/generation.jsonl"))
        let generations = try GenerationLog(layout: LakeLayout(root: folder.path)).read()
        #expect(generations.map(\.state) == [.previous, .active])
        #expect(generations.last?.replayed.isEmpty == false)
        let logics = try #require(generations.last?.logic.topics)
        #expect(logics.map(\.topic) == ["products", "wikimedia.recentchange"])
        for (_, logic) in logics {
            let read = try logic.read()
            #expect(Array(logic.settings.utf8) == read.canonicalJSON && read.kind.rawValue == logic.kind)
        }
        // The fingerprint of them all is as it is written there.
        let entry = try #require(try lines(of: examples + "/generation.jsonl").last)
        #expect(
            try JSONValue.parse(Array(entry))["record"]?["logic_version"]?.string == generations.last?.logicVersion)
        let layout = LakeLayout(root: folder.path)
        let source = TopicPartition(topic: "t", partition: 0)
        try Folder.create(Folder.parent(of: layout.quarantineLog(source)))
        try File.replace(
            layout.quarantineLog(source), with: File.contents(of: examples + "/quarantine_log.jsonl"))
        let decisions = try QuarantineLog(layout: layout, source: source).read()
        #expect(decisions.mapValues(\.kind) == [6: .failed, 8: .redriven, 9: .discard])
    }

    /// A schema that lacks one would make a valid line invalid; one too many would promise what never comes.
    @Test func theSchemasNameTheRulesThatReject() throws {
        let rules = Rule.allCases.filter { $0.severity == .reject }.map(\.rawValue)
        #expect(!rules.isEmpty)
        for (name, path) in [
            (
                "commit",
                [
                    "$defs", "commit", "properties", "generations", "items", "properties", "rejects", "propertyNames",
                    "enum",
                ]
            ),
            ("quarantine", ["properties", "rule", "enum"]),
        ] {
            let text = try File.contents(of: PackageRoot.path + "/schemas/\(name).schema.json")
            var value: JSONValue? = try JSONValue.parse(text)
            for member in path { value = value?[member] }
            #expect(value?.array?.compactMap(\.string) == rules, "\(name)")
        }
        #expect(Set(Poison.allCases.map(\.rule)).isSubset(of: rules))
    }

    private func generated(_ count: Int, from first: Int = 0) -> [[UInt8]] {
        let generator = EventGenerator(seed: 42, startMilliseconds: 1_795_000_000_000, eventsPerSecond: 300)
        return (first..<first + count).map { index in
            var payload: [UInt8] = []
            generator.append(index, to: &payload)
            return payload
        }
    }

    private func lines(of path: String) throws -> [ArraySlice<UInt8>] {
        try File.contents(of: path).split(separator: 0x0A)
    }
}

extension StreamFixture {
    /// Payloads that no tool likes, with the exception of the last.
    static let odd: [[UInt8]?] = [
        nil, [], Array("nonsense".utf8), Array("[1,2]".utf8), Array("{}".utf8), Array(#"{"meta":{"id":"x""#.utf8),
        [0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x3A, 0x31, 0x7D], Array(#"{"a":1e999}"#.utf8), Array(#"{"a":"\ud800"}"#.utf8),
        Array((String(repeating: #"{"a":"#, count: 300) + "1" + String(repeating: "}", count: 300)).utf8),
        Array("{\"meta\":\n{}}".utf8), Array(change(id: "odd-1", ["bot": "1"]).utf8),
        Array(change(id: "odd-2", ["$schema": #""/other/1.0.0""#]).utf8), Poison.longText.payload(of: oddEvent(4)),
        Poison.nullInID.payload(of: oddEvent(5)),
        Array(change(id: "odd-3", ["title": #""\u0000\u001f\u2028 \"\\""#, "namespace": nil]).utf8),
    ]

    private static func oddEvent(_ number: Int) -> [UInt8] { Array(change(id: "odd-\(number)").utf8) }

    /// Sends ``odd`` to each topic partition, with keys and headers that are as odd.
    func produceOdd() throws {
        let producer = try KafkaProducer(kafka)
        let keys: [[UInt8]?] = [nil, [], Array("ключ\"\\".utf8), [0xC0, 0x80]]
        for partition in 0..<partitions {
            for (index, value) in Self.odd.enumerated() {
                try producer.send(
                    topic: topic, partition: Int32(partition), key: keys[index % keys.count], value: value,
                    headers: [("é\"", []), ("binary", [0, 255]), ("binary", [1])])
            }
        }
        #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
    }
}
