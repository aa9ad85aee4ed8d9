import BrokerTesting
import Bytes
import Concurrency
import HTTPServer
import IndexTesting
import JSONScan
import Kafka
import PlatformTesting
import Records
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import API

/// Ids that do not fit, over real topics: from the broker's answers to what a client reads.
@Suite struct StreamOverBrokerTests {
    /// Another process over the same topics.
    private func hub(
        _ gold: GoldTopicFixture, upTo indexed: FakeTopic, _ sources: [StreamSource] = [GoldTopicFixture.streamSource]
    ) -> EventHub {
        EventHub(
            topics: GoldEventTopics(configuration: gold.configuration), sources: sources,
            indexed: { indexed.state.withLock { $0.indexed } }, metrics: MetricsRegistry(),
            logger: Logger("stream", level: .error))
    }

    @Test func whatIsAheadOrGoneOrOfAnotherLogIsSaidAndAllGoOn() async throws {
        let gold = try GoldTopicFixture(partitions: 2)
        try KafkaAdmin(gold.configuration).createTopic("source", partitions: 2, timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(gold.configuration)
        func publish(_ offsets: Range<Int64>) throws {
            for offset in offsets {
                for partition in 0...1 as ClosedRange<Int32> {
                    try producer.send(topic: "source", partition: partition, key: [], value: [], headers: [])
                    try gold.document(offset, partition: partition)
                }
            }
            _ = producer.flush(timeoutMilliseconds: 10_000)
            gold.flush()
        }
        try publish(0..<40)
        #expect(
            TopicTrim.delete(
                brokers: gold.configuration.brokers, topic: GoldTopicFixture.topic, partition: 0, before: 20) == nil)
        let indexed = FakeTopic()
        indexed.index([0: 40, 1: 40])
        let stop = StopSignal()
        let hubs = [hub(gold, upTo: indexed), hub(gold, upTo: indexed)]
        let running = hubs.map { hub in Task { await hub.run(stop: stop) } }
        let apis = hubs.map { APIFixture(events: $0).api }
        func reader(_ id: String?, _ process: Int = 0) async throws -> StreamReader {
            try await self.reader(after: id, apis[process])
        }
        let old = try await reader("0:5,1:38")
        let ahead = try await reader("0:99999999,1:39")
        let foreign = try await reader("000000000000;source/0:1,source/1:1", 1)
        try await eventually { old.frameCount == 23 && ahead.frameCount == 2 && foreign.frameCount == 1 }
        try publish(40..<42)
        indexed.index([0: 42, 1: 42])
        try await eventually { old.frameCount == 27 && ahead.frameCount == 6 && foreign.frameCount == 5 }
        let frames = [old, ahead, foreign].map { SeenFrame.parse($0.body) }
        // An id of one process means the same to the other.
        let last = try #require(frames[0].last { !$0.id.isEmpty }?.id)
        let again = try await reader(last, 1)
        try publish(42..<43)
        indexed.index([0: 43, 1: 43])
        try await eventually { again.frameCount == 2 }
        #expect(SeenFrame.parse(again.body).map(\.name) == ["event", "event"])
        stop.request()
        for task in running { await task.value }

        let gap = try #require(frames[0].first { $0.name == "gap" })
        let numbers = ["partition", "wanted", "available", "missing"].map { gap.data[$0]?.integer }
        #expect(numbers == [0, 5, 20, 15] && gap.data["reason"]?.string == "expired")
        #expect(frames[0].filter { $0.name == "event" }.count == 26)
        #expect(frames[1][0].data["reason"]?.string == "ahead")
        #expect(frames[1][0].data["partitions"]?[0]?["available"]?.integer == 40)
        #expect(Set(frames[1].dropFirst().map(\.document)) == fresh.union(["doc-1-39"]))
        #expect(frames[2][0].data["reason"]?.string == "other_log")
        #expect(Set(frames[2].dropFirst().map(\.document)) == fresh)
    }

