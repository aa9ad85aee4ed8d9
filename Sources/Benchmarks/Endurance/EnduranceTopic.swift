import Hashing
import Kafka

/// The topic as another consumer sees it.
struct EnduranceTopic {
    let brokers: String
    let topic: String

    /// Reads from the start until every event has been seen, and then ends the producer: a source with bad manners sends
    /// old events again for as long as somebody reads it.
    ///
    /// - Returns: the end of each topic partition, and how many events did not come in time.
    func awaitEvents(
        _ digests: Set<Digest256>, _ scene: EnduranceScene, seconds: Int
    ) throws -> (highs: [Int32: Int64], missing: Int) {
        let configuration = KafkaConfiguration(brokers: brokers, clientID: "endure-check")
        let admin = try KafkaAdmin(configuration)
        var partitions: [Int32] = []
        try scene.wait("the topic", seconds: 60) {
            partitions =
                try admin.metadata(topic: topic, timeoutMilliseconds: 5_000).topics.first { $0.name == topic }?
                .partitions ?? []
            return !partitions.isEmpty
        }
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign(partitions.map { (topic: topic, partition: $0, offset: .beginning) })
        var missing = digests
        var hasher = try SHA256Hasher()
        let deadline = EnduranceScene.now() + Int64(seconds) * 1_000
        while !missing.isEmpty && EnduranceScene.now() < deadline {
            try scene.tick()
            try consumer.next(maxRecords: 5_000, timeoutMilliseconds: 500) { batch in
                for index in 0..<batch.count {
                    guard let value = batch[index].value else { continue }
                    missing.remove(try hasher.hash(value))
                }
            }
        }
        _ = scene.end(.producer)
        var highs: [Int32: Int64] = [:]
        for partition in partitions {
            highs[partition] = try admin.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
                .high
        }
        return (highs, missing.count)
    }
}
