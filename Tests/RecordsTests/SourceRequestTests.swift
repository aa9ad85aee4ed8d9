import Bytes
import JSONScan
import Records
import Testing

/// Requests to sources as their topic holds them, and what they come to.
@Suite struct SourceRequestTests {
    private static func request(_ action: SourceRequest.Action, id: String = "r-1") -> SourceRequest {
        SourceRequest(
            id: id, source: "a.b-c", action: action, reason: #"because "so""#, by: "Ann (k1)", atMilliseconds: 1_700)
    }

    private static func read(_ bytes: [UInt8]) throws -> SourceRequest {
        try bytes.withUnsafeBytes { try SourceRequest($0) }
    }

    @Test func eachReadsBack() throws {
        let actions: [SourceRequest.Action] = [
            .pause, .resume, .snapshot(SourceKeyRange()), .snapshot(SourceKeyRange(from: "é\u{1}", to: nil)),
            .snapshot(SourceKeyRange(from: "", to: "z")), .giveUp(nil), .giveUp("r-7"),
        ]
        for action in actions { #expect(try Self.read(Self.request(action).json) == Self.request(action)) }
        let more = Array(#"{"action":"pause","id":"r","source":"s","at_ms":3,"later":[1]}"#.utf8)
        #expect(try Self.read(more).action == .pause)
    }

    @Test(arguments: [
        "", "[]", #"{"action":"pause"}"#, #"{"action":"stop","id":"r","source":"s","at_ms":1}"#,
        #"{"action":"snapshot","id":"r","source":"s","at_ms":1,"from":"a\u0000"}"#,
        #"{"action":"pause","id":"","source":"s","at_ms":1}"#, #"{"action":"pause","id":"r","source":"s","at_ms":"1"}"#,
        #"{"action":"pause","id":"r","source":"\#(String(repeating: "s", count: 2_000))","at_ms":1}"#,
    ]) func whatIsNoneIsRefused(text: String) {
        #expect(throws: RecordFormatError.self) { try Self.read(Array(text.utf8)) }
    }

    @Test func theFirstPauseStaysUntilItIsLifted() {
        var wishes = SourceWishes()
        wishes.take(Self.request(.pause, id: "r-1"))
        #expect(!wishes.hasTaken(Self.request(.pause, id: "r-2")), "an earlier pause says nothing of a later one")
        wishes.take(Self.request(.pause, id: "r-2"))
        #expect(wishes.pause?.id == "r-1" && wishes.hasTaken(Self.request(.pause, id: "r-2")))
        wishes.take(Self.request(.resume, id: "r-3"))
        #expect(wishes.pause == nil && wishes.wasResumed && !SourceWishes().wasResumed)
        wishes.take(Self.request(.pause, id: "r-4"))
        #expect(wishes.pause?.id == "r-4")
    }

    @Test func snapshotsAreRememberedOnceAndNotForEver() {
        var wishes = SourceWishes()
        for number in 0..<40 {
            for _ in 0..<2 { wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-\(number)")) }
        }
        #expect(wishes.snapshots.map(\.id) == (24..<40).map { "r-\($0)" })
    }

    @Test func whatIsGivenUpIsNoWishAnyMore() {
        var wishes = SourceWishes()
        for id in ["r-1", "r-2", "r-3"] { wishes.take(Self.request(.snapshot(SourceKeyRange()), id: id)) }
        wishes.take(Self.request(.giveUp("r-2"), id: "r-4"))
        #expect(wishes.snapshots.map(\.id) == ["r-1", "r-3"] && wishes.givenUp == ["r-2"])
        wishes.take(Self.request(.giveUp(nil), id: "r-5"))
        #expect(wishes.snapshots.isEmpty && wishes.givenUp == ["r-2", "r-1", "r-3"])
        wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-6"))
        #expect(wishes.snapshots.map(\.id) == ["r-6"])
        #expect(wishes.hasTaken(Self.request(.giveUp(nil), id: "r-5")))
    }

    @Test func idsDiffer() {
        var generator = SystemRandomNumberGenerator()
        let ids = Set((0..<100).map { _ in SourceRequest.makeID(using: &generator) })
        #expect(ids.count == 100 && ids.allSatisfy { $0.utf8.count == 18 && $0.hasPrefix("r-") })
    }
}
