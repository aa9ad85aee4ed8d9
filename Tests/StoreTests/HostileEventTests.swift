import Broker
import Bytes
import Embeddings
import Glibc
import IndexTesting
import Indexer
import JSONScan
import Kafka
import Lake
import Logic
import PlatformTesting
import Postgres
import Records
import ServiceLifecycle
import Store
import StreamJob
import Telemetry
import Testing

/// What is accepted can be stored: hostile but valid events go through rules, lake, Gold topic and Postgres, and each is
/// found by its id or has its reason. `TEST_SEED` replays another run.
@Suite(.serialized, .timeLimit(.minutes(10))) struct HostileEventTests {
    private static let topic = "wikimedia.recentchange"
    private static let gold = "wikimedia.gold"
    private static let partitions = 2
    private static let isLong = getenv("MEDALLION_LONG_TESTS") != nil
    private static var seed: UInt64 { getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_128 }

    private let folder: TemporaryFolder
    private let broker: BrokerServer
    private let kafka: KafkaConfiguration
    private let fixture: IndexFixture
    private let registry = MetricsRegistry()

    init() throws {
        folder = try TemporaryFolder()
        var configuration = BrokerConfiguration(directory: folder.file("broker"))
        configuration.port = 0
        configuration.durability = .interval(milliseconds: 200)
        broker = try BrokerServer(
            configuration: configuration, metrics: MetricsRegistry(), logger: Logger("broker", level: .error))
        kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())", clientID: "test")
        let admin = try KafkaAdmin(kafka)
        let time = ["message.timestamp.type": "LogAppendTime"]
        try admin.createTopic(Self.topic, partitions: Self.partitions, config: time, timeoutMilliseconds: 10_000)
        // As a broker has it that nobody told otherwise.
        try admin.createTopic(
            Self.gold, partitions: Self.partitions, config: time.merging(["max.message.bytes": "1048588"]) { $1 },
            timeoutMilliseconds: 10_000)
        fixture = try IndexFixture()
    }

    @Test func thousandsWithoutEmbedding() async throws {
        defer { broker.stop() }
        var events = HostileEvents(seed: Self.seed)
        let sent = (0..<(Self.isLong ? 10_000 : 2_500)).map { _ in events.next() }
        let fates = try await run(sent, settings: TransformSettings(template: try TextTemplate(TextTemplate.standard)))
        // The rules alone suffice.
        #expect(fates.refused.isEmpty, "\(fates.refused.prefix(3))")
        #expect(fates.indexed.count > sent.count / 3)
        #expect(fates.rejected.count > sent.count / 20)
    }

    /// The widest settings that there are: the largest documents and the most words.
    @Test func theLargestDocuments() async throws {
        defer { broker.stop() }
        var events = HostileEvents(seed: Self.seed &+ 1)
        let sent = (0..<150).map { _ in events.next() }
        let template = String(repeating: "{comment} {title}\n{user} {wiki}{domain}", count: 20)
        let fates = try await run(
            sent, settings: TransformSettings(template: try TextTemplate(template), contentCharactersMax: 100_000))
        #expect(fates.refused.isEmpty, "\(fates.refused.prefix(3))")
        #expect(fates.indexed.count > sent.count / 3)
    }

    @Test func twoHundredWithEmbedding() async throws {
        defer { broker.stop() }
        var events = HostileEvents(seed: Self.seed &+ 2)
        let sent = (0..<200).map { _ in events.next() }
        let model = PackageRoot.path + "/.deps/model"
        let embedder: any TextEmbedder =
            access(model + "/model.xml", R_OK) == 0 ? try LocalEmbedder(modelDirectory: model) : CountingEmbedder()
        let settings = TransformSettings(
            template: try TextTemplate(TextTemplate.standard), contentCharactersMax: Self.isLong ? 2_000 : 500)
        let fates = try await run(sent, settings: settings, embedder: embedder)
        #expect(fates.refused.isEmpty, "\(fates.refused.prefix(3))")
        let without = try fixture.connect().script(
            "SELECT count(*) FROM passages WHERE vector_id IS NULL", timeoutMilliseconds: IndexFixture.limit)
        #expect(without == [["0"]])
    }

    /// Logic without bounds, as older lakes have it: the last resorts hold.
    @Test func byLogicWithoutBounds() async throws {
        defer { broker.stop() }
        var events = HostileEvents(seed: Self.seed &+ 3, titleBytesMax: 400_000)
        let sent = (0..<(Self.isLong ? 2_000 : 300)).map { _ in events.next() }
        let fates = try await run(
            sent,
            settings: TransformSettings(codeVersion: .second, template: try TextTemplate(TextTemplate.standard)))
        #expect(!fates.refused.isEmpty)
        #expect(fates.indexed.count > sent.count / 2)
    }

    // MARK: A run

    private struct Fates {
        /// Ids by place.
        var indexed: [String: [UInt8]] = [:]
        var refused: [String: String] = [:]
        var rejected: [String: String] = [:]
    }

    private static func place(_ partition: Int, _ offset: Int64) -> String { "\(partition)/\(offset)" }

    private func source(_ partition: Int) -> TopicPartition {
        TopicPartition(topic: Self.topic, partition: Int32(partition))
    }

    /// Sends all, runs stream job and indexer until nothing is left, and holds every event's fate against its id.
    private func run(
        _ events: [HostileEvents.Event], settings: TransformSettings, embedder: (any TextEmbedder)? = nil
    ) async throws -> Fates {
        let job = StreamJob(
            options: StreamJobOptions(
                kafka: kafka, topic: Self.topic, goldTopic: Self.gold, topicPartitions: Self.partitions,
                groupID: "test", lakeDirectory: folder.file("lake"), commitIntervalMilliseconds: 50,
                logic: .recentChange(settings)), registry: registry, logger: Logger("stream", level: .error))
        let indexer = Indexer(
            configuration: IndexerConfiguration(
                kafka: kafka, goldTopic: Self.gold, database: fixture.configuration), embedder: embedder,
            metrics: registry, logger: Logger("indexer", level: .error))
        let (streamStop, indexStop) = (StopSignal(), StopSignal())
        let streaming = Task { try await job.run(stop: streamStop) }
        let indexing = Task { try await indexer.run(stop: indexStop) }
        try produce(events)
        let ends = (0..<Self.partitions).map { Int64((events.count - $0 + Self.partitions - 1) / Self.partitions) }
        let writer = fixture.writer
        for _ in 0..<(Self.isLong ? 20_000 : 6_000) {
            let reached = try writer.checkpoints(timeoutMilliseconds: IndexFixture.limit).map(\.nextOffset)
            if reached == ends { break }
            try await Task.sleep(for: .milliseconds(25))
        }
        streamStop.request()
        indexStop.request()
        try await streaming.value
        try await indexing.value
        #expect(try writer.checkpoints(timeoutMilliseconds: IndexFixture.limit).map(\.nextOffset) == ends)
        let fates = try readFates()
        let types = try silverTypes()
        var lost = 0
        for (number, event) in events.enumerated() {
            let place = Self.place(number % Self.partitions, Int64(number / Self.partitions))
            if let id = fates.indexed[place] {
                // Byte for byte: to Swift's == canonically equivalent texts are one.
                if id != event.id.map({ Array($0.utf8) }) { lost += 1 }
            } else if fates.rejected[place] == nil, fates.refused[place] == nil,
                types[place].map({ ["edit", "new"].contains($0) }) ?? true
            {
                lost += 1
            }
        }
        #expect(lost == 0, "seed \(Self.seed)")
        return fates
    }

    private func produce(_ events: [HostileEvents.Event]) throws {
        let producer = try KafkaProducer(kafka)
        for (number, event) in events.enumerated() {
            while true {
                do throws(KafkaError) {
                    try producer.send(
                        topic: Self.topic, partition: Int32(number % Self.partitions), key: nil, value: event.payload)
                    break
                } catch {
                    guard error.kind == .queueFull else { throw error }
                    #expect(producer.poll(timeoutMilliseconds: 50).allSatisfy { $0.error == nil })
                }
            }
        }
        #expect(producer.flush(timeoutMilliseconds: 60_000).allSatisfy { $0.error == nil })
        #expect(producer.pendingCount == 0)
    }

    private func readFates() throws -> Fates {
        var fates = Fates()
        let rows = try fixture.connect().script(
            """
            SELECT g.source_partition || '/' || g.source_offset, encode(convert_to(p.doc_id, 'UTF8'), 'hex')
            FROM visibility g JOIN documents p ON p.id = g.document_id WHERE g.to_version IS NULL
            """, timeoutMilliseconds: IndexFixture.limit)
        for row in rows {
            if let place = row[0], let id = row[1] { fates.indexed[place] = Hex.bytes(id.utf8) }
        }
        try RefusedDocumentStore(configuration: fixture.configuration).forEach(
            RefusedDocumentQuery(), timeoutMilliseconds: IndexFixture.limit
        ) { row in
            let place = Self.place(Int(row.document.source.partition), row.document.sourceOffset)
            fates.refused[place] = "\(row.document.code) \(row.document.reason)"
        }
        try forEachLine(.quarantine) { place, line in
            fates.rejected[place] = (try? JSONValue.parse(Array(line), maxDepth: 66))?["rule"]?.string ?? ""
        }
        return fates
    }

    private func silverTypes() throws -> [String: String] {
        var types: [String: String] = [:]
        try forEachLine(.silver) { place, line in
            types[place] = (try? JSONValue.parse(Array(line)))?["type"]?.string ?? ""
        }
        return types
    }

    private func forEachLine(_ layer: Layer, _ body: (String, ArraySlice<UInt8>) -> Void) throws {
        let reader = LakeReader(layout: LakeLayout(root: folder.file("lake")))
        for partition in 0..<Self.partitions {
            guard let range = try reader.committedRange(source(partition)) else { continue }
            try reader.forEachLine(layer, generation: 1, source: source(partition), range: range) { offset, line in
                body(Self.place(partition, offset), line)
                return true
            }
        }
    }
}
