import Broker
import Bytes
import Glibc
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import ServiceLifecycle
import Telemetry
import Testing

/// Events that are larger than the topic takes, at a broker that means it.
@Suite(.timeLimit(.minutes(2))) struct LargeEventTests {
    private static let topic = "source"
    private static let count = 60
    private static let large: Set<Int> = [1, 17, 18, 60]

    /// Numbered events, some of them large, then silence.
    private final class Source: EventSource {
        func stream(
            lastEventID: [UInt8], shouldStop: () -> Bool, onHead: (SourceHead) -> Bool,
            onBytes: (UnsafeRawBufferPointer) throws -> Void
        ) throws {
            guard onHead(SourceHead(status: 200, contentType: "text/event-stream")) else { return }
            let last = Int(String(decoding: lastEventID, as: UTF8.self)) ?? 0
            for number in 1...LargeEventTests.count where number > last {
                let padding = String(repeating: "x", count: LargeEventTests.large.contains(number) ? 30_000 : 10)
                let text = "id: \(number)\ndata: {\"wiki\":\"w\",\"title\":\"t\",\"x\":\"\(padding)\"}\n\n"
                try Array(text.utf8).withUnsafeBytes { try onBytes($0) }
            }
            while !shouldStop() { usleep(5_000) }
        }
    }

    @Test func theyAreLeftOutAloudAndTheOthersArrive() async throws {
        let folder = try TemporaryFolder()
        var configuration = BrokerConfiguration(directory: folder.file("broker"))
        configuration.port = 0
        let broker = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        defer { broker.stop() }
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())")
        try KafkaAdmin(kafka).createTopic(
            Self.topic, partitions: 1, config: ["max.message.bytes": "20000"], timeoutMilliseconds: 10_000)
        let registry = MetricsRegistry()
        let producer = ConnectorService.producer(
            configuration: ProducerConfiguration(
                url: "http://127.0.0.1/stream", userAgent: "tests (nobody)", kafka: kafka, topic: Self.topic,
                topicPartitions: 1), metrics: registry, logger: Logger("test", level: .error), source: Source())
        let stop = StopSignal()
        async let end: Void = producer.run(stop: stop)
        defer { stop.request() }
        for _ in 0..<4_000 {
            if producer.status.acknowledgedPosition >= Int64(Self.count) { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        stop.request()
        try await end
        let content = try TopicContent.read(kafka, topic: Self.topic, partitions: 1)
        #expect(content.ids == (1...Self.count).filter { !Self.large.contains($0) })
        #expect(
            registry.counter("medallion_producer_events_refused_total", help: "").value == Self.large.count)
    }
}
