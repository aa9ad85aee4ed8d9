import Testing

@testable import Indexer

/// Linking follows writing, and is put off where it would be in the way.
@Suite struct LinkPaceTests {
    private static let second: Int64 = 1_000_000_000

    @Test func littleIsLinkedAtOnceAndMuchLater() {
        var pace = LinkPace()
        func allows(_ waiting: Int64, _ seconds: Int64, isBehind: Bool = false, each: Int64? = 1_000_000) -> Bool {
            pace.allows(waiting: waiting, at: seconds * Self.second, each: each, isBehind: isBehind)
        }
        let isFirstAllowed = allows(10, 1)
        #expect(isFirstAllowed, "nothing is known yet")
        // 200 ms of linking each second, then 300.
        let isLittleAllowed = allows(210, 2)
        let isMuchAllowed = allows(510, 3)
        #expect(isLittleAllowed && !isMuchAllowed)
        // They wait, and nothing more comes.
        let isLaterAllowed = allows(510, 4)
        #expect(isLaterAllowed)
        // As many as were linked have come.
        pace.note(linked: 400)
        let isReplacedAllowed = allows(510, 5)
        #expect(!isReplacedAllowed)
        pace.note(linked: 400)
        let isRestAllowed = allows(110, 6)
        #expect(isRestAllowed)
        let isAllowedBehind = allows(110, 7, isBehind: true)
        let isAllowedOfNone = allows(0, 8)
        #expect(!isAllowedBehind && !isAllowedOfNone)
        // What linking takes is not known.
        let isUnknownAllowed = allows(9_000, 9, each: nil)
        #expect(isUnknownAllowed)
    }
}