    /// Two sources, read by two processes that name them in different orders: an id of one goes on in the other.
    @Test func twoGoldTopicsAreOneStream() async throws {
        let gold = try GoldTopicFixture(partitions: 2)
        try gold.add("papers.gold", partitions: 1)
        let admin = try KafkaAdmin(gold.configuration)
        try admin.createTopic("source", partitions: 2, timeoutMilliseconds: 10_000)
        try admin.createTopic("papers", partitions: 1, timeoutMilliseconds: 10_000)
        let producer = try KafkaProducer(gold.configuration)
        let indexed = FakeTopic()
        func publish(_ offsets: Range<Int64>) throws {
            for offset in offsets {
                for partition in 0...1 as ClosedRange<Int32> {
                    try producer.send(topic: "source", partition: partition, key: [], value: [], headers: [])
                    try gold.document(offset, partition: partition)
                }
                try producer.send(topic: "papers", partition: 0, key: [], value: [], headers: [])
                try gold.document(offset, source: "papers", to: "papers.gold")
            }
            _ = producer.flush(timeoutMilliseconds: 10_000)
            gold.flush()
            indexed.index([0: offsets.upperBound, 1: offsets.upperBound])
            indexed.index([0: offsets.upperBound], topic: "papers")
        }
        try publish(0..<20)
        #expect(
            TopicTrim.delete(brokers: gold.configuration.brokers, topic: "papers.gold", partition: 0, before: 5) == nil)
        let papers = StreamSource(name: "library", topic: "papers", goldTopic: "papers.gold")
        let changes = GoldTopicFixture.streamSource
        let stop = StopSignal()
        let hubs = [hub(gold, upTo: indexed, [changes, papers]), hub(gold, upTo: indexed, [papers, changes])]
        let running = hubs.map { hub in Task { await hub.run(stop: stop) } }
        let apis = hubs.map { APIFixture(events: $0).api }
        let logs = try await Lane(name: "logs").run { [configuration = gold.configuration] in
            try GoldEventTopics(configuration: configuration).logs(of: [changes, papers])
        }
        let epochs = ["papers", "source"].compactMap { logs[$0]?.epoch }.joined(separator: "-")
        #expect(logs["papers"]?.ends == [0: 20] && logs["source"]?.ends == [0: 20, 1: 20])
        var seen = OffsetVector([0: 10, 1: 20])
        seen[TopicPartition(topic: "papers", partition: 0)] = 1
        let first = try await reader(after: logs.text(seen), apis[0])
        // Ten of the first topic partition, a gap and fifteen papers.
        try await eventually { first.frameCount == 10 + 1 + 15 }
        try publish(20..<22)
        try await eventually { first.frameCount == 26 + 6 }
        let frames = SeenFrame.parse(first.body)
        let gap = try #require(frames.first { $0.name == "gap" })
        #expect(gap.data["topic"]?.string == "papers" && gap.data["available"]?.integer == 5)
        let lastID = try #require(frames.last?.id)
        let last = try #require(StreamID(text: lastID))
        #expect(last.vector.entries.map { $1 } == [22, 22, 22] && last.epoch == epochs)
        try publish(22..<30)
        let second = try await reader(after: last.text, apis[1])
        try await eventually { second.frameCount == 3 * 8 }
        #expect(SeenFrame.parse(second.body).allSatisfy { $0.name == "event" })
        // A source goes while the client listens.
        hubs[1].follow([papers])
        try await waitForChange(from: 30, until: ["papers"], in: second, publish)
        stop.request()
        for task in running { await task.value }
        let added = SeenFrame.parse(second.body).dropFirst(24)
        #expect(added.allSatisfy { $0.name == "event" })
    }

    /// Publishes one offset after the other until an event behind the first 24 has an id of these topics alone: what is on its
    /// way when a source goes is still of all.
    private func waitForChange(
        from first: Int64, until topics: [String], in reader: StreamReader, _ publish: (Range<Int64>) throws -> Void
    ) async throws {
        var next = first
        try await eventually {
            let added = SeenFrame.parse(reader.body).dropFirst(24)
            if added.contains(where: { StreamID(text: $0.id)?.vector.topics == topics }) { return true }
            try publish(next..<next + 1)
            next += 1
            try await Task.sleep(for: .milliseconds(50))
            return false
        }
    }

    private let fresh: Set = ["doc-0-40", "doc-0-41", "doc-1-40", "doc-1-41"]

    private func reader(after id: String?, _ api: SearchAPI) async throws -> StreamReader {
        for _ in 0..<3_000 {
            let reader = try StreamReader(StreamScene.request(after: id), api)
            if await !reader.isRefused() { return reader }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("the stream never began")
        throw FakeFailure()
    }
}
