import Bytes
import Files
import Foundation
import PlatformTesting
import Records
import Synchronization
import Testing

@testable import Lake

/// What all small logs of the lake have in common: a torn tail heals, an altered entry is damage, and an append that failed
/// has not happened, whatever the disk does then.
@Suite struct RecordLogTests {
    /// The logs, each with numbered entries.
    enum Log: CaseIterable {
        case generations, quarantine, retention, tier, commits

        /// Those that are read as a whole.
        static let small: [Log] = [.generations, .quarantine, .retention, .tier]

        func path(_ layout: LakeLayout) -> String {
            switch self {
            case .generations: layout.generationLog
            case .quarantine: layout.quarantineLog(LakeFixture.source)
            case .retention: layout.retentionLog(LakeFixture.source)
            case .tier: layout.tierLog(LakeFixture.source, hour: LakeHour(number: 0))
            case .commits: layout.commitLog(LakeFixture.source)
            }
        }

        func append(_ number: Int64, _ layout: LakeLayout) throws {
            switch self {
            case .generations:
                _ = try GenerationLog(layout: layout).note(
                    TopicSize(topic: "t", partitions: Int(number) + 1, offsets: [0: number]))
            case .quarantine:
                try QuarantineLog(layout: layout, source: LakeFixture.source).update { session in
                    try session.append([
                        QuarantineDecision(
                            kind: .discard, offset: number, timeMilliseconds: 1, rule: "r", bronzeSHA256: "")
                    ])
                }
            case .retention:
                let range = try #require(OffsetRange(start: number, end: number + 1))
                try RetentionLog(layout: layout, source: LakeFixture.source).append(
                    Expiry(
                        layer: .bronze, generation: nil, range: range, reason: "r", atMilliseconds: 1, isRemoved: false)
                )
            case .tier:
                try TierLog(layout: layout, source: LakeFixture.source).append(
                    TierEntry(
                        name: Self.name(number), bucket: "b", key: "k", bytes: 1, sha256: "", contentSHA256: "",
                        atMilliseconds: 1))
            case .commits:
                var record = CommitRecord(
                    kind: .handover, range: .empty(at: number), hour: LakeHour(number: 0), brokerTimeMax: 0,
                    firstOffset: 0)
                record.handover = number + 1
                var log = try CommitLog.writing(path(layout), in: layout)
                try log.append(record)
            }
        }

        func read(_ layout: LakeLayout) throws -> [Int64] {
            switch self {
            case .generations: try GenerationLog(layout: layout).sizes(of: "t").map { Int64($0.partitions) - 1 }
            case .quarantine: try QuarantineLog(layout: layout, source: LakeFixture.source).read().keys.sorted()
            case .retention: try RetentionLog(layout: layout, source: LakeFixture.source).read().map(\.range.start)
            case .tier:
                try (0..<5).filter {
                    try TierLog(layout: layout, source: LakeFixture.source).entry(of: Self.name($0)) != nil
                }
            case .commits: try Self.handovers(CommitLog(reading: path(layout)))
            }
        }

        private static func handovers(_ log: borrowing CommitLog) throws -> [Int64] {
            var offsets: [Int64] = []
            try log.forEach { record in
                offsets.append(record.range.end)
                return true
            }
            return offsets
        }

        private static func name(_ number: Int64) -> DataFileName {
            DataFileName(
                layer: .bronze, generation: nil, source: LakeFixture.source, hour: LakeHour(number: 0),
                firstOffset: number)
        }
    }

    private let fixture: LakeFixture

