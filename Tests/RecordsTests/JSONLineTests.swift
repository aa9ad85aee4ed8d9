import Bytes
import Foundation
import JSONScan
import Testing

/// The lending walk of the modules without clients, held against simdjson.
@Suite struct JSONLineTests {
    /// The tree of a lent value, as JSONScan would make it.
    private func tree(_ value: JSONSlice) -> JSONValue {
        switch value.kind {
        case .absent, .null: return .null
        case .bool: return .bool(value.bool ?? false)
        case .number:
            if let integer = value.integer { return .integer(integer) }
            let text = String(decoding: value.bytes, as: UTF8.self)
            return .double(UInt64(text).map { Double($0) } ?? Double(text) ?? .nan)
        case .string: return .string(value.string ?? "")
        case .array:
            var elements: [JSONValue] = []
            value.forEachElement { elements.append(tree($0)) }
            return .array(elements)
        case .object:
            var members: [(key: String, value: JSONValue)] = []
            value.forEachMember { members.append(($0.string ?? "", tree($1))) }
            return .object(members)
        }
    }

    private func walked(_ bytes: [UInt8], depthMax: Int = JSONLine.depthMax) -> JSONValue? {
        var members: [(key: String, value: JSONValue)] = []
        do {
            try bytes.withUnsafeBytes { text in
                try JSONLine.forEachMember(of: text, depthMax: depthMax) {
                    members.append(($0.string ?? "", tree($1)))
                }
            }
        } catch {
            return nil
        }
        return .object(members)
    }

    /// What JSONScan makes of it; nil where it refuses it, or where it is no object.
    private func scanned(_ bytes: [UInt8]) -> JSONValue? {
        guard let value = try? JSONValue.parse(bytes, maxDepth: 256), value.object != nil else { return nil }
        return value
    }

    private func compare(_ bytes: [UInt8], _ comment: Comment? = nil) {
        let (ours, theirs) = (walked(bytes, depthMax: 200), scanned(bytes))
        if ours != theirs {
            Issue.record("\(String(decoding: bytes, as: UTF8.self).debugDescription): \(comment ?? "")")
        }
    }

