import Bytes
import CRDKafka
import Concurrency
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

/// Records that the Gold topic refuses: none is lost, and none holds up the others.
@Suite(.serialized, .timeLimit(.minutes(4))) struct GoldRefusalTests {
    private let scene: FaultScene

    init() throws { scene = try FaultScene() }

    @Test("a batch that the Gold topic refuses for its size goes record by record, and the job goes on")
    func messageTooLarge() async throws {
        let producer = try KafkaProducer(scene.kafka)
        try scene.produce(0..<20, producer)
        scene.flush(producer)
        scene.cluster.failNext(
            apiKey: 0, with: [RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE])
        let first = try scene.job(.all)
        let stop = StopSignal()
        let running = Task { try await first.run(stop: stop) }
        defer { stop.request() }
        // Sent alone each, those of a refused batch come behind what was sent meanwhile, marked as late; the second refusal
        // may meet such a one, which is then named by a notice.
        func holdsGold(_ count: Int64) throws -> Bool {
            try (0..<2).allSatisfy { Set(try scene.goldRecords($0).compactMap(\.offset)) == Set(0..<count) }
        }
        try await scene.wait(for: "the first events' Gold") { try holdsGold(10) }
        try scene.produce(20..<40, producer)
        scene.flush(producer)
        try await scene.wait(for: "all Gold") { try holdsGold(20) }
        stop.request()
        try await running.value
        let records = try (0..<2).flatMap { try scene.goldRecords($0) }
        let notices = records.count { $0.kind == GoldTopic.Kind.refused.rawValue }
        #expect(notices <= 1)
        #expect(scene.count("medallion_stream_gold_refused_total") == notices)
        #expect(records.contains { $0.isLate })
    }

    @Test("a record that was refused together with others waits for a broker that is away, and no marker passes it")
    func aRefusedRecordOutlastsAnOutage() async throws {
        let refusals = GoldRefusals(
            configuration: scene.kafka, count: scene.registry.counter("medallion_stream_gold_refused_total", help: ""),
            logger: Logger("stream", level: .error), deliveryMilliseconds: 50)
        let record = UndeliveredRecord(
            key: Array("doc".utf8), value: Array("{}".utf8),
            headers: [
                (GoldTopic.kindHeader, Array(GoldTopic.Kind.document.rawValue.utf8)),
                (GoldTopic.sourceOffsetHeader, Array("7".utf8)),
            ])
        let stop = StopSignal()
        @Sendable func send() async throws {
            try await Lane(name: "send").run {
                try refusals.sendAlone(record, topic: FaultScene.gold, partition: 0, stop: stop)
            }
        }
        scene.cluster.setBroker(1, isUp: false)
        async let sending: Void = send()
        try await scene.wait(for: "the record to be on its way") { refusals.isSettling(0) }
        // Ten times as long as one wait for it.
        _ = await stop.pause(milliseconds: 500)
        #expect(refusals.isSettling(0))
        #expect(!refusals.isSettling(1))
        scene.cluster.setBroker(1, isUp: true)
        try await sending
        #expect(!refusals.isSettling(0))
        #expect(try scene.goldRecords(0).contains { $0.offset == 7 && $0.isLate })
        // A stop ends the wait, and says where the document is.
        scene.cluster.setBroker(1, isUp: false)
        stop.request()
        await #expect { try await send() } throws: { "\($0)".contains("medallion replay") }
        #expect(refusals.isSettling(0))
    }
}
