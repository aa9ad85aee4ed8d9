import Bytes
import Codecs
import Files
import PlatformTesting
import Testing

@testable import Broker

/// The log on disk: what is appended is read back, and whatever a crash leaves, recovery finds the whole batches.
struct LogTests {
    private let folder: TemporaryFolder
    private static let smallSegments = LogSettings(segmentBytesMax: 1_000, indexIntervalBytes: 200)

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Batches of one to three records with numbered values.
    private func batches(_ count: Int) -> [[UInt8]] {
        var next = 0
        return (0..<count).map { index in
            let values = (0...(index % 3)).map { _ -> String in
                defer { next += 1 }
                return "value \(next) " + String(repeating: "x", count: next % 50)
            }
            return TestBatch.make(values)
        }
    }

    @Test("What is appended is read back, from any offset and in pieces of any size")
    func readsBack() throws {
        let log = try TestLog.open(folder.file("log"), Self.smallSegments)
        for batch in batches(60) { try log.write(batch, settings: Self.smallSegments) }
        let end = log.published.withLock { $0.endOffset }
        #expect(log.published.withLock { $0.sealed.count } > 5)
        for bytesMax in [0, 1, 100, 300, 10_000] {
            let all = try log.everything(bytesMax: bytesMax)
            #expect(all.map(\.offset) == Array(0..<end))
            #expect(all.map { $0.value.split(separator: " ")[1] } == (0..<Int(end)).map { "\($0)" })
        }
        for offset in 0..<end {
            let first = try #require(try log.read(from: offset, bytesMax: 1, atLeastOne: true).region)
            let offsets = TestBatch.values(try first.bytes()).map(\.offset)
            #expect(offsets.contains(offset))
        }
        #expect(try log.read(from: end, bytesMax: 100, atLeastOne: true).region == nil)
        #expect(try log.read(from: end + 1, bytesMax: 100, atLeastOne: true).isOutOfRange)
        #expect(try log.read(from: -1, bytesMax: 100, atLeastOne: true).isOutOfRange)
    }

    @Test("A limit in bytes is kept, but for the first batch where it must go out anyway")
    func byteLimit() throws {
        let log = try TestLog.open(folder.file("log"), LogSettings(indexIntervalBytes: 100))
        for batch in batches(40) { try log.write(batch) }
        for limit in stride(from: 0, through: 4_000, by: 37) {
            let read = try log.read(from: 5, bytesMax: limit, atLeastOne: false)
            #expect((read.region?.byteCount ?? 0) <= limit)
            #expect(try log.read(from: 5, bytesMax: limit, atLeastOne: true).region != nil)
        }
    }

    @Test("Nothing is visible before it is published")
    func publication() throws {
        let log = try TestLog.open(folder.file("log"))
        _ = try log.stage(TestBatch.make(["a"]))
        try log.flush()
        #expect(try log.read(from: 0, bytesMax: 100, atLeastOne: true).region == nil)
        try log.sync()
        #expect(log.publish() == 1)
        #expect(try log.everything().map(\.value) == ["a"])
    }

    @Test("A log cut at any byte comes back with its whole batches, and grows again")
    func everyTruncation() throws {
        let original = folder.file("log")
        let log = try TestLog.open(original)
        var ends: [(bytes: Int, offset: Int64)] = [(0, 0)]
        for batch in batches(6) {
            try log.write(batch)
            ends.append(log.published.withLock { ($0.endPosition, $0.endOffset) })
        }
        let path = original + "/" + SegmentFile.name(0)
        let bytes = try File.contents(of: path)
        for length in 0...bytes.count {
            let copy = folder.file("copy")
            try Folder.create(copy)
            try File.replace(copy + "/" + SegmentFile.name(0), with: Array(bytes[..<length]))
            let recovered = try LogRecovery.open(folder: copy, settings: LogSettings())
            let expected = try #require(ends.last { $0.bytes <= length })
            #expect(recovered.published.endOffset == expected.offset)
            #expect(recovered.bytesCut == length - expected.bytes)
            let again = PartitionLog(topicPartition: TestLog.name, folder: copy, recovered: recovered, disk: .system)
            try again.write(TestBatch.make(["after"]))
            #expect(try again.everything().last?.value == "after")
            #expect(try again.everything().count == Int(expected.offset) + 1)
            try Folder.removeTree(copy)
        }
    }

