import Bytes
import JSONScan
import Testing

@testable import Ingest

@Suite struct LogMessageTests {
    private static func big(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    private static func letter(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func row(_ values: [String?]) -> [UInt8] {
        big(UInt16(values.count))
            + values.flatMap { value -> [UInt8] in
                guard let value else { return letter("n") }
                if value == "?" { return letter("u") }
                return letter("t") + big(UInt32(value.utf8.count)) + letter(value)
            }
    }

    /// By the manual's table of formats, one of each.
    private static let messages: [(bytes: [UInt8], message: LogMessage)] = [
        (
            letter("B") + big(UInt64(0x16_B374_D848)) + big(Int64(7_000)) + big(UInt32(99)),
            .begin(commit: 0x16_B374_D848, microseconds: 7_000, transaction: 99)
        ),
        (letter("C") + [0] + big(UInt64(1)) + big(UInt64(2)) + big(Int64(3)), .commit(end: 2)),
        (
            letter("R") + big(UInt32(5)) + letter("public\0things\0d") + big(UInt16(2)) + [1] + letter("id\0")
                + big(UInt32(23)) + big(Int32(-1)) + [0] + letter("body\0") + big(UInt32(25)) + big(Int32(-1)),
            .relation(
                LogRelation(
                    id: 5, schema: "public", table: "things",
                    columns: [.init(name: "id", type: 23, isKey: true), .init(name: "body", type: 25, isKey: false)]))
        ),
        (
            letter("I") + big(UInt32(5)) + letter("N") + row(["1", nil]),
            .insert(relation: 5, new: [.text([0x31]), .null])
        ),
        (
            letter("U") + big(UInt32(5)) + letter("N") + row(["1", "?"]),
            .update(relation: 5, old: nil, new: [.text([0x31]), .unchanged])
        ),
        (
            letter("U") + big(UInt32(5)) + letter("K") + row(["2", nil]) + letter("N") + row(["1", ""]),
            .update(
                relation: 5, old: LogOldRow(isKey: true, values: [.text([0x32]), .null]),
                new: [.text([0x31]), .text([])])
        ),
        (
            letter("D") + big(UInt32(5)) + letter("O") + row(["1", "x"]),
            .delete(relation: 5, old: LogOldRow(isKey: false, values: [.text([0x31]), .text([0x78])]))
        ),
        (letter("T") + big(UInt32(2)) + [3] + big(UInt32(5)) + big(UInt32(6)), .truncate(relations: [5, 6])),
    ]

    @Test func eachIsRead() throws {
        for (bytes, message) in Self.messages { #expect(try LogMessage.parse(bytes) == message) }
        for letter in ["O", "Y", "M"] { #expect(try LogMessage.parse(Self.letter(letter) + [1, 2]) == .other) }
    }

    @Test("what is cut short or goes on is an error, never a trap")
    func truncated() {
        for (bytes, message) in Self.messages {
            for count in 0..<bytes.count {
                #expect(throws: LogFormatError.self, "\(message), \(count) bytes") {
                    try LogMessage.parse(Array(bytes.prefix(count)))
                }
            }
            #expect(throws: LogFormatError.self) { try LogMessage.parse(bytes + [0]) }
        }
    }

    @Test("hostile bytes end in a message or an error")
    func hostile() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            var bytes = Self.messages.randomElement(using: &random)?.bytes ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                bytes[place] = [0, 0xFF, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
            }
            _ = try? LogMessage.parse(bytes)
        }
        // A count that says four gigabytes makes nobody reserve them.
        #expect(throws: LogFormatError.self) {
            try LogMessage.parse(
                Self.letter("I") + Self.big(UInt32(5)) + Self.letter("N") + [0, 1] + Self.letter("t")
                    + Self.big(UInt32.max))
        }
        #expect(throws: LogFormatError.self) { try LogMessage.parse(Self.letter("T") + Self.big(UInt32.max) + [0]) }
    }
}

