import Broker
import Bytes
import Files
import Glibc
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import ServiceLifecycle
import Simulator
import Telemetry
import Testing

/// A source at full speed, and a broker that goes away: reading stops, memory stays bounded, nothing is lost.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct BackPressureTests {
    private static let topic = "source"
    private static let events = 40_000
    /// How long the broker stays away once reading has stopped.
    private static let awayMilliseconds =
        getenv("MEDALLION_LONG_TESTS").map { String(cString: $0) == "1" } ?? false ? 60_000 : 1_500

    private func broker(_ folder: String, port: UInt16) throws -> (BrokerServer, UInt16) {
        var configuration = BrokerConfiguration(directory: folder)
        configuration.port = port
        let server = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        return (server, try server.start())
    }

    private static func recording(_ path: String) throws {
        var bytes: [UInt8] = []
        let filler = String(repeating: "x", count: 800)
        for number in 1...events {
            let event = #"{"meta":{"id":"\#(number)"},"wiki":"w","title":"T\#(number)","x":"\#(filler)"}"#
            bytes += Array(event.utf8) + [0x0A]
        }
        try File.replace(path, with: bytes)
    }

    @Test func aBrokerThatIsAwayStopsTheReading() async throws {
        let folder = try TemporaryFolder()
        try Self.recording(folder.file("events.jsonl"))
        let registry = MetricsRegistry()
        let simulator = Simulator(
            configuration: SimulatorConfiguration(pace: .unlimited),
            source: try Recording(path: folder.file("events.jsonl")), metrics: registry,
            logger: Logger("simulator", level: .error))
        let url = "http://127.0.0.1:\(try simulator.start())\(Simulator.path)"
        defer { simulator.stop() }
        var (server, port) = try broker(folder.file("broker"), port: 0)
        defer { server.stop() }
        var configuration = ProducerConfiguration(
            url: url, userAgent: "tests (nobody)", kafka: KafkaConfiguration(brokers: "127.0.0.1:\(port)"),
            topic: Self.topic, topicPartitions: 2)
        configuration.queueMaxKilobytes = 4_096
        // Its number of records would bound it, too.
        configuration.queueMaxRecords = 1_000_000
        // Slow enough that the broker goes away long before the end.
        configuration.maxEventsPerMinute = 600_000
        let producer = ConnectorService.producer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("test", level: .error))
        let stop = StopSignal()
        async let end: Void = producer.run(stop: stop)
        defer { stop.request() }
        while producer.status.acknowledgedPosition < 1_000 { try await Task.sleep(for: .milliseconds(5)) }
        server.stop()
        let acknowledged = producer.status.acknowledgedPosition
        while producer.status.phase != .blocked { try await Task.sleep(for: .milliseconds(5)) }
        let sent = registry.counter("medallion_simulator_events_sent_total", help: "Events written to clients.")
        var before: UInt64
        repeat {
            before = UInt64(sent.value)
            try await Task.sleep(for: .milliseconds(300))
        } while UInt64(sent.value) != before
        try await Task.sleep(for: .milliseconds(Self.awayMilliseconds))
        #expect(UInt64(sent.value) == before, "it goes on reading")
        let status = producer.status
        #expect(status.phase == .blocked)
        // Some 4 MiB of 850 bytes each in the queue, and what is acknowledged behind a gap. What the sockets and the
        // simulator's own buffer hold is on top.
        let queued = Int64(4_096 * 1_024 / 850)
        #expect(Int64(status.inFlight) <= 2 * queued)
        #expect(Int64(before) - acknowledged <= 2 * queued + 16 * 1_024 * 1_024 / 850)
        #expect(Int(before) < Self.events)
        (server, _) = try broker(folder.file("broker"), port: port)
        while producer.status.acknowledgedPosition < Self.events { try await Task.sleep(for: .milliseconds(20)) }
        stop.request()
        try await end
        let content = try TopicContent.read(configuration.kafka, topic: Self.topic, partitions: 2)
        var numbers = [Int](repeating: 0, count: Self.events + 1)
        for record in content.records {
            let text = String(decoding: (record.value ?? []).prefix(40), as: UTF8.self)
            let digits = text.dropFirst(#"{"meta":{"id":""#.count).prefix { $0.isNumber }
            if let number = Int(digits), number <= Self.events { numbers[number] += 1 }
        }
        #expect(numbers.dropFirst().allSatisfy { $0 == 1 }, "lost or doubled without a restart")
    }
}