    init() throws { fixture = try LakeFixture(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp") }

    @Test(arguments: Log.allCases) func aTornTailHeals(log: Log) throws {
        let layout = fixture.layout
        for number in 0..<Int64(2) { try log.append(number, layout) }
        let path = log.path(layout)
        let before = try File.contents(of: path)
        let line = Array(before.split(separator: 0x0A)[1])
        let zeros = [UInt8](repeating: 0, count: 200)
        let tails: [(String, [UInt8])] = [
            ("half a line", Array(line.prefix(60))),
            ("half a line with its feed", Array(line.prefix(60)) + [0x0A]),
            ("zeros with the end of a line", zeros + Array("}\n".utf8)),
            (
                "a line whose middle did not come",
                line.prefix(20) + zeros.prefix(line.count - 40) + line.suffix(20) + [0x0A]
            ),
            ("zeros", zeros), ("a feed", [0x0A]),
        ]
        for (name, tail) in tails {
            try File.replace(path, with: before + tail)
            #expect(try log.read(layout) == [0, 1], "\(name)")
            try log.append(2, layout)
            #expect(try log.read(layout) == [0, 1, 2], "\(name)")
            // Nothing of the tail is left between the entries.
            #expect(
                try File.contents(of: path).split(separator: 0x0A).allSatisfy { LogLine.decode($0) != nil }, "\(name)")
        }
    }

    /// Also of a log whose first append was torn.
    @Test(arguments: Log.allCases) func aLogOfATornTailAloneIsEmpty(log: Log) throws {
        try log.append(0, fixture.layout)
        let path = log.path(fixture.layout)
        try File.replace(path, with: [UInt8](repeating: 0, count: 90) + Array("}\n".utf8))
        #expect(try log.read(fixture.layout) == [])
        try log.append(3, fixture.layout)
        #expect(try log.read(fixture.layout) == [3])
    }

    @Test(arguments: Log.small) func anAlteredEntryIsDamage(log: Log) throws {
        for number in 0..<Int64(2) { try log.append(number, fixture.layout) }
        let path = log.path(fixture.layout)
        let before = try File.contents(of: path)
        let last = try #require(before.dropLast().lastIndex(of: 0x0A))
        for place in [40, last + 40] {
            var bytes = before
            bytes[place] ^= 1
            try File.replace(path, with: bytes)
            #expect(throws: LakeError.self, "byte \(place)") { try log.read(fixture.layout) }
            #expect(throws: LakeError.self, "byte \(place)") { try log.append(2, fixture.layout) }
            #expect(try File.contents(of: path) == bytes)
        }
    }

    /// The last entry was acknowledged, and its files hold what it says: it is not cut off.
    @Test func anAlteredLastCommitIsDamage() throws {
        let path = Log.commits.path(fixture.layout)
        for number in 0..<Int64(2) { try Log.commits.append(number, fixture.layout) }
        var bytes = try File.contents(of: path)
        let last = try #require(bytes.dropLast().lastIndex(of: 0x0A))
        bytes[last + 40] ^= 1
        try File.replace(path, with: bytes)
        #expect(throws: LakeError.self) { try Log.commits.read(fixture.layout) }
        #expect(throws: LakeError.self) { try Log.commits.append(2, fixture.layout) }
        #expect(try File.contents(of: path) == bytes)
    }

    // MARK: - Failed syncs, then a power cut

    /// Fails one change, and remembers all.
    private final class FaultWitness: FileWitness {
        private let place: Int
        private let code: Int32
        private let log = Mutex<[(change: FileChange, isMade: Bool)]>([])

        init(at place: Int, code: Int32) {
            self.place = place
            self.code = code
        }

        var changes: [(change: FileChange, isMade: Bool)] { log.withLock { $0 } }

        func willMake(_ change: FileChange) throws(FileError) {
            let number = log.withLock { log in
                log.append((change, log.count != place))
                return log.count - 1
            }
            if number == place { throw FileError("injected fault in", "\(change)", code: code) }
        }
    }

    private func clear() throws {
        for name in try Folder.list(fixture.folder.path) { try Folder.removeTree(fixture.folder.file(name)) }
    }

    private func materialise(_ model: DiskModel, _ loss: DiskModel.Loss) throws {
        try clear()
        let left = model.crashed(loss)
        for folder in left.folders where !Folder.exists(folder) { try Folder.create(folder) }
        for (path, bytes) in left.files {
            let file = try File(path, .create)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        }
    }

    /// Appends three entries under the witness, each once.
    ///
    /// - Returns: those that were acknowledged.
    private func appendThree(_ log: Log, _ witness: FaultWitness) throws -> [Int64] {
        try clear()
        var acknowledged: [Int64] = []
        FileWatch.$witness.withValue(witness) {
            for number in 0..<Int64(3) {
                do {
                    try log.append(number, fixture.layout)
                    acknowledged.append(number)
                } catch {}
            }
        }
        return acknowledged
    }

    @Test(arguments: Log.small) func whatFailedHasNotHappenedAfterAPowerCut(log: Log) throws {
        let undisturbed = FaultWitness(at: -1, code: 0)
        #expect(try appendThree(log, undisturbed) == [0, 1, 2])
        let seeds = ProcessInfo.processInfo.environment["MEDALLION_LONG_TESTS"] != nil ? 200 : 8
        var failures = 0
        for place in undisturbed.changes.indices {
            for code in [EIO, ENOSPC] {
                let witness = FaultWitness(at: place, code: code)
                let acknowledged = try appendThree(log, witness)
                if acknowledged.count < 3 { failures += 1 }
                #expect(try log.read(fixture.layout) == acknowledged, "fault at change \(place)")
                var model = DiskModel()
                for (change, isMade) in witness.changes {
                    if isMade {
                        model.apply(change)
                    } else if case .sync(let path, _) = change {
                        model.failSync(path)
                    }
                }
                let losses =
                    [DiskModel.Loss.everything, .bytes, .names]
                    + (0..<seeds).map { .some(seed: UInt64(place * 1_000 + $0)) }
                for loss in losses {
                    try materialise(model, loss)
                    let found = Result { try log.read(fixture.layout) }
                    #expect(
                        (try? found.get()) == acknowledged,
                        "\(code) at change \(place), \(undisturbed.changes[place].change), then \(loss): \(found)")
                }
            }
        }
        #expect(failures > 10)
    }

