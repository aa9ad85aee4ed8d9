import Codecs

/// Checks batches as a client sent them before anything is acknowledged: what passes can be read by every reader.
///
/// Compressed batches are unpacked for it. Not thread-safe, hence not copyable; its memory is used from batch to batch.
struct BatchValidator: ~Copyable {
    private var decompressor = PayloadDecompressor()
    /// Bytes that one batch may unpack to. Clients bound a batch before they compress it, librdkafka reads no more than
    /// 100 MB, and every reader holds a batch in memory as a whole.
    static let unpackedBytesMax = 64 << 20

    /// Checks a batch; `bytes` starts with it and may go on.
    ///
    /// - Parameter budget: bytes that the request's batches may still unpack to, which bounds the time that a request
    ///   of a few kilobytes may take.
    /// - Returns: its header, with the records' largest time in it.
    /// - Throws: the error code to answer with.
    mutating func validate(
        _ bytes: UnsafeRawBufferPointer, bytesMax: Int, budget: inout Int
    ) throws(ErrorCode) -> RecordBatchHeader {
        // The magic byte has been at the same place in all formats.
        guard bytes.count > RecordBatchHeader.magicPosition else { throw .corruptMessage }
        guard bytes[RecordBatchHeader.magicPosition] == 2 else { throw .unsupportedForMessageFormat }
        guard var header = RecordBatchHeader(bytes) else { throw .corruptMessage }
        guard header.batchLength >= 49, header.byteCount <= bytes.count else { throw .corruptMessage }
        guard header.byteCount <= bytesMax else { throw .messageTooLarge }
        let batch = UnsafeRawBufferPointer(rebasing: bytes[..<header.byteCount])
        guard RecordBatch.sum(of: batch) == header.sum else { throw .corruptMessage }
        guard header.recordCount > 0, header.lastOffsetDelta == header.recordCount - 1 else { throw .invalidRecord }
        guard !header.isControl, !header.isTransactional else { throw .invalidRecord }
        if header.producerID >= 0 {
            guard header.producerEpoch >= 0, header.baseSequence >= 0 else { throw .invalidRecord }
        }
        let count = Int(header.recordCount)
        let deltas = try withRecords(of: batch, header, budget: &budget) {
            RecordWalk.timestampDeltas($0, count: count)
        }
        guard let deltas else { throw .invalidRecord }
        let (largest, isTooLarge) = header.baseTimestamp.addingReportingOverflow(deltas.upperBound)
        let (_, isTooSmall) = header.baseTimestamp.addingReportingOverflow(deltas.lowerBound)
        guard !isTooLarge, !isTooSmall else { throw .invalidRecord }
        header.maxTimestamp = largest
        return header
    }

    /// Lends a batch's records, unpacked.
    ///
    /// - Throws: the error code to answer with where they cannot be.
    mutating func withRecords<Result>(
        of batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader, budget: inout Int,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(ErrorCode) -> Result {
        let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.byteCount...])
        guard header.compression != 0 else { return body(payload) }
        guard let codec = PayloadDecompressor.Codec(rawValue: header.compression) else {
            throw .unsupportedCompressionType
        }
        let bytesMax = min(Self.unpackedBytesMax, budget)
        guard bytesMax > 0 else { throw .messageTooLarge }
        var unpacked = 0
        do throws(PayloadDecompressor.Failure) {
            let result = try decompressor.decompress(payload, codec, bytesMax: bytesMax) { records in
                unpacked = records.count
                return body(records)
            }
            budget -= unpacked
            return result
        } catch {
            // What was refused may have taken as long as what fills the bound.
            budget -= bytesMax
            switch error {
            case .malformed: throw .invalidRecord
            case .tooLarge: throw .messageTooLarge
            case .outOfMemory: throw .unknownServerError
            }
        }
    }

    /// The first record from `start` on that is not older than `time` (milliseconds since 1970), in a batch from the
    /// log; nil where there is none, or the batch cannot be unpacked.
    ///
    /// - Parameter budget: bytes that may still be unpacked; where that is too little, the batch's first offset stands
    ///   for the record.
    mutating func firstRecord(
        notBefore time: Int64, from start: Int64, in batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader,
        budget: inout Int
    ) -> TimedOffset? {
        do throws(ErrorCode) {
            return try withRecords(of: batch, header, budget: &budget) { records -> TimedOffset? in
                var walk = RecordWalk(records)
                for index in 0..<Int(header.recordCount) {
                    guard let delta = walk.next(offsetDelta: index) else { return nil }
                    let record = TimedOffset(
                        offset: header.baseOffset + Int64(index), timestamp: header.baseTimestamp &+ delta)
                    if record.offset >= start, record.timestamp >= time { return record }
                }
                return nil
            }
        } catch {
            switch error {
            case .messageTooLarge, .unknownServerError: return TimedOffset(batch: header, from: start)
            default: return nil
            }
        }
    }

    /// The largest timestamp of the records from `start` on, in a batch from the log; nil where there is none, or the batch
    /// cannot be unpacked with what is left of `budget`.
    mutating func largestTimestamp(
        from start: Int64, in batch: UnsafeRawBufferPointer, _ header: RecordBatchHeader, budget: inout Int
    ) -> Int64? {
        do throws(ErrorCode) {
            return try withRecords(of: batch, header, budget: &budget) { records -> Int64? in
                var walk = RecordWalk(records)
                var largest: Int64?
                for index in 0..<Int(header.recordCount) {
                    guard let delta = walk.next(offsetDelta: index) else { return largest }
                    guard header.baseOffset + Int64(index) >= start else { continue }
                    largest = max(largest ?? Int64.min, header.baseTimestamp &+ delta)
                }
                return largest
            }
        } catch {
            return nil
        }
    }
}
