import Hashing

/// The header of a record batch of format 2 (Kafka protocol guide, "Record Batch"): 61 bytes, big-endian.
///
/// The sum (CRC-32C) covers the bytes from the attributes to the end, so base offset and leader epoch may be set
/// without touching it.
struct RecordBatchHeader: Equatable, Sendable {
    static let byteCount = 61
    /// Bytes before what `batchLength` counts: base offset and the length itself.
    static let lengthPrefix = 12
    static let leaderEpochPosition = 12
    static let magicPosition = 16
    static let sumPosition = 17
    static let attributesPosition = 21
    static let maxTimestampPosition = 35

    var baseOffset: Int64
    /// Bytes after the length field.
    var batchLength: Int32
    var leaderEpoch: Int32
    var magic: Int8
    var sum: UInt32
    var attributes: Int16
    var lastOffsetDelta: Int32
    /// Milliseconds since 1970.
    var baseTimestamp: Int64
    /// Milliseconds since 1970.
    var maxTimestamp: Int64
    /// -1: not an idempotent producer.
    var producerID: Int64
    var producerEpoch: Int16
    var baseSequence: Int32
    var recordCount: Int32

    /// Reads the header; nil when `bytes` is shorter than one.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        baseOffset = bytes.bigEndian(at: 0)
        batchLength = bytes.bigEndian(at: 8)
        leaderEpoch = bytes.bigEndian(at: 12)
        magic = bytes.bigEndian(at: 16)
        sum = bytes.bigEndian(at: 17)
        attributes = bytes.bigEndian(at: 21)
        lastOffsetDelta = bytes.bigEndian(at: 23)
        baseTimestamp = bytes.bigEndian(at: 27)
        maxTimestamp = bytes.bigEndian(at: 35)
        producerID = bytes.bigEndian(at: 43)
        producerEpoch = bytes.bigEndian(at: 51)
        baseSequence = bytes.bigEndian(at: 53)
        recordCount = bytes.bigEndian(at: 57)
    }

    /// The whole batch in bytes, header included.
    var byteCount: Int { Self.lengthPrefix + Int(batchLength) }
    var lastOffset: Int64 { baseOffset + Int64(lastOffsetDelta) }
    /// The lengths are such that one can go on to the next batch.
    var isPlausible: Bool {
        magic == 2 && batchLength >= Int32(Self.byteCount - Self.lengthPrefix) && lastOffsetDelta >= 0
            && recordCount > 0 && baseOffset >= 0 && baseOffset <= Int64.max - Int64(Int32.max)
    }
    var compression: Int16 { attributes & 7 }
    var isTransactional: Bool { attributes & 0x10 != 0 }
    var isControl: Bool { attributes & 0x20 != 0 }
    var isLogAppendTime: Bool { attributes & 0x08 != 0 }
}

/// Whose time a topic's records carry (`message.timestamp.type`).
enum TimestampType: String, Sendable, CaseIterable {
    case createTime = "CreateTime"
    case logAppendTime = "LogAppendTime"
}

enum RecordBatch {
    /// The CRC-32C of a whole batch.
    static func sum(of batch: UnsafeRawBufferPointer) -> UInt32 {
        crc32c(UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.attributesPosition...]))
    }

    /// Makes a batch the log's own: its offset, leader epoch and largest time, with LogAppendTime as the type of its
    /// times where the topic wants that, then a new sum where one is due.
    ///
    /// - Parameter maxTimestamp: the broker's time with LogAppendTime, else the largest of the records', whatever the
    ///   client's header said: searches by time go by it.
    static func stamp(
        _ batch: UnsafeMutableRawBufferPointer, baseOffset: Int64, leaderEpoch: Int32, timestampType: TimestampType,
        maxTimestamp: Int64
    ) {
        batch.setBigEndian(baseOffset, at: 0)
        batch.setBigEndian(leaderEpoch, at: RecordBatchHeader.leaderEpochPosition)
        let position = RecordBatchHeader.attributesPosition
        let attributes: Int16 = UnsafeRawBufferPointer(batch).bigEndian(at: position)
        let wanted = timestampType == .logAppendTime ? attributes | 0x08 : attributes & ~0x08
        let timePosition = RecordBatchHeader.maxTimestampPosition
        let time: Int64 = UnsafeRawBufferPointer(batch).bigEndian(at: timePosition)
        guard wanted != attributes || time != maxTimestamp else { return }
        batch.setBigEndian(wanted, at: position)
        batch.setBigEndian(maxTimestamp, at: timePosition)
        batch.setBigEndian(sum(of: UnsafeRawBufferPointer(batch)), at: RecordBatchHeader.sumPosition)
    }
}

extension UnsafeRawBufferPointer {
    /// The big-endian integer at `position`, which the caller has checked to be inside.
    @inline(__always)
    func bigEndian<Value: FixedWidthInteger>(at position: Int) -> Value {
        Value(bigEndian: loadUnaligned(fromByteOffset: position, as: Value.self))
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores a big-endian integer at `position`, which the caller has checked to be inside.
    @inline(__always)
    func setBigEndian<Value: FixedWidthInteger>(_ value: Value, at position: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: position, as: Value.self)
    }
}
