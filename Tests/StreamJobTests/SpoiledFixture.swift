import Bytes
import Files
import Kafka
import KafkaAccess
import Lake
import Logic
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import StreamJob
import Synchronization
import Telemetry
import Testing

@testable import Broker

/// A broker behind a proxy that spoils batches, with a source topic of one topic partition.
final class SpoiledFixture: Sendable {
    static let topic = "wikimedia.recentchange"
    static let gold = "wikimedia.gold"
    let folder: TemporaryFolder
    let proxy: SpoilingProxy
    let kafka: KafkaConfiguration
    let source = TopicPartition(topic: topic, partition: 0)
    private let port: UInt16
    private let broker: Mutex<BrokerServer>

    init() throws {
        folder = try TemporaryFolder()
        let (server, port) = try Self.start(folder.file("broker"), port: 0)
        broker = Mutex(server)
        self.port = port
        proxy = try SpoilingProxy(port: port)
        kafka = KafkaConfiguration(brokers: "\(SpoilingProxy.host):\(port)", clientID: "test")
        try KafkaAdmin(kafka).createTopic(Self.topic, partitions: 1, timeoutMilliseconds: 10_000)
    }

    deinit {
        proxy.stop()
        broker.withLock { $0.stop() }
    }

    private static func start(_ folder: String, port: UInt16) throws -> (server: BrokerServer, port: UInt16) {
        var configuration = BrokerConfiguration(directory: folder)
        configuration.port = port
        configuration.advertisedHost = SpoilingProxy.host
        let server = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        return (server, try server.start())
    }

    /// Gives every topic a second topic partition, as only a broker that is down lets one do.
    func grow() throws {
        try broker.withLock { broker in
            broker.stop()
            let folder = folder.file("broker")
            var catalog = try TopicCatalog.open(folder: folder)
            for index in catalog.topics.indices {
                catalog.topics[index].partitionCount = 2
                try Folder.create(folder + "/" + TopicCatalog.logFolder(catalog.topics[index].name, 1))
            }
            try catalog.save(folder: folder)
            broker = try Self.start(folder, port: port).server
        }
    }

    /// Each range becomes a batch of its own, or a few.
    func produce(_ ranges: Range<Int>..., to partition: Int32 = 0) throws {
        var options = ProducerOptions()
        options.lingerMilliseconds = 50
        let producer = try KafkaProducer(kafka, options: options)
        for range in ranges {
            for number in range {
                let event = change(id: "event-\(number)", ["title": "\"Page \(number)\""])
                try producer.send(
                    topic: Self.topic, partition: partition, key: Array("k\(number)".utf8), value: Array(event.utf8))
            }
            #expect(producer.flush(timeoutMilliseconds: 20_000).allSatisfy { $0.error == nil })
        }
    }

    func job(
        _ policy: ExpiredOffsets, registry: MetricsRegistry = MetricsRegistry(),
        sizeCheckMilliseconds: Int = 30_000
    ) throws -> StreamJob {
        var options = StreamJobOptions(
            kafka: kafka, topic: Self.topic, goldTopic: Self.gold, topicPartitions: 1, groupID: "test",
            lakeDirectory: folder.file("lake"), commitIntervalMilliseconds: 20,
            logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard))))
        options.expiredOffsets = policy
        options.stallMilliseconds = 400
        options.sizeCheckMilliseconds = sizeCheckMilliseconds
        return StreamJob(options: options, registry: registry, logger: Logger("stream", level: .error))
    }

    var layout: LakeLayout { LakeLayout(root: folder.file("lake")) }

    func end() throws -> Int64 { try LakeReader(layout: layout).committedRange(source)?.end ?? 0 }

    func run(_ job: StreamJob, until next: Int64) async throws {
        let stop = StopSignal()
        let running = Task { try await job.run(stop: stop) }
        defer { stop.request() }
        for _ in 0..<2_000 where try end() < next {
            if await stop.pause(milliseconds: 10) { break }
        }
        stop.request()
        try await running.value
        #expect(try end() == next)
    }

    var gaps: [(range: OffsetRange, reason: String?)] {
        get throws {
            var gaps: [(range: OffsetRange, reason: String?)] = []
            try CommitLog(reading: layout.commitLog(source)).forEach { record in
                if let gap = record.gap { gaps.append((gap, record.gapReason)) }
                return true
            }
            return gaps
        }
    }

    /// The offsets in Bronze.
    var bronze: [Int64] {
        get throws {
            let reader = LakeReader(layout: layout)
            guard let range = try reader.committedRange(source) else { return [] }
            var offsets: [Int64] = []
            try reader.forEachLine(.bronze, generation: nil, source: source, range: range) { offset, _ in
                offsets.append(offset)
                return true
            }
            return offsets
        }
    }
}
