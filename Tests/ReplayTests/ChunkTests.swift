import Bytes
import Concurrency
import Derivation
import Files
import Hashing
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Testing

@testable import Replay

/// A replay holds a few chunks at a time, each of some megabytes, whatever the records are.
@Suite struct ChunkTests {
    private let folder: TemporaryFolder
    private let layout: LakeLayout
    private let source = TopicPartition(topic: "wikimedia.recentchange", partition: 0)

    init() throws {
        folder = try TemporaryFolder()
        layout = LakeLayout(root: folder.file("lake"))
    }

    /// A lake whose Bronze is nothing but poison, in commits as the stream job makes them.
    private func lake(_ batches: [(start: Int64, values: [[UInt8]])]) throws -> LakeGeneration {
        var hasher = try LibraryHasher()
        let settings = TransformSettings(template: try TextTemplate(TextTemplate.standard))
        let generation = try GenerationLog(layout: layout).createFirst(
            .former(
                logicVersion: try settings.logicVersion(hasher: &hasher),
                settings: String(decoding: settings.canonicalJSON, as: UTF8.self)))
        var writer = try PartitionWriter.open(layout: layout, source: source)
        for (start, values) in batches {
            var text: [UInt8] = []
            for (index, value) in values.enumerated() {
                text += Array(
                    #"{"topic":"\#(source.topic)","partition":0,"offset":\#(start + Int64(index)),"timestamp_ms":5,"#
                        .utf8)
                text += Array(#""headers":[],"value_base64":""#.utf8)
                value.withUnsafeBytes { Base64.append($0, to: &text) }
                text += Array("\"}\n".utf8)
            }
            let range = try #require(OffsetRange(start: start, end: start + Int64(values.count)))
            if writer.nextOffset == nil { try writer.handOver(to: 1, at: start) }
            try writer.commit(
                CommitBatch(
                    range: range, hour: writer.hour(for: 5), brokerTimeMax: 5, lastSHA256: "", duplicates: 0,
                    canaries: 0,
                    bronze: (text, values.count),
                    generations: [
                        GenerationLines(
                            generation: 1, logicVersion: generation.logicVersion, silver: ([], 0), gold: ([], 0),
                            quarantine: ([], 0), rejects: [:])
                    ]))
        }
        return generation
    }

    private func chunks(_ generation: LakeGeneration, _ range: OffsetRange) throws -> [RangeReplay.Chunk] {
        var chunks: [RangeReplay.Chunk] = []
        try RangeReplay(
            reader: LakeReader(layout: layout), source: source, generation: generation, parent: 1
        ).run(range) { chunks.append($0) }
        return chunks
    }

    @Test func aFloodOfLargePoisonIsCutByBytes() throws {
        let value = [UInt8](repeating: 0xFF, count: 1 << 19)
        let generation = try lake((0..<3).map { (start: Int64($0) * 5, values: [[UInt8]](repeating: value, count: 5)) })
        let range = try #require(OffsetRange(start: 0, end: 15))
        let chunks = try chunks(generation, range)
        let lines = chunks.flatMap { $0.hours.flatMap(\.quarantine) }
        #expect(lines.map(\.offset) == Array(0..<15))
        let largest = try #require(lines.map(\.bytes.count).max())
        #expect(largest > value.count)
        for chunk in chunks {
            let held = chunk.hours.flatMap { $0.silver + $0.gold + $0.quarantine }.reduce(0) { $0 + $1.bytes.count }
            // Each line's feed is counted, too.
            #expect(chunk.bytes >= held && chunk.bytes <= held + 100)
            #expect(chunk.bytes < RangeReplay.chunkBytesMax + largest + 100)
        }
        #expect(chunks.count >= 2)
        #expect(chunks.map(\.range.start) == [0] + chunks.dropLast().map(\.range.end))
        #expect(chunks.last?.range.end == 15)
    }

    /// A batch may claim 2,147,483,647 records, and what the broker never had is no work for anybody.
    @Test func aWideGapIsNotWalked() throws {
        let far: Int64 = 5 << 31
        let generation = try lake([(0, [[0xFF], [0xFF]]), (far, [[0xFF]]), (2 * far, [[0xFF]])])
        let range = try #require(OffsetRange(start: 0, end: 2 * far + 1))
        let chunks = try chunks(generation, range)
        #expect(chunks.map(\.range) == [range])
        #expect(chunks.first?.hours.flatMap(\.quarantine).map(\.offset) == [0, 1, far, 2 * far])
        let gap = try #require(OffsetRange(start: 2, end: far))
        #expect(try self.chunks(generation, gap).map(\.range) == [gap])
    }

    /// `lake verify` tells a replay of nothing from one whose log is missing.
    @Test func aReplayWithoutARecordHasALog() throws {
        _ = try lake([(0, [[0xFF]])])
        let writer = try ReplayWriter(layout: layout, source: source, generation: 2)
        try writer.finish(end: 9)
        #expect(Folder.exists(layout.commitLog(source, replay: 2)))
    }

    // MARK: - The queue

    private func chunk(_ number: Int64, bytes: Int) throws -> RangeReplay.Chunk {
        RangeReplay.Chunk(range: try #require(OffsetRange(start: number, end: number + 1)), bytes: bytes)
    }

    @Test(.timeLimit(.minutes(1))) func theQueueHoldsFewBytes() async throws {
        let queue = ChunkQueue<RangeReplay.Chunk>()
        let lane = Lane(name: "test")
        let sizes = (0..<60).map { [3 << 20, 1, 9 << 20, 4 << 20, 30 << 20][$0 % 5] }
        let all = try sizes.enumerated().map { try chunk(Int64($0.offset), bytes: $0.element) }
        let putting = Task {
            try await lane.run {
                defer { queue.finish() }
                var largest = 0
                for chunk in all {
                    try queue.put(chunk)
                    largest = max(largest, queue.bytes)
                }
                return largest
            }
        }
        var taken: [Int64] = []
        while let chunk = try await queue.next() {
            taken.append(chunk.range.start)
            if taken.count.isMultiple(of: 7) { try await Task.sleep(nanoseconds: 3_000_000) }
        }
        #expect(taken == Array(0..<60))
        // One that is larger than all that may be held goes alone.
        #expect(try await putting.value <= 30 << 20)
        #expect(queue.bytes == 0)
        #expect(try await queue.next() == nil)
    }

    @Test(.timeLimit(.minutes(1))) func cancellingWakesBothSides() async throws {
        let queue = ChunkQueue<RangeReplay.Chunk>()
        let lane = Lane(name: "test")
        let large = try chunk(0, bytes: ChunkQueue<RangeReplay.Chunk>.bytesMax)
        let putting = Task { try await lane.run { for _ in 0..<3 { try queue.put(large) } } }
        while queue.bytes == 0 { try await Task.sleep(nanoseconds: 1_000_000) }
        queue.cancel()
        await #expect(throws: CancellationError.self) { try await putting.value }
        await #expect(throws: CancellationError.self) { try await queue.next() }

        let waiting = ChunkQueue<RangeReplay.Chunk>()
        let taker = Task { try await waiting.next()?.range.start }
        taker.cancel()
        await #expect(throws: CancellationError.self) { try await taker.value }
    }
}
