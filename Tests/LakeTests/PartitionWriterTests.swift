import Bytes
import Files
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

@Suite struct PartitionWriterTests {
    private let hour = LakeFixture.hourMilliseconds

    /// Commits the offsets from where the lake ends up to `end`, in commits of `step`, an hour per 100 offsets.
    private func fill(_ fixture: LakeFixture, to end: Int64, step: Int64) throws {
        var writer = try fixture.open()
        if writer.nextOffset == nil { try writer.handOver(to: 1, at: 0) }
        while let start = writer.nextOffset, start < end {
            let hourEnd = (start / 100 + 1) * 100
            let stop = min(start + step, hourEnd, end)
            try writer.commit(try LakeFixture.batch(start, stop, time: start / 100 * hour + start, writer: writer))
        }
    }

    private func lines(_ fixture: LakeFixture, _ layer: Layer, _ generation: Int64?, _ range: OffsetRange) throws
        -> [Int64]
    {
        var offsets: [Int64] = []
        try fixture.reader.forEachLine(layer, generation: generation, source: LakeFixture.source, range: range) {
            offset, _ in
            offsets.append(offset)
            return true
        }
        return offsets
    }

    @Test func everyOffsetIsReadBackFromOpenAndSealedFiles() throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        try fill(fixture, to: 250, step: 7)
        let all = try #require(OffsetRange(start: 0, end: 250))
        #expect(try lines(fixture, .bronze, nil, all) == Array(0..<250))
        #expect(try lines(fixture, .silver, 1, all) == (0..<250).filter { $0 % 10 != 9 })
        #expect(try lines(fixture, .gold, 1, all) == (0..<250).filter { $0 % 10 != 9 && $0 % 3 != 0 })
        #expect(try lines(fixture, .quarantine, 1, all) == (0..<250).filter { $0 % 10 == 9 })
        let inner = try #require(OffsetRange(start: 95, end: 203))
        #expect(try lines(fixture, .bronze, nil, inner) == Array(95..<203))
        for offset in [Int64(0), 99, 100, 199, 249] {
            let line = try fixture.reader.bronze(LakeFixture.source, offset: offset)
            #expect(String(decoding: line.line, as: UTF8.self) == LakeFixture.bronze(offset))
            #expect(line.isSealed == (offset < 200))
        }
        #expect(throws: LakeError.self) { try fixture.reader.bronze(LakeFixture.source, offset: 250) }
    }

    /// What an entry says of its offsets, summed over the hour; times are looked up by entry.
    private struct HourSums: Equatable {
        var range: OffsetRange?
        var bronzeLines = 0
        var goldLines = 0
        var duplicates = 0
        var rejects = 0
        var gaps: [OffsetRange] = []
    }

    private func sums(_ fixture: LakeFixture) throws -> [HourSums] {
        var hours: [HourSums] = []
        try fixture.reader.forEachHour(LakeFixture.source) { hour in
            var sums = HourSums(range: hour.range)
            for commit in hour.commits {
                sums.bronzeLines += commit.bronze.lines
                sums.goldLines += commit.parts.reduce(0) { $0 + $1.gold.lines }
                sums.duplicates += commit.duplicates
                sums.rejects += commit.parts.reduce(0) { $0 + $1.rejects.values.reduce(0, +) }
                if let gap = commit.gap { sums.gaps.append(gap) }
            }
            hours.append(sums)
        }
        return hours
    }

    @Test func entriesOfSealedFilesAreMergedAndNothingElseChanges() throws {
        let minute = CommitLog.mergedMilliseconds
        func fill(_ fixture: LakeFixture, logBytesMin: Int, reopensEvery: Int) throws {
            _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
            var commits = 0
            while true {
                var writer = try PartitionWriter.open(
                    layout: fixture.layout, source: LakeFixture.source, logBytesMin: logBytesMin)
                if writer.nextOffset == nil { try writer.handOver(to: 1, at: 0) }
                repeat {
                    // Six commits a minute, one offset is missing in the second hour, and a generation begins in the third.
                    var start = writer.nextOffset ?? 0
                    if start >= 600 { return }
                    if start == 250 { start = 251 }
                    if start >= 450 { try writer.handOver(to: 2, at: start) }
                    let stop = (start / 5 + 1) * 5
                    var batch = try LakeFixture.batch(
                        start, stop, time: start / 200 * hour + start % 200 / 5 * minute / 6, writer: writer,
                        generations: start >= 450 ? [1, 2] : [1])
                    batch.duplicates = 1
                    for index in batch.generations.indices { batch.generations[index].rejects = ["wrong_type": 1] }
                    try writer.commit(batch)
                    commits += 1
                } while commits % reopensEvery != 0
            }
        }
        let plain = try LakeFixture()
        try fill(plain, logBytesMin: .max, reopensEvery: 1_000)
        let merged = try LakeFixture()
        try fill(merged, logBytesMin: 0, reopensEvery: 7)

        let path = merged.layout.commitLog(LakeFixture.source)
        let log = try CommitLog(reading: path)
        // The third hour is open: its 40 commits stay.
        #expect(log.size * 5 < (try CommitLog(reading: plain.layout.commitLog(LakeFixture.source))).size * 3)
        #expect(try Folder.list(Folder.parent(of: path)).allSatisfy { !$0.contains("compacting") })
        #expect(try sums(merged) == (try sums(plain)))
        #expect(try sums(merged).flatMap(\.gaps) == [try #require(OffsetRange(start: 250, end: 251))])
        var entries = 0
        var time: Int64 = -minute
        try log.forEach { record in
            guard record.kind == .commit, record.range.end <= 400 else { return true }
            entries += 1
            #expect(record.brokerTimeMax / minute > time / minute || record.gap != nil)
            time = record.brokerTimeMax
            return true
        }
        // Two hours of 40 commits over seven minutes, and one more where the gap is.
        #expect(entries == 15)
        #expect(try log.handover(of: 2) == 450)
        let first = try #require(try log.firstEntry(atBrokerTime: hour + 3 * minute))
        #expect(first.range.contains(200 + 3 * 6 * 5))

        let all = try #require(OffsetRange(start: 0, end: 600))
        for (layer, generation) in [(Layer.bronze, Int64?.none), (.silver, 1), (.gold, 1), (.quarantine, 1)] {
            #expect(try lines(merged, layer, generation, all) == (try lines(plain, layer, generation, all)))
        }
        for offset in stride(from: Int64(0), to: 600, by: 7) where offset != 250 {
            let line = try merged.reader.bronze(LakeFixture.source, offset: offset)
            #expect(String(decoding: line.line, as: UTF8.self) == LakeFixture.bronze(offset))
        }
        #expect(
            try merged.contents().filter { $0.key.hasSuffix(".jsonl.zst") }
                == (try plain.contents().filter { $0.key.hasSuffix(".jsonl.zst") }))
        var problems: [String] = []
        _ = try LakeVerifier(layout: merged.layout) { problems.append($0.problem) }.run()
        #expect(problems == [])
    }

    /// The old log stays as it was and goes on being the log.
    @Test func aCompactionThatFailsChangesNothing() throws {
        let fixture = try LakeFixture()
        var writer = try PartitionWriter.open(layout: fixture.layout, source: LakeFixture.source, logBytesMin: 0)
        try writer.handOver(to: 1, at: 0)
        for offset in Int64(0)..<20 {
            try writer.commit(try LakeFixture.batch(offset, offset + 1, time: offset, writer: writer))
        }
        // A folder stands where the new log would be written.
        let path = fixture.layout.commitLog(LakeFixture.source)
        try Folder.create(path + ".compacting")
        let next = try LakeFixture.batch(20, 21, time: hour + 20, writer: writer)
        #expect(throws: LakeError.self) { try writer.commit(next) }
        try writer.commit(next)
        #expect(writer.nextOffset == 21)
        #expect(try fixture.reader.committedRange(LakeFixture.source)?.end == 21)
        try Folder.removeTree(path + ".compacting")
        try writer.commit(try LakeFixture.batch(21, 22, time: 2 * hour + 21, writer: writer))
        let all = try #require(OffsetRange(start: 0, end: 22))
        #expect(try lines(fixture, .bronze, nil, all) == Array(0..<22))
        var commits = 0
        try CommitLog(reading: path).forEach { record in
            if record.kind == .commit { commits += 1 }
            return true
        }
        #expect(commits == 3)
    }

    @Test func sealedBytesDependOnTheRecordsAlone() throws {
        var results: [[String: [UInt8]]] = []
        for step in [Int64(1), 7, 100] {
            let fixture = try LakeFixture()
            try fill(fixture, to: 150, step: step)
            try fill(fixture, to: 201, step: step)
            results.append(
                // The third hour is growing.
                try fixture.contents().filter { $0.key.hasSuffix(".jsonl.zst") && !$0.key.contains("hour=02") })
        }
        #expect(results[0].count == 8)
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
    }

    @Test func whatNoCommitRecordCountsIsCutOffAtTheNextStart() throws {
        let fixture = try LakeFixture()
        try fill(fixture, to: 50, step: 10)
        let before = try fixture.contents()
        for (name, content) in before where name.hasSuffix(".jsonl.zst") {
            try File.replace(fixture.layout.root + name, with: content + Array("half a frame".utf8))
        }
        let log = fixture.layout.commitLog(LakeFixture.source)
        try File.replace(log, with: try File.contents(of: log) + Array(#"{"crc32c":"0"#.utf8))
        do {
            let writer = try fixture.open()
            #expect(writer.nextOffset == 50)
            let sha = writer.lastSHA256
            #expect(sha == "sha49")
        }
        #expect(try fixture.contents() == before)
    }

    @Test func anOverlapIsRefusedAndAGapIsRecorded() throws {
        let fixture = try LakeFixture()
        var writer = try fixture.open()
        try writer.commit(try LakeFixture.batch(0, 10, time: 1, writer: writer))
        let overlap = try LakeFixture.batch(9, 12, time: 1, writer: writer)
        #expect(throws: LakeError.self) { try writer.commit(overlap) }
        let record = try writer.commit(try LakeFixture.batch(15, 20, time: 1, writer: writer))
        #expect(record.gap == OffsetRange(start: 10, end: 15))
        #expect(writer.nextOffset == 20)
    }

    @Test func aSecondWriterIsRefusedWithTheFirstOnesProcess() throws {
        let fixture = try LakeFixture()
        let first = try fixture.open()
        #expect { _ = try fixture.open() } throws: { "\($0)".contains("pid ") }
        _ = first.nextOffset
    }

    @Test func anHourIsThatOfTheLargestBrokerTime() throws {
        let fixture = try LakeFixture()
        var writer = try fixture.open()
        try writer.commit(try LakeFixture.batch(0, 10, time: hour + 5, writer: writer))
        #expect(writer.hour(for: 3) == LakeHour(number: 1))
        #expect(writer.hour(for: 2 * hour) == LakeHour(number: 2))
    }

    @Test func aFailedWriteChangesNothing() throws {
        let fixture = try LakeFixture()
        var writer = try fixture.open()
        try writer.commit(try LakeFixture.batch(0, 10, time: 1, writer: writer))
        // A folder where the next hour's Silver file should be makes its creation fail.
        let blocked = DataFileName(
            layer: .silver, generation: 1, source: LakeFixture.source, hour: LakeHour(number: 1), firstOffset: 10)
        try Folder.create(fixture.layout.dataFile(blocked))
        let batch = try LakeFixture.batch(10, 20, time: hour, writer: writer)
        #expect(throws: LakeError.self) { try writer.commit(batch) }
        #expect(writer.nextOffset == 10)
        try Folder.removeTree(fixture.layout.dataFile(blocked))
        try writer.commit(batch)
        let all = try #require(OffsetRange(start: 0, end: 20))
        #expect(try lines(fixture, .bronze, nil, all) == Array(0..<20))
    }

    /// Each entry says when its offsets were taken in, and one that stands for several commits says it to the minute.
    @Test func entriesSayWhenTheirOffsetsWereTakenIn() throws {
        let fixture = try LakeFixture.inMemory()
        let now = Mutex<Int64>(1_795_240_800_000)
        var writer = try PartitionWriter.open(
            layout: fixture.layout, source: LakeFixture.source, logBytesMin: 0,
            clock: LakeClock { now.withLock { $0 } })
        try writer.handOver(to: 1, at: 0)
        var times: [Int64] = []
        for number in 0..<Int64(36) {
            // Within a minute of broker time nothing comes for two hours of the machine's.
            times.append(
                now.withLock { now in
                    now += number == 15 ? 7_200_000 : 5_000
                    return now
                })
            let batch = try LakeFixture.batch(number * 5, number * 5 + 5, time: number * 5_000, writer: writer)
            try writer.commit(batch)
        }
        func time(_ offset: Int64) throws -> CommitTime {
            try #require(try fixture.reader.commitTime(LakeFixture.source, offset: offset))
        }
        for offset in 0..<Int64(180) { #expect(try time(offset) == CommitTime(at: times[Int(offset / 5)])) }
        #expect(try fixture.reader.commitTime(LakeFixture.source, offset: 180) == nil)

        try writer.seal()
        var entries = 0
        try CommitLog(reading: fixture.layout.commitLog(LakeFixture.source)).forEach { record in
            if record.kind == .commit { entries += 1 }
            return true
        }
        // Three minutes, the second of which has a gap.
        #expect(entries == 4)
        for offset in 0..<Int64(180) {
            let (found, own) = (try time(offset), times[Int(offset / 5)])
            #expect(found.from <= own && own <= found.at && found.at - found.from < 60_000, "\(offset)")
        }
    }
}

@Suite struct GenerationTests {
    @Test func aChildRefersToItsParentOutsideWhatItReplayed() throws {
        let fixture = try LakeFixture()
        let source = LakeFixture.source
        let log = GenerationLog(layout: fixture.layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        _ = try log.createChild(of: 1, logic: .former(logicVersion: "v1-2", settings: "{}"))
        var writer = try fixture.open()
        try writer.commit(try LakeFixture.batch(0, 40, time: 1, writer: writer))
        try writer.handOver(to: 2, at: 0)
        try writer.commit(try LakeFixture.batch(40, 60, time: 1, writer: writer, generations: [1, 2]))
        let handover = writer.handovers[2]
        let offset: Int64 = try #require(handover)
        try log.update(2, expecting: [.created]) { $0.handovers[source] = offset }
        var generations: [Int64: String] = [:]
        let all = try #require(OffsetRange(start: 0, end: 60))
        try fixture.reader.forEachLine(.gold, generation: 2, source: source, range: all) { offset, line in
            let text = String(decoding: line, as: UTF8.self)
            generations[offset] = text.contains("g2") ? "2" : "1"
            return true
        }
        #expect(generations[38] == "1")
        #expect(generations[40] == "2")
        #expect(generations[58] == "2")
        let line = try fixture.reader.derived(.gold, generation: 2, source: source, offset: 41)
        #expect(line.map { String(decoding: $0.line, as: UTF8.self) } == LakeFixture.derived(41, generation: 2))
        #expect(try fixture.reader.derived(.gold, generation: 2, source: source, offset: 42) == nil)
    }

    @Test func promotionMovesTheActiveMarkAndBack() throws {
        let fixture = try LakeFixture()
        let log = GenerationLog(layout: fixture.layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        _ = try log.createChild(of: 1, logic: .former(logicVersion: "v1-2", settings: #"{"a":"\"x\""}"#))
        #expect(throws: LakeError.self) { try log.promote(2) }
        try log.update(2, expecting: [.created]) { $0.state = .candidate }
        try log.promote(2)
        #expect(try log.active()?.number == 2)
        #expect(try log.read().map(\.state) == [.previous, .active])
        #expect(try log.read()[1].logic.logic(of: "any")?.settings == #"{"a":"\"x\""}"#)
        try log.promote(1)
        #expect(try log.active()?.number == 1)
        #expect(throws: LakeError.self) { try log.promote(9) }
    }

    @Test func anAlteredLogLineIsNoticed() throws {
        let fixture = try LakeFixture()
        let log = GenerationLog(layout: fixture.layout)
        _ = try log.createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var bytes = try File.contents(of: log.path)
        bytes[40] ^= 1
        try File.replace(log.path, with: bytes)
        #expect(throws: LakeError.self) { try log.read() }
    }
}
