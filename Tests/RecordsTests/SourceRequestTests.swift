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

    private static func outcome(
        _ id: String, _ state: SourceOutcome.State, _ reason: String = ""
    ) -> SourceOutcome {
        SourceOutcome(request: id, source: "a.b-c", state: state, reason: reason, atMilliseconds: 9)
    }

    @Test func outcomesReadBackAndAreToldFromRequests() throws {
        for state in SourceOutcome.State.allCases {
            let entry = SourceRequestEntry.outcome(Self.outcome("r-1", state, #"a "reason""#))
            #expect(try entry.json.withUnsafeBytes { try SourceRequestEntry($0) } == entry)
        }
        let request = SourceRequestEntry.request(Self.request(.giveUp("r-0")))
        #expect(try request.json.withUnsafeBytes { try SourceRequestEntry($0) } == request)
        // What a database says may be long.
        let long = Self.outcome("r-1", .refused, String(repeating: "é", count: 2_000))
        let read = try long.json.withUnsafeBytes { try SourceOutcome($0) }
        #expect(read.reason == String(repeating: "é", count: 512))
    }

    @Test(arguments: [
        #"{"outcome":"taken"}"#, #"{"outcome":"done","request":"r","source":"s","at_ms":1}"#,
        #"{"outcome":"taken","request":"","source":"s","at_ms":1}"#, #"{"outcome":"taken","request":"r","source":"s"}"#,
    ]) func anOutcomeThatIsNoneIsRefused(text: String) {
        #expect(throws: RecordFormatError.self) {
            try Array(text.utf8).withUnsafeBytes { try SourceRequestEntry($0) }
        }
    }

    @Test func whatBecameOfRequestsIsRemembered() {
        var wishes = SourceWishes()
        wishes.take(Self.request(.pause, id: "r-1"))
        #expect(wishes.history.map(\.word) == ["asked"])
        wishes.take(Self.outcome("r-1", .taken))
        wishes.take(Self.request(.pause, id: "r-2"))
        wishes.take(Self.request(.resume, id: "r-3"))
        wishes.take(Self.request(.pause, id: "r-4"))
        wishes.take(Self.request(.resume, id: "r-5"))
        wishes.take(Self.request(.resume, id: "r-6"))
        #expect(wishes.history.map(\.word) == ["taken", "taken", "given_up", "given_up", "asked", "taken"])
        #expect(wishes.answer(to: "r-2")?.outcome?.reason.contains("r-1") == true)
        wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-7"))
        wishes.take(Self.outcome("r-7", .taken))
        #expect(wishes.snapshots.map(\.id) == ["r-7"])
        wishes.take(Self.outcome("r-7", .complete))
        wishes.take(Self.outcome("r-7", .taken))
        wishes.take(Self.outcome("r-none", .taken))
        #expect(wishes.answer(to: "r-7")?.word == "complete" && wishes.snapshots.isEmpty)
        // One that comes again, as after a reply that was lost, asks for nothing more.
        wishes.take(Self.request(.pause, id: "r-4"))
        wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-7"))
        #expect(wishes.pause == nil && wishes.snapshots.isEmpty && wishes.history.count == 7)
    }

    @Test func whatIsGivenUpForWantOfRoomIsSaid() {
        var wishes = SourceWishes()
        for number in 0..<20 {
            wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-\(number)"))
            // What is over takes no place.
            if number < 3 { wishes.take(Self.outcome("r-\(number)", .complete)) }
        }
        #expect(wishes.snapshots.count == SourceWishes.snapshotsMax)
        #expect(wishes.history.map(\.word).prefix(5) == ["complete", "complete", "complete", "given_up", "asked"])
        #expect(wishes.answer(to: "r-3")?.outcome?.reason == "more than 16 waited")
        wishes.take(Self.request(.giveUp("r-9"), id: "r-20"))
        wishes.take(Self.request(.giveUp("r-9"), id: "r-21"))
        #expect(wishes.answer(to: "r-9")?.word == "given_up" && wishes.answer(to: "r-20")?.outcome?.reason == "")
        #expect(wishes.answer(to: "r-21")?.outcome?.reason == "no such snapshot waits")
        // It had come to its end before its connector knew.
        wishes.take(Self.outcome("r-9", .complete))
        #expect(wishes.answer(to: "r-9")?.word == "complete")
    }

    /// A process that remembers more, or less, comes to the same.
    @Test(arguments: [3, 50, 500]) func aKeyThatIsUsedAgainMuchLaterIsAnotherRequest(historyMax: Int) {
        var wishes = SourceWishes(historyMax: historyMax)
        wishes.take(Self.request(.pause, id: "again"))
        for number in 0..<49 { wishes.take(Self.request(.resume, id: "r-\(number)")) }
        wishes.take(Self.request(.pause, id: "again"))
        #expect(wishes.pause == nil && wishes.hasTaken(Self.request(.pause, id: "again")))
        wishes.take(Self.request(.resume, id: "r-49"))
        #expect(!wishes.hasTaken(Self.request(.pause, id: "again")))
        wishes.take(Self.request(.pause, id: "again"))
        #expect(wishes.pause?.id == "again")
    }

    /// A topic that was written before outcomes were told says nothing of what became of its requests.
    @Test func whatWasAskedBeforeOutcomesWereToldIsNotSaidToBeGivenUp() {
        var wishes = SourceWishes()
        let actions: [SourceRequest.Action] = [.pause, .resume, .pause, .resume]
        for (number, action) in actions.enumerated() { wishes.take(Self.request(action, id: "r-\(number)")) }
        for number in 4..<24 { wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-\(number)")) }
        #expect(wishes.history.allSatisfy { $0.outcome == nil } && wishes.history.count == 24)
        #expect(wishes.holding?.request.id == "r-3" && wishes.snapshots.count == SourceWishes.snapshotsMax)
        // Somebody tells now, and what is asked from here on is known.
        wishes.take(Self.outcome("r-3", .taken))
        wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-24"))
        #expect(wishes.answer(to: "r-8")?.word == "asked" && wishes.snapshots.first?.id == "r-9")
        wishes.take(Self.request(.pause, id: "r-25"))
        #expect(wishes.holding?.request.id == "r-25")
        wishes.take(Self.request(.resume, id: "r-26"))
        #expect(wishes.answer(to: "r-25")?.word == "given_up" && wishes.holding?.request.id == "r-26")
        wishes.take(Self.request(.giveUp("r-9"), id: "r-27"))
        #expect(wishes.answer(to: "r-9")?.word == "given_up", "somebody gave it up, whoever tells")
    }

    @Test func whatIsBeingReadKeepsItsPlaceAndIsGivenUpWithTheRest() {
        var wishes = SourceWishes()
        wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-0"))
        wishes.take(Self.outcome("r-0", .taken))
        for number in 1...17 { wishes.take(Self.request(.snapshot(SourceKeyRange()), id: "r-\(number)")) }
        #expect(wishes.snapshots.map(\.id) == ["r-0"] + (3...17).map { "r-\($0)" })
        #expect(wishes.answer(to: "r-0")?.word == "taken" && wishes.givenUp == ["r-1", "r-2"])
        wishes.take(Self.request(.giveUp(nil), id: "r-20"))
        #expect(wishes.snapshots.isEmpty && wishes.givenUp.contains("r-0") && wishes.givenUp.count == 18)
        #expect(wishes.answer(to: "r-0")?.word == "given_up" && wishes.answer(to: "r-1")?.word == "given_up")
    }

    @Test func noMoreIsRememberedThanIsAskedFor() {
        var wishes = SourceWishes(historyMax: 3)
        for number in 0..<9 { wishes.take(Self.request(.pause, id: "r-\(number)")) }
        #expect(wishes.history.map(\.request.id) == ["r-6", "r-7", "r-8"] && wishes.pause?.id == "r-0")
    }
}