    @Test("Garbage, zeros and damaged bytes after the last whole batch are cut off")
    func garbageTails() throws {
        let original = folder.file("log")
        let log = try TestLog.open(original)
        for batch in batches(4) { try log.write(batch) }
        let bytes = try File.contents(of: original + "/" + SegmentFile.name(0))
        let next = TestBatch.make(["unfinished"])
        var damaged = next
        damaged[70] ^= 1
        for tail in [
            [UInt8](repeating: 0, count: 5_000), Array(repeating: 0xff, count: 100), Array(next[..<60]), damaged,
        ] {
            let copy = folder.file("copy")
            try Folder.create(copy)
            try File.replace(copy + "/" + SegmentFile.name(0), with: bytes + tail)
            let recovered = try LogRecovery.open(folder: copy, settings: LogSettings())
            #expect(recovered.published.endPosition == bytes.count)
            #expect(recovered.bytesCut == tail.count)
            try Folder.removeTree(copy)
        }
    }

    @Test("Opened again, a log of many segments is the same, with its seals and without them")
    func reopening() throws {
        let path = folder.file("log")
        let log = try TestLog.open(path, Self.smallSegments)
        for (index, batch) in batches(60).enumerated() {
            var batch = batch
            batch.withUnsafeMutableBytes { bytes in
                bytes.setBigEndian(Int64(index % 3), at: 43)
                bytes.setBigEndian(Int16(0), at: 51)
                bytes.setBigEndian(Int32.max, at: 53)
            }
            // Not one producer's sequences, only producers to be remembered.
            if index >= 3 { batch.withUnsafeMutableBytes { $0.setBigEndian(Int64(index + 100), at: 43) } }
            try log.write(TestBatch.resummed(batch), settings: Self.smallSegments)
        }
        let all = try log.everything()
        let view = log.published.withLock { $0 }
        for removesSeals in [false, true] {
            if removesSeals {
                for name in try Folder.list(path) where name.hasSuffix(".seal") { try Folder.remove(path + "/" + name) }
            }
            let recovered = try LogRecovery.open(folder: path, settings: Self.smallSegments)
            #expect(recovered.segmentsRescanned == (removesSeals ? view.sealed.count : 0))
            #expect(recovered.published.sealed == view.sealed)
            #expect(recovered.published.endOffset == view.endOffset)
            #expect(recovered.published.activeEntries == view.activeEntries)
            #expect(recovered.producers.producers.keys.sorted() == log.producers.producers.keys.sorted())
            let again = PartitionLog(topicPartition: TestLog.name, folder: path, recovered: recovered, disk: .system)
            #expect(try again.everything().map(\.value) == all.map(\.value))
        }
    }

    @Test("A damaged seal is made anew; a damaged segment in the middle stops the start and touches nothing")
    func damage() throws {
        let path = folder.file("log")
        let log = try TestLog.open(path, Self.smallSegments)
        for batch in batches(30) { try log.write(batch, settings: Self.smallSegments) }
        let second = log.published.withLock { $0.sealed[1] }
        let seal = path + "/" + SegmentFile.name(second.baseOffset, suffix: ".seal")
        var bytes = try File.contents(of: seal)
        bytes[20] ^= 1
        try File.replace(seal, with: bytes)
        #expect(try LogRecovery.open(folder: path, settings: Self.smallSegments).segmentsRescanned == 1)
        #expect(try LogRecovery.open(folder: path, settings: Self.smallSegments).segmentsRescanned == 0)

        let segment = path + "/" + SegmentFile.name(second.baseOffset)
        let sound = try File.contents(of: segment)
        try File.replace(segment, with: Array(sound.dropLast()))
        #expect(throws: BrokerError.self) { try LogRecovery.open(folder: path, settings: Self.smallSegments) }
        #expect(try File.contents(of: segment).count == sound.count - 1)
    }

    @Test("Offsets are found by time, across segments")
    func byTime() throws {
        let log = try TestLog.open(folder.file("log"), Self.smallSegments)
        for (index, batch) in batches(40).enumerated() {
            try log.write(batch, settings: Self.smallSegments, now: Int64(1_000 + index * 10))
        }
        let ends = try (0..<40).map { index -> Int64 in
            try #require(try log.firstOffset(notBefore: Int64(1_000 + index * 10))).offset
        }
        #expect(ends == ends.sorted() && Set(ends).count == 40 && ends[0] == 0)
        #expect(try log.firstOffset(notBefore: 0)?.offset == 0)
        #expect(try log.firstOffset(notBefore: 1_001)?.offset == ends[1])
        #expect(try log.firstOffset(notBefore: 1_391) == nil)
        #expect(try log.offsetOfLargestTimestamp() == TimedOffset(offset: ends[39], timestamp: 1_390))
    }

