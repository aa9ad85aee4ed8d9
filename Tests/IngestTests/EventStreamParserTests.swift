import Bytes
import Ingest
import PlatformTesting
import Testing

/// The parser against the examples of the standard, against a slow reading of its grammar, and at its bounds.
struct EventStreamParserTests {
    struct Event: Equatable {
        var data: String
        var type: String
        var id: String
    }

    /// Parses `stream` in pieces that end at `cuts`.
    static func parse(
        _ stream: [UInt8], cuts: [Int] = [], parser: EventStreamParser = EventStreamParser()
    ) -> (events: [Event], parser: EventStreamParser) {
        var parser = parser
        var events: [Event] = []
        var start = 0
        for end in cuts + [stream.count] {
            stream[start..<end].withUnsafeBytes { bytes in
                parser.push(bytes) { event in
                    events.append(
                        Event(
                            data: String(decoding: event.data, as: UTF8.self),
                            type: String(decoding: event.type, as: UTF8.self),
                            id: String(decoding: event.id, as: UTF8.self)))
                }
            }
            start = end
        }
        return (events, parser)
    }

    static let examples: [(stream: String, events: [Event])] = [
        // The examples of section 9.2.6.
        ("data: YHOO\ndata: +2\ndata: 10\n\n", [Event(data: "YHOO\n+2\n10", type: "", id: "")]),
        (
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            [Event(data: "first event", type: "", id: "1"), Event(data: "second event", type: "", id: "")]
        ),
        ("data\n\ndata\ndata\n\ndata:", [Event(data: "", type: "", id: ""), Event(data: "\n", type: "", id: "")]),
        ("data:test\n\ndata: test\n\n", Array(repeating: Event(data: "test", type: "", id: ""), count: 2)),
        // Line ends of all three kinds, mixed.
        ("data: a\r\rdata: b\r\n\r\ndata: c\n\r\n", ["a", "b", "c"].map { Event(data: $0, type: "", id: "") }),
        ("data: a\r\ndata: b\r\n\r\n", [Event(data: "a\nb", type: "", id: "")]),
        // A mark at the start only.
        ("\u{FEFF}data: a\n\n", [Event(data: "a", type: "", id: "")]),
        ("\u{FEFF}\u{FEFF}data: a\n\n", []),
        ("data: a\n\n\u{FEFF}data: b\n\n", [Event(data: "a", type: "", id: "")]),
        // Ids: kept over events, not moved by an unfinished event, ignored with a NULL.
        (
            "id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\n",
            [
                Event(data: "a", type: "", id: "1"), Event(data: "b", type: "", id: "1"),
                Event(data: "c", type: "", id: "2"),
            ]
        ),
        (
            "id: 1\ndata: a\n\nid: 2\u{0}\ndata: b\n\n",
            [Event(data: "a", type: "", id: "1"), Event(data: "b", type: "", id: "1")]
        ),
        // Types, unknown fields, colons in values, names that only look like fields.
        (
            "event: x\ndata: a:b\nfoo: bar\nDATA: c\n data: d\ndata : e\n\ndata: f\n\n",
            [Event(data: "a:b", type: "x", id: ""), Event(data: "f", type: "", id: "")]
        ),
        ("event: x\n\ndata: a\n\n", [Event(data: "a", type: "", id: "")]),
        ("", []),
    ]

    @Test("the standard's examples", arguments: 0..<examples.count)
    func standard(index: Int) {
        let (stream, events) = Self.examples[index]
        let bytes = Array(stream.utf8)
        #expect(Self.parse(bytes).events == events)
        #expect(Self.parse(bytes, cuts: Array(0..<bytes.count)).events == events, "byte by byte")
    }

