import Bytes
package import Concurrency
import Derivation
package import Lake
import Logic
package import Records
import Synchronization

/// Runs one topic partition's Bronze through a logic, in chunks, and compares these with what a generation holds.
///
/// First reads the duplicate window before the range, so that a replay from the middle decides as the stream job did.
package struct RangeReplay: Sendable {
    /// The lines of a run of offsets, some thousand records or some megabytes.
    package struct Chunk: HandedOver {
        package fileprivate(set) var range: OffsetRange
        /// The lines by hour, in order.
        package var hours: [Hour] = []
        package var difference = ReplayDifference()
        /// Of what differs.
        package internal(set) var samples = ReplaySamples()
        /// Bytes of the lines.
        package fileprivate(set) var bytes = 0
        package fileprivate(set) var records = 0
        /// Offsets of which the content is the parent's.
        package internal(set) var unchanged: Set<Int64> = []
        /// What it is for, where one of the two is ahead of the other.
        var isForLake = true
        var isForIndex = true

        init(range: OffsetRange, bytes: Int = 0) {
            self.range = range
            self.bytes = bytes
        }

        /// All Gold lines, in order.
        package var gold: [Line] { hours.flatMap(\.gold) }
    }

    /// The lines of one lake hour.
    package struct Hour: Sendable {
        package let hour: LakeHour
        package let firstOffset: Int64
        package var silver: [Line] = []
        package var gold: [Line] = []
        package var quarantine: [Line] = []
    }

    /// One derived line.
    package struct Line: Sendable {
        package let offset: Int64
        package let bytes: [UInt8]
    }

    /// A chunk ends with the record that brings it to so many ...
    package static let chunkRecordsMax = 10_000
    /// ... or to so many bytes of lines, as the stream job's commits do: rejected records may be large.
    package static let chunkBytesMax = 4 << 20

    private let reader: LakeReader
    private let source: TopicPartition
    private let generation: LakeGeneration
    private let parent: Int64
    private let readingLane: Lane?

    /// - Parameters:
    ///   - generation: whose logic runs; need not be in the lake.
    ///   - parent: the generation to compare with.
    ///   - readingLane: reads Bronze ahead of what is derived; nil to read where it is derived.
    package init(
        reader: LakeReader, source: TopicPartition, generation: LakeGeneration, parent: Int64, readingLane: Lane? = nil
    ) {
        self.readingLane = readingLane
        self.reader = reader
        self.source = source
        self.generation = generation
        self.parent = parent
    }

    /// Calls `body` with each chunk, in order. A gap in the offsets, however wide, lies within one.
    ///
    /// - Parameter recordsMax: of a chunk, asked for each record; ``chunkRecordsMax`` is the most.
    /// - Throws: ``LakeError``, and what `body` throws.
    package func run(
        _ range: OffsetRange, recordsMax: () -> Int = { chunkRecordsMax }, _ body: (Chunk) throws -> Void
    ) throws {
        guard !range.isEmpty else { return }
        var processor = try RecordProcessor(source: source, writesBronze: false)
        try processor.add(generation)
        try warm(&processor, before: range.start)
        var hour = HourOfOffset(reader: reader, source: source)
        var chunk = Chunk(range: .empty(at: range.start))
        try forEachRecord(range, on: readingLane) { record in
            try derive(record, &processor, &hour, into: &chunk)
            guard chunk.records >= recordsMax() || chunk.bytes >= Self.chunkBytesMax else { return }
            chunk.range.end = record.offset + 1
            try body(chunk)
            chunk = Chunk(range: .empty(at: record.offset + 1))
        }
        guard chunk.range.start < range.end else { return }
        chunk.range.end = range.end
        try body(chunk)
    }

    /// The lake hours of records that are asked for in the order of their offsets: the commit log has them, since what made
    /// them was not the records' times alone.
    struct HourOfOffset {
        let reader: LakeReader
        let source: TopicPartition
        private var known: (range: OffsetRange, hour: LakeHour)?

        init(reader: LakeReader, source: TopicPartition) {
            self.reader = reader
            self.source = source
        }

        mutating func hour(of offset: Int64) throws(LakeError) -> LakeHour {
            if let known, known.range.contains(offset) { return known.hour }
            guard let run = try reader.committedRun(source, from: offset), run.range.contains(offset) else {
                throw .notFound("no commit of \(source) covers offset \(offset)")
            }
            known = run
            return run.hour
        }
    }

    private func warm(_ processor: inout RecordProcessor, before start: Int64) throws {
        // What retention gave up lies outside of the window: a replay begins behind it.
        let held = try reader.heldRange(source)?.start ?? 0
        guard let range = OffsetRange(start: max(0, held, start - processor.windowOffsets), end: start), !range.isEmpty
        else { return }
        try forEachRecord(range) { record in
            processor.warm(record)
        }
    }

    private func derive(
        _ record: BronzeRecord, _ processor: inout RecordProcessor, _ hours: inout HourOfOffset,
        into chunk: inout Chunk
    ) throws {
        let hour = try hours.hour(of: record.offset)
        // Of what was erased nothing is made.
        if record.erasure == nil { try process(record, &processor) }
        if chunk.hours.last?.hour != hour { chunk.hours.append(Hour(hour: hour, firstOffset: record.offset)) }
        let last = chunk.hours.count - 1
        let lines = processor.generations[0].lines
        append(lines.silver, record.offset, to: &chunk.hours[last].silver)
        append(lines.gold, record.offset, to: &chunk.hours[last].gold)
        append(lines.quarantine, record.offset, to: &chunk.hours[last].quarantine)
        chunk.records += 1
        chunk.bytes += lines.silver.count + lines.gold.count + lines.quarantine.count
        processor.removeLines()
    }

    private func process(_ record: BronzeRecord, _ processor: inout RecordProcessor) throws {
        func run(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?) throws {
            try processor.process(
                SourceRecord(
                    topic: source.topic, partition: source.partition, offset: record.offset,
                    timestampMilliseconds: record.timestampMilliseconds, key: key, origin: record.origin,
                    mayRepeat: record.mayRepeat, eventID: record.eventID, value: value))
        }
        func withBytes(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) throws -> Void) throws {
            guard let bytes else { return try body(nil) }
            try bytes.withUnsafeBytes { try body($0) }
        }
        try withBytes(record.key) { key in try withBytes(record.value) { value in try run(key, value) } }
    }

    private func append(_ text: [UInt8], _ offset: Int64, to lines: inout [Line]) {
        guard !text.isEmpty else { return }
        lines.append(Line(offset: offset, bytes: Array(text.dropLast())))
    }

    /// Holds chunks that follow each other against the parent's Gold lines of their range, which are read once; a record's document
    /// has the same id in both.
    ///
    /// - Parameters:
    ///   - next: the next chunk that ``run(_:recordsMax:_:)`` gave; nil behind the last one. May block.
    ///   - body: called with each chunk, in order.
    /// - Throws: ``LakeError``, and what `next` and `body` throw.
    func compare(_ next: () throws -> Chunk?, to end: Int64, _ body: (Chunk) throws -> Void) throws {
        guard let first = try next() else { return }
        var current: ChunkComparison? = ChunkComparison(first, source)
        /// Ends the chunk at hand and begins with the next one; false where there is none.
        func advance() throws -> Bool {
            if let done = current.take() { try body(done.finished()) }
            current = try next().map { ChunkComparison($0, source) }
            return current != nil
        }
        var failure: (any Error)?
        let range = OffsetRange(start: first.range.start, end: max(end, first.range.start)) ?? first.range
        try reader.forEachLine(.gold, generation: parent, source: source, range: range) { offset, line in
            do {
                while let end = current?.end, end <= offset {
                    guard try advance() else { return false }
                }
                current?.meet(offset, line)
                return true
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        while current != nil { _ = try advance() }
    }

    /// Some records in a row, on their way from the lane that reads to the one that derives.
    private struct Records: HandedOver {
        static let (recordsMax, bytesMax) = (256, 512 << 10)
        var records: [BronzeRecord] = []
        var bytes = 0

        mutating func add(_ record: BronzeRecord) {
            records.append(record)
            bytes += (record.value?.count ?? 0) + (record.key?.count ?? 0)
        }

        var isFull: Bool { records.count >= Self.recordsMax || bytes >= Self.bytesMax }
    }

    /// - Parameter lane: where Bronze is read, ahead of `body`; nil for the thread at hand.
    private func forEachRecord(
        _ range: OffsetRange, on lane: Lane?, _ body: (BronzeRecord) throws -> Void
    ) throws {
        guard let lane else { return try forEachRecord(range, body) }
        let queue = ChunkQueue<Records>()
        let failure = Mutex<(any Error)?>(nil)
        let read: @Sendable () -> Void = { [self] in
            do {
                var batch = Records()
                try forEachRecord(range) { record in
                    batch.add(record)
                    guard batch.isFull else { return }
                    try queue.put(batch)
                    batch = Records()
                }
                if !batch.records.isEmpty { try queue.put(batch) }
            } catch {
                failure.withLock { $0 = error }
            }
            queue.finish()
        }
        try lane.post(read)
        // Ends the reading, too, where `body` fails.
        defer { queue.cancel() }
        while let batch = try queue.take() {
            for record in batch.records { try body(record) }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private func forEachRecord(_ range: OffsetRange, _ body: (BronzeRecord) throws -> Void) throws {
        var failure: (any Error)?
        try reader.forEachLine(.bronze, generation: nil, source: source, range: range) { offset, line in
            guard let record = BronzeLine.readSealed(line) else {
                failure = LakeError.damaged(
                    path: reader.layout.commitLog(source), reason: "the Bronze line of offset \(offset) cannot be read")
                return false
            }
            do { try body(record) } catch { failure = error }
            return failure == nil
        }
        if let failure { throw failure }
    }
}
