import Bytes
import PlatformTesting
import Records
import Retrieval
import Testing
import Zstd

@testable import Arms

/// What was added is read back, exactly, whatever was added and removed meanwhile; removed rows give their room back.
@Suite struct RowTableTests {
    private static let parts = ["river", "Zürich", "東京都", "", "e\u{301}", "a\tb", "flood and harbour crane", "👩‍👧"]

    private static func passages(_ random: inout SeededGenerator) -> [Candidate] {
        func text(_ countMax: Int, _ random: inout SeededGenerator) -> String {
            (0..<Int.random(in: 0...countMax, using: &random)).map { _ in
                parts[Int.random(in: 0..<parts.count, using: &random)]
            }.joined(separator: " ")
        }
        var attributes = AttributeList([.user: .string(text(2, &random)), .isBot: .bool(Bool.random(using: &random))])
        attributes.set(.namespace, .integer(Int64.random(in: .min ... .max, using: &random)))
        attributes.set(.delta, .number(Double.random(in: -1e300...1e300, using: &random)))
        attributes.set(.isMinor, .bool(Bool.random(using: &random)))
        attributes.set(.domain, .time(Int64.random(in: -1...1, using: &random)))
        let (id, title) = (text(3, &random), text(5, &random))
        let (version, time) = (
            Int64.random(in: .min ... .max, using: &random), Int64.random(in: .min ... .max, using: &random)
        )
        let lineage = Array("{\"logic_version\": \"\(text(2, &random))\", \"parents\": []}".utf8)
        return (0..<Int.random(in: 1...4, using: &random)).map { number in
            Candidate(
                docID: id, version: version, passage: Int32(number * 2), collection: "edits", title: title,
                url: "https://example.org/\(number)", text: text(120, &random), eventTimeMilliseconds: time,
                language: "de", attributes: attributes, lineageJSON: lineage, vector: nil, lexical: nil)
        }
    }

    /// The address is the document's.
    private static func ofOneDocument(_ passages: [Candidate]) -> [Candidate] {
        passages.map { passage in
            var passage = passage
            passage.url = passages[0].url
            return passage
        }
    }

    @Test(arguments: LongTests.seeds(1...2)) func whatIsAddedIsReadBack(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let table = RowTable()
        var wanted: [Int: [Candidate]] = [:]
        for step in 0..<6_000 {
            let slot = Int.random(in: 0..<5_000, using: &random)
            if Int.random(in: 0..<5, using: &random) == 0 {
                table.remove(slot)
                wanted[slot] = nil
            } else {
                let passages = Self.ofOneDocument(Self.passages(&random))
                table.add(passages, at: slot)
                wanted[slot] = passages
            }
            // Most of it goes at once.
            guard step == 5_000 else { continue }
            for slot in wanted.keys.sorted().dropFirst(300) {
                table.remove(slot)
                wanted[slot] = nil
            }
            #expect(table.memoryBytes < 2_500_000, "holes are given back: \(table.memoryBytes)")
        }
        #expect(table.count == wanted.count)
        var decompressor = try Decompressor()
        for slot in 0..<5_000 {
            #expect(table.holds(slot) == (wanted[slot] != nil))
            let row = table.unpacked(at: slot, &decompressor)
            #expect((row == nil) == (wanted[slot] == nil))
            guard let row else { continue }
            #expect(table.unpacked(at: slot, &decompressor, bytesMax: row.count) == row)
            #expect(table.unpacked(at: slot, &decompressor, bytesMax: row.count - 1) == nil)
            for (place, passage) in (wanted[slot] ?? []).enumerated() {
                #expect(try PackedRow.passage(place, of: row) == passage, "seed \(seed), slot \(slot)")
            }
            #expect(throws: (any Error).self) { try PackedRow.passage(wanted[slot]?.count ?? 0, of: row) }
        }
    }

    /// Rows like others take a fraction of their bytes.
    @Test func rowsLikeOthersTakeLittle() throws {
        let table = RowTable()
        var plain = 0
        for slot in 0..<20_000 {
            let lineage = """
                {"logic_version": "0123456789abcdef", "parents": [{"topic": "wikimedia.recentchange", "partition": 0, \
                "offset": \(slot), "event_id": "event-\(slot)", "bronze_sha256": "\(slot &* 2_654_435_761)"}]}
                """
            let passage = Candidate(
                docID: "doc-\(slot)", version: 1, passage: 0, collection: "wikimedia.recentchange",
                title: "Title \(slot)", url: "https://en.example.org/wiki/Title_\(slot)",
                text: "Somebody changed the article about number \(slot) and said why", eventTimeMilliseconds: 1,
                language: "en", attributes: AttributeList([.wiki: .string("enwiki"), .isBot: .bool(false)]),
                lineageJSON: Array(lineage.utf8), vector: nil, lexical: nil)
            plain += PackedRow.packed([passage]).count
            table.add([passage], at: slot)
        }
        #expect(table.memoryBytes * 2 < plain, "\(table.memoryBytes) of \(plain)")
    }

    /// Packed bytes that were cut or changed are noticed or read as something else, and harm nothing.
    @Test func packedBytesAreNotTrusted() throws {
        var random = SeededGenerator(seed: LongTests.seed(1))
        for _ in 0..<200 {
            let passages = Self.passages(&random)
            let packed = PackedRow.packed(passages)
            for _ in 0..<20 {
                var bytes = Array(packed.prefix(Int.random(in: 0...packed.count, using: &random)))
                if !bytes.isEmpty, Bool.random(using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                _ = try? PackedRow.passage(Int.random(in: 0..<4, using: &random), of: bytes)
            }
            #expect(throws: PackedError.self) {
                try PackedRow.passage(passages.count - 1, of: Array(packed.dropLast()))
            }
        }
    }
}
