import BrokerTesting
import Bytes
import Embeddings
import Health
import IndexTesting
import Indexer
import Kafka
import KafkaAccess
import PlatformTesting
import Records
import ServiceLifecycle
import Settings
import Store
import Synchronization
import Telemetry
import Testing

/// How far the index is behind, by checkpoints and logs, with no indexer in sight.
@Suite struct IndexLagProbeTests {
    private let limit = IndexFixture.limit
    private static let topic = "source"

    private func move(_ partition: Int32, _ next: Int64, generation: Int64 = 1, from: Int64? = nil) -> CheckpointMove {
        CheckpointMove(
            generation: generation, source: TopicPartition(topic: Self.topic, partition: partition), expected: from,
            next: next)
    }

    private func produce(_ count: Int, to partition: Int32, _ gold: GoldTopicFixture) throws {
        let producer = try KafkaProducer(gold.configuration)
        for number in 0..<count {
            try producer.send(topic: Self.topic, partition: partition, key: nil, value: Array("e-\(number)".utf8))
        }
        _ = producer.flush(timeoutMilliseconds: 10_000)
    }

    @Test func checkpointsAndLogsTellIt() throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        let writer = fixture.writer
        let probe = IndexLagProbe(
            kafka: gold.configuration, database: fixture.configuration, topic: Self.topic)
        // A topic that is not there says nothing.
        #expect(try probe.look().contradiction?.contains("does not exist") == true)
        let admin = try KafkaAdmin(gold.configuration)
        try admin.createTopic(Self.topic, partitions: 2, timeoutMilliseconds: 10_000)
        #expect(try probe.look().eventsBehind == 0)
        try produce(10, to: 0, gold)
        try produce(4, to: 1, gold)
        // Without a checkpoint everything that the log has waits: an index that has not begun is not fresh.
        var look = try probe.look()
        #expect(look.eventsBehind == 14 && look.places[1]?.next == nil && look.indexedAtMilliseconds == nil)
        _ = try writer.write([], moving: [move(0, 7)], timeoutMilliseconds: limit)
        look = try probe.look()
        #expect(look.eventsBehind == 7 && look.places[0]?.next == 7 && look.generation == 1)
        #expect(look.indexedAtMilliseconds != nil)
        // Another generation's work is not the active one's.
        let child = try fixture.generations.create(parent: 1, logicVersion: "x", note: "", timeoutMilliseconds: limit)
        _ = try writer.write(
            [], moving: [move(0, 10, generation: child), move(1, 4, generation: child)], timeoutMilliseconds: limit)
        #expect(try probe.look().eventsBehind == 7)
        _ = try writer.write([], moving: [move(0, 10, from: 7), move(1, 4)], timeoutMilliseconds: limit)
        #expect(try probe.look().eventsBehind == 0)
        // The topic is made anew: the index is ahead of it, and its lag means nothing.
        try admin.deleteTopic(Self.topic, timeoutMilliseconds: 10_000)
        #expect(try probe.look().contradiction?.contains("does not exist") == true)
        try admin.createTopic(Self.topic, partitions: 2, timeoutMilliseconds: 10_000)
        #expect(try probe.look().contradiction?.contains("reached offset 10") == true)
    }

    /// An index that was made from another topic knows nothing of this one, however empty it is.
    @Test func anIndexOfAnotherTopicIsUnknown() throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        let admin = try KafkaAdmin(gold.configuration)
        for topic in [Self.topic, "other"] { try admin.createTopic(topic, partitions: 1, timeoutMilliseconds: 10_000) }
        _ = try fixture.writer.write([], moving: [move(0, 7)], timeoutMilliseconds: limit)
        let probe = IndexLagProbe(kafka: gold.configuration, database: fixture.configuration, topic: "other")
        let look = try probe.look()
        #expect(look.eventsBehind == 0 && look.contradiction?.contains("another topic") == true)
        let oneOfSeveral = IndexLagProbe(
            kafka: gold.configuration, database: fixture.configuration, topic: "other", isOnlySource: { false })
        #expect(try oneOfSeveral.look().contradiction == nil)
        try produce(9, to: 0, gold)
        let right = IndexLagProbe(kafka: gold.configuration, database: fixture.configuration, topic: Self.topic)
        #expect(try right.look().contradiction == nil && right.look().eventsBehind == 2)
        // It has topic partitions that the topic lacks.
        _ = try fixture.writer.write([], moving: [move(1, 3)], timeoutMilliseconds: limit)
        #expect(try right.look().contradiction?.contains("topic partition 1") == true)
    }

    /// Where the log's end holds nothing to read is found out beside the looks, which go on.
    @Test(.timeLimit(.minutes(2))) func anEmptyEndIsFoundOutBesideTheLooks() async throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        try KafkaAdmin(gold.configuration).createTopic(Self.topic, partitions: 1, timeoutMilliseconds: 10_000)
        try produce(5, to: 0, gold)
        _ = try fixture.writer.write([], moving: [move(0, 4)], timeoutMilliseconds: limit)
        let (asked, mayEnd) = (StopSignal(), StopSignal())
        let offsets = Mutex<[Int64]>([])
        let probe = IndexLagProbe(
            kafka: gold.configuration, database: fixture.configuration, topic: Self.topic, stillMilliseconds: 0
        ) { _, offset in
            offsets.withLock { $0.append(offset) }
            asked.request()
            while !mayEnd.isRequested { _ = mayEnd.sleep(milliseconds: 1_000) }
            return 5
        }
        // None of them waits for what never ends by itself.
        for _ in 0..<3 { #expect(try probe.look().eventsBehind == 1) }
        await asked.wait()
        mayEnd.request()
        await waitUntil { (try? probe.look().eventsBehind) == 0 }
        #expect(try probe.look().eventsBehind == 0)
        #expect(offsets.withLock { $0 } == [4], "once for a place that stays as it is")
        // What comes then waits again.
        try produce(2, to: 0, gold)
        #expect(try probe.look().eventsBehind == 3)
    }

    /// Either of both that does not answer leaves nothing known.
    @Test func nothingIsKnownWithoutBrokerOrDatabase() throws {
        let gold = try GoldTopicFixture()
        let fixture = try IndexFixture()
        var nowhere = gold.configuration
        nowhere.brokers = "127.0.0.1:1"
        let withoutBroker = IndexLagProbe(kafka: nowhere, database: fixture.configuration, topic: Self.topic)
        #expect(throws: KafkaError.self) { try withoutBroker.look() }
        var gone = fixture.configuration
        gone.dsn = "host=127.0.0.1 port=1 dbname=none"
        let withoutDatabase = IndexLagProbe(kafka: gold.configuration, database: gone, topic: Self.topic)
        #expect(throws: IndexError.self) { try withoutDatabase.look() }
    }
}

