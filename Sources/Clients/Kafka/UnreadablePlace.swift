import CRDKafka

/// A place in a topic partition's log whose bytes cannot be read: a wrong sum, a codec that fails or is unknown, a format
/// that nobody knows.
///
/// librdkafka neither stops there nor passes it for certain. After a wrong sum it goes on in the middle of the bytes, after
/// a failed codec it fetches the same batch again and again. So a reader takes the records in front, finds out where readable
/// records begin again, and continues there with a new client.
package struct UnreadablePlace: Sendable {
    package let topic: String
    package let partition: Int32
    /// The first offset of the batch, which may lie before what was wanted; nil where librdkafka tells none.
    package let baseOffset: Int64?
    /// How many records of the read came before it, those of other topic partitions included.
    package let recordsBefore: Int
    /// What librdkafka has to say about it, of kind `corrupt`.
    package let error: KafkaError

    /// Whether a fetched message with this code stands for bytes that cannot be read.
    static func isTold(by code: rd_kafka_resp_err_t) -> Bool {
        switch code {
        case RD_KAFKA_RESP_ERR__BAD_MSG, RD_KAFKA_RESP_ERR__BAD_COMPRESSION, RD_KAFKA_RESP_ERR_INVALID_MSG,
            RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,
            // Of a fetch: a gigabyte was asked for, and still no whole batch came.
            RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
            true
        default: false
        }
    }
}
