import Bytes
import Files
import PlatformTesting
import Records
import Testing

@testable import Lake

/// Removing sealed files by age and size.
@Suite(.serialized) struct RetentionTests {
    private static let source = LakeFixture.source
    private static let hour = LakeFixture.hourMilliseconds

    /// A duplicate window of four offsets.
    private func retention(_ layout: LakeLayout, offsets: Int64 = 4) -> Retention {
        Retention(layout: layout, windowOffsets: offsets, windowMilliseconds: Self.hour)
    }

    private func lake() throws -> LakeFixture {
        let fixture = try LakeFixture(in: "/dev/shm")
        try LakeRun(layout: fixture.layout, step: 4).run()
        return fixture
    }

    /// One record from ahead of its time must not make all before it look old.
    @Test func theDuplicateWindowEndsAtThePresent() throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        let now = SystemClock.epochMilliseconds()
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        for (start, end, time) in [(0, 10, now), (10, 11, now + 10 * Self.hour), (11, 20, now)]
            as [(Int64, Int64, Int64)]
        {
            try writer.commit(try LakeFixture.batch(start, end, time: time, writer: writer))
        }
        try writer.seal()
        let plan = try retention(fixture.layout, offsets: 100).plan(.bronze, [Self.source], .bytesMax(0))
        #expect(!plan.isEmpty)
        #expect(plan.allSatisfy { $0.verdict != .goes })
    }

    private func offsets(
        _ reader: LakeReader, _ layer: Layer, _ generation: Int64?, from start: Int64 = 0
    ) throws -> [Int64] {
        var offsets: [Int64] = []
        let range = try #require(OffsetRange(start: start, end: LakeRun.end))
        try reader.forEachLine(layer, generation: generation, source: Self.source, range: range) { offset, _ in
            offsets.append(offset)
            return true
        }
        return offsets
    }

    private func failure(_ body: () throws -> Void) -> LakeError? {
        do {
            try body()
            return nil
        } catch {
            return error as? LakeError
        }
    }

    @Test func bronzeGoesByAgeButForTheDuplicateWindow() throws {
        let fixture = try lake()
        let before = try fixture.contents()
        let plan = try retention(fixture.layout).plan(.bronze, [Self.source], .endedBy(.max))
        #expect(try fixture.contents() == before)
        #expect(plan.map(\.listed.range.end) == [12, 20, 24])
        #expect(plan.map { $0.verdict == .goes } == [true, true, false])
        let young = try retention(fixture.layout).plan(.bronze, [Self.source], .endedBy(Self.hour))
        #expect(young.map(\.listed.range.end) == [12])
        let wide = try retention(fixture.layout, offsets: 5).plan(.bronze, [Self.source], .endedBy(.max))
        #expect(wide.map { $0.verdict == .goes } == [true, false])

        let done = try retention(fixture.layout).apply(
            .bronze, [Self.source], .endedBy(.max), reason: "older than 1h", now: 1_763_000_000_000)
        #expect(done.count == plan.count)
        let left = try fixture.contents()
        let gone = Set(before.keys).subtracting(left.keys)
        #expect(gone.count == 2 && gone.allSatisfy { $0.hasPrefix("/bronze/") })
        #expect(before.allSatisfy { gone.contains($0.key) || left[$0.key] == $0.value })

        let reader = fixture.reader
        let expired = try #require(failure { _ = try reader.bronze(Self.source, offset: 3) })
        #expect("\(expired)".contains("expired by retention at 2025-11-13T02:13:20"))
        #expect("\(expired)".contains("older than 1h"))
        guard case .expired = try #require(failure { _ = try offsets(reader, .bronze, nil) }) else {
            Issue.record("a range over what expired is not refused")
            return
        }
        #expect(try reader.heldRange(Self.source) == OffsetRange(start: 20, end: 24))
        #expect(try offsets(reader, .bronze, nil, from: 20) == [20, 21, 22, 23])
        #expect(try offsets(reader, .gold, 2).count == offsets(reader, .gold, 1).count)
        // What was given up is no damage.
        let report = try LakeVerifier(layout: fixture.layout) { Issue.record("\($0.place): \($0.problem)") }.run()
        #expect(report.filesExpired == 2)
        // A writer opens it and goes on.
        let writer = try PartitionWriter.open(layout: fixture.layout, source: Self.source)
        #expect(writer.nextOffset == LakeRun.end)
        // A second run finds nothing to do.
        let again = try retention(fixture.layout).plan(.bronze, [Self.source], .endedBy(.max))
        #expect(again.allSatisfy { $0.verdict != .goes })
    }

    @Test func aReplayBeginsBehindAWholeWindow() throws {
        let fixture = try lake()
        let reader = fixture.reader
        #expect(try reader.replayableStart(Self.source, windowOffsets: 4, windowMilliseconds: 9) == 0)
        _ = try retention(fixture.layout).apply(
            .bronze, [Self.source], .endedBy(Self.hour), reason: "test", now: 0)
        #expect(try reader.replayableStart(Self.source, windowOffsets: 3, windowMilliseconds: .max / 2) == 15)
        // The hour's first commit, of four records, is the first that is far enough in time.
        #expect(try reader.replayableStart(Self.source, windowOffsets: 100, windowMilliseconds: 10) == 16)
    }

    @Test func bySizeTheOldestGoFirst() throws {
        let fixture = try lake()
        var sizes: [Int] = []
        try fixture.reader.forEachSealedFile(Self.source) { listed in
            if listed.name.layer == .bronze { sizes.append(listed.file.bytes) }
            return true
        }
        let all = sizes.reduce(0, +)
        let plan = { (bytes: Int) in
            try retention(fixture.layout).plan(.bronze, [Self.source], .bytesMax(bytes)).map(\.listed.range.end)
        }
        #expect(try plan(all).isEmpty)
        #expect(try plan(all - 1) == [12])
        #expect(try plan(all - sizes[0]) == [12])
        #expect(try plan(all - sizes[0] - 1) == [12, 20])
    }

    @Test func whatAGenerationInUseIsMadeOfStays() throws {
        let fixture = try lake()
        let plan = { (layer: Layer) in
            try retention(fixture.layout).plan(layer, [Self.source], .endedBy(.max))
        }
        // Generation 1 is the previous one, 2 the active one.
        for layer in [Layer.silver, .gold] {
            #expect(try plan(layer).allSatisfy { $0.verdict != .goes })
        }
        let log = GenerationLog(layout: fixture.layout)
        try log.prune(1)
        // The child refers to its parent's files below its handover at offset 8.
        let going = try plan(.gold).filter { $0.verdict == .goes }.map(\.listed)
        #expect(going.map(\.name.generation) == [1, 1])
        #expect(going.map(\.range.start) == [12, 20])
        let second = try offsets(fixture.reader, .gold, 2)
        _ = try retention(fixture.layout).apply(.gold, [Self.source], .endedBy(.max), reason: "test", now: 0)
        #expect(try offsets(fixture.reader, .gold, 2) == second)
        #expect(try offsets(fixture.reader, .gold, 1) == second.filter { $0 < 12 })
        guard
            case .expired = try #require(
                failure { _ = try fixture.reader.derived(.gold, generation: 1, source: Self.source, offset: 13) })
        else {
            Issue.record("an expired document is not told from a missing one")
            return
        }
    }

    @Test func nothingOfBronzeGoesDuringAReplay() throws {
        let fixture = try lake()
        _ = try GenerationLog(layout: fixture.layout).createChild(
            of: 2, logic: .former(logicVersion: "v1-3", settings: "{}"))
        let plan = try retention(fixture.layout).plan(.bronze, [Self.source], .endedBy(.max))
        #expect(plan.count == 1)
        guard case .stays(let reason) = plan[0].verdict else {
            Issue.record("Bronze goes during a replay")
            return
        }
        #expect(reason.contains("generation 3"))
    }

    @Test func aRemovalThatWasInterruptedIsFinished() throws {
        var kills = 0
        for step in 0..<1_000 {
            let fixture = try lake()
            var isKilled = false
            FileWatch.$witness.withValue(TieringTests.Killer(after: step)) {
                do {
                    _ = try retention(fixture.layout).apply(
                        .bronze, [Self.source], .endedBy(.max), reason: "test", now: 0)
                } catch {
                    isKilled = true
                }
            }
            // What is not there is recorded as given up.
            for offset in 0..<LakeRun.end {
                let error = failure { _ = try fixture.reader.bronze(Self.source, offset: offset) }
                if let error {
                    guard case .expired = error else {
                        Issue.record("killed at change \(step), offset \(offset): \(error)")
                        continue
                    }
                }
            }
            _ = try retention(fixture.layout).apply(
                .bronze, [Self.source], .endedBy(.max), reason: "test", now: 0)
            #expect(try fixture.reader.heldRange(Self.source)?.start == 20)
            #expect(try retention(fixture.layout).unfinished(Self.source).isEmpty)
            #expect(try fixture.contents().keys.filter { $0.hasPrefix("/bronze/") }.count == 1)
            guard isKilled else { break }
            kills += 1
        }
        #expect(kills > 8)
    }

    @Test func tieredFilesGoFromTheObjectStorage() throws {
        let scene = try TieringTests.Scene()
        _ = try scene.tier()
        func files() throws -> Int { try scene.objects().keys.filter { $0.hasSuffix(".jsonl.zst") }.count }
        let count = try files()
        _ = try retention(scene.layout).apply(
            .bronze, [Self.source], .endedBy(.max), reason: "test", now: 0)
        #expect(try files() == count - 2)
        #expect(try scene.objects().keys.filter { $0.contains("/bronze/") }.count == 1)
        guard case .expired = try #require(failure { _ = try scene.reader.bronze(Self.source, offset: 3) }) else {
            Issue.record("an expired object is not told from a missing one")
            return
        }
    }
}
