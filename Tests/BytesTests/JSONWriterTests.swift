import Bytes
import Foundation
import Testing

/// Foundation's parser and formatters are the independent readers here.
@Suite struct JSONWriterTests {
    private func randomText(_ random: inout SeededGenerator) -> String {
        // Mostly plain, so that runs of eight plain bytes, and specials at each place behind them, occur.
        let specials: [Unicode.Scalar] = [
            "\"", "\\", "\n", "\u{0}", "\u{1F}", "\u{7F}", "/", "é", "東", "🌍", "\u{2028}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...40, using: &random) {
            let isSpecial = Int.random(in: 0..<6, using: &random) == 0
            text.append(
                isSpecial
                    ? specials[Int.random(in: 0..<specials.count, using: &random)]
                    : Unicode.Scalar(UInt8.random(in: 0x20...0x7E, using: &random)))
        }
        return String(text)
    }

    @Test func anyTextReadsBackAsItWas() throws {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<5_000 {
            let text = randomText(&random)
            var writer = JSONWriter()
            writer.beginArray()
            writer.string(text)
            writer.endArray()
            let read = try JSONSerialization.jsonObject(with: Data(writer.bytes)) as? [String]
            // Scalars, because String's == takes canonically equal texts for the same.
            #expect(read?.first.map { Array($0.unicodeScalars) } == Array(text.unicodeScalars))
        }
    }

    @Test func everyByteThatMustBeEscapedIsAtEveryPlace() throws {
        for length in 1...20 {
            for place in 0..<length {
                for special in Array(0..<0x20) + [0x22, 0x5C] as [UInt8] {
                    var text = [UInt8](repeating: UInt8(ascii: "a"), count: length)
                    text[place] = special
                    var bytes: [UInt8] = []
                    text.withUnsafeBufferPointer { JSONText.appendQuoted($0, to: &bytes) }
                    #expect(bytes.dropFirst().dropLast().allSatisfy { $0 >= 0x20 })
                    let read = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
                    #expect((read as? String).map { Array($0.utf8) } == text)
                }
            }
        }
    }

    @Test func aDocumentHasItsCommasAndBrackets() throws {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("a")
        writer.beginArray()
        writer.integer(Int64.min)
        writer.integer(UInt64.max)
        writer.double(0.1)
        writer.double(.nan)
        writer.bool(true)
        writer.null()
        writer.beginObject()
        writer.endObject()
        writer.endArray()
        writer.key(dynamic: "b\"c")
        writer.raw("[]".utf8)
        writer.endObject()
        let expected = #"{"a":[-9223372036854775808,18446744073709551615,0.1,null,true,null,{}],"b\"c":[]}"#
        #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
    }
}
