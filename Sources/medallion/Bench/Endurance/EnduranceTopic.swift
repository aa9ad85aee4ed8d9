import Hashing
import Kafka

/// The topic as another consumer sees it.
struct EnduranceTopic {
    let brokers: String
    let topic: String

    /// Reads from the start until every event has been seen and nothing more comes.
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
        var idle = 0
        let deadline = EnduranceScene.now() + Int64(seconds) * 1_000
        while !missing.isEmpty || idle < 3 {
            try scene.tick()
            let count = try consumer.next(maxRecords: 5_000, timeoutMilliseconds: 500) { batch in
                for index in 0..<batch.count {
                    guard let value = batch[index].value else { continue }
                    missing.remove(try hasher.hash(value))
                }
                return batch.count
            }
            idle = count == 0 ? idle + 1 : 0
            if EnduranceScene.now() >= deadline { break }
        }
        var highs: [Int32: Int64] = [:]
        for partition in partitions {
            highs[partition] = try admin.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
                .high
        }
        return (highs, missing.count)
    }
}
