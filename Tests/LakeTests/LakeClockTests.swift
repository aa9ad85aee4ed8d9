import Files
import Hashing
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

/// Broker times that lie too far ahead.
@Suite struct LakeClockTests {
    private let hour = LakeFixture.hourMilliseconds
    /// The last hour that a path can name.
    private static let farMilliseconds: Int64 = 253_402_300_799_000
    private static let now: Int64 = 1_795_240_800_000

    private func clock(_ now: Int64, ahead: Int64 = 3_600_000) -> LakeClock {
        LakeClock(aheadMaxMilliseconds: ahead) { now }
    }

    @Test func aTimeWithinTheBoundCountsAndOneBeyondDoesNot() {
        let now = Self.now
        var clock = clock(now)
        let cases: [(time: Int64, maximum: Int64, verdict: LakeClock.Verdict)] = [
            (now, 0, .ordinary), (5, now, .ordinary), (now + hour, now, .ordinary),
            (now + hour + 1, now, .ahead(now: now)), (Self.farMilliseconds, now, .ahead(now: now)),
            (Self.farMilliseconds, 0, .ahead(now: now)),
            // What was reached lies beyond, this record does not.
            (now, Self.farMilliseconds, .reset(limit: now + hour)),
            (now + hour, now + hour + 1, .reset(limit: now + hour)),
        ]
        for (time, maximum, verdict) in cases {
            let found = clock.verdict(on: time, after: maximum)
            #expect(found == verdict, "\(time) after \(maximum)")
        }
    }

    /// The machine's clock may be the one that is wrong: then the lake's time goes on, as long as it moves in steps that are
    /// within the bound.
    @Test func aMachineThatIsBehindLetsTimeGoOnInSmallSteps() {
        var clock = clock(1_000)
        let verdicts = [hour, hour + 1].map { clock.verdict(on: Self.now + $0, after: Self.now) }
        #expect(verdicts == [.ordinary, .ahead(now: 1_000)])
    }

    @Test func theClockIsAskedOnlyWhereItDecides() {
        let asked = Mutex(0)
        var clock = LakeClock {
            asked.withLock { $0 += 1 }
            return Self.now
        }
        let verdicts = (0..<10_000).map { clock.verdict(on: Self.now + Int64($0), after: Self.now) }
        #expect(verdicts.allSatisfy { $0 == .ordinary })
        #expect(asked.withLock { $0 } == 1)
    }

    private func open(_ fixture: LakeFixture, now: Int64, ahead: Int64 = 3_600_000) throws -> PartitionWriter {
        try PartitionWriter.open(
            layout: fixture.layout, source: LakeFixture.source, logBytesMin: 0, clock: clock(now, ahead: ahead))
    }

    /// Commits one record as the stream job does.
    @discardableResult
    private func take(_ time: Int64, _ writer: inout PartitionWriter) throws -> HourPlace {
        let place = try writer.place(time, after: writer.brokerTimeMax)
        let start = writer.nextOffset ?? 0
        var batch = try LakeFixture.batch(start, start + 1, time: place.time, writer: writer)
        batch.hour = place.hour
        batch.resetsTime = place.isReset
        batch.timesAhead = place.isAhead ? 1 : 0
        try writer.commit(batch)
        return place
    }

    private func findings(_ fixture: LakeFixture) throws -> [String] {
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        return findings
    }

    private func hours(_ fixture: LakeFixture) throws -> [Int64: Int64] {
        var hours: [Int64: Int64] = [:]
        try fixture.reader.forEachHour(LakeFixture.source) { hours[$0.firstOffset] = $0.hour.number }
        return hours
    }

    @Test func oneRecordOfTheFarFutureMovesNothing() throws {
        let fixture = try LakeFixture.inMemory()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        let first = Self.now / hour
        for (index, time) in [Self.now, Self.farMilliseconds, Self.now + 5, Self.now + hour].enumerated() {
            var writer = try open(fixture, now: Self.now + Int64(index))
            if index == 0 { try writer.handOver(to: 1, at: 0) }
            let place = try take(time, &writer)
            #expect(place.isAhead == (index == 1) && !place.isReset)
        }
        #expect(try hours(fixture) == [0: first, 3: first + 1])
        var ahead: [Int] = []
        try CommitLog(reading: fixture.layout.commitLog(LakeFixture.source)).forEach { record in
            if record.kind == .commit { ahead.append(record.timesAhead) }
            return true
        }
        #expect(ahead.reduce(0, +) == 1)
        #expect(try findings(fixture) == [])
    }