    @Test func whatCouldNotBePutInPlaceLeavesNothingBeside() throws {
        let path = fixture.folder.file("file")
        for place in 0..<5 {
            FileWatch.$witness.withValue(FaultWitness(at: place, code: ENOSPC)) {
                #expect(throws: FileError.self, "fault at change \(place)") { try File.replace(path, with: [1, 2]) }
            }
            #expect(!Folder.exists(path + ".tmp"), "fault at change \(place)")
        }
        #expect(try File.contents(of: path) == [1, 2])
    }

    /// Of many decisions at once, a power loss leaves the first ones, wherever it tears.
    @Test func aBatchIsTornAtItsEndAlone() throws {
        let layout = fixture.layout
        let witness = FaultWitness(at: -1, code: 0)
        try FileWatch.$witness.withValue(witness) {
            try QuarantineLog(layout: layout, source: LakeFixture.source).update { session in
                try session.append(
                    (0..<Int64(4)).map {
                        QuarantineDecision(
                            kind: .discard, offset: $0, timeMilliseconds: 1, rule: "r", bronzeSHA256: "")
                    })
            }
        }
        var model = DiskModel()
        for (change, _) in witness.changes {
            model.apply(change)
            for seed in 0..<UInt64(8) {
                try materialise(model, .holes(seed: seed))
                let found = Result { try Log.quarantine.read(layout) }
                let offsets = try? found.get()
                #expect(offsets.map { $0 == Array(0..<Int64($0.count)) } == true, "\(change), seed \(seed): \(found)")
            }
        }
        #expect(try Log.quarantine.read(layout) == [0, 1, 2, 3])
    }

    /// Entries of a process that was killed before its sync are durable before anybody acts upon them, also where the
    /// first attempt to make them so failed.
    @Test func makingDurableIsNotASecondSync() throws {
        let layout = fixture.layout
        let log = RecordLog(path: layout.retentionLog(LakeFixture.source))
        var model = DiskModel()
        func watch(_ place: Int, _ body: () throws -> Void) -> Bool {
            let witness = FaultWitness(at: place, code: EIO)
            let isDone = FileWatch.$witness.withValue(witness) {
                do { try body() } catch { return false }
                return true
            }
            for (change, isMade) in witness.changes {
                if isMade { model.apply(change) } else if case .sync(let path, _) = change { model.failSync(path) }
            }
            return isDone
        }
        // Written, and killed before the sync.
        let killed = watch(-1) {
            try Folder.create(Folder.parent(of: log.path))
            let file = try File(log.path, .create)
            try LogLine.encode(Array(#"{"kind":"x"}"#.utf8)).withUnsafeBytes { try file.write($0, at: 0) }
        }
        #expect(killed)
        for place in 0..<3 { _ = watch(place) { try log.makeDurable(in: layout) } }
        #expect(watch(-1) { try log.makeDurable(in: layout) })
        try materialise(model, .everything)
        #expect(try log.read().count == 1)
    }
}
