import Bytes
import Files
import PlatformTesting
import Telemetry
import Testing

@testable import Broker

/// A disk that fails, and crashes at any moment.
struct LogFaultTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    @Test("A full disk refuses, keeps what was published, and goes on when there is room")
    func fullDisk() throws {
        let disk = FaultyDisk()
        let log = try TestLog.open(folder.file("log"), disk: disk.calls)
        try log.write(TestBatch.make(["kept"], producerID: 7, epoch: 0, sequence: 0))
        disk.faults.withLock { $0.writableBytes = 30 }
        _ = try log.stage(TestBatch.make(["lost"], producerID: 7, epoch: 0, sequence: 1))
        let error = #expect(throws: FileError.self) { try log.flush() }
        #expect(error?.code == 28 && error?.isRetriable == true)
        try log.rollBack()
        #expect(try log.everything().map(\.value) == ["kept"])
        disk.faults.withLock { $0.writableBytes = nil }
        // The same sequence again is new, because it was never written.
        let outcome = try log.write(TestBatch.make(["lost"], producerID: 7, epoch: 0, sequence: 1), now: 5)
        #expect(outcome == .accepted(baseOffset: 1, lastOffset: 1, appendTime: 5))
        #expect(try LogRecovery.open(folder: folder.file("log"), settings: LogSettings()).published.endOffset == 2)
    }

    @Test("What a failed sync left behind is cut off and never shown")
    func failedSync() throws {
        let disk = FaultyDisk()
        let log = try TestLog.open(folder.file("log"), disk: disk.calls)
        try log.write(TestBatch.make(["kept"]))
        disk.faults.withLock { $0.syncFails = true }
        _ = try log.stage(TestBatch.make(["lost"]))
        try log.flush()
        #expect(throws: FileError.self) { try log.sync() }
        try log.rollBack()
        disk.faults.withLock { $0.syncFails = false }
        #expect(try log.everything().map(\.value) == ["kept"])
        try log.write(TestBatch.make(["new"]))
        #expect(try log.everything().map(\.value) == ["kept", "new"])
    }

    @Test("With an interval between syncs, a write that fails in the round of a sync takes no log off what is due")
    func failedWriteInARoundWithASync() throws {
        let disk = FaultyDisk()
        let log = try TestLog.open(folder.file("log"), disk: disk.calls)
        var round = AppendRound(
            metrics: BrokerMetrics(MetricsRegistry()),
            logger: Logger("broker", sink: LogSink(format: .text, output: { _ in })),
            helpers: SyncHelpers(threadCount: 0))
        /// A round of the storage thread; returns how many syncs it made.
        func run(_ value: String?, mustSync: Bool) throws -> Int {
            let before = disk.faults.withLock { $0.syncs }
            if let value {
                let batch = TestBatch.make([value])
                let header = try #require(TestBatch.header(batch))
                let append = AppendBatch(log: log, settings: LogSettings(), range: 0..<batch.count, header: header)
                _ = round.stage(AppendJob(frame: batch, batches: [append]) { _ in }, isUnsure: false)
            }
            round.flush()
            _ = round.publish()
            if mustSync { round.sync(isPublished: true) }
            round.finish()
            return disk.faults.withLock { $0.syncs } - before
        }
        #expect(try run("a", mustSync: false) == 0)
        disk.faults.withLock { $0.writableBytes = 0 }
        #expect(try run("b", mustSync: true) == 1, "a is due, whatever becomes of b")
        #expect(try log.everything().map(\.value) == ["a"])
        #expect(try run(nil, mustSync: true) == 0, "nothing is due any more")
        // A sync that fails as well leaves it due.
        disk.faults.withLock { $0.writableBytes = nil }
        #expect(try run("c", mustSync: false) == 0)
        disk.faults.withLock {
            $0.writableBytes = 0
            $0.syncFails = true
        }
        #expect(try run("d", mustSync: true) == 0)
        disk.faults.withLock {
            $0.writableBytes = nil
            $0.syncFails = false
        }
        #expect(try run(nil, mustSync: true) == 1)
        #expect(try log.everything().map(\.value) == ["a", "c"])
    }

    /// A model of what must hold: all that was published is there after a crash, in order; what else is there is what
    /// was staged next; and a repeated sequence is in the log once.
    @Test("Random appends, faults and crashes lose nothing that was published", arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func randomRuns(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let settings = LogSettings(segmentBytesMax: 2_000, indexIntervalBytes: 300)
        let disk = FaultyDisk()
        var path = folder.file("log-\(seed)-0")
        var log = try TestLog.open(path, settings, disk: disk.calls)
        var published: [String] = []
        var pending: [String] = []
        var sequence: Int32 = 0
        var number = 0
        for step in 0..<400 {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<60:
                let values = (0..<Int.random(in: 1...4, using: &random)).map { _ -> String in
                    number += 1
                    return "\(number) " + String(repeating: "y", count: Int.random(in: 0..<80, using: &random))
                }
                let batch = TestBatch.make(values, producerID: 1, epoch: 0, sequence: sequence)
                do {
                    let outcome = try log.stage(batch, settings: settings)
                    guard case .accepted = outcome else {
                        Issue.record("step \(step): \(outcome)")
                        return
                    }
                    pending += values
                    sequence += Int32(values.count)
                } catch let error as FileError {
                    #expect(error.code == 28 || error.code == 5)
                    try recover(log, &published, &pending, &sequence)
                }
            case 60..<80:
                do {
                    try log.flush()
                    try log.sync()
                    log.publish()
                    published += pending
                    pending = []
                } catch {
                    try recover(log, &published, &pending, &sequence)
                }
            case 80..<88:
                disk.faults.withLock {
                    $0.writableBytes = $0.writableBytes == nil ? Int.random(in: 0..<500, using: &random) : nil
                }
            case 88..<92: disk.faults.withLock { $0.syncFails.toggle() }
            default:
                // A crash: the files as they are, perhaps without the end of what was never synced.
                disk.faults.withLock { $0 = FaultyDisk.Faults() }
                let next = folder.file("log-\(seed)-\(step)")
                try TestLog.copy(path, to: next)
                try cutUnpublished(log, in: next, using: &random)
                path = next
                log = try TestLog.open(path, settings, disk: disk.calls)
                let found = try log.everything().map(\.value)
                #expect(Array(found.prefix(published.count)) == published, "seed \(seed), step \(step)")
                #expect(
                    found.dropFirst(published.count).elementsEqual(
                        pending.prefix(max(0, found.count - published.count))))
                published = found
                pending = []
                sequence = Int32(found.count)
            }
        }
    }

    private func recover(
        _ log: PartitionLog, _ published: inout [String], _ pending: inout [String], _ sequence: inout Int32
    ) throws {
        try log.rollBack()
        // A new segment publishes what came before it, so more may be visible than was asked for, never less.
        let visible = try log.everything().map(\.value)
        #expect(visible.starts(with: published))
        #expect((published + pending).starts(with: visible))
        published = visible
        pending = []
        sequence = Int32(visible.count)
    }

    private func cutUnpublished(_ log: PartitionLog, in folder: String, using random: inout SeededGenerator) throws {
        let view = log.published.withLock { $0 }
        let file = try File(folder + "/" + SegmentFile.name(view.active.baseOffset), .readWrite)
        let size = try file.size()
        guard size > view.endPosition else { return }
        try file.truncate(to: Int.random(in: view.endPosition...size, using: &random))
    }
}