@Suite struct ColumnKindTests {
    private func json(_ text: String, _ kind: ColumnKind) -> String {
        var json = JSONWriter()
        kind.write(Array(text.utf8), to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    @Test(
        "every value becomes JSON that reads back",
        arguments: [
            ("t", ColumnKind.boolean, "true"), ("f", .boolean, "false"), ("x", .boolean, #""x""#),
            ("-9223372036854775808", .integer, "-9223372036854775808"),
            ("9223372036854775808", .integer, #""9223372036854775808""#),
            ("007", .integer, #""007""#), ("1;2", .integer, #""1;2""#), ("", .integer, #""""#),
            ("1e+20", .real, "1e+20"), ("5e-324", .real, "5e-324"), ("1e+999", .real, #""1e+999""#),
            ("Infinity", .real, #""Infinity""#), ("0.30000000000000004", .real, "0.30000000000000004"),
            ("0.30000000000000004", .number, #""0.30000000000000004""#), ("-0.50", .number, "-0.50"),
            ("NaN", .number, #""NaN""#), ("123456.5000000000", .number, "123456.5000000000"),
            ("12345678901234.50", .number, "12345678901234.50"), ("0.00", .number, "0.00"),
            ("1234567890123456.0", .number, #""1234567890123456.0""#),
            ("2026-01-02 03:04:05+00", .time, #""2026-01-02T03:04:05Z""#),
            ("2026-01-02 03:04:05.123456+00", .time, #""2026-01-02T03:04:05.123456Z""#),
            ("infinity", .time, #""infinity""#), ("0044-03-15 00:00:00+00 BC", .time, #""0044-03-15 00:00:00+00 BC""#),
            ("12026-01-02 03:04:05+00", .time, #""12026-01-02 03:04:05+00""#), ("-", .time, #""-""#),
            ("2026-01-02 03:04:05", .localTime, #""2026-01-02T03:04:05Z""#),
            (#"{"a": 1}"#, .json, #"{"a": 1}"#), ("1e999", .json, #""1e999""#), (#""x""#, .json, #""x""#),
            ("1] , [2", .json, #""1] , [2""#),
            (#"\xdeadbeef"#, .bytes, #""3q2+7w==""#), (#"\x"#, .bytes, #""""#), (#"\xd"#, .bytes, #""\\xd""#),
            ("{}", .array(.integer), "[]"), ("{1,NULL,3}", .array(.integer), "[1,null,3]"),

            (#"{"a\"b\\",c}"#, .array(.text), #"["a\"b\\","c"]"#),
            ("[0:1]={a,b}", .array(.text), #"["a","b"]"#), ("{{1},{2}}", .array(.integer), "[[1],[2]]"),
            ("{1,", .array(.integer), #""{1,""#), ("{1}2", .array(.integer), #""{1}2""#), ("", .array(.text), #""""#),
            ("{{{{{{{1}}}}}}}", .array(.integer), #""{{{{{{{1}}}}}}}""#),
        ] as [(String, ColumnKind, String)])
    func values(text: String, kind: ColumnKind, expected: String) {
        #expect(json(text, kind) == expected)
        #expect((try? JSONValue.parse(Array("[\(json(text, kind))]".utf8))) != nil)
    }

    @Test func textThatIsNoUTF8IsMended() {
        var json = JSONWriter()
        ColumnKind.text.write([0x61, 0xFF, 0x62], to: &json)
        #expect(String(validating: json.bytes, as: UTF8.self) == "\"a\u{FFFD}b\"")
    }
}

@Suite struct CaptureOrderTests {
    private static let commit: UInt64 = 0x1_6B37_4D80

    @Test("versions follow the commits, and in a transaction the changes of a key")
    func order() {
        var order = CaptureOrder(snapshot: 1)
        let snapshot = CaptureOrder.version(ofSnapshot: 1, at: Self.commit)
        order.begin(commit: Self.commit - 40)
        var before = order.version(of: [1])
        #expect(before < snapshot)
        order.begin(commit: Self.commit)
        #expect(order.version(of: [1]) > snapshot)
        before = order.version(of: [1])
        for _ in 0..<1_000 {
            let next = order.version(of: [1])
            #expect(next > before)
            before = next
        }
        #expect(order.version(of: [2]) < before, "another key counts for itself")
        order.begin(commit: Self.commit + 40)
        #expect(order.version(of: [2]) > before)
        #expect(CaptureOrder.version(ofSnapshot: 2, at: 64) > order.version(of: [2]))
        #expect(CaptureOrder.version(ofSnapshot: 31, at: 1 << 53 - 1) > 0)
        #expect(CaptureOrder.reaches(1 << 53 - 1) && !CaptureOrder.reaches(1 << 53))
    }

    @Test("a truncation is above what comes before it in its transaction, and not above what comes behind")
    func truncation() {
        var order = CaptureOrder(snapshot: 1)
        order.begin(commit: Self.commit)
        let before = [order.version(of: [1]), order.version(of: [1]), order.version(of: [2])]
        let truncation = order.versionOfTruncation()
        #expect(before.allSatisfy { $0 < truncation })
        #expect(order.version(of: [3]) >= truncation && order.version(of: [1]) >= truncation)
        #expect(order.versionOfTruncation() > truncation)
        // However many came before.
        order.begin(commit: Self.commit + 64)
        let many = (0..<5_000).map { _ in order.version(of: [1]) }
        let late = order.versionOfTruncation()
        #expect(many.allSatisfy { $0 < late } && order.version(of: [1]) >= late)
    }

    @Test func aTransactionThatIsReadAgainGetsTheSameNumbers() {
        func versions() -> [Int64] {
            var order = CaptureOrder(snapshot: 1)
            order.begin(commit: 1_000_000)
            return (0..<100_000).map { number in
                withUnsafeBytes(of: number % 30_000) { order.version(of: Array($0)) }
            }
        }
        #expect(versions() == versions())
    }
}
