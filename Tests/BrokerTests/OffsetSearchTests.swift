import Codecs
import PlatformTesting
import Telemetry
import Testing

@testable import Broker

/// ListOffsets: what one request may cost, and what it is told when that is spent.
struct OffsetSearchTests {
    private let folder: TemporaryFolder
    private let settings = LogSettings(timestampType: .createTime)
    private let logger = Logger("broker", sink: LogSink(format: .text, output: { _ in }))
    private let values = (0..<100).map { "a value that repeats, \($0)" }

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Two batches, of the times 5,000 … 5,099 and 6,000 … 6,099.
    private func log(_ codec: PayloadDecompressor.Codec) throws -> PartitionLog {
        let log = try TestLog.open(folder.file("log-\(codec)"), settings)
        for time in [Int64(5_000), 6_000] {
            try log.write(try TestBatch.packed(values, codec, timestamp: time), settings: settings)
        }
        return log
    }

    /// What a search in one of the batches reads and unpacks.
    private func cost(_ codec: PayloadDecompressor.Codec) throws -> (packed: Int, unpacked: Int) {
        (
            try TestBatch.packed(values, codec, timestamp: 6_000).count,
            TestBatch.make(values, timestamp: 6_000).count - RecordBatchHeader.byteCount
        )
    }

    private func offset(
        _ time: Int64, _ log: PartitionLog, _ search: inout OffsetSearch, _ validator: inout BatchValidator
    ) -> Int64 {
        let partition = ListOffsetsRequest.Partition(index: 0, timestamp: time)
        let answer = search.answer(partition, log, &validator, logger)
        return answer.error == .none ? answer.offset : -1
    }

    @Test("A request that asks for ever other times spends its budget, then gets the batch's first offset")
    func otherTimes() throws {
        let log = try log(.zstd)
        let cost = try cost(.zstd)
        var validator = BatchValidator()
        var search = OffsetSearch(bytesMax: 3 * (cost.packed + cost.unpacked))
        var offsets: [Int64] = []
        for time in Int64(6_001)...6_050 { offsets.append(offset(time, log, &search, &validator)) }
        #expect(offsets == [101, 102, 103] + [Int64](repeating: 100, count: 47))
        #expect(search.budget == 0)
        #expect(offset(ListOffsetsRequest.largestTimestamp, log, &search, &validator) == 100)
        // What needs no batch is exact all the same.
        #expect(offset(ListOffsetsRequest.earliest, log, &search, &validator) == 0)
        #expect(offset(ListOffsetsRequest.latest, log, &search, &validator) == 200)
        #expect(offset(6_100, log, &search, &validator) == -1)
        // Never what lies before the log's start.
        _ = try log.deleteRecords(before: 130)
        #expect(offset(6_070, log, &search, &validator) == 130)
    }

    @Test("A request that names the same log and time very often looks for it once")
    func sameTimes() throws {
        let log = try log(.zstd)
        let cost = try cost(.zstd)
        let one = cost.packed + cost.unpacked
        var validator = BatchValidator()
        var search = OffsetSearch(bytesMax: 10 * one)
        for _ in 0..<1_000 {
            #expect(offset(6_050, log, &search, &validator) == 150)
            #expect(offset(ListOffsetsRequest.largestTimestamp, log, &search, &validator) == 199)
        }
        #expect(search.budget == 8 * one)
    }

    @Test("A batch too large for what is left is not passed over", arguments: PayloadDecompressor.Codec.allCases)
    func littleLeft(_ codec: PayloadDecompressor.Codec) throws {
        let log = try log(codec)
        let cost = try cost(codec)
        for left in [0, cost.packed, cost.packed + 10] {
            var validator = BatchValidator()
            var search = OffsetSearch(bytesMax: left)
            #expect(offset(5_050, log, &search, &validator) == 0)
            #expect(offset(6_050, log, &search, &validator) == 100)
            #expect(search.budget >= 0)
        }
    }

    @Test(
        "The largest time is that of a record that is there, also where the log's start has passed a larger one",
        arguments: PayloadDecompressor.Codec.allCases)
    func largestBehindStart(_ codec: PayloadDecompressor.Codec) throws {
        let log = try TestLog.open(folder.file("log-\(codec)"), settings)
        // Offsets 0 to 4 in one batch, whose times rise and fall; then 5 to 104.
        let times = [10, 900, 30, 700, 20]
        let records = times.enumerated().flatMap { index, time in
            TestBatch.record([time, index, -1, 50], [UInt8](repeating: 0x78, count: 50) + [0])
        }
        let plain = TestBatch.make(times.map(String.init), timestamp: 6_000)
        let payload =
            switch codec {
            case .gzip: Packing.gzip(records)
            case .snappy: Packing.snappy(records)
            case .lz4: Packing.lz4(records)
            case .zstd: try Packing.zstd(records)
            }
        try log.write(TestBatch.with(payload: payload, attributes: codec.rawValue, plain), settings: settings)
        try log.write(try TestBatch.packed(values, codec, timestamp: 6_100), settings: settings)
        // By the log's start: the first record with the largest time.
        for (start, expected) in [(0, 1), (1, 1), (2, 3), (3, 3), (4, 104), (5, 104), (104, 104), (105, -1)] {
            if start > 0 { _ = try log.deleteRecords(before: Int64(start)) }
            var validator = BatchValidator()
            var search = OffsetSearch()
            let found = offset(ListOffsetsRequest.largestTimestamp, log, &search, &validator)
            #expect(found == Int64(expected), "with the start at \(start)")
        }
    }
}