    @Test("With the client's times, the record is found inside its batch")
    func byClientTime() throws {
        let settings = LogSettings(timestampType: .createTime)
        let log = try TestLog.open(folder.file("log"), settings)
        try log.write(TestBatch.make(["a", "b", "c"], timestamp: 5_000), settings: settings)
        #expect(try log.firstOffset(notBefore: 5_001) == TimedOffset(offset: 1, timestamp: 5_001))
    }

    @Test("With the client's times, the record is found inside its compressed batch too, behind the log's start")
    func byClientTimeCompressed() throws {
        let settings = LogSettings(timestampType: .createTime)
        for codec in PayloadDecompressor.Codec.allCases {
            let log = try TestLog.open(folder.file("log-\(codec)"), settings)
            let values = (0..<20).map { "a value that repeats, \($0)" }
            try log.write(try TestBatch.packed(values, codec, timestamp: 5_000), settings: settings)
            try log.write(try TestBatch.packed(values, codec, timestamp: 4_000), settings: settings)
            #expect(try log.firstOffset(notBefore: 5_007) == TimedOffset(offset: 7, timestamp: 5_007))
            #expect(try log.offsetOfLargestTimestamp() == TimedOffset(offset: 19, timestamp: 5_019))
            _ = try log.deleteRecords(before: 19)
            #expect(try log.firstOffset(notBefore: 4_000) == TimedOffset(offset: 19, timestamp: 5_019))
            _ = try log.deleteRecords(before: 20)
            #expect(try log.firstOffset(notBefore: 4_010) == TimedOffset(offset: 30, timestamp: 4_010))
            #expect(try log.firstOffset(notBefore: 5_000) == nil)
        }
    }

    @Test("The largest time of a batch is that of its records, whatever its header says")
    func largestTimeOfTheRecords() throws {
        let settings = LogSettings(timestampType: .createTime)
        let log = try TestLog.open(folder.file("log"), settings)
        var batch = TestBatch.make(["a", "b", "c"], timestamp: 5_000)
        batch.withUnsafeMutableBytes { $0.setBigEndian(Int64(9_000), at: RecordBatchHeader.maxTimestampPosition) }
        try log.write(TestBatch.resummed(batch), settings: settings)
        #expect(try log.offsetOfLargestTimestamp() == TimedOffset(offset: 2, timestamp: 5_002))
        #expect(try log.firstOffset(notBefore: 6_000) == nil)
        let stored = try #require(try log.read(from: 0, bytesMax: 1_000, atLeastOne: true).region).bytes()
        #expect(TestBatch.validatedCode(stored) == .none)
        #expect(TestBatch.header(stored)?.maxTimestamp == 5_002)
    }

