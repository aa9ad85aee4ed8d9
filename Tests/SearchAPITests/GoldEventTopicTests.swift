import BrokerTesting
import Bytes
import Events
import Glibc
import HTTPServer
import JSONScan
import PlatformTesting
import SearchAPI
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

/// The Gold topic as the stream's reader sees it, on the embedded broker.
@Suite struct GoldEventTopicTests {
    private func topic(_ gold: GoldTopicFixture) -> GoldEventTopic {
        GoldEventTopic(configuration: gold.configuration, topic: GoldTopicFixture.topic, sourceTopic: "source")
    }

    /// Everything that the topic holds from `start` on, in the order of reading.
    private func read(_ gold: GoldTopicFixture, from start: OffsetVector) async throws -> [TopicEvent] {
        let topic = topic(gold)
        return try await Lane(name: "read").run {
            let reader = try topic.open(from: start)
            var events: [TopicEvent] = []
            for _ in 0..<1_000 where !reader.hasReachedEnd {
                events += try reader.next(countMax: 500, timeoutMilliseconds: 50)
            }
            #expect(reader.hasReachedEnd)
            return events
        }
    }

    /// Commits of random size, some published twice as after a crash, each followed by its marker, and records that are not
    /// ours between them. From whatever offsets a client comes back, nothing above is left out.
    @Test func nothingIsLeftOutFromAnyPlace() async throws {
        let seed = getenv("TEST_SEED").flatMap { UInt64(String(cString: $0)) } ?? 1
        let gold = try GoldTopicFixture(partitions: 2)
        var random = SeededGenerator(seed: seed)
        var ends: [Int64] = [0, 0]
        for _ in 0..<60 {
            let partition = Int32.random(in: 0...1, using: &random)
            let start = ends[Int(partition)]
            // Not every event becomes a document.
            let next = start + Int64.random(in: 1...60, using: &random)
            for _ in 0..<(Int.random(in: 0..<8, using: &random) == 0 ? 2 : 1) {
                for offset in start..<next where !offset.isMultiple(of: 5) {
                    try gold.document(offset, partition: partition)
                    if offset.isMultiple(of: 7) { try gold.document(offset, partition: partition, generation: 2) }
                }
                try gold.marker(start, next, partition: partition)
            }
            try gold.send(Array("not JSON".utf8), key: "x", headers: [("kind", "other")], partition: partition)
            ends[Int(partition)] = next
        }
        gold.flush()
        for trial in 0..<4 {
            let starts = ends.map { trial == 0 ? 0 : trial == 1 ? $0 : Int64.random(in: 0...$0, using: &random) }
            let events = try await read(gold, from: OffsetVector([0: starts[0], 1: starts[1]]))
            for partition in 0...1 {
                let wanted = (starts[partition]..<ends[partition]).filter { !$0.isMultiple(of: 5) }
                var seen = Set<Int64>()
                let first = events.filter {
                    $0.partition == Int32(partition) && $0.generation == 1 && $0.offset >= starts[partition]
                        && seen.insert($0.offset).inserted
                }
                #expect(first.map(\.offset) == wanted, "seed \(seed), from \(starts)")
                #expect(first.allSatisfy { $0.wiki == "enwiki" && $0.type == "edit" && !$0.isBot })
            }
            #expect(trial > 0 || events.contains { $0.generation == 2 }, "the hub chooses the generation")
        }
    }

