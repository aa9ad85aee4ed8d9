import Bytes
import CRDKafka
import KafkaAccess
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import Synchronization
import Telemetry
import Testing

@testable import Kafka
@testable import StreamJob

/// Faults of a cluster of three brokers between producer, stream job and Gold topic, with librdkafka's mock cluster:
/// nothing is lost, nothing is doubled in the lake, and metrics show each.
@Suite(.serialized, .timeLimit(.minutes(4))) struct BrokerFaultTests {
    enum Fault: CaseIterable {
        case brokerDown, leaderChange, slow, notEnoughReplicas, coordinatorMoves, sessionExpires
    }

    private let scene: FaultScene

    init() throws { scene = try FaultScene() }

    @Test("a fault between two stretches of events", arguments: Fault.allCases)
    func nothingIsLostOrDoubled(fault: Fault) async throws {
        let isInGroup = fault == .coordinatorMoves || fault == .sessionExpires
        let job = try scene.job(isInGroup ? .group : .all)
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        var options = ProducerOptions()
        options.messageTimeoutMilliseconds = 0
        let producer = try KafkaProducer(scene.kafka, options: options)
        try scene.produce(0..<200, producer)
        scene.flush(producer)
        try await scene.wait(for: "the first events") { try scene.lakeHolds(100) }
        try await bring(fault) { try scene.produce(200..<400, producer) }
        try scene.produce(400..<600, producer)
        scene.flush(producer)
        try await scene.wait(for: "all events") { try scene.lakeHolds(300) }
        stop.request()
        try await running.value
        try scene.check(600)
    }

    /// Brings a fault about while events are sent, and ends it when metrics show it.
    private func bring(_ fault: Fault, whileSending send: () throws -> Void) async throws {
        switch fault {
        case .brokerDown:
            scene.cluster.setBroker(1, isUp: false)
            try send()
            try await scene.wait(for: "\(fault) in the metrics") {
                scene.count("medallion_kafka_disconnects_total") > 0
                    && scene.count("medallion_stream_broker_faults_total") > 0
            }
            scene.cluster.setBroker(1, isUp: true)
        case .leaderChange:
            for topic in [FaultScene.topic, FaultScene.gold] {
                scene.cluster.setLeader(topic: topic, partition: 0, broker: 2)
                scene.cluster.setLeader(topic: topic, partition: 1, broker: 3)
            }
            try send()
            try await scene.wait(for: "\(fault) in the metrics") {
                scene.count("medallion_kafka_leader_changes_total") > 0
            }
        case .slow:
            for broker in Int32(1)...3 { scene.cluster.setRoundTrip(broker: broker, milliseconds: 500) }
            try send()
            try await scene.wait(for: "\(fault) in the metrics") { scene.roundTripMilliseconds > 400 }
            for broker in Int32(1)...3 { scene.cluster.setRoundTrip(broker: broker, milliseconds: 0) }
        case .notEnoughReplicas:
            // For a second: librdkafka tries again every tenth of one.
            scene.cluster.failNext(
                apiKey: 0,
                with: (0..<12).map {
                    $0 % 2 == 0
                        ? RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS : RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
                })
            try send()
            try await scene.wait(for: "\(fault) in the metrics") { scene.count("medallion_kafka_queued_records") > 0 }
        case .coordinatorMoves:
            scene.cluster.setCoordinator(group: FaultScene.group, broker: 2)
            try send()
            try await scene.wait(for: "\(fault) in the metrics") {
                scene.count("medallion_kafka_coordinator_changes_total") > 0
            }
        case .sessionExpires:
            scene.cluster.failNext(apiKey: 12, with: [RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID])
            try send()
            try await scene.wait(for: "\(fault) in the metrics") {
                scene.count("medallion_stream_rebalances_total") > 0
            }
        }
    }
}
