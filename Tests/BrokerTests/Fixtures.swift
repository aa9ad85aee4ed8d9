import Bytes
import Codecs
import Dispatch
import Files
import Glibc
import Hashing
import PlatformTesting
import Records
import Synchronization
import Telemetry

@testable import Broker

/// Record batches as a client would build them.
enum TestBatch {
    /// An uncompressed batch of format 2 with one record per value.
    static func make(
        _ values: [String], producerID: Int64 = -1, epoch: Int16 = -1, sequence: Int32 = -1,
        timestamp: Int64 = 1_600_000_000_000, attributes: Int16 = 0
    ) -> [UInt8] {
        var records: [UInt8] = []
        for (index, value) in values.enumerated() {
            var record: [UInt8] = [0]
            appendVarint(index, to: &record)  // timestamp delta: one millisecond each
            appendVarint(index, to: &record)
            appendVarint(-1, to: &record)  // no key
            appendVarint(value.utf8.count, to: &record)
            record += Array(value.utf8)
            appendVarint(0, to: &record)  // no headers
            appendVarint(record.count, to: &records)
            records += record
        }
        var batch = [UInt8](repeating: 0, count: RecordBatchHeader.byteCount) + records
        batch.withUnsafeMutableBytes { bytes in
            bytes.setBigEndian(Int32(bytes.count - 12), at: 8)
            bytes.setBigEndian(Int32(-1), at: 12)
            bytes.setBigEndian(Int8(2), at: 16)
            bytes.setBigEndian(attributes, at: 21)
            bytes.setBigEndian(Int32(values.count - 1), at: 23)
            bytes.setBigEndian(timestamp, at: 27)
            bytes.setBigEndian(timestamp + Int64(values.count - 1), at: 35)
            bytes.setBigEndian(producerID, at: 43)
            bytes.setBigEndian(epoch, at: 51)
            bytes.setBigEndian(sequence, at: 53)
            bytes.setBigEndian(Int32(values.count), at: 57)
        }
        return resummed(batch)
    }

    /// A batch with the records of `make` compressed.
    static func packed(
        _ values: [String], _ codec: PayloadDecompressor.Codec, producerID: Int64 = -1, epoch: Int16 = -1,
        sequence: Int32 = -1, timestamp: Int64 = 1_600_000_000_000
    ) throws -> [UInt8] {
        let plain = make(values, producerID: producerID, epoch: epoch, sequence: sequence, timestamp: timestamp)
        let records = Array(plain[RecordBatchHeader.byteCount...])
        let payload =
            switch codec {
            case .gzip: Packing.gzip(records)
            case .snappy: Packing.snappy(records)
            case .lz4: Packing.lz4(records)
            case .zstd: try Packing.zstd(records)
            }
        return with(payload: payload, attributes: codec.rawValue, plain)
    }

    /// A batch with other bytes in the place of its records.
    static func with(payload: [UInt8], attributes: Int16 = 0, count: Int32? = nil, _ batch: [UInt8]) -> [UInt8] {
        var batch = Array(batch[..<RecordBatchHeader.byteCount]) + payload
        batch.withUnsafeMutableBytes { bytes in
            bytes.setBigEndian(Int32(bytes.count - 12), at: 8)
            bytes.setBigEndian(attributes, at: 21)
            if let count {
                bytes.setBigEndian(count - 1, at: 23)
                bytes.setBigEndian(count, at: 57)
            }
        }
        return resummed(batch)
    }

    /// The bytes of one record.
    static func record(_ fields: [Int], _ tail: [UInt8] = []) -> [UInt8] {
        var body: [UInt8] = [0]
        for field in fields { appendVarint(field, to: &body) }
        body += tail
        var record: [UInt8] = []
        appendVarint(body.count, to: &record)
        return record + body
    }

    /// The batch with its sum made right again.
    static func resummed(_ batch: [UInt8]) -> [UInt8] {
        var batch = batch
        batch.withUnsafeMutableBytes { bytes in
            bytes.setBigEndian(RecordBatch.sum(of: UnsafeRawBufferPointer(bytes)), at: 17)
        }
        return batch
    }

    private static func appendVarint(_ value: Int, to bytes: inout [UInt8]) {
        var rest = UInt64(bitPattern: Int64((value << 1) ^ (value >> 63)))
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    static func validated(
        _ bytes: UnsafeRawBufferPointer, bytesMax: Int = 1 << 20
    ) -> Result<RecordBatchHeader, ErrorCode> {
        var validator = BatchValidator()
        var budget = 128 << 20
        do throws(ErrorCode) {
            return .success(try validator.validate(bytes, bytesMax: bytesMax, budget: &budget))
        } catch {
            return .failure(error)
        }
    }

    static func validatedCode(_ batch: [UInt8]) -> ErrorCode {
        switch batch.withUnsafeBytes({ validated($0) }) {
        case .success: .none
        case .failure(let code): code
        }
    }

    static func header(_ batch: [UInt8]) -> RecordBatchHeader? {
        batch.withUnsafeBytes { RecordBatchHeader($0) }
    }

    /// The values of the records in a run of whole batches, with their offsets.
    static func values(_ bytes: [UInt8]) -> [(offset: Int64, value: String)] {
        var found: [(offset: Int64, value: String)] = []
        bytes.withUnsafeBytes { bytes in
            var start = 0
            while let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: bytes[start...])) {
                var position = start + RecordBatchHeader.byteCount
                for index in 0..<Int(header.recordCount) {
                    guard let length = bytes.varint(at: &position) else { return }
                    let end = position + length
                    position += 1
                    _ = bytes.varint(at: &position)
                    _ = bytes.varint(at: &position)
                    _ = bytes.varint(at: &position)
                    let count = bytes.varint(at: &position) ?? 0
                    let value = String(decoding: bytes[position..<position + count], as: UTF8.self)
                    found.append((header.baseOffset + Int64(index), value))
                    position = end
                }
                start += header.byteCount
            }
        }
        return found
    }
}

