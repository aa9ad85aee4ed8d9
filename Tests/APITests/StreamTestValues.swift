import Records
import Retrieval

@testable import API

// Tests of one source name its topic partitions by their numbers.

extension OffsetVector {
    init(_ offsets: [Int32: Int64], of topic: String = "source") {
        self.init()
        for (partition, offset) in offsets { self[TopicPartition(topic: topic, partition: partition)] = offset }
    }

    subscript(_ partition: Int32) -> Int64 {
        get { self[TopicPartition(topic: "source", partition: partition)] }
        set { self[TopicPartition(topic: "source", partition: partition)] = newValue }
    }
}

extension TopicEvent {
    var partition: Int32 { topicPartition.partition }

    init(generation: Int64, partition: Int32, offset: Int64, line: [UInt8], attributes: AttributeList, text: String) {
        self.init(
            generation: generation, topicPartition: TopicPartition(topic: "source", partition: partition),
            offset: offset, line: line, attributes: attributes, text: text)
    }
}

extension TopicGap {
    var partition: Int32 { topicPartition.partition }

    init(_ reason: Reason, partition: Int32, start: Int64, end: Int64) {
        self.init(reason, TopicPartition(topic: "source", partition: partition), start: start, end: end)
    }
}

extension TopicItem {
    var partition: Int32 { topicPartition.partition }
}

extension StageStep {
    var partition: Int32 { topicPartition.partition }

    init(
        _ stage: StreamStage, docID: String?, partition: Int32, offset: Int64, atMilliseconds: Int64,
        attributes: AttributeList = AttributeList()
    ) {
        self.init(
            stage, docID: docID, topicPartition: TopicPartition(topic: "source", partition: partition), offset: offset,
            atMilliseconds: atMilliseconds, attributes: attributes)
    }
}
