import Bytes
import CRDKafka
import Files
import Glibc
import Ingest
import IngestTesting
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// A folder's files through librdkafka into its mock cluster.
@Suite(.timeLimit(.minutes(2)))
struct ConnectorServiceTests {
    private let scene: ProducerScene
    private let folder: TemporaryFolder

    init() throws {
        scene = try ProducerScene()
        folder = try TemporaryFolder()
    }

    private func run(
        metrics: MetricsRegistry = .init(), until isDone: @escaping @Sendable (ProducerStatus) -> Bool
    ) async throws -> ProducerStatus {
        var configuration = ProducerConfiguration(
            kafka: scene.configuration.kafka, topic: ProducerScene.topic, topicPartitions: ProducerScene.partitions)
        configuration.topicProperties = [:]
        var options = FilesConnector.Options(folder: folder.file("in"), statePath: folder.file("state.jsonl"))
        options.pollMilliseconds = 20
        let service = ConnectorService(
            source: "products", configuration: configuration, metrics: metrics,
            logger: Logger("test", level: .error)
        ) { [options] in try FilesConnector(options, scan: DocumentScan(idPath: "sku")) }
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        while !isDone(service.status) { try await Task.sleep(for: .milliseconds(5)) }
        let status = service.status
        stop.request()
        try await end
        return status
    }