    /// Batches whose headers claim more offsets than they have records: older versions took them.
    @Test("Offsets that jump by billions stay findable, in new segments and in old ones")
    func jumps() throws {
        let path = folder.file("log")
        let log = try TestLog.open(path)
        var bases: [Int64] = []
        for index in 0..<8 {
            let batch = TestBatch.make(["v\(index)"])
            var header = try #require(TestBatch.header(batch))
            if index % 2 == 1 { header.lastOffsetDelta = .max - 1 }
            bases.append(log.nextOffset)
            let outcome = try batch.withUnsafeBytes {
                try log.append($0, header: header, settings: LogSettings(indexIntervalBytes: 1), now: 1)
            }
            guard case .accepted(let base, let last, _) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(base == bases[index] && last == base + Int64(header.lastOffsetDelta))
            log.publish()
        }
        try log.flush()
        let view = log.published.withLock { $0 }
        for segment in view.sealed { #expect(segment.endOffset - segment.baseOffset <= Int64(Int32.max) + 1) }
        #expect(view.activeEntries.allSatisfy { $0.relativeOffset <= UInt32(Int32.max) })
        #expect(view.sealed.count >= 3)
        for base in bases {
            let region = try #require(try log.read(from: base, bytesMax: 1, atLeastOne: true).region)
            let header = try #require(TestBatch.header(try region.bytes()))
            #expect(header.baseOffset == base)
        }
        // An index that is not in order, as older versions wrote one for such a segment, is not believed.
        let entries = [5, 3].enumerated().map {
            IndexEntry(relativeOffset: UInt32($1), position: UInt32($0 * 100), timestampBefore: 0)
        }
        let seal = SegmentSeal(
            baseOffset: 0, endOffset: 9, byteCount: 200, timestampMax: 0, entries: entries, producers: ProducerStates())
        #expect(SegmentSeal(decoding: seal.encoded()) == nil)
    }

    @Test("An empty segment that a failed roll left is dropped, and what was acknowledged behind it stays")
    func leftOfAFailedRoll() throws {
        for (name, rolls) in [("once", [1]), ("twice", [1, 3])] {
            let path = folder.file(name)
            var log = try TestLog.open(path)
            for offset in 0..<5 {
                if rolls.contains(offset) {
                    // What `roll` leaves where its last step fails, and the removal as well.
                    let view = log.published.withLock { $0 }
                    let seal = SegmentSeal(
                        baseOffset: 0, endOffset: Int64(offset), byteCount: view.endPosition, timestampMax: 0,
                        entries: view.activeEntries, producers: ProducerStates())
                    try File.replace(path + "/" + SegmentFile.name(0, suffix: ".seal"), with: seal.encoded())
                    _ = try SegmentFile(folder: path, baseOffset: Int64(offset), isNew: true)
                }
                try log.write(TestBatch.make(["v\(offset)"]))
            }
            for _ in 0..<2 {
                log = try TestLog.open(path)
                #expect(try log.everything().map(\.value) == (0..<5).map { "v\($0)" })
            }
            try log.write(TestBatch.make(["v5"]))
            #expect(try TestLog.open(path).everything().count == 6)
            #expect(try Folder.list(path).filter { $0.hasSuffix(".log") } == [SegmentFile.name(0)])
        }
        // Damage in the middle of a log is still told from that.
        let path = folder.file("damaged")
        let log = try TestLog.open(path)
        for offset in 0..<5 { try log.write(TestBatch.make(["v\(offset)"])) }
        _ = try SegmentFile(folder: path, baseOffset: 5, isNew: true)
        let segment = path + "/" + SegmentFile.name(0)
        try File.replace(segment, with: Array(try File.contents(of: segment).dropLast()))
        #expect(throws: BrokerError.self) { try TestLog.open(path) }
    }

    @Test("After a start, a retry of what was in flight is known, however old the client's times")
    func idempotenceOverAStart() throws {
        let settings = LogSettings(timestampType: .createTime)
        let path = folder.file("log")
        let batch = TestBatch.make(["a"], producerID: 7, epoch: 0, sequence: 0, timestamp: 1_000)
        try TestLog.open(path, settings).write(batch, settings: settings)
        let now = SystemClock.epochMilliseconds()
        let log = try TestLog.open(path, settings)
        log.forgetProducers(before: now - 86_400_000)
        #expect(try log.write(batch, settings: settings) == .accepted(baseOffset: 0, lastOffset: 0, appendTime: -1))
        #expect(try log.everything().map(\.value) == ["a"])
        // A time in the far future does not make it known for ever.
        let late = TestBatch.make(["b"], producerID: 8, epoch: 0, sequence: 0, timestamp: .max / 2)
        try log.write(late, settings: settings)
        let again = try TestLog.open(path, settings)
        again.forgetProducers(before: SystemClock.epochMilliseconds() + 1_000)
        #expect(again.producers.producers.isEmpty)
    }

    @Test("Retention drops whole old segments and moves the start")
    func retention() throws {
        let path = folder.file("log")
        let log = try TestLog.open(path, Self.smallSegments)
        for (index, batch) in batches(40).enumerated() {
            try log.write(batch, settings: Self.smallSegments, now: Int64(1_000 + index))
        }
        let before = log.published.withLock { $0 }
        let open = try #require(try log.read(from: 0, bytesMax: 500, atLeastOne: true).region)
        #expect(try log.retain(LogRetention(milliseconds: 20, bytes: nil), now: 1_040) > 0)
        let after = log.published.withLock { $0 }
        #expect(after.startOffset > 0 && after.startOffset == after.sealed[0].baseOffset)
        #expect(after.sealed.allSatisfy { $0.timestampMax >= 1_020 })
        #expect(try log.read(from: 0, bytesMax: 100, atLeastOne: true).isOutOfRange)
        #expect(try open.bytes().count == open.byteCount)
        #expect(try log.retain(LogRetention(milliseconds: nil, bytes: 0), now: 0) == after.sealed.count)
        #expect(log.published.withLock { $0.startOffset } == before.active.baseOffset)
        #expect(
            try LogRecovery.open(folder: path, settings: Self.smallSegments).published.startOffset
                == before.active.baseOffset)
    }
}
