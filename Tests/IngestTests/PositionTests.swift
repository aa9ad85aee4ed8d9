import Bytes
import Ingest
import PlatformTesting
import Testing

/// The pure parts of the producer: keys, positions, safe ids.
struct PositionTests {
    private func scan(_ json: String) -> PayloadScan {
        Array(json.utf8).withUnsafeBytes { PayloadScan($0) }
    }

    private func key(_ json: String) -> String? {
        scan(json).key.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test("the key is wiki and title of the outermost object")
    func keys() {
        #expect(key(#"{"wiki":"enwiki","title":"Main Page"}"#) == "enwiki:Main Page")
        #expect(key(#" { "title" : "T" , "a":[{"wiki":"no"}], "wiki" : "dewiki" } "#) == "dewiki:T")
        #expect(
            key(#"{"meta":{"wiki":"no","title":"no"},"wiki":"w","title":"a\"\\\/\u00e9\ud83d\ude00\n"}"#)
                == "w:a\"\\/é😀\n")
        #expect(key(#"{"log_params":{"title":"no"},"comment":"\"title\":\"no\"","wiki":"w","title":"yes"}"#) == "w:yes")
        #expect(key(#"{"x":"wiki","wiki":"w","y":{"z":"title"},"title":"t"}"#) == "w:t")
    }

    @Test(
        "without both, or where the text is broken, there is no key",
        arguments: [
            "", "{", "[]", "nonsense", #"{"wiki":"w"}"#, #"{"wiki":1,"title":"t"}"#, #"{"wiki":"w","title":"t"#,
            #"{"wiki":"w","title":"\ud800"}"#, #"{"wiki":"w","title":"\x"}"#, #"{"wiki":"w","title":"\u12"}"#,
            #"{"meta":{"domain":"canary"}}"#, #"["wiki","w","title","t"]"#, #"{"wiki":null,"title":null}"#,
            "{\"wiki\":\"",
        ])
    func noKeys(json: String) {
        #expect(key(json) == nil)
    }

    @Test("the event time is meta.dt")
    func eventTimes() {
        #expect(
            scan(#"{"dt":"1970-01-01T00:00:09Z","meta":{"a":{"dt":"no"},"dt":"1970-01-01T00:00:01.5Z"}}"#)
                .eventTimeMilliseconds == 1_500)
        #expect(scan(#"{"meta":{"dt":"yesterday"},"a":1}"#).eventTimeMilliseconds == nil)
        #expect(scan(#"{"other":{"dt":"1970-01-01T00:00:01Z"}}"#).eventTimeMilliseconds == nil)
    }

    @Test("positions that are times go back, offsets stay")
    func rewinding() {
        let id = #"[{"topic":"a","partition":0,"offset":-1},{"topic":"b","partition":0,"timestamp":1631275949001}]"#
        let expected =
            #"[{"topic":"a","partition":0,"offset":-1},{"topic":"b","partition":0,"timestamp":1631275919001}]"#
        #expect(String(decoding: ResumeID.rewound(Array(id.utf8), milliseconds: 30_000), as: UTF8.self) == expected)
        for same in [
            "", "17", #"[{"offset":5}]"#, #"{"timestamp": 12}"#, #"{"timestamp""#,
            #"{"timestamp":99999999999999999999}"#,
        ] {
            #expect(String(decoding: ResumeID.rewound(Array(same.utf8), milliseconds: 30_000), as: UTF8.self) == same)
        }
    }

    @Test("the position moves over a gapless prefix only", arguments: 1...20)
    func tracker(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let start = Int64.random(in: 0...1_000, using: &generator)
        var tracker = AcknowledgementTracker(acknowledged: .init(number: start, id: [9]), nextNumber: start + 5)
        #expect(tracker.acknowledged == StreamPosition(number: start, id: [9]))
        var open: [Int64] = []
        var ids: [Int64: [UInt8]] = [:]
        for step in 0..<5_000 {
            if open.isEmpty || Int.random(in: 0..<3, using: &generator) > 0 {
                let id = [UInt8(truncatingIfNeeded: step)]
                let number = tracker.add(id: id)
                ids[number] = id
                open.append(number)
            } else {
                let index = Int.random(in: 0..<min(open.count, 50), using: &generator)
                let number = open.remove(at: index)
                tracker.acknowledge(number)
                tracker.acknowledge(number)
            }
            let expected = (open.min() ?? tracker.upcomingNumber) - 1
            if expected >= start + 5 {
                #expect(
                    tracker.acknowledged == StreamPosition(number: expected, id: ids[expected] ?? []), "seed \(seed)")
            } else {
                #expect(tracker.acknowledged.number == start, "seed \(seed)")
            }
        }
        for number in open { tracker.acknowledge(number) }
        #expect(tracker.inFlightCount == 0)
        #expect(tracker.acknowledged.number == tracker.upcomingNumber - 1)
        #expect(tracker.id(of: tracker.upcomingNumber) == nil)
    }
}
