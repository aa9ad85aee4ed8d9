import Bytes
import Files
import JSONScan
import PlatformTesting
import Records
import Testing

/// A suppression is the same wherever it was written.
@Suite struct SuppressionFormatTests {
    private static let entries: [SuppressionEntry] =
        targets.enumerated().map { number, target in
            .suppress(
                Suppression(
                    id: "s-\(number)", tenant: .standard, target: target, reason: FormatTests.texts[number % 4],
                    by: "ann \"A\"", atMilliseconds: 1_700_000_000_123))
        } + [.lift(id: "s-1", tenant: TenantID("acme") ?? .standard, reason: "checked\n", by: "", atMilliseconds: -1)]

    private static let place = TopicPartition(topic: "edits", partition: 2)
    private static let targets: [SuppressionTarget] = [
        .event(place, offset: 7), .eventID("e-1"), .page(collection: "wiki", title: "Zürich \"x\"", wiki: nil),
        .page(collection: "wiki", title: "T", wiki: "enwiki"), .document(collection: "wiki", docID: "d/1"),
        .user(collection: "wiki", name: "Иван"),
    ]

    private static func read(_ bytes: [UInt8]) throws -> SuppressionEntry {
        try bytes.withUnsafeBytes { bytes in
            try Result { () throws(RecordFormatError) in try SuppressionEntry(bytes) }.get()
        }
    }

    @Test func whatIsWrittenIsRead() throws {
        for entry in Self.entries {
            #expect(try Self.read(entry.json) == entry)
            #expect(!entry.json.contains(0x0A))
        }
    }

    @Test func fieldsAreThoseOfTheSchema() throws {
        let schema = try JSONValue.parse(
            File.contents(of: PackageRoot.path + "/schemas/suppression.schema.json"))
        for (name, entry) in [("suppress", Self.entries[0]), ("lift", Self.entries[Self.entries.count - 1])] {
            let names = schema["$defs"]?[name]?["properties"]?.object?.map(\.key)
            let written = try #require(JSONValue.parse(entry.json).object).map(\.key)
            #expect(names == ["next_offset"] + written)
            #expect(Set(written).isSubset(of: SuppressionEntry.fields))
        }
    }

    @Test(arguments: [
        "", "[]", "{}", #"{"kind":"lift"}"#,
        #"{"kind":"other","id":"a","tenant":"default","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"lift","id":"","tenant":"default","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"lift","id":"a","tenant":"a b","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"lift","id":"a","tenant":"default","reason":"","by":"","at_ms":"1"}"#,
        #"{"kind":"suppress","id":"a","tenant":"default","target":"page","name":"","collection":"c","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"suppress","id":"a","tenant":"default","target":"page","name":"t","collection":"","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"suppress","id":"a","tenant":"default","target":"event","name":"t","reason":"","by":"","at_ms":1}"#,
        #"{"kind":"suppress","id":"a","tenant":"default","target":"x","name":"t","reason":"","by":"","at_ms":1}"#,
    ]) func whatLacksAPartIsRefused(line: String) {
        #expect(throws: RecordFormatError.self) { try Self.read(Array(line.utf8)) }
    }

    /// The index's own indexes hold no longer names.
    @Test(arguments: SuppressionTarget.Kind.allCases) func whatIsTooLongIsRefused(kind: SuppressionTarget.Kind) throws {
        func line(_ name: String, _ other: String) -> [UInt8] {
            Array(
                #"{"kind":"suppress","id":"a","tenant":"default","target":"\#(kind.rawValue)","name":"\#(name)","#.utf8)
                + Array(
                    #""collection":"\#(other)","partition":0,"offset":1,"reason":"","by":"","at_ms":1}"#.utf8)
        }
        let longest = String(repeating: "é", count: Suppression.nameBytesMax / 2)
        let name = kind == .event ? "edits" : longest
        #expect(throws: Never.self) { try Self.read(line(name, longest)) }
        #expect(throws: RecordFormatError.self) { try Self.read(line(name, longest + "x")) }
        #expect(throws: RecordFormatError.self) { try Self.read(line(longest + "x", "c")) }
    }

    @Test func idsAreTold() {
        var generator = SystemRandomNumberGenerator()
        #expect(Suppression.isID(Suppression.makeID(using: &generator)))
        for text in ["", "s-", "s-none", "s-0123456789ABCDEF", "x-0123456789abcdef", "s-0123456789abcdef0"] {
            #expect(!Suppression.isID(text), "\(text)")
        }
    }

    @Test func aSetCoversWhatItNames() {
        var subject = SuppressionSubject(
            topicPartition: Self.place, offset: 7, eventID: "e-1", collection: "wiki", title: "T", docID: "d/1",
            user: "Иван", wiki: "enwiki")
        let ranges = [(3, 5), (7, 8)].compactMap { OffsetRange(start: $0, end: $1) }
        for offset in 2..<9 as Range<Int64> {
            var other = subject
            other.offset = offset
            let set = SuppressionSet([], erased: [subject.topicPartition: ranges.reversed()])
            #expect(set.covers(other) == [3, 4, 7].contains(offset) && !set.isEmpty)
            other.topicPartition.partition += 1
            #expect(!set.covers(other))
        }
        #expect(!SuppressionSet().covers(subject))
        for target in Self.targets where target != Self.targets[2] {
            #expect(SuppressionSet([target]).covers(subject), "\(target)")
        }
        #expect(!SuppressionSet([Self.targets[2]]).covers(subject))
        #expect(SuppressionSet(Self.targets).covers(subject))
        subject = SuppressionSubject(
            topicPartition: Self.place, offset: 8, eventID: "e-2", collection: "other", title: "T", docID: "d/1",
            user: "Иван", wiki: "enwiki")
        #expect(!SuppressionSet(Self.targets).covers(subject))
    }
}
