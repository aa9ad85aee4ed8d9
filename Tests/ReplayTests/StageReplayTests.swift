import Bytes
import Derivation
import Files
import Lake
import Logic
import PlatformTesting
import Records
import Testing

@testable import Replay

/// A replay decides of texts as the first run did, wherever it begins: it reads Bronze from the block's beginning on.
@Suite struct StageReplayTests {
    private static let source = TopicPartition(topic: "products", partition: 0)
    private static let count = 240

    private static func logic(_ seed: UInt64) throws -> TopicLogic {
        func path(_ text: String) throws -> FieldPath { try #require(FieldPath(text)) }
        let settings = DocumentSettings(
            mapping: DocumentMapping(id: try path("id"), texts: [try path("text")], deleted: try path("deleted")),
            duplicates: DuplicateWindow.Limits(offsets: 20),
            stages: DocumentStages(
                textCharactersMin: 4, nearDuplicates: .init(offsets: 70, distance: Int(seed % 4))))
        return try TopicLogic(.document(settings), tenant: .standard, collection: "shop")
    }

    private static func values(_ seed: UInt64) -> [[UInt8]] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            let id = "d\(Int.random(in: 0..<20, using: &random))"
            switch Int.random(in: 0..<10, using: &random) {
            case 0: return Array(#"{"id":"\#(id)","deleted":true}"#.utf8)
            case 1: return Array(#"{"id":"\#(id)","text":"ab"}"#.utf8)
            case 2: return Array("no JSON".utf8)
            default:
                let litres = Int.random(in: 0..<7, using: &random)
                return Array(#"{"id":"\#(id)","text":"A kettle of \#(litres) litres"}"#.utf8)
            }
        }
    }

    @Test(arguments: LongTests.seeds(1...6))
    func aReplayFromAnywhereMakesTheSameLines(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        let layout = LakeLayout(root: folder.file("lake"))
        try SourceReplayTests.fill(layout, Self.source, Self.logic(seed), Self.values(seed))
        let reader = LakeReader(layout: layout)
        let generation = try #require(try GenerationLog(layout: layout).active())
        var random = SeededGenerator(seed: seed)
        for start in [0] + (0..<5).map({ _ in Int64.random(in: 1..<Int64(Self.count), using: &random) }) {
            let range = try #require(OffsetRange(start: start, end: Int64(Self.count)))
            var hours: [RangeReplay.Hour] = []
            try RangeReplay(reader: reader, source: Self.source, generation: generation, parent: generation.number)
                .run(range) { hours += $0.hours }
            for (layer, lines) in [
                (Layer.silver, hours.flatMap(\.silver)), (.gold, hours.flatMap(\.gold)),
                (.quarantine, hours.flatMap(\.quarantine)),
            ] {
                var expected: [String] = []
                try reader.forEachLine(layer, generation: generation.number, source: Self.source, range: range) {
                    expected.append(String(decoding: $1, as: UTF8.self))
                    return true
                }
                let found = lines.map { String(decoding: $0.bytes, as: UTF8.self) }
                #expect(found == expected, "\(layer) from \(start), TEST_SEED=\(seed)")
                if layer == .gold, start == 0 {
                    #expect(expected.contains { $0.contains("near_duplicate") }, "TEST_SEED=\(seed)")
                    #expect(expected.contains { $0.contains("text_too_short") }, "TEST_SEED=\(seed)")
                }
            }
        }
    }
}