    @Test("lines arrive as they are, with the id as key and an id of their own, and not again")
    func lines() async throws {
        try Folder.create(folder.file("in"))
        let lines = (0..<50).map { #"{"sku":"s\#($0)","name":"näme"}"# }
        try File.replace(folder.file("in/a.jsonl"), with: Array((lines.joined(separator: "\n") + "\n").utf8))
        let metrics = MetricsRegistry()
        _ = try await run(metrics: metrics) { $0.acknowledgedPosition >= 50 }
        var records = try scene.content().records
        #expect(Set(records.map { String(decoding: $0.value ?? [], as: UTF8.self) }) == Set(lines))
        #expect(
            records.allSatisfy { record in record.key.map { lines.contains(#"{"sku":"\#($0)","name":"näme"}"#) } == true
            })
        #expect(Set(records.compactMap { $0.headers[EventIDHeader.header] }).count == 50)
        #expect(records.allSatisfy { $0.headers["acked_position"] == nil && $0.headers["sse_id"] == nil })
        #expect(records.allSatisfy { $0.headers["ingest_time_ms"] != nil })
        let read = metrics.counter(
            "medallion_source_events_total", help: "", labels: [("source", "products")])
        #expect(read.value == 50)
        // The next process goes on behind them.
        try File(folder.file("in/a.jsonl"), .append).append(Array("{\"sku\":\"last\"}\n".utf8))
        _ = try await run { $0.acknowledgedPosition >= 1 }
        records = try scene.content().records
        #expect(records.count == 51 && records.contains { $0.key == "last" })
    }

    @Test("a failed delivery goes through in the end, and only what arrived counts as read")
    func failedDelivery() async throws {
        try Folder.create(folder.file("in"))
        let lines = (0..<200).map { #"{"sku":"s\#($0)"}"# }
        try File.replace(folder.file("in/a.jsonl"), with: Array((lines.joined(separator: "\n") + "\n").utf8))
        scene.cluster.failNext(apiKey: 0, with: [RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED])
        _ = try await run { $0.acknowledgedPosition >= 200 }
        let records = try scene.content().records
        #expect(Set(records.compactMap(\.key)).count == 200)
        #expect(records.contains { $0.headers[RepeatMark.header] != nil }, "what was sent again says so")
        _ = try await run { $0.isConnected && $0.phase == .streaming }
        #expect(try scene.content().records.count == records.count)
    }

    @Test("a folder that is not there yet is waited for, and said")
    func folderComesLater() async throws {
        let path = folder.file("in")
        let wasSaid = Flag()
        _ = try await run { status in
            if status.lastError?.contains(path) == true, !wasSaid.isSet {
                wasSaid.set()
                try? Folder.create(path)
                try? File.replace(path + "/a.jsonl", with: Array("{\"sku\":1}\n".utf8))
            }
            return status.acknowledgedPosition >= 1
        }
        #expect(wasSaid.isSet)
        #expect(try scene.content().records.map(\.key) == ["1"])
    }

    /// What is asked of the source; nil as long as nobody knows.
    private final class Wishes: Sendable {
        let current = Mutex<SourceWishes?>(nil)
        let outcomes = Mutex<[SourceOutcome]>([])
        /// At what waits in the source.
        let looks = Atomic(0)

        func take(_ action: SourceRequest.Action) {
            current.withLock {
                var wishes = $0 ?? SourceWishes()
                wishes.take(
                    SourceRequest(
                        id: "r-\(wishes.history.count)", source: "products", action: action, reason: "", by: "test",
                        atMilliseconds: 1))
                $0 = wishes
            }
        }
    }

    @Test("nothing is read before it is known whether it may be, nor while it is paused, and then all of it once")
    func pause() async throws {
        try Folder.create(folder.file("in"))
        let line = { (number: Int) in Array(#"{"sku":"s\#(number)"}"#.utf8) + [0x0A] }
        try File.replace(folder.file("in/a.jsonl"), with: line(1))
        var configuration = ProducerConfiguration(
            kafka: scene.configuration.kafka, topic: ProducerScene.topic, topicPartitions: ProducerScene.partitions)
        configuration.topicProperties = [:]
        var options = FilesConnector.Options(folder: folder.file("in"), statePath: folder.file("state.jsonl"))
        options.pollMilliseconds = 20
        let wishes = Wishes()
        let metrics = MetricsRegistry()
        let reading = metrics.gauge("medallion_source_reading", help: "", labels: [("source", "products")])
        let service = ConnectorService(
            source: "products", configuration: configuration, metrics: metrics,
            logger: Logger("test", level: .error), wishes: { wishes.current.withLock { $0 } },
            lagWhilePaused: {
                wishes.looks.wrappingAdd(1, ordering: .relaxed)
                return 77
            }, report: { outcome in wishes.outcomes.withLock { $0.append(outcome) } },
            makeConnector: { [options] in try FilesConnector(options, scan: DocumentScan(idPath: "sku")) })
        func until(_ isSo: () throws -> Bool) async throws {
            for _ in 0..<6_000 {
                if try isSo() { return }
                try await Task.sleep(for: .milliseconds(5))
            }
            Issue.record("it did not come to be: \(service.status)")
        }
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        try await Task.sleep(for: .milliseconds(300))
        #expect(service.status.phase == .starting && service.status.acknowledgedPosition == 0)
        wishes.take(.pause)
        try await until { service.status.phase == .paused && service.status.lagBytes == 77 }
        #expect(try scene.content().records.isEmpty)
        wishes.take(.resume)
        try await until { service.status.acknowledgedPosition == 1 }
        wishes.take(.pause)
        try await until { service.status.phase == .paused }
        #expect(!service.status.isConnected && reading.value == 0)
        try File.replace(folder.file("in/b.jsonl"), with: line(2))
        try await Task.sleep(for: .milliseconds(300))
        #expect(try scene.content().records.count == 1 && wishes.looks.load(ordering: .relaxed) >= 1)
        wishes.take(.resume)
        try await until { try scene.content().records.count == 2 }
        #expect(service.status.phase == .streaming)
        let outcomes = wishes.outcomes.withLock { $0 }
        #expect(outcomes.map(\.request) == ["r-0", "r-1", "r-2", "r-3"] && outcomes.allSatisfy { $0.state == .taken })
        stop.request()
        try await end
    }

    @Test("a paused source that does not answer holds up neither its resumption nor a stop")
    func pausedAndAway() async throws {
        try Folder.create(folder.file("in"))
        try File.replace(folder.file("in/a.jsonl"), with: Array("{\"sku\":\"s\"}\n".utf8))
        var configuration = ProducerConfiguration(
            kafka: scene.configuration.kafka, topic: ProducerScene.topic, topicPartitions: ProducerScene.partitions)
        configuration.topicProperties = [:]
        var options = FilesConnector.Options(folder: folder.file("in"), statePath: folder.file("state.jsonl"))
        options.pollMilliseconds = 20
        let (wishes, isReleased) = (Wishes(), Flag())
        defer { isReleased.set() }
        wishes.take(.pause)
        let service = ConnectorService(
            source: "products", configuration: configuration, metrics: MetricsRegistry(),
            logger: Logger("test", level: .error), wishes: { wishes.current.withLock { $0 } },
            lagWhilePaused: {
                wishes.looks.wrappingAdd(1, ordering: .relaxed)
                for _ in 0..<60_000 where !isReleased.isSet { usleep(1_000) }
                return 77
            }, makeConnector: { [options] in try FilesConnector(options, scan: DocumentScan(idPath: "sku")) })
        func until(_ isSo: () throws -> Bool) async throws {
            for _ in 0..<6_000 {
                if try isSo() { return }
                try await Task.sleep(for: .milliseconds(5))
            }
            Issue.record("it did not come to be: \(service.status)")
        }
        let stop = StopSignal()
        async let end: Void = service.run(stop: stop)
        defer { stop.request() }
        try await until { wishes.looks.load(ordering: .relaxed) == 1 }
        wishes.take(.resume)
        try await until { service.status.acknowledgedPosition == 1 }
        wishes.take(.pause)
        try await until { service.status.phase == .paused }
        stop.request()
        try await end
        #expect(!isReleased.isSet && service.status.lagBytes == nil, "what was found after the pause is not its lag")
    }
}
