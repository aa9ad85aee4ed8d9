import Bytes
import CRDKafka
import Glibc
package import Ingest
import Kafka
package import PlatformTesting
import Records
import ServiceLifecycle
package import Telemetry
import Testing

/// A producer between a scripted source and librdkafka's mock cluster.
package struct ProducerScene {
    package static let topic = "source"
    package static let partitions = 3
    package let cluster: MockCluster
    package let configuration: ProducerConfiguration

    package init() throws {
        cluster = try #require(MockCluster())
        cluster.createTopic(Self.topic, partitions: Self.partitions)
        var configuration = ProducerConfiguration(
            url: "http://127.0.0.1/stream", userAgent: "tests (nobody)",
            kafka: KafkaConfiguration(brokers: cluster.brokers), topic: Self.topic, topicPartitions: Self.partitions)
        // The mock cluster tells none, however long it is asked.
        configuration.topicProperties = [:]
        configuration.reconnectMilliseconds = 10
        configuration.reconnectMaxMilliseconds = 50
        configuration.refusedMilliseconds = 20
        self.configuration = configuration
    }

    package func content() throws -> TopicContent {
        try TopicContent.read(configuration.kafka, topic: Self.topic, partitions: Self.partitions)
    }

    /// Runs a producer until `isDone` says so (looked at every few milliseconds), then stops it.
    @discardableResult
    package func run(
        _ configuration: ProducerConfiguration? = nil, source: ScriptedSource, metrics: MetricsRegistry = .init(),
        scan: @escaping @Sendable () throws -> DocumentEventScan? = { nil },
        until isDone: @escaping @Sendable (ProducerStatus) -> Bool
    ) async throws -> ProducerStatus {
        let producer = ConnectorService.producer(
            configuration: configuration ?? self.configuration, metrics: metrics,
            logger: Logger("test", level: .error), scan: scan, source: source)
        let stop = StopSignal()
        async let end: Void = producer.run(stop: stop)
        // Also on the way out of a failed test, which else would wait for the producer for ever.
        defer { stop.request() }
        while !isDone(producer.status) { try await Task.sleep(for: .milliseconds(5)) }
        let status = producer.status
        stop.request()
        try await end
        return status
    }
}

extension ConnectorService {
    /// What follows one event stream.
    ///
    /// - Parameters:
    ///   - scan: makes what looks into events that are documents.
    ///   - source: in place of HTTP.
    package static func producer(
        configuration: ProducerConfiguration, metrics: MetricsRegistry, logger: Logger,
        scan: @escaping @Sendable () throws -> DocumentEventScan? = { nil },
        source: (any EventSource)? = nil
    ) -> ConnectorService {
        ConnectorService(
            source: configuration.topic, isDeclared: false, configuration: configuration, metrics: metrics,
            logger: logger
        ) { ServerSentEventsConnector(configuration, metrics: metrics, scan: try scan(), source: source) }
    }
}

/// A switch that a closure may set.
package final class Flag: Sendable {
    private let signal = StopSignal()
    package init() {}
    package var isSet: Bool { signal.isRequested }
    package func set() { signal.request() }
}