    @Test func theFirstRecordOfAllMayBeTheOneThatIsWrong() throws {
        let fixture = try LakeFixture.inMemory()
        var writer = try open(fixture, now: Self.now)
        let places = [try take(Self.farMilliseconds, &writer), try take(Self.now + hour, &writer)]
        #expect(places.map(\.hour.number) == [Self.now / hour, Self.now / hour + 1])
    }

    /// As a version without the bound left it: everything since goes to the year 9999.
    private func frozen(_ fixture: LakeFixture) throws {
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var writer = try open(fixture, now: Self.farMilliseconds)
        try writer.handOver(to: 1, at: 0)
        for index in Int64(0)..<4 { try take(Self.now - (4 - index) * hour, &writer) }
        try take(Self.farMilliseconds, &writer)
        for index in Int64(0)..<3 { try take(Self.now + index, &writer) }
        #expect(try hours(fixture).values.max() == Self.farMilliseconds / hour)
    }

    @Test func aLakeThatStoodStillInTheYear9999GoesOnByItself() throws {
        let fixture = try LakeFixture.inMemory()
        try frozen(fixture)
        let first = Self.now / hour
        for index in Int64(0)..<4 {
            var writer = try open(fixture, now: Self.now + index * hour)
            let place = try take(Self.now + index * hour, &writer)
            #expect(place.isReset == (index == 0))
        }
        #expect(
            try hours(fixture) == [
                0: first - 4, 1: first - 3, 2: first - 2, 3: first - 1, 4: Self.farMilliseconds / hour, 8: first,
                9: first + 1, 10: first + 2, 11: first + 3,
            ])
        #expect(try findings(fixture) == [])
        // A time is found where it is, not where the clock was wrong.
        let log = try CommitLog(reading: fixture.layout.commitLog(LakeFixture.source))
        func offset(_ time: Int64) throws -> Int64? { try log.firstEntry(atBrokerTime: time)?.range.start }
        #expect(try offset(Self.now - 4 * hour) == 0)
        #expect(try offset(Self.now - hour) == 3)
        #expect(try offset(Self.now - hour + 1) == 4)
        #expect(try offset(Self.now) == 4)
        #expect(try offset(Self.now + 1) == 9)
        #expect(try offset(Self.now + 3 * hour) == 11)
        #expect(try offset(Self.now + 3 * hour + 1) == nil)
        #expect(try log.brokerTimeMax(upTo: Self.now + 2 * hour) == Self.now + 2 * hour)
        // Its file ages with what came after it.
        var ages: [Int64] = []
        try fixture.reader.forEachSealedFile(LakeFixture.source) { listed in
            if listed.name.layer == .bronze { ages.append(listed.ageHour.number - first) }
            return true
        }
        #expect(ages == [-4, -3, -2, -1, 0, 0, 1, 2])
        let plan = try Retention(layout: fixture.layout, windowOffsets: 0, windowMilliseconds: 0).plan(
            .bronze, [LakeFixture.source], .endedBy(Self.now))
        #expect(plan.map(\.listed.range.start) == [0, 1, 2, 3])
        let later = try Retention(layout: fixture.layout, windowOffsets: 0, windowMilliseconds: 0).plan(
            .bronze, [LakeFixture.source], .endedBy(Self.now + hour))
        #expect(later.map(\.listed.range.start) == [0, 1, 2, 3, 4, 8])
    }

    /// A kill before the commit that begins time anew leaves a file of an hour before the log's last one.
    @Test func whatAKilledResetLeftIsRemoved() throws {
        let fixture = try LakeFixture.inMemory()
        try frozen(fixture)
        let source = LakeFixture.source
        let folder =
            "\(fixture.layout.root)/bronze/topic=\(source.topic)/partition=\(source.partition)/"
            + LakeHour(containing: Self.now).path
        let orphan = folder + "/00000000000000000008.jsonl.zst"
        try Folder.create(folder)
        _ = try File(orphan, .create)
        _ = try open(fixture, now: Self.now)
        #expect(!Folder.exists(orphan))
        #expect(try findings(fixture) == [])
    }

    /// The hour that the record begins follows the last one that was right, even if the record itself is older or has no
    /// time at all.
    @Test func timeBeginsAnewWhereItWasRight() throws {
        for time in [Int64(0), Self.now - 100 * hour] {
            let fixture = try LakeFixture.inMemory()
            try frozen(fixture)
            var writer = try open(fixture, now: Self.now)
            let place = try take(time, &writer)
            #expect(place.isReset && place.time == Self.now - hour)
            #expect(try findings(fixture) == [])
        }
    }

    /// The clock is wrong once more, and right again.
    @Test func timeMayBeginAnewMoreThanOnce() throws {
        let fixture = try LakeFixture.inMemory()
        try frozen(fixture)
        for round in Int64(1)...3 {
            let now = Self.now + round * 10 * hour
            do {
                var writer = try open(fixture, now: now)
                let place = try take(now, &writer)
                #expect(place.isReset)
                try take(now + 2 * hour / 3, &writer)
            }
            var wrong = try open(fixture, now: now + 1_000 * hour)
            try take(now + 1_000 * hour, &wrong)
        }
        let log = try CommitLog(reading: fixture.layout.commitLog(LakeFixture.source))
        func offset(_ time: Int64) throws -> Int64? { try log.firstEntry(atBrokerTime: time)?.range.start }
        // 8 and 9 are right, 10 is wrong, 11 and 12 are right, 13 is wrong, and so on.
        #expect(try offset(Self.now - 4 * hour) == 0)
        #expect(try offset(Self.now + 10 * hour) == 4)
        #expect(try offset(Self.now + 10 * hour + 1) == 9)
        #expect(try offset(Self.now + 20 * hour) == 10)
        #expect(try offset(Self.now + 20 * hour + 1) == 12)
        #expect(try offset(Self.now + 30 * hour) == 13)
        #expect(try offset(Self.now + 30 * hour + 1) == 15)
        #expect(try offset(Self.now + 31 * hour) == 16)
        #expect(try findings(fixture) == [])
        #expect(try fixture.reader.committedRange(LakeFixture.source)?.end == 17)
    }
}

