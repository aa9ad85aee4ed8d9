import Bytes
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import Ingest

/// What the producer marks as possible repeats after an interruption.
@Suite struct RepeatMarkerTests {
    private static func times(_ eqiad: Int64?, _ codfw: Int64?) -> [UInt8] {
        func member(_ name: String, _ time: Int64?) -> String {
            let place = time.map { "\"timestamp\":\($0)" } ?? "\"offset\":-1"
            return "{\"topic\":\"\(name).mediawiki.recentchange\",\"partition\":0,\(place)}"
        }
        return Array("[\(member("eqiad", eqiad)),\(member("codfw", codfw))]".utf8)
    }

    private static func offsets(_ eqiad: Int64, _ codfw: Int64) -> [UInt8] {
        Array(
            (#"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"offset":\#(eqiad)},"#
                + #"{"topic":"codfw.mediawiki.recentchange","partition":0,"offset":\#(codfw)}]"#).utf8)
    }

    private static func marker(knowing ids: [[UInt8]], sentBehind: Int64 = 0) -> RepeatMarker {
        var marker = RepeatMarker()
        for id in ids { marker.note(known: id) }
        marker.begin(sentBehind: sentBehind)
        return marker
    }

    private static func isMarked(_ marker: inout RepeatMarker, _ id: [UInt8], margin: Int64) -> Bool {
        marker.mayRepeat(id, marginMilliseconds: margin)
    }

    @Test("a time is passed with the margin, each data centre for itself")
    func byTime() {
        var marker = Self.marker(knowing: [Self.times(100_000, 50_000), Self.times(99_000, 52_000)])
        func isMarked(_ eqiad: Int64?, _ codfw: Int64?) -> Bool {
            marker.mayRepeat(Self.times(eqiad, codfw), marginMilliseconds: 30_000)
        }
        // Resumed half a minute back.
        #expect(isMarked(70_000, 22_000))
        #expect(isMarked(100_000, 22_000))
        #expect(isMarked(130_000, 22_000))
        #expect(!isMarked(130_001, 22_000))
        // Events in between are out of order, and some share a time.
        #expect(!isMarked(130_001, 22_000))
        #expect(!isMarked(129_000, 22_000))
        // The other data centre is still behind what it had sent.
        #expect(isMarked(129_000, 52_000))
        #expect(isMarked(129_000, 82_000))
        #expect(!isMarked(131_000, 82_000))
        #expect(marker.isWatching)
        #expect(!isMarked(131_000, 82_001))
        #expect(!marker.isWatching)
        #expect(!isMarked(70_000, 22_000))
    }

    @Test("an offset is passed exactly")
    func byOffset() {
        var marker = Self.marker(knowing: [Self.offsets(10, 4)])
        func isMarked(_ eqiad: Int64, _ codfw: Int64) -> Bool {
            marker.mayRepeat(Self.offsets(eqiad, codfw), marginMilliseconds: 30_000)
        }
        #expect(isMarked(9, 4))
        #expect(isMarked(10, 4))
        #expect(!isMarked(11, 4))
        #expect(isMarked(11, 3))
        #expect(!isMarked(12, 3))
        #expect(!isMarked(12, 5))
        #expect(!marker.isWatching)
    }

    @Test("a data centre without traffic does not keep the producer busy for ever")
    func idle() {
        var marker = Self.marker(knowing: [Self.offsets(10, 4)])
        #expect(Self.isMarked(&marker, Self.offsets(10, 4), margin: 0))
        for offset in 11..<Int64(11 + RepeatMarker.idleEvents) {
            #expect(!Self.isMarked(&marker, Self.offsets(offset, 4), margin: 0))
        }
        #expect(!marker.isWatching)
    }

    @Test("an interruption while old events come again begins anew from the highest position")
    func twice() {
        var marker = Self.marker(knowing: [Self.times(100_000, nil)])
        #expect(Self.isMarked(&marker, Self.times(70_000, nil), margin: 30_000))
        marker.note(known: Self.times(70_000, nil))
        marker.begin(sentBehind: 0)
        #expect(Self.isMarked(&marker, Self.times(99_000, nil), margin: 30_000))
        #expect(!Self.isMarked(&marker, Self.times(130_001, nil), margin: 30_000))
    }

    @Test(
        "ids that cannot be compared are counted", arguments: ["17", "[]", "[1,2]", "[{\"x\":1}]", "a b", "[", "\u{0}"])
    func opaque(id: String) {
        var marker = Self.marker(knowing: [Array(id.utf8)], sentBehind: 7)
        for _ in 0..<7 + RepeatMarker.slackEvents {
            #expect(Self.isMarked(&marker, Array("other".utf8), margin: 0))
        }
        #expect(!marker.isWatching)
        #expect(!Self.isMarked(&marker, Array("other".utf8), margin: 0))
    }

    @Test("positions of another form than before stay marked, whatever they say")
    func mixed() {
        var marker = Self.marker(knowing: [Self.offsets(10, 4)])
        for time in [Int64(1), 1 << 40, .max, 0] {
            #expect(Self.isMarked(&marker, Self.times(time, nil), margin: 30_000))
        }
        // A hostile time does not overflow.
        var other = Self.marker(knowing: [Self.times(.max, 1)])
        #expect(Self.isMarked(&other, Self.times(.max, 1), margin: .max / 2))
    }

    @Test("a source that never gave an id has nothing to repeat")
    func withoutIDs() {
        let marker = Self.marker(knowing: [[]], sentBehind: 50)
        #expect(!marker.isWatching)
    }
}
