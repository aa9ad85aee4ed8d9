import Bytes
import Foundation
import Testing

@Suite struct TextTests {
    @Test func decimalsEqualTheLibrarys() {
        var random = SeededGenerator(seed: 2)
        let edges: [Int64] = [0, 9, 10, -1, .max, .min, .min + 1, 99_999, 100_000]
        for value in edges
            + (0..<2_000).map({ _ in Int64(bitPattern: random.next()) >> Int64.random(in: 0...63, using: &random) })
        {
            var bytes: [UInt8] = []
            Decimal.append(value, to: &bytes)
            #expect(String(decoding: bytes, as: UTF8.self) == String(value))
        }
        var padded: [UInt8] = []
        Decimal.append(42, width: 5, to: &padded)
        #expect(padded == Array("00042".utf8))
    }

    @Test func base64AndHexEqualTheLibrarys() {
        var random = SeededGenerator(seed: 3)
        for length in 0...200 {
            let source = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let base64 = Base64.string(source)
            #expect(base64 == Data(source).base64EncodedString())
            #expect(Base64.bytes(Array(base64.utf8)) == source)
            let hex = Hex.string(source)
            #expect(hex == source.map { String(format: "%02x", $0) }.joined())
            #expect(Hex.bytes(Array(hex.utf8)) == source)
        }
    }

    @Test(arguments: ["A", "AB=", "AB=C", "A===", "AB C", "????", "AAAA="])
    func brokenBase64IsRefused(text: String) { #expect(Base64.bytes(Array(text.utf8)) == nil) }

    @Test(arguments: ["0", "0g", "zz", "0 "])
    func brokenHexIsRefused(text: String) { #expect(Hex.bytes(Array(text.utf8)) == nil) }
}

@Suite struct CivilTimeTests {
    @Test func timesEqualTheLibrarys() throws {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        var random = SeededGenerator(seed: 4)
        for _ in 0..<2_000 {
            // 1970 to 2286.
            let milliseconds = Int64.random(in: 0...9_999_999_999_999, using: &random)
            let text = CivilTime.rfc3339(milliseconds)
            #expect(text == formatter.string(from: Date(timeIntervalSince1970: Double(milliseconds) / 1_000)))
            #expect(CivilTime.epochMilliseconds(text) == milliseconds)
        }
    }

    @Test(arguments: [
        ("2024-02-29T00:00:00Z", 1_709_164_800_000), ("1970-01-01T00:00:00Z", 0), ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-21T10:00:00+01:30", 1_795_249_800_000), ("2026-11-21T10:00:00.5Z", 1_795_255_200_500),
    ])
    func edgesAreRead(text: String, milliseconds: Int64) { #expect(CivilTime.epochMilliseconds(text) == milliseconds) }

    @Test(arguments: [
        "", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21", "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T10:00:00", "2026-11-21T10:00:00Zx", "2026-11-21T10:00:00+25:00", "-026-11-21T10:00:00Z",
    ])
    func whatIsNoTimeIsRefused(text: String) { #expect(CivilTime.epochMilliseconds(text) == nil) }
}
