import Files
import PlatformTesting
import Synchronization
import Testing

@testable import Broker

/// The front of a log: what DeleteRecords and retention took stays away, and nothing else goes with it.
struct LogStartTests {
    private let folder: TemporaryFolder
    private static let smallSegments = LogSettings(segmentBytesMax: 1_000, indexIntervalBytes: 200)

    init() throws {
        folder = try TemporaryFolder()
    }

    /// A log of `count` batches of two records each, written at 1,000 ms, 1,001 ms …
    private func log(_ count: Int) throws -> PartitionLog {
        let log = try TestLog.open(folder.file("log"), Self.smallSegments)
        for index in 0..<count {
            let values = (0..<2).map { "value \(index * 2 + $0) " + String(repeating: "x", count: index % 40) }
            try log.write(TestBatch.make(values), settings: Self.smallSegments, now: Int64(1_000 + index))
        }
        return log
    }

    private func reopened() throws -> PartitionLog { try TestLog.open(folder.file("log"), Self.smallSegments) }

    @Test("deleted records stay away after a start, wherever in the log the cut lies")
    func deletedRecordsStayAway() throws {
        var log = try log(40)
        let segments = log.published.withLock { $0.sealed.map(\.baseOffset) + [$0.active.baseOffset] }
        #expect(segments.count > 4)
        // On a segment's edge, within one, in the one that grows, and at the end.
        for start in [segments[1], segments[2] + 1, segments[segments.count - 1] + 1, 80] {
            #expect(try log.deleteRecords(before: start) == start)
            #expect(try log.deleteRecords(before: start - 1) == start, "it never goes back")
            for isReopened in [false, true] {
                if isReopened { log = try reopened() }
                let view = log.published.withLock { $0 }
                #expect(view.startOffset == start && view.endOffset == 80)
                #expect(view.sealed.allSatisfy { $0.endOffset > start })
                #expect(try log.read(from: start - 1, bytesMax: 100, atLeastOne: true).isOutOfRange)
                #expect(try log.everything(from: start).map(\.offset) == Array(start..<80))
            }
            let files = try Folder.list(folder.file("log")).filter { $0.hasSuffix(".log") }
            #expect(files.count == segments.filter { $0 >= start }.count + (segments.contains(start) ? 0 : 1))
        }
        try log.write(TestBatch.make(["after"]), settings: Self.smallSegments)
        #expect(try reopened().everything(from: 80).last.map { $0.offset } == 80)
    }

    @Test("a crash between the new start and the removal of segments is finished by the next start")
    func crashBeforeRemoval() throws {
        let log = try log(40)
        let copy = folder.file("copy")
        try TestLog.copy(folder.file("log"), to: copy)
        _ = try log.deleteRecords(before: 50)
        let meta = "log-start.meta"
        try File.replace(copy + "/" + meta, with: try File.contents(of: folder.file("log") + "/" + meta))
        let recovered = try TestLog.open(copy, Self.smallSegments)
        #expect(recovered.published.withLock { $0.startOffset } == 50)
        #expect(try Folder.list(copy).sorted() == Folder.list(folder.file("log")).sorted())
    }

    @Test("a power cut that took deleted records does not hide the records that get their offsets")
    func powerCutBelowTheStart() throws {
        let log = try log(3)
        _ = try log.deleteRecords(before: 6)
        let segment = folder.file("log") + "/" + SegmentFile.name(0)
        let bytes = try File.contents(of: segment)
        try File.replace(segment, with: Array(bytes.prefix(bytes.count / 2)))
        let shorter = try reopened()
        #expect(shorter.published.withLock { $0.startOffset == $0.endOffset && $0.endOffset < 6 })
        let first = shorter.published.withLock { $0.endOffset }
        try shorter.write(TestBatch.make(["a", "b", "c", "d", "e", "f"]), settings: Self.smallSegments)
        #expect(try reopened().everything(from: first).map(\.value) == ["a", "b", "c", "d", "e", "f"])
        #expect(try reopened().published.withLock { $0.startOffset } == first)
    }

    /// Fails the first removal of a segment.
    private final class RemovalFault: FileWitness {
        private let isDone = Mutex(false)

        func willMake(_ change: FileChange) throws(FileError) {
            guard case .remove(let path) = change, path.hasSuffix(".log") else { return }
            let wasDone = isDone.withLock { isDone -> Bool in
                defer { isDone = true }
                return isDone
            }
            if !wasDone { throw FileError("injected fault in unlink", path, code: 5) }
        }
    }

    @Test("a segment that cannot be removed keeps none of the others, and is removed next time")
    func failedRemoval() throws {
        let log = try log(40)
        let view = log.published.withLock { $0 }
        #expect(view.sealed.count > 3)
        let everything = LogRetention(milliseconds: nil, bytes: 0)
        func segments() throws -> [String] {
            try Folder.list(folder.file("log")).filter { $0.hasSuffix(".log") }
        }
        #expect(throws: FileError.self) {
            try FileWatch.$witness.withValue(RemovalFault()) { _ = try log.retain(everything, now: 0) }
        }
        #expect(try segments() == [view.sealed[0].baseOffset, view.active.baseOffset].map { SegmentFile.name($0) })
        #expect(try log.retain(everything, now: 0) == 0)
        #expect(try segments() == [SegmentFile.name(view.active.baseOffset)])
    }

    @Test("retention by time drops the segment that grows, too, and the log goes on behind it after a start")
    func retentionOfTheGrowingSegment() throws {
        let log = try log(40)
        let before = log.published.withLock { $0 }
        #expect(before.endPosition > 0)
        // Its newest record is exactly at the limit: it stays.
        _ = try log.retain(LogRetention(milliseconds: 100, bytes: nil), now: 1_139)
        #expect(log.published.withLock { $0.startOffset } <= before.active.baseOffset)
        #expect(log.published.withLock { $0.endPosition } == before.endPosition)
        _ = try log.retain(LogRetention(milliseconds: 100, bytes: nil), now: 1_140)
        var view = log.published.withLock { $0 }
        #expect(view.startOffset == 80 && view.endOffset == 80 && view.byteCount == 0)
        #expect(try Folder.list(folder.file("log")) == [SegmentFile.name(80), "log-start.meta"])
        // An empty log has nothing more to drop.
        #expect(try log.retain(LogRetention(milliseconds: 100, bytes: nil), now: 9_999) == 0)
        let again = try reopened()
        view = again.published.withLock { $0 }
        #expect(view.startOffset == 80 && view.endOffset == 80)
        try again.write(TestBatch.make(["after"]), settings: Self.smallSegments)
        #expect(try again.everything(from: 80).map(\.offset) == [80])
    }
}