/// The series of what an indexer reads: they move while it stands still, and go with what it gives up.
@Suite struct IndexerSeriesTests {
    private func indexer(
        _ gold: GoldTopicFixture, _ fixture: IndexFixture, _ registry: MetricsRegistry,
        _ embedder: (any TextEmbedder)? = nil, assignment: TopicPartitionAssignment = .all
    ) -> Indexer {
        var configuration = IndexerConfiguration(
            kafka: gold.configuration, goldTopic: GoldTopicFixture.topic, database: fixture.configuration)
        configuration.assignment = assignment
        configuration.sessionMilliseconds = 2_000
        return Indexer(
            configuration: configuration, embedder: embedder, metrics: registry,
            logger: Logger("indexer", level: .error))
    }

    /// The value of a series per topic partition.
    private func series(_ name: String, _ registry: MetricsRegistry) -> [String: Double] {
        var values: [String: Double] = [:]
        for line in String(decoding: registry.render(), as: UTF8.self).split(separator: "\n")
        where line.hasPrefix(name + "{") {
            guard let mark = line.firstRange(of: "partition=\""), let value = line.split(separator: " ").last else {
                continue
            }
            values[String(line[mark.upperBound...].prefix { $0 != "\"" })] = Double(value)
        }
        return values
    }

    @Test func theLagMovesWhileTheIndexerIsStuck() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        let registry = MetricsRegistry()
        try gold.document(0)
        try gold.marker(0, 10)
        gold.flush()
        let stuck = indexer(gold, fixture, registry, CountingEmbedder(failures: .max))
        #expect(!stuck.hasBegun && stuck.lagRecords == nil, "nothing is known before it knows what to read")
        let stop = StopSignal()
        let running = Task { try await stuck.run(stop: stop) }
        await waitUntil { series("medallion_index_lag_records", registry)["0"] == 2 && stuck.trouble != nil }
        #expect(series("medallion_index_lag_records", registry) == ["0": 2])
        #expect(stuck.trouble?.contains("on purpose") == true && stuck.lagRecords == 2)
        for offset in 10..<30 { try gold.document(Int64(offset)) }
        gold.flush()
        await waitUntil { series("medallion_index_lag_records", registry)["0"] == 22 }
        #expect(series("medallion_index_lag_records", registry) == ["0": 22])
        stop.request()
        try await running.value
        // What nobody reads has no lag.
        #expect(series("medallion_index_lag_records", registry) == [:])
        // One that works shows where it is from the start, and no lag in the end.
        let working = indexer(gold, fixture, registry)
        let end = StopSignal()
        let again = Task { try await working.run(stop: end) }
        await waitUntil { series("medallion_index_lag_records", registry)["0"] == 0 }
        #expect(series("medallion_index_lag_records", registry) == ["0": 0])
        #expect(series("medallion_index_checkpoint_offset", registry) == ["0": 10])
        #expect(working.trouble == nil && working.hasBegun)
        end.request()
        try await again.value
        #expect(series("medallion_index_checkpoint_offset", registry) == [:])
    }

    /// A topic partition of which nobody tells the end says nothing of the others.
    @Test func oneWithoutALeaderHidesNoOther() async throws {
        let gold = try GoldTopicFixture(partitions: 2)
        try gold.document(0, partition: 1)
        gold.flush()
        let shown = Mutex<[Int32: Int64]>([:])
        let meter = LagMeter(gold.configuration, topic: GoldTopicFixture.topic) { source, lag in
            shown.withLock { $0[source.partition] = lag }
        }
        for partition in [-7, 0, 1] as [Int32] { meter.follow(partition, from: 0) }
        let stop = StopSignal()
        let running = Task { await meter.run(stop: stop) }
        await waitUntil { shown.withLock { $0 } == [0: 0, 1: 1] }
        #expect(shown.withLock { $0 } == [0: 0, 1: 1])
        #expect(meter.total == nil, "of all together nothing is known")
        meter.leave(-7)
        #expect(meter.total == 1)
        stop.request()
        await running.value
    }

    /// After a start the checkpoints are shown as the database has them, though nothing moves them.
    @Test func checkpointsShowFromTheStart() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let fixture = try IndexFixture()
        _ = try fixture.writer.write(
            [],
            moving: [
                CheckpointMove(
                    generation: 1, source: TopicPartition(topic: "source", partition: 0), expected: nil, next: 77)
            ], timeoutMilliseconds: IndexFixture.limit)
        let registry = MetricsRegistry()
        let idle = indexer(gold, fixture, registry)
        let stop = StopSignal()
        let running = Task { try await idle.run(stop: stop) }
        await waitUntil { series("medallion_index_checkpoint_offset", registry) == ["0": 77] }
        #expect(series("medallion_index_checkpoint_offset", registry) == ["0": 77])
        stop.request()
        try await running.value
    }

    @Test func whatTheGroupTakesAwayVanishes() async throws {
        let gold = try GoldTopicFixture(partitions: 2)
        let fixture = try IndexFixture()
        for partition in 0...1 as ClosedRange<Int32> {
            try gold.document(0, partition: partition)
            try gold.marker(0, 10, partition: partition)
        }
        gold.flush()
        let registries = [MetricsRegistry(), MetricsRegistry()]
        let stop = StopSignal()
        func names(_ number: Int, _ name: String) -> Set<String> { Set(series(name, registries[number]).keys) }
        let first = indexer(gold, fixture, registries[0], assignment: .group)
        let one = Task { try await first.run(stop: stop) }
        await waitUntil {
            names(0, "medallion_index_lag_records").count == 2
                && names(0, "medallion_index_checkpoint_offset").count == 2
        }
        let second = indexer(gold, fixture, registries[1], assignment: .group)
        let two = Task { try await second.run(stop: stop) }
        await waitUntil {
            names(0, "medallion_index_lag_records").count == 1 && names(1, "medallion_index_lag_records").count == 1
        }
        for name in ["medallion_index_lag_records", "medallion_index_checkpoint_offset"] {
            await waitUntil { names(1, name).count == 1 }
            #expect(names(0, name).union(names(1, name)) == ["0", "1"], "\(name)")
            #expect(names(0, name).count == 1 && names(1, name).count == 1, "\(name)")
        }
        // One that the group has nothing for has begun, and has nothing to do; before it is told so nobody knows.
        let third = indexer(gold, fixture, MetricsRegistry(), assignment: .group)
        #expect(!third.hasBegun && third.lagRecords == nil)
        let three = Task { try await third.run(stop: stop) }
        await waitUntil { [first, second, third].allSatisfy { $0.hasBegun && $0.lagRecords == 0 } }
        #expect([first, second, third].allSatisfy { $0.hasBegun && $0.lagRecords == 0 })
        stop.request()
        for task in [one, two, three] { try await task.value }
    }
}
