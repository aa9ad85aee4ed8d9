import Foundation
import JSONScan
import Lake
import PlatformTesting
import Records
import Simulator
import StreamJob
import Testing

/// Whole lakes as other tools read them, and a reader that shares no code with the product: all find what we find.
@Suite(.serialized) struct LakeToolsTests {
    /// What lake_tools.py found.
    private struct Findings: Decodable {
        let tools: [String: [String: [Int]]]
        let partitions: [String: [String]]
        let recipes: [String: [String]]

        init(lake: String) throws {
            let script = PackageRoot.path + "/Tests/StreamJobTests/lake_tools.py"
            let output = try PythonTool.run([script, lake, PackageRoot.path + "/docs/lake.md"])
            self = try JSONDecoder().decode(Findings.self, from: Data(output))
        }
    }

    /// Two topic partitions, one sealed and one open, with everything odd that a topic can carry.
    @Test func everyToolCountsWhatWeCount() async throws {
        let fixture = try StreamFixture()
        let generator = EventGenerator(seed: 7, startMilliseconds: 1_795_000_000_000, eventsPerSecond: 300)
        try fixture.produce(
            (0..<1_000).map { index in
                var payload: [UInt8] = []
                generator.append(index, to: &payload)
                return payload
            })
        try fixture.produceOdd()
        let count = Int64(500 + StreamFixture.odd.count)
        try await fixture.run(try fixture.job(lake: "lake"), lake: "lake", until: count)
        do {
            var writer = try PartitionWriter.open(layout: fixture.layout("lake"), source: fixture.source(1))
            try writer.seal()
        }
        let findings = try Findings(lake: fixture.folder.file("lake"))
        #expect(findings.tools.keys.sorted() == ["duckdb", "jq", "polars", "reader"])
        var hours: Set<String> = []
        for layer in Layer.allCases {
            let ours = try sums(fixture, layer, generation: layer == .bronze ? nil : 1, &hours)
            #expect(ours[0] > 0 && ours[2] > 0)
            for (tool, found) in findings.tools { #expect(found[layer.rawValue] == ours, "\(tool), \(layer)") }
            let names = ["topic", "partition", "date", "hour"] + (layer == .bronze ? [] : ["generation"])
            #expect(findings.partitions[layer.rawValue]?.prefix(names.count).elementsEqual(names) == true)
            #expect(findings.partitions[layer.rawValue].map { Set($0.dropFirst(names.count)) } == hours)
        }
        #expect(findings.recipes.mapValues(\.count) == ["sql": 4, "python": 1, "sh": 1])
        for (kind, outputs) in findings.recipes {
            for output in outputs {
                #expect(output.contains(/[1-9]/) && !output.contains("rror"), "\(kind): \(output)")
            }
        }
    }

    /// A generation whose lines come from its parent, its replay and the stream job, by the reader in Python.
    @Test(arguments: GoldenLake.versions) func theReaderFollowsGenerations(version: Int) throws {
        let golden = GoldenLake.path(version: version)
        let findings = try Findings(lake: golden)
        let reader = LakeReader(layout: LakeLayout(root: golden))
        let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)
        let range = try #require(try reader.committedRange(source))
        for layer in Layer.derived {
            for generation in [Int64(1), 2] {
                var sums = [0, 0, 0]
                try reader.forEachLine(layer, generation: generation, source: source, range: range) { offset, line in
                    Self.add(offset, line, layer, to: &sums)
                    return true
                }
                let name = generation == 1 ? layer.rawValue : "\(layer.rawValue) \(generation)"
                #expect(findings.tools["reader"]?[name] == sums, "\(name)")
            }
        }
    }

    /// The example that finds the raw event behind every document, with DuckDB and no code of ours.
    @Test func lineageByDuckDB() throws {
        let script = """
            import duckdb, json, os, sys
            os.chdir(sys.argv[1])
            rows = duckdb.sql(open(sys.argv[2]).read()).fetchall()
            print(json.dumps([[row[0], row[4], row[5]] for row in rows]))
            """
        for version in GoldenLake.versions {
            let folder = try TemporaryFolder()
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("lake"), withDestinationPath: GoldenLake.path(version: version))
            let output = try PythonTool.run(["-c", script, folder.path, PackageRoot.path + "/examples/lineage.sql"])
            let rows = try JSONValue.parse(output).array ?? []
            let isExact = rows.allSatisfy { row in row.array?.last?.bool == true }
            #expect(rows.count > 3 && isExact, "version \(version): \(rows)")
        }
    }

    private func sums(
        _ fixture: StreamFixture, _ layer: Layer, generation: Int64?, _ hours: inout Set<String>
    ) throws -> [Int] {
        let reader = LakeReader(layout: fixture.layout("lake"))
        var sums = [0, 0, 0]
        for source in try reader.sources() {
            guard let range = try reader.committedRange(source) else { continue }
            try reader.forEachLine(layer, generation: generation, source: source, range: range) { offset, line in
                Self.add(offset, line, layer, to: &sums)
                return true
            }
            try CommitLog(reading: reader.layout.commitLog(source)).forEach { record in
                if record.kind == .commit {
                    let path = record.hour.description
                    hours.insert(path.replacing("date=", with: "").replacing("/hour=", with: "T"))
                }
                return true
            }
        }
        return sums
    }

    private static func add(_ offset: Int64, _ line: ArraySlice<UInt8>, _ layer: Layer, to sums: inout [Int]) {
        guard let value = try? JSONValue.parse(Array(line), maxDepth: 66) else { return }
        let own =
            switch layer {
            case .bronze, .quarantine: value["timestamp_ms"]?.integer.map { Int($0) }
            case .silver: value["length_new"]?.integer.map { Int($0) }
            case .gold: value["text"]?.string?.unicodeScalars.count
            }
        sums = [sums[0] + 1, sums[1] + Int(offset), sums[2] + (own ?? 0)]
    }
}