extension UnsafeRawBufferPointer {
    /// A zigzag varint of up to 10 bytes; nil when it is cut off or too long. Moves `position` past it.
    @inline(__always)
    func varint(at position: inout Int) -> Int? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < count, shift < 64 {
            let byte = self[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 {
                return Int(truncatingIfNeeded: (value >> 1) ^ (0 &- (value & 1)))
            }
            shift += 7
        }
        return nil
    }
}

extension PartitionLog {
    /// Appends, and does with it what a round does.
    @discardableResult
    func write(_ batch: [UInt8], settings: LogSettings = LogSettings(), now: Int64 = 1_700_000_000_000) throws
        -> AppendOutcome
    {
        let outcome = try stage(batch, settings: settings, now: now)
        try flush()
        try sync()
        publish()
        return outcome
    }

    func stage(_ batch: [UInt8], settings: LogSettings = LogSettings(), now: Int64 = 1_700_000_000_000) throws
        -> AppendOutcome
    {
        try batch.withUnsafeBytes { bytes in
            let header = try TestBatch.validated(bytes).get()
            return try append(bytes, header: header, settings: settings, now: now)
        }
    }

    func firstOffset(notBefore time: Int64) throws -> TimedOffset? {
        var validator = BatchValidator()
        var budget = OffsetSearch.bytesMax
        return try firstOffset(notBefore: time, &validator, budget: &budget)
    }

    func offsetOfLargestTimestamp() throws -> TimedOffset? {
        var validator = BatchValidator()
        var budget = OffsetSearch.bytesMax
        return try offsetOfLargestTimestamp(&validator, budget: &budget)
    }

    /// Everything a reader sees from `offset` on.
    func everything(from offset: Int64 = 0, bytesMax: Int = 1 << 20) throws -> [(offset: Int64, value: String)] {
        var all: [(offset: Int64, value: String)] = []
        var next = offset
        while let region = try read(from: next, bytesMax: bytesMax, atLeastOne: true).region {
            let values = TestBatch.values(try region.bytes())
            guard let last = values.last, last.offset >= next else { break }
            all += values.filter { $0.offset >= next }
            next = last.offset + 1
        }
        return all
    }
}

extension LogRegion {
    func bytes() throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        let got = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: position) }
        return Array(bytes[..<got])
    }
}

enum TestLog {
    static let name = TopicPartition(topic: "t", partition: 0)

    static func open(_ folder: String, _ settings: LogSettings = LogSettings(), disk: DiskCalls = .system) throws
        -> PartitionLog
    {
        let recovered = try LogRecovery.open(folder: folder, settings: settings, disk: disk)
        return PartitionLog(topicPartition: name, folder: folder, recovered: recovered, disk: disk)
    }

    /// Copies a folder's files as they are just now, as a crash would leave them.
    static func copy(_ source: String, to target: String) throws {
        try Folder.create(target)
        for name in try Folder.list(source) {
            try Files.File.replace(target + "/" + name, with: try Files.File.contents(of: source + "/" + name))
        }
    }
}

/// A disk that fails when told to.
final class FaultyDisk: Sendable {
    struct Faults {
        /// Bytes that may still be written before writes fail with ENOSPC; nil for no limit.
        var writableBytes: Int?
        var syncFails = false
        /// Syncs wait for ``FaultyDisk/go()``.
        var syncWaits = false
        /// Syncs that worked.
        var syncs = 0
    }

    private let gate = DispatchSemaphore(value: 0)

    /// Lets the syncs go on that wait, and those that follow.
    func go() {
        faults.withLock { $0.syncWaits = false }
        gate.signal()
    }

    let faults = Mutex(Faults())

    var calls: DiskCalls {
        DiskCalls(
            write: { [self] descriptor, bytes, offset in
                let count = faults.withLock { faults -> Int in
                    guard let left = faults.writableBytes else { return bytes.count }
                    let count = min(left, bytes.count)
                    faults.writableBytes = left - count
                    return count
                }
                guard count > 0 || bytes.isEmpty else {
                    errno = ENOSPC
                    return -1
                }
                return pwrite(descriptor, bytes.baseAddress, count, off_t(offset))
            },
            sync: { [self] descriptor in
                if faults.withLock({ $0.syncWaits }) {
                    gate.wait()
                    gate.signal()
                }
                guard !faults.withLock({ $0.syncFails }) else {
                    errno = EIO
                    return -1
                }
                let code = fdatasync(descriptor)
                if code == 0 { faults.withLock { $0.syncs += 1 } }
                return code
            })
    }
}

/// A broker on a free port in a folder of its own.
final class TestBroker {
    let configuration: BrokerConfiguration
    let metrics = MetricsRegistry()
    let server: BrokerServer
    let port: UInt16

    var address: String { "127.0.0.1:\(port)" }

    init(
        folder: String, port: UInt16 = 0, disk: DiskCalls = .system,
        _ adjust: (inout BrokerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = BrokerConfiguration(directory: folder)
        configuration.port = port
        adjust(&configuration)
        self.configuration = configuration
        let sink = LogSink(format: .text, output: { _ in })
        server = try BrokerServer(
            configuration: configuration, metrics: metrics, logger: Logger("broker", sink: sink), disk: disk)
        self.port = try server.start()
    }

    deinit { server.stop() }
}
