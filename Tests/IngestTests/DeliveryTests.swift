import Bytes
import CRDKafka
import Glibc
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Telemetry
import Testing

/// Deliveries that a broker refuses.
@Suite(.timeLimit(.minutes(2)))
struct DeliveryTests {
    private let scene: ProducerScene

    init() throws { scene = try ProducerScene() }

    @Test(
        "a failed delivery is sent again, whatever the fault",
        arguments: [
            RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        ])
    func failedDelivery(error: rd_kafka_resp_err_t) async throws {
        var configuration = scene.configuration
        // The mock cluster takes a batch whose predecessor it refused, which no broker does for an idempotent producer.
        configuration.kafka.extra["max.in.flight.requests.per.connection"] = "1"
        let source = ScriptedSource(eventCount: 600, script: [.play], seed: 1)
        scene.cluster.failNext(
            apiKey: 0, with: [RD_KAFKA_RESP_ERR_NO_ERROR, error, RD_KAFKA_RESP_ERR_NO_ERROR, error])
        try await scene.run(configuration, source: source) { $0.acknowledgedPosition >= 600 }
        let ids = try scene.content().ids
        #expect(Set(1...600).subtracting(ids).sorted() == [], "lost events")
    }

    @Test("a batch that is too large for the broker goes through one by one")
    func batchTooLarge() async throws {
        let source = ScriptedSource(eventCount: 50, script: [.play], seed: 1)
        scene.cluster.failNext(apiKey: 0, with: [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE])
        try await scene.run(source: source) { $0.acknowledgedPosition >= 50 }
        #expect(try scene.content().ids == Array(1...50))
    }

    @Test("an event that is too large for the broker by itself is left out aloud, and the stream goes on")
    func eventTooLarge() async throws {
        let source = ScriptedSource(eventCount: 1, script: [.play], seed: 1)
        scene.cluster.failNext(
            apiKey: 0, with: [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE])
        let registry = MetricsRegistry()
        let status = try await scene.run(source: source, metrics: registry) { $0.acknowledgedPosition >= 1 }
        #expect(status.lastError?.contains("message.max.bytes") == true)
        #expect(registry.counter("medallion_producer_events_refused_total", help: "").value == 1)
        let second = ScriptedSource(eventCount: 2, script: [.play], seed: 1)
        try await scene.run(source: second) { $0.acknowledgedPosition >= 2 }
        #expect(try scene.content().ids.last == 2)
    }
}
