import Bytes
import HTTPServer
import JSONScan
import Records
import Synchronization
import Testing

@testable import API

/// `GET /stream` over several sources.
@Suite struct StreamSourcesTests {
    private static let papers = StreamSource(name: "library", topic: "papers", goldTopic: "papers.gold")
    private let scene = StreamScene(logMilliseconds: 100, sources: [FakeTopic.source, papers])
    private var topic: FakeTopic { scene.topic }

    private func add(_ topic: String, _ offsets: Range<Int64>) {
        for offset in offsets { self.topic.add(0, offset, topic: topic) }
    }

    /// Both topics up to there, searchable.
    private func show(_ changes: Range<Int64>, _ papers: Range<Int64>) {
        add("source", changes)
        add("papers", papers)
        topic.index([0: changes.upperBound])
        topic.index([0: papers.upperBound], topic: "papers")
    }

    private func id(_ changes: Int64?, _ papers: Int64?, epoch: String? = nil) -> String {
        var vector = OffsetVector()
        if let changes { vector[0] = changes }
        if let papers { vector[TopicPartition(topic: "papers", partition: 0)] = papers }
        let own = (papers == nil ? [] : ["e1papers"]) + (changes == nil ? [] : ["e1"])
        return StreamID(epoch: epoch ?? own.joined(separator: "-"), vector: vector).text
    }

    /// What a client got of each topic, in its order, by what moved in its ids.
    private func offsets(_ frames: [SeenFrame], from start: String) -> [String: [Int64]] {
        var seen: [String: [Int64]] = [:]
        var last = StreamID(text: start)?.vector ?? OffsetVector()
        for frame in frames where frame.name == "event" {
            let vector = StreamID(text: frame.id)?.vector ?? OffsetVector()
            #expect(vector.covers(last), "ids never go back")
            for (place, next) in vector.entries where next > last[place] {
                seen[place.topic, default: []].append(next - 1)
            }
            last = vector
        }
        return seen
    }

    @Test func eventsOfAllSourcesComeInOneStream() async throws {
        let steps = StreamScene.request([("stages", "received,committed")])
        let seen = try await scene.follow([StreamScene.request(), steps], frames: [7, 15]) {
            let place = TopicPartition(topic: "papers", partition: 0)
            topic.state.withLock {
                $0.steps = [StageStep(.received, docID: nil, topicPartition: place, offset: 0, atMilliseconds: 0)]
            }
            show(0..<4, 0..<3)
            try await scene.given(7)
        }
        #expect(offsets(seen[0], from: "") == ["source": [0, 1, 2, 3], "papers": [0, 1, 2]])
        #expect(seen[0].last?.id == id(4, 3))
        let told = seen[1].filter { $0.name != "event" }
        for frame in told {
            #expect(frame.data["source"]?.string == (frame.data["topic"]?.string == "papers" ? "library" : "source"))
        }
        #expect(told.filter { $0.name == "committed" }.count == 7 && told.contains { $0.name == "received" })
    }

    /// From the list and from the topics, by ids that name both topics, one of them, or none.
    @Test func aClientGoesOnInBothTopics() async throws {
        show(0..<20, 0..<30)
        let ids = [id(15, 28), id(5, nil), id(nil, 7), "e1-e1papers;", id(20, 30)]
        let wanted = [20 - 15 + 2, 15 + 30, 20 + 23, 50, 0].map { $0 + 3 }
        let seen = try await scene.follow(ids.map { StreamScene.request(after: $0) }, frames: wanted) {
            show(20..<21, 30..<32)
            try await scene.given(3)
        }
        let starts: [(Int64, Int64)] = [(15, 28), (5, 0), (0, 7), (0, 0), (20, 30)]
        for (number, (changes, papers)) in starts.enumerated() {
            let found = offsets(seen[number], from: ids[number])
            #expect(found == ["source": Array(changes..<21), "papers": Array(papers..<32)], "\(ids[number])")
            #expect(seen[number].allSatisfy { $0.name == "event" })
        }
    }

