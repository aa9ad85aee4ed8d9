import Files
import Telemetry

/// The searches of one ListOffsets request. They run on the network thread, so each log and time is looked for once,
/// and what is read and unpacked for all of them is bounded.
struct OffsetSearch {
    private struct Key: Hashable {
        let log: ObjectIdentifier
        let timestamp: Int64
    }

    /// Room for the largest batch, packed and unpacked.
    static let bytesMax = 2 * BatchValidator.unpackedBytesMax
    /// Bytes of batches that may still be read and unpacked; when they are spent, answers are less exact.
    private(set) var budget: Int
    private var answers: [Key: ListOffsetsResponse.Partition] = [:]

    init(bytesMax: Int = OffsetSearch.bytesMax) {
        budget = bytesMax
    }

    mutating func answer(
        _ partition: ListOffsetsRequest.Partition, _ log: PartitionLog, _ validator: inout BatchValidator,
        _ logger: Logger
    ) -> ListOffsetsResponse.Partition {
        let key = Key(log: ObjectIdentifier(log), timestamp: partition.timestamp)
        if let known = answers[key] { return known }
        var answer = ListOffsetsResponse.Partition(index: partition.index)
        do throws(FileError) {
            switch partition.timestamp {
            case ListOffsetsRequest.latest: answer.offset = log.published.withLock { $0.endOffset }
            case ListOffsetsRequest.earliest: answer.offset = log.published.withLock { $0.startOffset }
            default:
                if let found = try find(partition.timestamp, log, &validator) {
                    answer.offset = found.offset
                    answer.timestamp = found.timestamp
                }
            }
        } catch {
            logger.error("cannot read a log", ["log": log.topicPartition.description, "error": "\(error)"])
            answer.error = .storageError
        }
        answers[key] = answer
        return answer
    }

    private mutating func find(
        _ timestamp: Int64, _ log: PartitionLog, _ validator: inout BatchValidator
    ) throws(FileError) -> TimedOffset? {
        if timestamp == ListOffsetsRequest.largestTimestamp {
            return try log.offsetOfLargestTimestamp(&validator, budget: &budget)
        }
        return try log.firstOffset(notBefore: timestamp, &validator, budget: &budget)
    }
}
