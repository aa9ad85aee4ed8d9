import Foundation
import JSONScan
import Lake
import PlatformTesting
import Records
import Testing

/// The recipe of docs/lake.md that makes Parquet of Silver and Gold.
@Suite struct LakeParquetTests {
    private struct Table: Decodable {
        let columns: [String: String]
        let folders: [String]
        let rows: [[String]]
    }

    /// A lake whose second generation has lines of its parent, of its replay and of the stream job; the second hour grows.
    @Test(arguments: [1, 2] as [Int64], [false, true])
    func theActiveGenerationBecomesParquet(active: Int64, withGrowingHour: Bool) throws {
        let folder = try TemporaryFolder()
        let layout = LakeLayout(root: folder.file("lake"))
        try GoldenLake(layout: layout).make(version: try #require(GoldenLake.versions.last))
        try GenerationLog(layout: layout).promote(active)
        let script = PackageRoot.path + "/Tests/StreamJobTests/lake_parquet.py"
        let output = try PythonTool.run(
            [script, folder.path, PackageRoot.path + "/docs/lake.md"] + (withGrowingHour ? ["growing"] : []))
        let tables = try JSONDecoder().decode([String: Table].self, from: Data(output))
        let end = withGrowingHour ? GoldenLake.records : Int(GoldenLake.secondHour)
        for (layer, more) in [(Layer.silver, ("event_id", "title")), (.gold, ("doc_id", "content_hash"))] {
            let table = try #require(tables[layer.rawValue])
            let expected = try rows(layout, layer, active, more, to: Int64(end))
            #expect(expected.count >= 3 && table.rows == expected, "\(layer)")
            #expect(table.folders == ["date=2026-11-21"])
            let kinds = [
                "event_time": "TIMESTAMP WITH TIME ZONE", "offset": "BIGINT", "date": "DATE", more.1: "VARCHAR",
            ]
            for (name, kind) in kinds { #expect(table.columns[name] == kind, "\(layer) \(name)") }
        }
        #expect(tables["silver"]?.columns["is_bot"] == "BOOLEAN" && tables["silver"]?.columns["delta"] == "BIGINT")
    }

    /// What our own reader finds: source offset, generation whose files hold it, time of the event, and two members.
    private func rows(
        _ layout: LakeLayout, _ layer: Layer, _ active: Int64, _ more: (String, String), to end: Int64
    ) throws -> [[String]] {
        var lines: [(offset: Int64, text: [UInt8])] = []
        let range = try #require(OffsetRange(start: 0, end: end))
        try LakeReader(layout: layout).forEachLine(
            layer, generation: active, source: GoldenLake.source, range: range
        ) { offset, line in
            lines.append((offset, Array(line)))
            return true
        }
        return try lines.map { offset, text in
            let value = try JSONValue.parse(text)
            let time = try #require(value["event_time"]?.string)
            let date = try Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
            // The replay began behind the first offsets, which stay the parent's.
            let generation = active == 2 && offset >= 3 ? 2 : 1
            return [
                "\(offset)", "\(generation)", "\(Int64((date.timeIntervalSince1970 * 1_000).rounded()))",
                value[more.0]?.string ?? "", value[more.1]?.string ?? "",
            ]
        }
    }
}
