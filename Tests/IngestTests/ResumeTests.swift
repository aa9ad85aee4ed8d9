import Broker
import Bytes
import Glibc
import IngestTesting
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import Ingest

/// A source that sends the same bytes on every connection, then waits.
private final class FixedSource: EventSource {
    private let text: [UInt8]
    private let played = Mutex(0)

    init(_ text: String) { self.text = Array(text.utf8) }

    var connections: Int { played.withLock { $0 } }

    func stream(
        lastEventID: [UInt8], shouldStop: () -> Bool, onHead: (SourceHead) -> Bool,
        onBytes: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard onHead(SourceHead(status: 200, contentType: "text/event-stream")) else { return }
        try text.withUnsafeBytes { try onBytes($0) }
        played.withLock { $0 += 1 }
        while !shouldStop() { usleep(2_000) }
    }
}

/// What the topic gets of odd events, and after an interruption.
@Suite(.timeLimit(.minutes(2))) struct ResumeTests {
    private static let topic = "source"

    private func configuration(_ kafka: KafkaConfiguration) -> ProducerConfiguration {
        var configuration = ProducerConfiguration(
            url: "http://127.0.0.1/stream", userAgent: "tests (nobody)", kafka: kafka, topic: Self.topic,
            topicPartitions: 1)
        configuration.reconnectMilliseconds = 10
        configuration.reconnectMaxMilliseconds = 50
        return configuration
    }

    private func run(
        _ configuration: ProducerConfiguration, _ source: any EventSource, _ registry: MetricsRegistry = .init(),
        until isDone: (ProducerStatus) -> Bool
    ) async throws {
        let producer = ConnectorService.producer(
            configuration: configuration, metrics: registry, logger: Logger("test", level: .error), source: source)
        let stop = StopSignal()
        async let end: Void = producer.run(stop: stop)
        defer { stop.request() }
        while !isDone(producer.status) { try await Task.sleep(for: .milliseconds(5)) }
        stop.request()
        try await end
    }

    @Test("events without content are no records")
    func blankEvents() async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 1)
        let registry = MetricsRegistry()
        let source = FixedSource(
            "id: 1\ndata:\n\nid: 2\ndata\n\ndata: \n\nid: 3\ndata:\ndata:\t \ndata:\n\nevent: ping\ndata:\n\n"
                + "id: 4\ndata: {}\n\nid: 5\n\nid: 6\ndata:\n\n")
        try await run(configuration(KafkaConfiguration(brokers: cluster.brokers)), source, registry) {
            $0.acknowledgedPosition >= 1 && source.connections > 0
        }
        let content = try TopicContent.read(
            KafkaConfiguration(brokers: cluster.brokers), topic: Self.topic, partitions: 1)
        #expect(content.records.map(\.value) == [Array("{}".utf8)])
        #expect(content.records.first?.headers["sse_id"] == "4")
        #expect(registry.counter("medallion_producer_events_blank_total", help: "").value == 6)
    }

    @Test("what may come again after a restart bears the mark, and what is new does not")
    func marks() async throws {
        let cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: 1)
        let kafka = KafkaConfiguration(brokers: cluster.brokers)
        func text(_ seconds: ClosedRange<Int64>) -> String {
            seconds.map { second in
                #"id: [{"topic":"eqiad.change","partition":0,"timestamp":\#(second * 1_000)}]"#
                    + "\ndata: {\"second\":\(second)}\n\n"
            }.joined()
        }
        var reached: Int64 = 0
        func play(_ seconds: ClosedRange<Int64>, _ registry: MetricsRegistry) async throws {
            reached += Int64(seconds.count)
            let goal = reached
            try await run(configuration(kafka), FixedSource(text(seconds)), registry) {
                $0.acknowledgedPosition >= goal
            }
        }
        let first = MetricsRegistry()
        try await play(1_000...1_100, first)
        #expect(first.counter("medallion_producer_events_marked_total", help: "").value == 0)
        // The server goes back half a minute, as it was asked to, and from there on gives what is there.
        let second = MetricsRegistry()
        try await play(1_070...1_200, second)
        let records = try TopicContent.read(kafka, topic: Self.topic, partitions: 1).records
        let marked = records.filter { $0.headers[RepeatMark.header] != nil }.compactMap(\.value).map {
            String(decoding: $0, as: UTF8.self)
        }
        #expect(marked == (Int64(1_070)...1_130).map { "{\"second\":\($0)}" })
        #expect(records.dropFirst(101).prefix(61).allSatisfy { $0.headers[RepeatMark.header] == "1" })
        #expect(second.counter("medallion_producer_events_marked_total", help: "").value == 61)
    }

    @Test(
        "the end of a topic that nobody can read keeps no producer from starting",
        arguments: [
            SpoilingProxy.Damage.sum, .codec, .recordLength,
        ])
    func unreadableEnd(damage: SpoilingProxy.Damage) throws {
        let folder = try TemporaryFolder()
        var broker = BrokerConfiguration(directory: folder.file("broker"))
        broker.port = 0
        broker.advertisedHost = SpoilingProxy.host
        let server = try BrokerServer(
            configuration: broker, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        let port = try server.start()
        defer { server.stop() }
        let proxy = try SpoilingProxy(port: port)
        defer { proxy.stop() }
        let kafka = KafkaConfiguration(brokers: "\(SpoilingProxy.host):\(port)")
        try KafkaAdmin(kafka).createTopic(Self.topic, partitions: 2, timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(kafka)
        for number in 1...6 {
            for partition in Int32(0)..<2 {
                try producer.send(
                    topic: Self.topic, partition: partition, key: Array("key".utf8), value: Array("{}".utf8),
                    headers: [
                        (RecordHeaders.position, Array("\(number)".utf8)),
                        (RecordHeaders.acknowledged, Array("\(number - 1) id-\(number - 1)".utf8)),
                    ])
            }
            #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
        }
        // The last record of one topic partition, and one in the middle of the other.
        proxy.spoil(Self.topic, 0, at: 5, damage)
        proxy.spoil(Self.topic, 1, at: 2, damage)
        let found = try PositionRecovery.run(
            kafka, topic: Self.topic, partitions: [0, 1], timeoutMilliseconds: 15_000)
        #expect(found.acknowledged == StreamPosition(number: 5, id: Array("id-5".utf8)))
        #expect(found.nextNumber == 7)
        #expect(found.recordCount == 10)
    }
}
