import API
import BrokerTesting
import Bytes
import Concurrency
import Glibc
import HTTPServer
import Health
import JSONScan
import Kafka
import PlatformTesting
import Records
import Retrieval
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

extension GoldTopicFixture {
    static let streamSource = StreamSource(name: "changes", topic: "source", goldTopic: topic)
}

extension TopicItem {
    fileprivate var event: TopicEvent? {
        if case .event(let event) = self { event } else { nil }
    }
    fileprivate var gap: TopicGap? {
        if case .gap(let gap) = self { gap } else { nil }
    }
}

/// The Gold topic as the stream's reader sees it, on the embedded broker.
@Suite struct GoldEventTopicTests {
    private func topics(_ gold: GoldTopicFixture) -> GoldEventTopics {
        GoldEventTopics(configuration: gold.configuration)
    }

    private let source = GoldTopicFixture.streamSource

    /// Everything that the topic holds from `start` on, in the order of reading.
    private func readAll(
        _ gold: GoldTopicFixture, from start: OffsetVector
    ) async throws -> (items: [TopicItem], openGaps: [Int32: TopicGap.Reason]) {
        let topics = topics(gold)
        return try await Lane(name: "read").run { [source] in
            let reader = try topics.open(source, from: start)
            var items: [TopicItem] = []
            for _ in 0..<1_000 where !reader.hasReachedEnd {
                items += try reader.next(countMax: 500, timeoutMilliseconds: 50)
            }
            #expect(reader.hasReachedEnd)
            return (items, reader.openGaps)
        }
    }

    /// The same where nothing is missing.
    private func read(_ gold: GoldTopicFixture, from start: OffsetVector) async throws -> [TopicEvent] {
        let (items, openGaps) = try await readAll(gold, from: start)
        let events = items.compactMap(\.event)
        #expect(events.count == items.count && openGaps.isEmpty)
        return events
    }

    /// A line says itself whether it takes its document away; an attribute of that name says nothing.
    @Test func aDeletionIsRead() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        for (offset, operation) in [#""operation":"put","#, #""operation":"delete","#, ""].enumerated() {
            let line = GoldTopicFixture.line(Int64(offset), partition: 0, text: "t")
                .replacing(#""attributes":{}"#, with: operation + #""attributes":{"operation":"delete"}"#)
            try gold.document(Int64(offset), line: line)
        }
        try gold.marker(0, 3)
        gold.flush()
        #expect(try await read(gold, from: OffsetVector([0: 0])).map(\.operation) == [.put, .delete, .put])
    }

    /// A line that deletes all below a version is about no document; of its attributes only the collection is known.
    @Test func aTruncationIsRead() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let line = GoldTopicFixture.truncation(5, version: 9)
        try gold.document(5, line: line)
        try gold.document(6, line: line.replacing(#""tenant":"#, with: #""x":"#).replacing("papers", with: "a b"))
        // No document without an id or a text.
        for (offset, name) in [(7, "doc_id"), (8, "text")] as [(Int64, String)] {
            try gold.document(
                offset,
                line: GoldTopicFixture.line(offset, partition: 0, text: "t").replacing("\"\(name)\"", with: "\"x\""))
        }
        try gold.marker(0, 9)
        gold.flush()
        let events = try await read(gold, from: OffsetVector([0: 0]))
        #expect(
            events.map(\.offset) == [5, 6] && events.allSatisfy { $0.operation == .deleteBelow && $0.docID == nil })
        #expect(events.first?.attributes == AttributeList([.collection: .string("papers")]))
        #expect(events.first?.line == Array(line.utf8))
    }

