import Bytes
import Concurrency
import Files
import Foundation
import PlatformTesting
import Records
import ServiceLifecycle
import Testing

@testable import Lake

/// `lake verify` beside whatever changes a lake: it is right every time.
@Suite(.serialized) struct BusyVerifierTests {
    private static let isLong = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil

    /// Commits, seals, compacts, starts anew and gives old Bronze up, as fast as it can.
    private static func write(_ fixture: LakeFixture, seed: UInt64, _ stop: StopSignal) throws {
        var random = SeededGenerator(seed: seed)
        var hour: Int64 = 1
        var commits = 0
        while !stop.isRequested {
            var writer = try PartitionWriter.open(
                layout: fixture.layout, source: LakeFixture.source, logBytesMin: 0, lockWaitMilliseconds: 1_000)
            try writer.handOver(to: 1, at: 0)
            for _ in 0..<Int.random(in: 1...60, using: &random) where !stop.isRequested {
                let start = writer.nextOffset ?? 0
                if Int.random(in: 0..<8, using: &random) == 0 { hour += 1 }
                if Int.random(in: 0..<40, using: &random) == 0 { try writer.seal() }
                try writer.commit(
                    try LakeFixture.batch(
                        start, start + Int64.random(in: 1...6, using: &random),
                        time: hour * LakeFixture.hourMilliseconds + start, writer: writer))
                commits += 1
                // A verification must come to its end.
                if commits > 200 { Pause.milliseconds(10) }
            }
            _ = try Retention(layout: fixture.layout, windowOffsets: 0, windowMilliseconds: 0).apply(
                .bronze, [LakeFixture.source], .bytesMax(40_000), reason: "test", now: 1)
        }
    }

