package import Kafka

/// Records that are handed over together; their values lie in one buffer.
package struct PublishedBatch: Sendable {
    /// One of them.
    package struct Record: Sendable {
        /// Where its value lies in the batch's bytes.
        package var range: Range<Int>
        /// Records of one key stay in one topic partition, in their order; nil for any. Copies need one: the duplicate window is
        /// a topic partition's.
        package var key: [UInt8]?
        /// See `EventIDHeader`; empty for none.
        package var eventID: [UInt8]

        package init(range: Range<Int>, key: [UInt8]?, eventID: [UInt8] = []) {
            self.range = range
            self.key = key
            self.eventID = eventID
        }
    }

    let bytes: [UInt8]
    let records: [Record]
    let arrivalMilliseconds: Int64

    /// How many they are.
    package var count: Int { records.count }

    /// Bytes of all values together.
    package var valueBytes: Int { records.reduce(0) { $0 + $1.range.count } }

    /// More are refused.
    package static let recordsMax = 1 << 20

    /// - Parameters:
    ///   - bytes: where the records' values lie.
    ///   - arrivalMilliseconds: when they came here, since 1970.
    package init(bytes: [UInt8], records: [Record], arrivalMilliseconds: Int64) {
        self.bytes = bytes
        self.records = records
        self.arrivalMilliseconds = arrivalMilliseconds
    }
}

/// Where a record lies in its topic.
package struct PublishedPlace: Sendable, Equatable {
    package var partition: Int32
    /// -1 where the broker has it and did not say where, as it may of a record that it was sent twice.
    package var offset: Int64

    package init(partition: Int32, offset: Int64) {
        self.partition = partition
        self.offset = offset
    }
}

/// Why a batch did not arrive, as far as that is known.
package enum PublishFault: Error, CustomStringConvertible {
    /// Nothing of it was sent.
    case notSent(String)
    /// Some of it or all may be in the topic all the same.
    case unconfirmed(KafkaError, acknowledged: Int)
    /// The record at that index is larger than the broker takes; others of the batch may be in the topic.
    case tooLarge(index: Int, KafkaError)

    package var description: String {
        switch self {
        case .notSent(let reason): reason
        case .unconfirmed(let error, let acknowledged): "\(acknowledged) records were acknowledged, then: \(error)"
        case .tooLarge(let index, let error): "record \(index + 1): \(error)"
        }
    }
}
