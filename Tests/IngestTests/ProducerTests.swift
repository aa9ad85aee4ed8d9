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

/// The producer between a scripted source and librdkafka's mock cluster.
@Suite(.timeLimit(.minutes(2)))
struct ProducerTests {
    /// Each takes many seconds.
    static let seeds: ClosedRange<UInt64> = getenv("MEDALLION_LONG_TESTS") == nil ? 1...1 : 1...3
    private let scene: ProducerScene

    init() throws { scene = try ProducerScene() }

    @Test("every event arrives untouched, with key and headers, through cuts and refusals", arguments: Self.seeds)
    func cuts(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        var script: [ScriptedSource.Step] = [.status(503), .status(403), .status(429, retryAfter: "0")]
        for _ in 0..<8 {
            let bytes = Int.random(in: 0...40_000, using: &generator)
            script.append(Bool.random(using: &generator) ? .cut(afterBytes: bytes) : .reset(afterBytes: bytes))
        }
        let source = ScriptedSource(eventCount: 1_000, script: script + [.play], seed: seed)
        let registry = MetricsRegistry()
        let status = try await scene.run(source: source, metrics: registry) { $0.acknowledgedPosition >= 1_000 }
        #expect((3...11).contains(status.reconnects))
        #expect(status.lastEventTimeMilliseconds == CivilTime.epochMilliseconds("2026-01-02T03:04:05Z"))
        let content = try scene.content()
        #expect(content.ids == Array(1...1_000), "seed \(seed)")
        #expect(content.records.count == 1_000, "a cut connection resumes exactly where it was")
        for record in content.records {
            let number = try #require(record.headers["sse_id"].flatMap { Int($0) })
            #expect(record.value == ScriptedSource.payload(number))
            #expect(record.key == "w\(number % 3):T\(number % 17)")
            #expect(record.headers["position"] == String(number))
            #expect(record.headers["ingest_time_ms"].flatMap { Int64($0) } ?? 0 > 1_700_000_000_000)
            let position = try #require(PositionRecovery.decode(Array((record.headers["acked_position"] ?? "").utf8)))
            #expect(position.number < Int64(number))
        }
        #expect(Set(content.records.map { "\($0.key ?? "") \($0.partition)" }).count == 51, "one place for each key")
        let metrics = String(decoding: registry.render(), as: UTF8.self)
        #expect(metrics.contains("medallion_producer_events_acknowledged_total 1000\n"))
        #expect(metrics.contains("medallion_producer_reconnects_total{cause=\"forbidden\"} 1\n"))
    }

    @Test("a refusal explains itself")
    func forbidden() async throws {
        let source = ScriptedSource(eventCount: 1, script: [.status(403)], seed: 1)
        let status = try await scene.run(source: source) { $0.reconnects >= 2 }
        #expect(status.lastError?.contains("WIKIMEDIA_USER_AGENT") == true)
        #expect(status.lastError?.contains("tests (nobody)") == true)
        #expect(!status.isConnected)
    }

    @Test("a restart resumes from the topic's own records and leaves nothing out", arguments: Self.seeds)
    func restart(seed: UInt64) async throws {
        var configuration = scene.configuration
        // Like kill -9: nothing is waited for at the stop.
        configuration.drainMilliseconds = 0
        configuration.queueMaxRecords = 100
        scene.cluster.setRoundTrip(broker: 1, milliseconds: 3)
        var reached: Int64 = 0
        for run in 0..<3 {
            let source = ScriptedSource(eventCount: 2_000, script: [.play], seed: seed)
            let goal = reached + 300
            let status = try await scene.run(configuration, source: source) { status in
                status.acknowledgedPosition >= goal || (source.seen.isPlayedOut && status.inFlight == 0)
            }
            reached = status.acknowledgedPosition
            let resumed = try #require(source.seen.lastEventIDs.first)
            #expect((resumed == nil) == (run == 0), "run \(run), seed \(seed)")
            // Behind the position there may be gaps now; up to it there may be none.
            let content = try scene.content()
            #expect(content.acknowledgedID > 0)
            #expect(Set(1...content.acknowledgedID).isSubset(of: content.ids), "run \(run), seed \(seed)")
        }
        let source = ScriptedSource(eventCount: 2_000, script: [.play], seed: seed)
        try await scene.run(source: source) { source.seen.isPlayedOut && $0.inFlight == 0 }
        #expect(try scene.content().ids == Array(1...2_000), "seed \(seed)")
    }

    @Test("records that were redriven since hide neither where the source was left, nor lead back to the past")
    func redriven() async throws {
        var configuration = scene.configuration
        // So that later records know of earlier ones that were acknowledged.
        configuration.queueMaxRecords = 20
        try await scene.run(configuration, source: ScriptedSource(eventCount: 300, script: [.play], seed: 1)) {
            $0.acknowledgedPosition >= 300
        }
        // More than are looked at first, in every topic partition, some with the headers of long ago.
        let producer = try KafkaProducer(configuration.kafka)
        for index in 0..<400 * ProducerScene.partitions {
            var headers = [(RedriveOrigin.header, Array("\(ProducerScene.topic)/0/1".utf8))]
            if index.isMultiple(of: 2) { headers.append((RecordHeaders.acknowledged, Array("5 5".utf8))) }
            try producer.send(
                topic: ProducerScene.topic, partition: Int32(index % ProducerScene.partitions), key: nil,
                value: Array("{}".utf8),
                headers: headers)
        }
        #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
        // And one that nobody can count on from.
        try producer.send(
            topic: ProducerScene.topic, partition: 0, key: nil, value: Array("{}".utf8),
            headers: [(RecordHeaders.position, Array("9223372036854775806".utf8))])
        #expect(producer.flush(timeoutMilliseconds: 10_000).allSatisfy { $0.error == nil })
        let source = ScriptedSource(eventCount: 400, script: [.play], seed: 1)
        try await scene.run(source: source) { source.seen.isPlayedOut && $0.inFlight == 0 }
        let resumed = try #require(source.seen.lastEventIDs.first)
        #expect(resumed ?? 0 > 200)
        #expect(try scene.content().ids == Array(1...400))
    }

    @Test("while the broker is away reading stops, memory is bounded, and nothing is lost")
    func brokerAway() async throws {
        var configuration = scene.configuration
        configuration.queueMaxRecords = 50
        let cluster = scene.cluster
        let source = ScriptedSource(eventCount: 500, script: [.play], seed: 1) {
            cluster.setBroker(1, isUp: false)
        }
        let wasBlocked = Flag()
        try await scene.run(configuration, source: source) { status in
            if !wasBlocked.isSet && status.phase == .blocked && status.inFlight >= 49 && status.lastError != nil {
                #expect(!source.seen.isPlayedOut)
                wasBlocked.set()
                cluster.setBroker(1, isUp: true)
            }
            return status.acknowledgedPosition >= 500
        }
        #expect(wasBlocked.isSet)
        #expect(try scene.content().ids == Array(1...500))
    }
}