    @Test func itFindsNothingBesideABusyWriterAndWhatIsDamaged() async throws {
        let fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        let stop = StopSignal()
        let seed = UInt64(ProcessInfo.processInfo.environment["TEST_SEED"] ?? "") ?? 5
        let rounds = Self.isLong ? 400 : 20
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await Lane(name: "writer").run {
                    try Self.write(fixture, seed: seed, stop)
                }
            }
            group.addTask {
                try await Lane(name: "verifier").run {
                    defer { stop.request() }
                    while try fixture.reader.sources().isEmpty { Pause.milliseconds(5) }
                    for round in 0..<rounds {
                        let found = try Self.verify(fixture)
                        #expect(found == [], "round \(round), seed \(seed): \(found)")
                    }
                    try Self.checkThatDamageIsFound(fixture)
                }
            }
            try await group.waitForAll()
        }
        #expect(try Self.verify(fixture) == [])
        #expect(try #require(try fixture.reader.committedRange(LakeFixture.source)).end > 100)
    }

    private static func verify(_ fixture: LakeFixture) throws -> [String] {
        var findings: [String] = []
        _ = try LakeVerifier(layout: fixture.layout) { findings.append("\($0.place): \($0.problem)") }.run()
        return findings
    }

    /// In a sealed file and in the commit log's first entry, with the writer at work.
    private static func checkThatDamageIsFound(_ fixture: LakeFixture) throws {
        var silver: String?
        while silver == nil {
            try fixture.reader.forEachSealedFile(LakeFixture.source) { listed in
                if listed.name.layer == .silver { silver = fixture.layout.dataFile(listed.name) }
                return silver == nil
            }
            Pause.milliseconds(5)
        }
        let path = try #require(silver)
        let bytes = try File.contents(of: path)
        var damaged = bytes
        damaged[damaged.count / 2] ^= 4
        try File.replace(path, with: damaged)
        let found = try verify(fixture)
        #expect(!found.isEmpty && found.allSatisfy { $0.contains(path) }, "\(found)")
        try File.replace(path, with: bytes)
        #expect(try verify(fixture) == [])
    }

    /// Half an entry at the end of a log that nobody is writing is there to stay.
    @Test func aTornLogIsFoundWhereNobodyWrites() throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        do {
            var writer = try fixture.open()
            try writer.handOver(to: 1, at: 0)
            try writer.commit(try LakeFixture.batch(0, 5, time: 5, writer: writer))
        }
        let log = fixture.layout.commitLog(LakeFixture.source)
        try File.replace(log, with: File.contents(of: log) + Array(#"{"crc32c":"0"#.utf8))
        #expect(try Self.verify(fixture).contains { $0.hasSuffix("12 bytes behind the last whole entry") })
    }

    /// A commit log that is longer than it was when it was opened is one that somebody writes.
    @Test func anEntryThatIsAppendedMeanwhileIsNoDamage() async throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        try writer.commit(try LakeFixture.batch(0, 5, time: 5, writer: writer))
        let log = fixture.layout.commitLog(LakeFixture.source)
        let whole = try File.contents(of: log)
        let entry = try #require(whole.dropLast().lastIndex(of: 0x0A)) + 1
        // The last entry comes in two pieces, 150 ms apart.
        try File(log, .readWrite).truncate(to: entry + 100)
        async let rest: Void = Lane(name: "rest").run {
            Pause.milliseconds(150)
            try whole[(entry + 100)...].withUnsafeBytes { try File(log, .readWrite).write($0, at: entry + 100) }
        }
        let findings = try await Lane(name: "verifier").run { try Self.verify(fixture) }
        try await rest
        // The data files are ahead of the log meanwhile, by one uncommitted hour.
        #expect(findings == [])
    }

    /// A layer that had no lines in the growing hour gets its file before the log has their commit. That is no stray file,
    /// and a start removes what a crash left of it; under a name that no commit can come to, it is one.
    @Test func theFirstLinesOfALayerInTheGrowingHourAreNoStray() throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        func file(_ layer: String, hour: Int, offset: Int) -> String {
            let name = String(repeating: "0", count: 20 - "\(offset)".count) + "\(offset).jsonl.zst"
            return fixture.layout.root + "/\(layer)/topic=t.change/partition=0/date=1970-01-01/hour=0\(hour)/" + name
        }
        func write(_ path: String) throws {
            try Folder.create(Folder.parent(of: path))
            try File.replace(path, with: Array("lines".utf8))
        }
        func commit(_ start: Int64, _ end: Int64, hour: Int64) throws {
            var writer = try fixture.open()
            try writer.handOver(to: 1, at: 0)
            try writer.commit(
                try LakeFixture.batch(start, end, time: hour * LakeFixture.hourMilliseconds + 5, writer: writer))
        }
        // None of these is quarantined, and offset 0 has no Gold.
        try commit(0, 1, hour: 0)
        let layers = ["quarantine/generation=1", "gold/generation=1"]
        for layer in layers { try write(file(layer, hour: 0, offset: 0)) }
        #expect(try Self.verify(fixture) == [])
        let stray = file("gold/generation=1", hour: 1, offset: 0)
        try write(stray)
        #expect(try Self.verify(fixture) == ["\(stray): no log knows this file"])
        try Folder.removeIfPresent(stray)
        // The next start.
        try commit(1, 2, hour: 1)
        for layer in layers { #expect(!Folder.exists(file(layer, hour: 0, offset: 0)), "\(layer)") }
        // The first hour is sealed now.
        try write(file("quarantine/generation=1", hour: 0, offset: 0))
        #expect(
            try Self.verify(fixture) == [
                "\(file("quarantine/generation=1", hour: 0, offset: 0)): no log knows this file"
            ])
    }

    /// Only a writer takes a writer's lock: whatever reads works beside it, and it starts beside whatever reads.
    @Test func nothingThatReadsTakesALock() throws {
        let fixture = try LakeFixture()
        _ = try GenerationLog(layout: fixture.layout).createFirst(.former(logicVersion: "v1-1", settings: "{}"))
        var writer = try fixture.open()
        try writer.handOver(to: 1, at: 0)
        try writer.commit(try LakeFixture.batch(0, 5, time: 5, writer: writer))
        // A file that no log knows, which once was reason enough to ask for the lock.
        let stray = fixture.layout.root + "/bronze/topic=t.change/partition=0/00000000000000000003.jsonl.zst"
        try File.replace(stray, with: [])
        let witness = RecordingWitness()
        let findings = try FileWatch.$witness.withValue(witness) { try Self.verify(fixture) }
        #expect(findings == ["\(stray): no log knows this file"])
        #expect(witness.changes.isEmpty)
        #expect(try File.contents(of: fixture.layout.lock(LakeFixture.source)).starts(with: Array("pid ".utf8)))
    }

    @Test func aLockThatIsHeldForAMomentIsWaitedFor() async throws {
        let fixture = try LakeFixture()
        _ = try fixture.open().nextOffset
        let (layout, source) = (fixture.layout, LakeFixture.source)
        let held = StopSignal()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await Lane(name: "holder").run {
                    var lock = try File(layout.lock(source), .readWrite)
                    #expect(try lock.tryLock())
                    held.request()
                    Pause.milliseconds(100)
                }
            }
            group.addTask {
                try await Lane(name: "starter").run {
                    while !held.isRequested { Pause.milliseconds(1) }
                    #expect(throws: LakeError.self) {
                        _ = try PartitionWriter.open(layout: layout, source: source).nextOffset
                    }
                    _ = try PartitionWriter.open(layout: layout, source: source, lockWaitMilliseconds: 20_000)
                        .nextOffset
                }
            }
            try await group.waitForAll()
        }
    }
}