    /// Neither a document that comes late nor a record of others says that all before it is older.
    @Test(arguments: [true, false])
    func aRecordOutOfOrderIsNoPlaceToBegin(isLate: Bool) async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        for offset in 100..<400 as Range<Int64> { try gold.document(offset) }
        // The first look back from the end meets this one.
        if isLate {
            try gold.send(
                Array(GoldTopicFixture.line(5, partition: 0, text: "late").utf8), key: "doc-0-5",
                headers: [
                    (GoldTopic.kindHeader, GoldTopic.documentKind), (GoldTopic.generationHeader, "1"),
                    (GoldTopic.sourceTopicHeader, "source"), (GoldTopic.sourcePartitionHeader, "0"),
                    (GoldTopic.sourceOffsetHeader, "5"), (GoldTopic.lateHeader, "1"),
                ], partition: 0)
        } else {
            try gold.send(Array("not JSON".utf8), key: "x", headers: [("kind", "other")], partition: 0)
        }
        for offset in 400..<655 as Range<Int64> { try gold.document(offset) }
        gold.flush()
        let events = try await read(gold, from: OffsetVector([0: 250]))
        #expect(events.map(\.offset).filter { $0 >= 250 } == Array(250..<655))
    }

    @Test func aStopEndsTheSearchForThePlaceToBegin() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        for offset in 0..<300 as Range<Int64> { try gold.document(offset) }
        gold.flush()
        let topic = topic(gold)
        await #expect(throws: CancellationError.self) {
            try await Lane(name: "read").run {
                _ = try topic.open(from: OffsetVector([0: 290]), isStopped: { true })
            }
        }
    }

    /// The stream shows what can be read, and says how much it cannot.
    @Test(arguments: SpoilingProxy.Damage.allCases)
    func whatCannotBeReadIsLeftOut(damage: SpoilingProxy.Damage) async throws {
        let gold = try GoldTopicFixture(partitions: 1, spoils: true)
        for range in [Int64(0)..<3, 3..<6, 6..<9] {
            for offset in range { try gold.document(offset) }
            gold.flush()
        }
        let proxy = try #require(gold.proxy)
        proxy.spoil(GoldTopicFixture.topic, at: 3, damage)
        let told = Mutex<Int64>(0)
        let topic = GoldEventTopic(
            configuration: gold.configuration, topic: GoldTopicFixture.topic, sourceTopic: "source",
            stallMilliseconds: 400
        ) { words, offsets in
            #expect(words.contains("cannot be read"))
            told.withLock { $0 += offsets }
        }
        let offsets = try await Lane(name: "read").run {
            let reader = try topic.open(from: OffsetVector())
            var offsets: [Int64] = []
            for _ in 0..<400 where !reader.hasReachedEnd {
                offsets += try reader.next(countMax: 500, timeoutMilliseconds: 50).map(\.offset)
            }
            #expect(reader.hasReachedEnd)
            return offsets
        }
        // Of a record whose length lies, those behind can be read.
        let end = try damage == .recordLength ? 4 : #require(proxy.spoiled[3])
        #expect(offsets == (0..<9).filter { !(3..<end).contains($0) })
        #expect(told.withLock { $0 } == end - 3)
    }

    @Test func aTopicThatIsNotThereIsSaidToBe() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let missing = GoldEventTopic(configuration: gold.configuration, topic: "no-such-topic", sourceTopic: "source")
        let error = await #expect(throws: (any Error).self) {
            try await Lane(name: "read").run { _ = try missing.open(from: OffsetVector()) }
        }
        #expect(error.map { "\($0)".contains("no-such-topic") } == true)
    }

    /// The whole way from the topic to a client: what is there, what comes, and only once it is searchable.
    @Test func theHubFollowsTheRealTopic() async throws {
        let gold = try GoldTopicFixture(partitions: 2)
        for offset in 0..<300 as Range<Int64> { try gold.document(offset, partition: Int32(offset % 2)) }
        gold.flush()
        let fake = FakeTopic()  // Only for how far the index is.
        fake.index([0: 290, 1: 290])
        let metrics = MetricsRegistry()
        let hub = EventHub(
            topic: topic(gold), indexed: { fake.state.withLock { $0.indexed } }, metrics: metrics,
            logger: Logger("stream", level: .error))
        let fixture = APIFixture(events: hub)
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        func waitFor(_ line: String) async throws {
            try await eventually { String(decoding: metrics.render(), as: UTF8.self).contains(line + "\n") }
        }
        let request = HTTPRequest(target: "/stream", headers: ["Last-Event-ID": "0:281,1:280"])
        // 503 until the topic was opened: there is nothing to go on from. The stream itself does not end by itself.
        let asked = Task {
            while true {
                let reply = await fixture.reply(request)
                if reply.status != 503 || stop.isRequested { return reply }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        try await waitFor("medallion_api_stream_clients 1")
        for offset in 300..<310 as Range<Int64> { try gold.document(offset, partition: Int32(offset % 2)) }
        gold.flush()
        fake.index([0: 310, 1: 305])
        // 290…309 of the first topic partition, 291…303 of the second.
        try await waitFor("medallion_api_stream_events_total 17")
        stop.request()
        await running.value
        let body = String(decoding: await asked.value.body, as: UTF8.self)
        let documents = body.split(separator: "\n").filter { $0.hasPrefix("data: ") }.compactMap {
            (try? JSONValue.parse(Array($0.utf8.dropFirst(6))))?["doc_id"]?.string
        }
        let first = documents.filter { $0.hasPrefix("doc-0-") }.compactMap { Int($0.dropFirst(6)) }
        let second = documents.filter { $0.hasPrefix("doc-1-") }.compactMap { Int($0.dropFirst(6)) }
        #expect(first == Array(stride(from: 282, to: 310, by: 2)))
        #expect(second == Array(stride(from: 281, to: 305, by: 2)))
    }
}