    /// A topic may hold what its source made for a former tenant; only the present one's documents are read.
    @Test func documentsOfAnotherTenantAreLeftOut() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        for (offset, tenant) in ["", #""tenant":"acme","#, #""tenant":"default","#, #""tenant":"acme2","#].enumerated()
        {
            let line = GoldTopicFixture.line(Int64(offset), partition: 0, text: "t")
                .replacing(#""attributes":{}"#, with: tenant + #""attributes":{"tenant":"acme"}"#)
            try gold.document(Int64(offset), line: line)
        }
        try gold.marker(0, 4)
        gold.flush()
        #expect(try await read(gold, from: OffsetVector([0: 0])).map(\.offset) == [0, 2])
        let configuration = gold.configuration
        let theirs = try await Lane(name: "read").run { [source] in
            var acmes = source
            acmes.tenant = try #require(TenantID("acme"))
            let reader = try GoldEventTopics(configuration: configuration).open(acmes, from: OffsetVector([0: 0]))
            var items: [TopicItem] = []
            for _ in 0..<1_000 where !reader.hasReachedEnd {
                items += try reader.next(countMax: 500, timeoutMilliseconds: 50)
            }
            return items
        }
        #expect(theirs.compactMap(\.event?.offset) == [1])
    }

    /// Retention took the beginning: a client that was there is told, one that was further is not.
    @Test func whatRetentionTookIsAGap() async throws {
        let gold = try GoldTopicFixture(partitions: 3)
        for offset in 0..<40 as Range<Int64> where !offset.isMultiple(of: 4) {
            for partition in 0...2 as ClosedRange<Int32> { try gold.document(offset, partition: partition) }
        }
        for partition in 0...2 as ClosedRange<Int32> { try gold.marker(0, 40, partition: partition) }
        gold.flush()
        // 30 documents and a marker: of the first the documents from 14 on stay, of the second the marker alone.
        for (partition, place) in [(0, 10), (1, 30), (2, 31)] as [(Int32, Int64)] {
            #expect(
                TopicTrim.delete(
                    brokers: gold.configuration.brokers, topic: GoldTopicFixture.topic, partition: partition,
                    before: place) == nil)
        }
        let (items, openGaps) = try await readAll(gold, from: OffsetVector([0: 6, 1: 6, 2: 6]))
        let gaps = items.compactMap(\.gap).sorted { $0.partition < $1.partition }
        #expect(
            gaps == [
                TopicGap(.expired, partition: 0, start: 6, end: 14),
                TopicGap(.expired, partition: 1, start: 6, end: 40),
            ])
        #expect(openGaps == [2: .expired], "nothing is left that says how far it goes")
        let first = items.filter { $0.partition == 0 }
        #expect(first.first?.gap != nil && first.dropFirst().compactMap(\.event).first?.offset == 14)
        let (later, _) = try await readAll(gold, from: OffsetVector([0: 14, 1: 40, 2: 40]))
        #expect(later.compactMap(\.gap).isEmpty)
    }

    /// All processes over the same topics agree, an index of its own or not; another topic is another log.
    @Test func theLogIsTheSameForAllAndEndsWhereTheSourceDoes() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        try KafkaAdmin(gold.configuration).createTopic("source", partitions: 2, timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(gold.configuration)
        for number in 0..<3 {
            try producer.send(topic: "source", partition: 1, key: [], value: Array("\(number)".utf8), headers: [])
        }
        _ = producer.flush(timeoutMilliseconds: 10_000)
        @Sendable func log(_ gold: String = GoldTopicFixture.topic, _ topic: String = "source") throws -> StreamLog {
            let source = StreamSource(name: "n", topic: topic, goldTopic: gold)
            return try #require(try GoldEventTopics(configuration: configuration).logs(of: [source]).logs.first)
        }
        let configuration = gold.configuration
        let logs = try await Lane(name: "read").run {
            try [log(), log(), log("other.gold"), log(GoldTopicFixture.topic, "other")]
        }
        #expect(logs[0] == logs[1])
        #expect(logs[0].ends == [0: 0, 1: 3] && logs[0].topic == "source" && logs[0].epoch.utf8.count == 12)
        #expect(Set(logs.map(\.epoch)).count == 3)
        #expect(logs[3].ends == nil, "a topic that is not there tells nothing")
        let another = try GoldTopicFixture(partitions: 1)
        let foreign = try await Lane(name: "read").run { [configuration = another.configuration, source] in
            try GoldEventTopics(configuration: configuration).logs(of: [source]).logs[0]
        }
        #expect(foreign.epoch != logs[0].epoch)
    }

    /// From the end on, with what names an event; nothing that is odd stops it.
    @Test func theSourceIsFollowedFromItsEnd() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        try KafkaAdmin(gold.configuration).createTopic("source", partitions: 2, timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(gold.configuration)
        @Sendable func send(_ value: String, _ partition: Int32) throws {
            try producer.send(topic: "source", partition: partition, key: [], value: Array(value.utf8), headers: [])
            _ = producer.flush(timeoutMilliseconds: 10_000)
        }
        try send("before", 0)
        let topics = topics(gold)
        let steps = try await Lane(name: "source").run { [source] in
            let reader = try #require(try topics.openSources([source], isStopped: { false }))
            try send(#"{"meta":{"id":"a-1"},"wiki":"enwiki","type":"edit","namespace":4,"bot":true}"#, 0)
            try send("not JSON", 1)
            try send(#"{"meta":{"id":7},"namespace":"x","bot":1}"#, 1)
            try send(#"{"meta":{"id":"large"},"x":"\#(String(repeating: "x", count: 300_000))"}"#, 1)
            var steps: [StageStep] = []
            for _ in 0..<200 where steps.count < 4 {
                steps += try reader.next(countMax: 10, timeoutMilliseconds: 50)
            }
            return steps
        }
        let first = try #require(steps.first { $0.partition == 0 })
        #expect(first.offset == 1 && first.docID == "a-1" && first.stage == .received)
        let told: [AttributeName: AttributeValue] = [
            .wiki: .string("enwiki"), .type: .string("edit"), .namespace: .integer(4), .isBot: .bool(true),
        ]
        #expect(first.attributes == AttributeList(told))
        #expect(abs(first.atMilliseconds - SystemClock.epochMilliseconds()) < 600_000)
        let second = steps.filter { $0.partition == 1 }
        #expect(
            second.map(\.offset) == [0, 1, 2]
                && second.allSatisfy { $0.docID == nil && $0.attributes == AttributeList() })
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
                for attributes in first.map(\.attributes) {
                    #expect(attributes.value(of: .wiki) == .string("enwiki"))
                    #expect(attributes.value(of: .type) == .string("edit"))
                    #expect(attributes.value(of: .isBot) == .bool(false))
                }
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
                    (GoldTopic.kindHeader, GoldTopic.Kind.document.rawValue), (GoldTopic.generationHeader, "1"),
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
        let topics = topics(gold)
        await #expect(throws: CancellationError.self) {
            try await Lane(name: "read").run { [source] in
                _ = try topics.open(source, from: OffsetVector([0: 290]), isStopped: { true })
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
        let topics = GoldEventTopics(configuration: gold.configuration, stallMilliseconds: 400) { words, offsets in
            #expect(words.contains("cannot be read"))
            told.withLock { $0 += offsets }
        }
        let items = try await Lane(name: "read").run { [source] in
            let reader = try topics.open(source, from: OffsetVector())
            var items: [TopicItem] = []
            for _ in 0..<400 where !reader.hasReachedEnd {
                items += try reader.next(countMax: 500, timeoutMilliseconds: 50)
            }
            #expect(reader.hasReachedEnd)
            return items
        }
        let offsets = items.compactMap { $0.event?.offset }
        // Of a record whose length lies, those behind can be read.
        let end = try damage == .recordLength ? 4 : #require(proxy.spoiled[3])
        #expect(offsets == (0..<9).filter { !(3..<end).contains($0) })
        #expect(told.withLock { $0 } == end - 3)
        // Those who read the stream are told between the documents around it.
        #expect(items.compactMap(\.gap) == [TopicGap(.unreadable, partition: 0, start: 3, end: end)])
        #expect(items.firstIndex { $0.gap != nil } == 3)
    }

    @Test func aTopicThatIsNotThereIsSaidToBe() async throws {
        let gold = try GoldTopicFixture(partitions: 1)
        let topics = topics(gold)
        let missing = StreamSource(name: "n", topic: "source", goldTopic: "no-such-topic")
        let error = await #expect(throws: (any Error).self) {
            try await Lane(name: "read").run { _ = try topics.open(missing, from: OffsetVector()) }
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
        let (metrics, flow) = (MetricsRegistry(), PipelineFlow())
        let hub = EventHub(
            topics: topics(gold), sources: [source], indexed: { fake.state.withLock { $0.indexed } }, metrics: metrics,
            logger: Logger("stream", level: .error), flow: flow)
        let fixture = APIFixture(events: hub)
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        func waitFor(_ line: String) async throws {
            try await eventually { String(decoding: metrics.render(), as: UTF8.self).contains(line + "\n") }
        }
        let request = HTTPRequest(target: "/stream", headers: ["Last-Event-ID": "0:281,1:280"])
        // 503 until the topic was opened: there is nothing to go on from.
        var reader = try StreamReader(request, fixture.api)
        while await reader.isRefused() {
            try await Task.sleep(for: .milliseconds(20))
            reader = try StreamReader(request, fixture.api)
        }
        try await waitFor("medallion_api_stream_clients 1")
        for offset in 300..<310 as Range<Int64> { try gold.document(offset, partition: Int32(offset % 2)) }
        gold.flush()
        fake.index([0: 310, 1: 305])
        // 290…309 of the first topic partition, 291…303 of the second.
        try await waitFor("medallion_api_stream_events_total 17")
        // Given out is not delivered: the clients have a thread of their own, which stands back.
        try await eventually { reader.frameCount >= 14 + 12 }
        // Of the second topic partition the lake has five more than the index.
        let places: [Int32: IndexLook.Place] = [
            0: IndexLook.Place(next: 310, low: 0, high: 330), 1: IndexLook.Place(next: 305, low: 0, high: 330),
        ]
        try await eventually {
            flow.note(
                IndexLook(
                    generation: 1, indexVersion: 1, indexedAtMilliseconds: nil, places: places, atMilliseconds: 0),
                of: source.name, topic: source.topic)
            return flow.reading.stages.map(\.lag) == [nil, nil, nil, 40, 5, 45]
        }
        #expect(flow.counts?.searchable == 17)
        stop.request()
        await running.value
        await reader.end()
        let body = reader.text
        let documents = body.split(separator: "\n").filter { $0.hasPrefix("data: ") }.compactMap {
            (try? JSONValue.parse(Array($0.utf8.dropFirst(6))))?["doc_id"]?.string
        }
        let first = documents.filter { $0.hasPrefix("doc-0-") }.compactMap { Int($0.dropFirst(6)) }
        let second = documents.filter { $0.hasPrefix("doc-1-") }.compactMap { Int($0.dropFirst(6)) }
        #expect(first == Array(stride(from: 282, to: 310, by: 2)))
        #expect(second == Array(stride(from: 281, to: 305, by: 2)))
    }
}