    /// A topic of another log is put aside alone; without any that fits, or with an id that does not say which, the whole is.
    @Test func whatDoesNotFitOfAnIDIsSaid() async throws {
        show(0..<10, 0..<10)
        let ids = [
            id(8, 9, epoch: "old-e1"), "e1gone-e1;gone/0:4,source/0:8", id(9, 99), "0:3", id(8, 9, epoch: "e1"),
            "e1gone;gone/0:4",
        ]
        let seen = try await scene.follow(
            ids.map { StreamScene.request(after: $0) }, frames: [1 + 2 + 2, 1 + 2 + 10 + 2, 1 + 1 + 2, 3, 3, 3]
        ) {
            show(10..<11, 10..<11)
            try await scene.given(2)
        }
        func reset(_ number: Int) -> JSONValue { seen[number][0].data }
        func topics(_ number: Int) -> [String]? { reset(number)["topics"]?.array?.compactMap(\.string) }
        #expect(seen.map { $0.map(\.name).filter { $0 != "event" } } == Array(repeating: ["reset"], count: 6))
        let reasons = seen.indices.map { reset($0)["reason"]?.string }
        #expect(reasons == ["other_log", "other_log", "ahead", "other_log", "other_log", "other_log"])
        #expect(topics(0) == ["papers"] && topics(1) == ["gone"] && topics(2) == ["papers"])
        #expect((3...5).allSatisfy { topics($0) == ["papers", "source"] })
        #expect(reset(0)["continues_id"]?.string == id(8, 10) && reset(0)["oldest_id"]?.string == id(8, 0))
        #expect(reset(2)["partitions"]?[0]?["topic"]?.string == "papers")
        #expect(offsets(seen[0], from: id(8, 10)) == ["source": [8, 9, 10], "papers": [10]])
        #expect(offsets(seen[1], from: id(8, nil)) == ["source": [8, 9, 10], "papers": Array(0..<11)])
        #expect(offsets(seen[2], from: id(9, 10)) == ["source": [9, 10], "papers": [10]])
        for number in 3...5 { #expect(seen[number].dropFirst().count == 2 && seen[number].last?.id == id(11, 11)) }
    }

    /// One log is made anew while clients listen: of the other nothing is missed, nothing comes twice.
    @Test(arguments: [true, false]) func oneLogMadeAnewIsSaidAlone(hasOtherEpoch: Bool) async throws {
        let scene = StreamScene(logMilliseconds: 100, sources: [Self.papers, FakeTopic.source])
        let topic = scene.topic
        topic.add(0, 0)
        topic.add(0, 0, topic: "papers")
        topic.add(0, 1, topic: "papers")
        topic.index([0: 1])
        topic.index([0: 2], topic: "papers")
        let seen = try await scene.follow([StreamScene.request()], frames: [5]) {
            topic.state.withLock { state in
                state.items.removeAll { $0.topicPartition.topic == "source" }
                if hasOtherEpoch { state.epoch = "e2" }
                state.epochs["papers"] = "e1papers"
                state.ends = [0: 0]
                state.indexed.offsets.remove(TopicPartition(topic: "source", partition: 0))
            }
            topic.add(0, 2, topic: "papers")
            topic.index([0: 3], topic: "papers")
            try await scene.told(hasOtherEpoch ? "other_log" : "ahead")
            topic.state.withLock { $0.ends = nil }
            topic.add(0, 0)
            topic.add(0, 3, topic: "papers")
            topic.add(0, 1)
            topic.index([0: 2])
            topic.index([0: 4], topic: "papers")
            try await scene.given(4)
        }[0]
        let resets = seen.filter { $0.name != "event" }
        #expect(resets.map(\.name) == ["reset"])
        #expect(resets[0].data["topics"]?.array?.compactMap(\.string) == ["source"])
        let vectors = seen.compactMap { StreamID(text: $0.id)?.vector }
        let papers = TopicPartition(topic: "papers", partition: 0)
        #expect(Set(vectors.map { $0[papers] }).isSuperset(of: [3, 4]) && vectors.last?[papers] == 4)
        #expect(seen.filter { $0.name == "event" }.count == 4)
        #expect(seen.last?.id.hasPrefix(hasOtherEpoch ? "e1papers-e2;" : "e1papers-e1;") == true)
    }

    /// A client stays connected while sources come and go, and goes on by its id wherever it is.
    @Test func sourcesComeAndGo() async throws {
        let scene = StreamScene(logMilliseconds: 3_600_000)
        let topic = scene.topic
        let seen = try await scene.follow([StreamScene.request()], frames: [6]) {
            topic.add(0, 0)
            topic.index([0: 1])
            try await scene.given(1)
            // What became searchable before is not shown to those who are connected.
            topic.add(0, 0, topic: "papers")
            topic.index([0: 1], topic: "papers")
            scene.hub.follow([FakeTopic.source, Self.papers])
            try await eventually { topic.state.withLock { $0.opened } >= 3 }
            topic.add(0, 1, topic: "papers")
            topic.add(0, 1)
            topic.index([0: 2], topic: "papers")
            topic.index([0: 2])
            try await scene.given(3)
            // To one that comes with an id of before, it is.
            let before = try StreamReader(StreamScene.request(after: FakeTopic.id([0: 2])), scene.fixture.api)
            try await eventually { before.frameCount == 2 }
            before.leave()
            await before.end()
            scene.hub.follow([Self.papers])
            try await eventually { topic.state.withLock { $0.opened } >= 5 }
            topic.add(0, 2)
            topic.add(0, 2, topic: "papers")
            topic.index([0: 3])
            topic.index([0: 3], topic: "papers")
            try await scene.given(4)
            let after = try StreamReader(StreamScene.request(after: id(2, 2)), scene.fixture.api)
            try await eventually { after.frameCount == 2 }
            #expect(SeenFrame.parse(after.body).map(\.name) == ["reset", "event"])
            after.leave()
            await after.end()
            scene.hub.follow([Self.papers, FakeTopic.source])
            try await eventually { topic.state.withLock { $0.opened } >= 7 }
            topic.add(0, 3)
            topic.add(0, 3, topic: "papers")
            topic.index([0: 4])
            topic.index([0: 4], topic: "papers")
            try await scene.given(6)
        }[0]
        #expect(seen.allSatisfy { $0.name == "event" }, "nothing of this is a reset")
        let ids = seen.map(\.id)
        #expect(ids[0] == FakeTopic.id([0: 1]) && Set(ids[1...2]).contains(id(2, 2)))
        #expect(ids[3] == id(nil, 3) && ids[5] == id(4, 4))
    }

    @Test func withoutAnySourceAClientWaits() async throws {
        let scene = StreamScene(heartbeatMilliseconds: 20, sources: [FakeTopic.source])
        let seen = try await scene.follow([StreamScene.request()], frames: [1]) {
            scene.hub.follow([])
            let reader = try StreamReader(StreamScene.request(after: "e1;source/0:1"), scene.fixture.api)
            try await eventually { reader.heartbeatCount >= 3 }
            reader.leave()
            await reader.end()
            scene.hub.follow([FakeTopic.source])
            try await eventually { scene.topic.state.withLock { $0.opened } >= 2 }
            scene.topic.add(0, 0)
            scene.topic.index([0: 1])
            try await scene.given(1)
        }
        #expect(seen[0].map(\.id) == [FakeTopic.id([0: 1])])
    }

    /// What is gone of one topic is a gap in that one.
    @Test func aGapIsOfOneTopic() async throws {
        topic.addGap(.expired, 0, 0..<5, topic: "papers")
        add("papers", 5..<7)
        add("source", 0..<2)
        topic.index([0: 7], topic: "papers")
        topic.index([0: 2])
        let seen = try await scene.follow([StreamScene.request(after: id(0, 3))], frames: [5]) {}[0]
        let gap = try #require(seen.first { $0.name == "gap" })
        #expect(gap.data["topic"]?.string == "papers")
        #expect(["wanted", "available", "missing"].map { gap.data[$0]?.integer } == [3, 5, 2])
        #expect(seen.filter { $0.name == "event" }.count == 4 && seen.last?.id == id(2, 7))
    }

    /// One topic cannot be read, or its index stands still: the other source is shown nevertheless.
    @Test func oneSourceHoldsUpNoOther() async throws {
        topic.state.withLock { $0.broken = ["papers"] }
        let seen = try await scene.follow(
            [StreamScene.request(), StreamScene.request(after: id(0, 0))], frames: [5, 5]
        ) {
            add("source", 0..<3)
            topic.index([0: 3])
            try await scene.given(3)
            topic.state.withLock { $0.broken = [] }
            add("papers", 0..<2)
            topic.index([0: 2], topic: "papers")
            try await scene.given(5)
        }
        for frames in seen { #expect(offsets(frames, from: "") == ["source": [0, 1, 2], "papers": [0, 1]]) }
    }

    @Test func whatWaitsIsCountedByTopic() {
        var order = EventOrder(from: OffsetVector())
        let fake = FakeTopic()
        for offset in 0..<10 as Range<Int64> { fake.add(0, offset, topic: offset < 7 ? "papers" : "source") }
        order.add(fake.state.withLock { $0.items })
        #expect(order.waitingCount("papers") == 7 && order.waitingCount("source") == 3)
        let indexed = IndexedUpTo(generation: 1, offsets: OffsetVector([0: 10]))
        let released = order.release(upTo: indexed)
        #expect(released.count == 3 && order.waitingCount("source") == 0 && order.waitingCount("papers") == 7)
        order.forget("papers")
        #expect(order.waitingCount("papers") == 0 && order.isEmpty)
    }

    /// What takes documents away is an event of its own name, with an id. It names them by their key alone, so that
    /// `collection` leaves it out, and filters on what its line does not have let it pass.
    @Test func deletionsAreTold() async throws {
        let requests = [
            [], [("collection", "changes")], [("collection", "other")], [("text", "nothing has this")],
            [("lang", "de")], [("wiki", "dewiki")], [("is_bot", "true")],
            [("filter", #"{"to": "2001-01-01T00:00:00Z"}"#)],
        ].map { StreamScene.request($0) }
        let deletion = """
            {"doc_id":"0-1","version":2,"operation":"delete","collection":"changes","attributes":{},"text":"",\
            "event_time":"2026-11-21T10:00:00.500Z","title":"","url":"","lang":"und"}
            """
        let truncation = """
            {"version":2,"operation":"delete_below","collection":"changes","event_time":"2026-11-21T10:00:00.500Z"}
            """
        let seen = try await scene.follow(requests, frames: [3, 3, 0, 2, 2, 2, 2, 2]) {
            topic.add(0, 0)
            topic.add(0, 1, text: "", line: deletion, operation: .delete)
            topic.add(0, 2, text: "", line: truncation, operation: .deleteBelow)
            topic.index([0: 3])
            try await scene.given(3)
        }
        let gone = ["deleted", "truncated"]
        #expect(
            seen.map { $0.map(\.name) }
                == [["event"] + gone, ["event"] + gone, []] + Array(repeating: gone, count: requests.count - 3))
        #expect(seen[0][1].id == id(2, nil) && seen[0][1].document == "0-1")
    }
}

/// What clients get of a Gold line.
@Suite struct EventLineTests {
    private func made(_ line: String) throws -> String {
        try Array(line.utf8).withUnsafeBytes { bytes in
            String(decoding: EventLine.make(try GoldLine.Fields(bytes), of: bytes), as: UTF8.self)
        }
    }

    @Test(arguments: [
        // A line of old.
        (
            #"{"doc_id":"a","attributes":{},"type":"edit","namespace":4,"user":"U \"x\"","is_bot":false,"wiki":"w"}"#,
            #"{"doc_id":"a","attributes":{"wiki":"w","type":"edit","namespace":4,"user":"U \"x\"","is_bot":false},"#
                + #""type":"edit","namespace":4,"user":"U \"x\"","is_bot":false,"wiki":"w"}"#
        ),
        // Null is absent.
        (
            #"{"attributes":{"x":1},"namespace":null,"wiki":"w"}"#,
            #"{"attributes":{"x":1,"wiki":"w"},"namespace":null,"wiki":"w"}"#
        ),
        // A line of transform version 3.
        (
            #"{"doc_id":"a","attributes":{"wiki":"w","type":"new","is_bot":true,"delta":5},"text":"t"}"#,
            #"{"doc_id":"a","attributes":{"wiki":"w","type":"new","is_bot":true,"delta":5},"#
                + #""wiki":"w","type":"new","is_bot":true,"text":"t"}"#
        ),
        // Documents of another collection are as they are.
        (
            #"{"attributes":{"type":"paper","year":1999},"text":"t"}"#,
            #"{"attributes":{"type":"paper","year":1999},"text":"t"}"#
        ),
        (#"{"attributes":{ },"text":"t"}"#, #"{"attributes":{ },"text":"t"}"#),
        (#"{"text":"t","wiki":"w"}"#, #"{"text":"t","wiki":"w"}"#),
    ]) func attributesAreInBothPlaces(line: String, wanted: String) throws {
        #expect(try made(line) == wanted)
        #expect((try? JSONValue.parse(Array(wanted.utf8))) != nil)
    }
}
