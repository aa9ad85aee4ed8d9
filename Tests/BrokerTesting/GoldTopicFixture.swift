import Broker
import Bytes
package import Kafka
package import PlatformTesting
import Records
import Telemetry

/// A broker with a Gold topic, and a writer of what the stream job would write.
package final class GoldTopicFixture {
    package static let topic = "wikimedia.gold"
    package let configuration: KafkaConfiguration
    /// The Gold topic's name.
    package let name: String
    private let source: String
    private let folder: TemporaryFolder
    private let server: BrokerServer
    private let producer: KafkaProducer
    /// What readers come through; nil where they are led to the broker itself.
    package let proxy: SpoilingProxy?

    /// - Parameters:
    ///   - spoils: whether readers come through a ``SpoilingProxy``.
    ///   - name: of the Gold topic.
    ///   - source: the topic of raw events that its documents are said to be made from.
    package init(
        partitions: Int = 2, spoils: Bool = false, name: String = GoldTopicFixture.topic, source: String = "source"
    ) throws {
        self.name = name
        self.source = source
        folder = try TemporaryFolder()
        var broker = BrokerConfiguration(directory: folder.file("broker"))
        broker.port = 0
        if spoils { broker.advertisedHost = SpoilingProxy.host }
        server = try BrokerServer(
            configuration: broker, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        let port = try server.start()
        proxy = spoils ? try SpoilingProxy(port: port) : nil
        configuration = KafkaConfiguration(
            brokers: "\(spoils ? SpoilingProxy.host : "127.0.0.1"):\(port)", clientID: "test")
        try KafkaAdmin(configuration).createTopic(
            name, partitions: partitions, timeoutMilliseconds: 10_000)
        producer = try KafkaProducer(configuration)
    }

    deinit {
        proxy?.stop()
        server.stop()
    }

    /// Makes another Gold topic.
    package func add(_ topic: String, partitions: Int) throws {
        try KafkaAdmin(configuration).createTopic(topic, partitions: partitions, timeoutMilliseconds: 10_000)
    }

    /// - Parameter topic: nil for the fixture's own.
    package func send(
        _ bytes: [UInt8], key: String, headers: [(String, String)], partition: Int32, to topic: String? = nil
    ) throws {
        try producer.send(
            topic: topic ?? name, partition: partition, key: Array(key.utf8), value: bytes,
            headers: headers.map { ($0.0, Array($0.1.utf8)) })
    }

    /// - Parameters:
    ///   - hash: the SHA-256 of the Bronze value that the document says it is made from.
    ///   - source: the topic of raw events that it is said to be made from; nil for the fixture's own. So is `topic`.
    package func document(
        _ offset: Int64, partition: Int32 = 0, generation: Int64 = 1, text: String? = nil, hash: String = "00",
        source: String? = nil, to topic: String? = nil
    ) throws {
        let line = Self.line(offset, partition: partition, text: text ?? "text \(offset)")
            .replacing("\"topic\":\"source\"", with: "\"topic\":\"\(source ?? self.source)\"")
            .replacing("\"bronze_sha256\":\"00\"", with: "\"bronze_sha256\":\"\(hash)\"")
        try document(offset, partition: partition, generation: generation, line: line, source: source, to: topic)
    }

    /// - Parameter line: the Gold line.
    package func document(
        _ offset: Int64, partition: Int32 = 0, generation: Int64 = 1, line: String, source: String? = nil,
        to topic: String? = nil
    ) throws {
        try send(
            Array(line.utf8),
            key: "doc-\(partition)-\(offset)",
            headers: [
                (GoldTopic.kindHeader, GoldTopic.Kind.document.rawValue), (GoldTopic.generationHeader, "\(generation)"),
                (GoldTopic.sourceTopicHeader, source ?? self.source),
                (GoldTopic.sourcePartitionHeader, "\(partition)"),
                (GoldTopic.sourceOffsetHeader, "\(offset)"),
                (GoldTopic.sourceTimestampHeader, "\(SystemClock.epochMilliseconds())"),
            ], partition: partition, to: topic)
    }

    package func marker(
        _ start: Int64, _ next: Int64, partition: Int32 = 0, generations: [Int64] = [1], handover: [Int64: Int64] = [:]
    ) throws {
        let handovers = handover.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",")
        let json = """
            {"generations":\(generations),"topic":"\(source)","partition":\(partition),"start_offset":\(start),\
            "next_offset":\(next),"handover":{\(handovers)}}
            """
        try send(
            Array(json.utf8), key: GoldTopic.commitKey,
            headers: [(GoldTopic.kindHeader, GoldTopic.Kind.commit.rawValue)],
            partition: partition)
    }

    package func flush() { _ = producer.flush(timeoutMilliseconds: 10_000) }

    /// A line that deletes all below a version, of the collection `papers`.
    package static func truncation(_ offset: Int64, version: Int64, topic: String = "source") -> String {
        """
        {"version":\(version),"operation":"delete_below","collection":"papers","event_time":"2026-11-21T10:00:00.500Z",\
        "quality_flags":[],"content_hash":"b-\(version)","lineage":{"logic_version":"l","parents":[{"topic":"\(topic)",\
        "partition":0,"offset":\(offset),"event_id":"@\(version)","bronze_sha256":"00"}]}}
        """
    }

    package static func line(_ offset: Int64, partition: Int32, text: String) -> String {
        """
        {"doc_id":"doc-\(partition)-\(offset)","version":1,"collection":"wikimedia.recentchange","attributes":{},\
        "type":"edit","namespace":0,"user":"User","is_bot":false,"text":"\(text)",\
        "event_time":"2026-11-21T10:00:00.500Z","title":"Title \(offset)","url":"https://example.org","lang":"en",\
        "wiki":"enwiki","quality_flags":[],"text_hash":"t-\(text)","content_hash":"c-\(partition)-\(offset)",\
        "lineage":{"logic_version":"l","parents":[{"topic":"source","partition":\(partition),"offset":\(offset),\
        "event_id":"doc-\(partition)-\(offset)","bronze_sha256":"00"}]}}
        """
    }
}
