import Bytes

/// The quarantined record that a redriven one stands for, as two headers of the redriven record tell.
///
/// Headers are part of a Bronze line, so what follows from them stays a function of Bronze.
package struct RedriveOrigin: Sendable, Equatable {
    /// `topic/partition/offset` in UTF-8.
    package static let header = "redriven_from"
    /// 64 hexadecimal digits; absent where the quarantined record was a tombstone.
    package static let hashHeader = "redriven_sha256"
    static let headerBytes = Array(header.utf8)
    static let hashHeaderBytes = Array(hashHeader.utf8)

    /// The quarantined record's topic.
    package let topic: String
    /// Its topic partition.
    package let partition: Int32
    /// Its offset there.
    package let offset: Int64
    /// SHA-256 of the quarantined value in hexadecimal; empty for a tombstone.
    package let bronzeSHA256: String

    package init(topic: String, partition: Int32, offset: Int64, bronzeSHA256: String) {
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.bronzeSHA256 = bronzeSHA256
    }

    /// Reads the values of both headers; nil where they are not what ``text`` and ``bronzeSHA256`` write, and then the
    /// record counts as an ordinary one: anybody can send headers.
    package init?(text: [UInt8], sha256: [UInt8]) {
        let parts = String(decoding: text, as: UTF8.self).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, TopicPartition.isTopicName(parts[0]), let partition = Int32(parts[1]), partition >= 0,
            let offset = Int64(parts[2]), offset >= 0, Self.isDigest(sha256)
        else { return nil }
        self.init(
            topic: String(parts[0]), partition: partition, offset: offset,
            bronzeSHA256: String(decoding: sha256, as: UTF8.self))
        // One spelling only: no `+1`, no `01`.
        guard self.text.utf8.elementsEqual(text) else { return nil }
    }

    /// The value of the header ``header``.
    package var text: String { "\(topic)/\(partition)/\(offset)" }

    private static func isDigest(_ text: [UInt8]) -> Bool {
        text.isEmpty
            || text.count == 64
                && text.allSatisfy { byte in
                    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
                }
    }
}