    @Test(arguments: [
        "{}", " { } ", "{\"a\":1}", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}", "{\"a\":1}x", "[]",
        "1",
        "", " ", "null", "{\"a\":tru}", "{\"a\":True}", "{\"a\":nulll}", "{\"a\":1 2}", "{\"a\":1\u{0B}}",
        "{\"a\":[1,2,]}",
        "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":{]}", "{\"a\":\"b}", "{\"a\":\"b\\\"}", "{\"a\":\"\t\"}",
        "{\"a\":\"\\t\\n\\r\\b\\f\\/\\\\\\\"\"}", "{\"a\":\"\\x41\"}", "{\"a\":\"\\u00e9\\u0000\"}",
        "{\"a\":\"\\u00G9\"}",
        "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\ud83d\\u0041\"}",
        "{\"a\":\"\\ud83dx\"}", "{\"a\":\"\\ude00\"}", "{\"a\":\"\\uD83D\\uDE00\"}", "{\"\\u0061\":1,\"a\":2}",
        "{\"a\":-0}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":01}", "{\"a\":-01}", "{\"a\":0.5}", "{\"a\":.5}", "{\"a\":5.}",
        "{\"a\":1e5}", "{\"a\":1E+5}", "{\"a\":1e}", "{\"a\":1e+}", "{\"a\":1e999}", "{\"a\":-1e999}", "{\"a\":1e-999}",
        "{\"a\":9223372036854775807}", "{\"a\":9223372036854775808}", "{\"a\":18446744073709551615}",
        "{\"a\":18446744073709551616}", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775809}",
        "{\"a\":100000000000000000000000}", "{\"a\":1.7976931348623157e308}", "{\"a\":1.7976931348623159e308}",
        "{\"a\":123456789012345678901234567890.5}", "{\"a\":0.1000000000000000055511151231257827}",
        "{\"a\":\"\u{FFFF}\u{10FFFF}\u{202E}\"}", "{\"a\":1}\n", "\n{\"a\"\n:\r\n1}", "\u{FEFF}{}",
    ])
    func aTextMeansTheSame(text: String) { compare(Array(text.utf8)) }

    @Test func brokenUTF8IsRefused() {
        for broken: [UInt8] in [
            [0xFF], [0xC3], [0xC3, 0x28], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80],
        ] {
            let inText = Array("{\"a\":\"".utf8) + broken + Array("\"}".utf8)
            #expect(walked(inText) == nil)
            compare(inText)
            compare(Array("{\"a\":1}".utf8) + broken)
        }
    }

    /// One level more than is allowed is refused, whatever nests.
    @Test func nestingHasABound() {
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            func text(_ depth: Int) -> [UInt8] {
                Array(
                    ("{\"a\":" + String(repeating: open, count: depth - 1) + "1"
                        + String(repeating: close, count: depth - 1)
                        + "}").utf8)
            }
            #expect(walked(text(64)) != nil)
            #expect(walked(text(65)) == nil)
            #expect(walked(text(65), depthMax: 65) != nil)
            // Far deeper than a stack would bear.
            #expect(walked(text(1_000_000)) == nil)
        }
    }

    /// Pieces that texts are made of and spoiled with.
    private static let pieces: [[UInt8]] =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\\"", "\\u", "\\u0041", "\\ud83d", "\\ude00", "\\n", "true",
            "false",
            "null", "0", "-", "1", "12345678901234567890", "-9223372036854775808", ".5", "e9", "E-3", "1e308", " ",
            "\t", "\n",
            "\r", "é", "😀", "abcdefgh", "\"a\":", "\"doc_id\":\"x\"", "\u{0}", "\u{1F}",
        ].map { Array($0.utf8) } + [[0x80], [0xC3], [0xFF], [0xED, 0xA0, 0x80]]

    private static func value(_ depth: Int, _ random: inout SeededGenerator) -> String {
        switch Int.random(in: 0..<(depth > 4 ? 6 : 8), using: &random) {
        case 0: return "null"
        case 1: return Bool.random(using: &random) ? "true" : "false"
        case 2: return "\(Int64.random(in: .min ... .max, using: &random))"
        case 3: return "\(Double.random(in: -1e9...1e9, using: &random))"
        case 4: return "\"\""
        case 5:
            let texts = [
                "plain", "ünï", "a\\nb", "\\u00e9", "\\ud83d\\ude00", "long text of more than eight bytes \\\\ \\\"",
            ]
            return "\"\(texts[Int.random(in: 0..<texts.count, using: &random)])\""
        case 6:
            let count = Int.random(in: 0...3, using: &random)
            return "[" + (0..<count).map { _ in value(depth + 1, &random) }.joined(separator: ",") + "]"
        default:
            let count = Int.random(in: 0...3, using: &random)
            return "{" + (0..<count).map { "\"k\($0)\" : \(value(depth + 1, &random))" }.joined(separator: " ,") + "}"
        }
    }

    /// `TEST_SEED` replays another run.
    @Test func hostileBytesMeanTheSame() {
        let seed = ProcessInfo.processInfo.environment["TEST_SEED"].flatMap { UInt64($0) } ?? 13
        var random = SeededGenerator(seed: seed)
        var accepted = 0
        for round in 0..<20_000 {
            let members = Int.random(in: 0...4, using: &random)
            var bytes = Array(
                ("{" + (0..<members).map { "\"m\($0)\":\(Self.value(0, &random))" }.joined(separator: ",") + "}").utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 0...bytes.count, using: &random)
                let piece = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &random)]
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes.insert(contentsOf: piece, at: place)
                case 1: bytes.replaceSubrange(place..<min(place + piece.count, bytes.count), with: piece)
                default: bytes.removeSubrange(place..<min(place + 1, bytes.count))
                }
            }
            if walked(bytes, depthMax: 200) != nil { accepted += 1 }
            compare(bytes, "seed \(seed), round \(round)")
        }
        // Neither all nor none: the rounds say something about both.
        #expect(accepted > 3_000 && accepted < 19_000)
    }
}
