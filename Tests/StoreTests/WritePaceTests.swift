import Testing

@testable import Indexer

/// A replay leaves most of the index's time to those who write live, and takes all of it where nobody does.
@Suite struct WritePaceTests {
    private static let millisecond: Int64 = 1_000_000

    @Test func itRestsWhileOthersWrite() {
        var pace = WritePace()
        func rest(_ version: Int64, _ at: Int64, taking milliseconds: Int64 = 20) -> Int64 {
            pace.rest(
                behind: version, taking: milliseconds * Self.millisecond, at: at * Self.millisecond)
                / Self.millisecond
        }
        // Of what was before it nothing is known; then it is alone.
        let alone = [rest(7, 0), rest(8, 20), rest(9, 40)]
        #expect(alone == [0, 0, 0])
        // Another one wrote in between, and counts for a second.
        let beside = [rest(11, 60), rest(12, 500), rest(13, 1_060), rest(14, 1_061)]
        #expect(beside == [80, 80, 80, 0])
        // Many did: it waited for its turn longer, and rests longer, within a bound.
        let busy = [rest(30, 2_000, taking: 300), rest(60, 3_000, taking: 5_000)]
        #expect(busy == [1_000, 1_000])
        // What made no version says nothing.
        let none = [rest(0, 3_010), rest(61, 9_000)]
        #expect(none == [0, 0])
        // Several transactions of its own in a row are nobody else's.
        let several = pace.rest(behind: 65, first: 62, taking: 20 * Self.millisecond, at: 9_020 * Self.millisecond)
        #expect(several == 0)
        let after = pace.rest(behind: 69, first: 67, taking: 20 * Self.millisecond, at: 9_040 * Self.millisecond)
        #expect(after == 80 * Self.millisecond)
    }

    @Test func itsTransactionsAreSmallWhileOthersWrite() {
        var pace = WritePace()
        func documents(_ at: Int64) -> Int { pace.documents(atMost: 256, at: at * Self.millisecond) }
        func write(_ version: Int64, _ documents: Int, taking milliseconds: Int64, _ at: Int64) {
            _ = pace.rest(
                behind: version, taking: milliseconds * Self.millisecond, documents: documents,
                at: at * Self.millisecond)
        }
        #expect(documents(0) == 32)
        write(1, 32, taking: 16, 20)
        // Alone.
        #expect(documents(30) == 256)
        write(2, 256, taking: 128, 200)
        // Another one wrote: half a millisecond for each.
        write(4, 256, taking: 128, 400)
        #expect(documents(410) == 50)
        // The server is slow, and the fewest are written; then nobody else does.
        for turn in 0..<20 { write(Int64(6 + 2 * turn), 8, taking: 400, 500 + Int64(turn)) }
        let slow = [documents(600), documents(1_600)]
        #expect(slow == [8, 256])
    }
}
