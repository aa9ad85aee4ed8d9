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
    /// Checks a batch as a client sent it; `bytes` starts with it and may go on.
    ///
    /// - Returns: its header.
    /// - Throws: the error code to answer with.
    static func validate(produced bytes: UnsafeRawBufferPointer, bytesMax: Int) throws(ErrorCode) -> RecordBatchHeader {
        // The magic byte has been at the same place in all formats.
        guard bytes.count > RecordBatchHeader.magicPosition else { throw .corruptMessage }
        guard bytes[RecordBatchHeader.magicPosition] == 2 else { throw .unsupportedForMessageFormat }
        guard let header = RecordBatchHeader(bytes) else { throw .corruptMessage }
        guard header.batchLength >= 49, header.byteCount <= bytes.count else { throw .corruptMessage }
        guard header.byteCount <= bytesMax else { throw .messageTooLarge }
        let batch = UnsafeRawBufferPointer(rebasing: bytes[..<header.byteCount])
        guard sum(of: batch) == header.sum else { throw .corruptMessage }
        guard header.recordCount > 0, header.lastOffsetDelta == header.recordCount - 1 else { throw .invalidRecord }
        guard !header.isControl, !header.isTransactional, header.compression <= 4 else { throw .invalidRecord }
        if header.producerID >= 0 {
            guard header.producerEpoch >= 0, header.baseSequence >= 0 else { throw .invalidRecord }
        }
        if header.compression == 0 {
            guard hasSoundRecords(batch, count: Int(header.recordCount)) else { throw .invalidRecord }
        }
        return header
    }

    /// The CRC-32C of a whole batch.
    static func sum(of batch: UnsafeRawBufferPointer) -> UInt32 {
        crc32c(UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.attributesPosition...]))
    }

    /// Makes a batch the log's own: its offset, leader epoch, and with LogAppendTime its time, then a new sum.
    static func stamp(
        _ batch: UnsafeMutableRawBufferPointer, baseOffset: Int64, leaderEpoch: Int32, timestampType: TimestampType,
        now: Int64
    ) {
        batch.setBigEndian(baseOffset, at: 0)
        batch.setBigEndian(leaderEpoch, at: RecordBatchHeader.leaderEpochPosition)
        let position = RecordBatchHeader.attributesPosition
        let attributes: Int16 = UnsafeRawBufferPointer(batch).bigEndian(at: position)
        switch timestampType {
        case .logAppendTime:
            batch.setBigEndian(attributes | 0x08, at: position)
            batch.setBigEndian(now, at: RecordBatchHeader.maxTimestampPosition)
        case .createTime:
            guard attributes & 0x08 != 0 else { return }
            batch.setBigEndian(attributes & ~0x08, at: position)
        }
        batch.setBigEndian(sum(of: UnsafeRawBufferPointer(batch)), at: RecordBatchHeader.sumPosition)
    }

    /// Whether the uncompressed records fill the batch exactly, with offset deltas 0, 1, 2…; a client that reads the
    /// log must never meet a frame that its length fields do not describe.
    private static func hasSoundRecords(_ batch: UnsafeRawBufferPointer, count: Int) -> Bool {
        var position = RecordBatchHeader.byteCount
        for index in 0..<count {
            guard let length = batch.varint(at: &position), length > 0, length <= batch.count - position else {
                return false
            }
            let end = position + length
            position += 1  // the record's attributes, unused
            guard batch.varint(at: &position) != nil, let delta = batch.varint(at: &position), delta == index,
                position <= end
            else { return false }
            position = end
        }
        return position == batch.count
    }
}

extension UnsafeRawBufferPointer {
    /// The big-endian integer at `position`, which the caller has checked to be inside.
    @inline(__always)
    func bigEndian<Value: FixedWidthInteger>(at position: Int) -> Value {
        Value(bigEndian: loadUnaligned(fromByteOffset: position, as: Value.self))
    }

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

extension UnsafeMutableRawBufferPointer {
    /// Stores a big-endian integer at `position`, which the caller has checked to be inside.
    @inline(__always)
    func setBigEndian<Value: FixedWidthInteger>(_ value: Value, at position: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: position, as: Value.self)
    }
}