/// Gaps that are wider than any memory.
@Suite struct GapTests {
    private static let wide: Int64 = 1 << 40

    @Test func aGapOfAnyWidthCostsNothing() throws {
        let fixture = try LakeFixture.inMemory()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        do {
            var writer = try fixture.open()
            try writer.handOver(to: 1, at: 0)
            try writer.commit(try LakeFixture.batch(0, 5, time: 5, writer: writer))
            try writer.commit(try LakeFixture.batch(Self.wide, Self.wide + 5, time: 6, writer: writer))
            try writer.commit(try LakeFixture.batch(Self.wide + 7, Self.wide + 9, time: 7, writer: writer))
        }
        for seals in [false, true] {
            if seals {
                var writer = try fixture.open()
                try writer.seal()
            }
            var findings: [String] = []
            let report = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }
                .run()
            #expect(findings == [] && report.lines > 12)
            // Whoever walks the lake passes over it in one step.
            var runs: [OffsetRange] = []
            var position: Int64 = 2
            while let run = try fixture.reader.committedRun(LakeFixture.source, from: position) {
                runs.append(run.range)
                #expect(run.hour == LakeHour(number: 0))
                position = run.range.end
            }
            #expect(
                runs.map(\.description) == [
                    "[2, 5)", "[\(Self.wide), \(Self.wide + 5))", "[\(Self.wide + 7), \(Self.wide + 9))",
                ])
        }
    }

    @Test func whatIsMissingIsToldInRuns() throws {
        let range = try #require(OffsetRange(start: 10, end: Self.wide))
        var digests = BronzeDigests(range: range)
        let digest = Digest256(words: (1, 2, 3, 4))
        for offset in [Int64(10), 11, 14, 13, 20, Self.wide - 1] { digests.note(digest, at: offset) }
        digests.note(digest, at: 9)
        #expect([13, 14, Self.wide - 1].allSatisfy { digests[$0] == digest })
        #expect([9, 12, 15, Self.wide].allSatisfy { digests[$0] == nil })
        let committed = try [(10, 15), (15, 18), (20, 22), (Self.wide - 3, Self.wide)].map {
            try #require(OffsetRange(start: $0.0, end: $0.1))
        }
        #expect(
            digests.missing(committed: committed).map(\.description) == [
                "[12, 13)", "[15, 18)", "[21, 22)", "[\(Self.wide - 3), \(Self.wide - 1))",
            ])
    }
}