    @Test("any stream, cut anywhere, reads like the grammar says", arguments: 1...40)
    func property(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "data", "data:", "data: ", ":", " ", "id", "id: ", "event: ", "retry: ", "12", "x", "ü", "\u{FEFF}", "\0",
            "\n", "\n\n", "\r", "\r\n", "\r\r", "abc", "{\"a\":1}",
        ]
        for _ in 0..<50 {
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 0...60, using: &generator) {
                stream += Array((pieces.randomElement(using: &generator) ?? "").utf8)
            }
            var cuts = (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                Int.random(in: 0...stream.count, using: &generator)
            }
            cuts.sort()
            let expected = ReferenceParser.parse(stream)
            let (events, parser) = Self.parse(stream, cuts: cuts)
            #expect(events == expected.events, "seed \(seed), stream \(stream), cuts \(cuts)")
            #expect(parser.lastEventID == Array(expected.lastEventID.utf8), "seed \(seed), stream \(stream)")
            #expect(parser.retryMilliseconds == expected.retry, "seed \(seed), stream \(stream)")
        }
    }

    @Test("text in broken UTF-8 passes through untouched")
    func brokenText() {
        let payload: [UInt8] = [0xFF, 0xC3, 0x28, 0xEF, 0xBB]
        var parser = EventStreamParser()
        var seen: [[UInt8]] = []
        (Array("data: ".utf8) + payload + [0x0A, 0x0A]).withUnsafeBytes { bytes in
            parser.push(bytes) { seen.append(Array($0.data)) }
        }
        #expect(seen == [payload])
    }

    @Test("an event over the limit is left out and counted, and its neighbours stay", arguments: [1, 7, 1_000])
    func oversized(step: Int) {
        let big = String(repeating: "x", count: 101)
        let stream = Array(
            ("id: 1\ndata: a\n\nid: 2\ndata: \(big)\n\nid: 3\ndata: b\n\nid: 4\ndata: \(big.dropLast(30))\ndata: \(big)\n"
                + "event: x\n\nid: 5\ndata: \(big.dropLast())\n\n").utf8)
        let (events, parser) = Self.parse(
            stream, cuts: Array(stride(from: 0, to: stream.count, by: step)),
            parser: EventStreamParser(eventBytesMax: 100))
        #expect(events.map(\.id) == ["1", "3", "5"])
        #expect(events.map(\.data.count) == [1, 1, 100])
        #expect(events.map(\.type) == ["", "", ""])
        #expect(parser.oversizedCount == 2)
    }

    @Test("a line without end does not grow the memory, and the stream goes on behind it")
    func endlessLine() {
        var parser = EventStreamParser(eventBytesMax: 1_000)
        let chunk = [UInt8](repeating: 0x61, count: 10_000)
        for _ in 0..<100 { chunk.withUnsafeBytes { parser.push($0) { _ in Issue.record("no event here") } } }
        let (events, after) = Self.parse(Array("\n\ndata: b\n\n".utf8), parser: parser)
        #expect(events.map(\.data) == ["b"])
        #expect(after.oversizedCount == 1)
    }

    @Test("a new connection forgets what was incomplete, and keeps the id")
    func reset() {
        var (events, parser) = Self.parse(Array("retry: 77\n:c\nid: 1\ndata: a\n\nid: 2\ndata: b\ndata: half".utf8))
        #expect(events.map(\.data) == ["a"])
        parser.reset()
        #expect(parser.lastEventID == Array("1".utf8))
        #expect(parser.retryMilliseconds == 77)
        #expect(parser.commentCount == 1)
        (events, parser) = Self.parse(Array("\u{FEFF}data: c\n\n".utf8), parser: parser)
        #expect(events == [Event(data: "c", type: "", id: "1")])
    }

    @Test("what the body throws reaches the caller")
    func bodyThrows() {
        struct Stop: Error {}
        var parser = EventStreamParser()
        #expect(throws: Stop.self) {
            try Array("data: a\n\ndata: b\n\n".utf8).withUnsafeBytes { try parser.push($0) { _ in throw Stop() } }
        }
        parser.reset()
        #expect(Self.parse(Array("data: c\n\n".utf8), parser: parser).events.map(\.data) == ["c"])
    }
}

/// The grammar and the processing model word by word, over a whole stream at once.
private enum ReferenceParser {
    static func parse(_ stream: [UInt8]) -> (events: [EventStreamParserTests.Event], lastEventID: String, retry: Int?) {
        var bytes = stream[...]
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
        var events: [EventStreamParserTests.Event] = []
        var (data, type, id, lastEventID) = ([UInt8](), [UInt8](), [UInt8](), [UInt8]())
        var retry: Int?
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        for line in lines(bytes) {
            if line.isEmpty {
                lastEventID = id
                if !data.isEmpty { events.append(.init(data: text(data.dropLast()), type: text(type), id: text(id))) }
                (data, type) = ([], [])
                continue
            }
            let parts = line.split(separator: 0x3A, maxSplits: 1, omittingEmptySubsequences: false)
            var value = parts.count > 1 ? Array(parts[1]) : []
            if value.first == 0x20 { value.removeFirst() }
            switch text(Array(parts[0])) {
            case "data": data += value + [0x0A]
            case "event": type = value
            case "id": if !value.contains(0) { id = value }
            case "retry":
                if !value.isEmpty, value.allSatisfy({ (0x30...0x39).contains($0) }) { retry = Int(text(value)) }
            default: break
            }
        }
        func text(_ bytes: ArraySlice<UInt8>) -> String { text(Array(bytes)) }
        return (events, text(lastEventID), retry)
    }

    /// Complete lines only.
    private static func lines(_ bytes: ArraySlice<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            guard byte == 0x0A || byte == 0x0D else {
                line.append(byte)
                continue
            }
            if byte == 0x0D, index < bytes.endIndex, bytes[index] == 0x0A { index += 1 }
            lines.append(line)
            line = []
        }
        return lines
    }
}
