import Bytes
import JSONScan
import PlatformTesting
import Records
import Testing

@testable import Embeddings
@testable import Logic
@testable import Simulator

/// Passages are cut without the model's tokenizer, by weights that were held against it: here.
struct PassageWeightTests {
    /// Tokens of a passage at most, `[CLS]` and `[SEP]` apart.
    private static let tokensMax = 254

    /// Cuts texts and counts what the model reads of each passage.
    private func measure(_ texts: some Sequence<String>) throws -> (passages: Int, tooLong: Int) {
        let tokenizer = try Model.tokenizer.get()
        var cutter = PassageCutter(PassageSettings())
        var ranges: [PassageRange] = []
        var (passages, tooLong) = (0, 0)
        for text in texts {
            let bytes = Array(text.utf8)
            bytes.withUnsafeBytes { cutter.cut($0, into: &ranges) }
            if ranges.isEmpty { ranges = [PassageRange(scalars: 0..<0, bytes: 0..<bytes.count)] }
            for range in ranges {
                passages += 1
                let passage = String(decoding: bytes[range.bytes], as: UTF8.self)
                if tokenizer.tokenCount(passage) - 2 > Self.tokensMax { tooLong += 1 }
            }
        }
        return (passages, tooLong)
    }

    /// 1,000 texts of each of 20 languages in 17 scripts, seed 7.
    @Test(arguments: WordLists.languages.map(\.code)) func invented(_ code: String) throws {
        let pack = try #require(WordLists.languages.first { $0.code == code })
        let words = pack.subjects + pack.places + pack.sections + pack.comments + pack.names
        var random = SeededGenerator(seed: 7)
        let texts = (0..<1_000).map { _ in
            (0..<Int.random(in: 5...80, using: &random)).map { _ in words.randomElement(using: &random) ?? "" }
                .joined(separator: " ")
        }
        let found = try measure(texts)
        #expect(found.passages > 1_000)
        #expect(1_000 * found.tooLong <= found.passages, "\(code): \(found.tooLong) of \(found.passages)")
    }

    /// Titles and comments as people wrote them, twenty in a row.
    @Test(.enabled(if: Recordings.folder != nil, Comment(rawValue: Recordings.absence))) func recorded() throws {
        let lines = try Recordings.bytes("recentchange-original.jsonl.zst").split(separator: 0x0A)
        let texts = try lines.map { line in
            let value = try line.withUnsafeBytes { try JSONValue.parse(Array($0)) }
            return (value["title"]?.string ?? "") + ". " + (value["comment"]?.string ?? "") + ". "
        }
        let found = try measure(
            stride(from: 0, to: texts.count, by: 20).map { texts[$0..<min($0 + 20, texts.count)].joined() })
        #expect(found.passages > 100)
        #expect(1_000 * found.tooLong <= found.passages, "\(found.tooLong) of \(found.passages)")
    }
}
