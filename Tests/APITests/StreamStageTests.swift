import Bytes
import HTTPServer
import Health
import JSONScan
import Records
import Retrieval
import ServiceLifecycle
import Telemetry
import Testing

@testable import API

/// `?stages=`: an event watched on its way.
@Suite struct StreamStageTests {
    private let scene = StreamScene()

    private func receive(_ offset: Int64, wiki: String = "enwiki", isBot: Bool = false) {
        scene.topic.state.withLock {
            $0.steps.append(
                StageStep(
                    .received, docID: "0-\(offset)", partition: 0, offset: offset,
                    atMilliseconds: 1_780_000_000_000 + offset,
                    attributes: AttributeList([
                        .wiki: .string(wiki), .type: .string("edit"), .namespace: .integer(0), .isBot: .bool(isBot),
                    ])))
        }
    }

    @Test func everyStepIsToldWithItsTimeAndWithoutID() async throws {
        let all = StreamScene.request([("stages", "received,committed,searchable")])
        let some = StreamScene.request([("stages", "committed"), ("wiki", "enwiki")])
        let seen = try await scene.follow([all, some, StreamScene.request()], frames: [8, 2, 2]) {
            receive(0)
            receive(1, wiki: "dewiki")
            try await eventually { scene.topic.state.withLock { $0.steps.isEmpty } }
            scene.topic.add(0, 0)
            scene.topic.add(0, 1, wiki: "dewiki")
            try await Task.sleep(for: .milliseconds(150))
            scene.topic.index([0: 2])
            try await scene.given(2)
        }
        func steps(_ name: String) -> [SeenFrame] { seen[0].filter { $0.name == name } }
        for name in ["received", "committed", "searchable"] {
            #expect(steps(name).map(\.document) == ["0-0", "0-1"], "\(name)")
            #expect(steps(name).allSatisfy { $0.id.isEmpty && $0.data["topic"]?.string == "source" })
            #expect(steps(name).map { $0.data["offset"]?.integer } == [0, 1])
        }
        #expect(steps("received")[0].data["at"]?.string == CivilTime.rfc3339(1_780_000_000_000))
        #expect(steps("committed")[0].data["at"]?.string == CivilTime.rfc3339(1_790_000_000_000))
        #expect(seen[0].map(\.name).prefix(4) == ["received", "received", "committed", "committed"])
        #expect(steps("event").map(\.id) == [1, 2].map { FakeTopic.id([0: $0]) })
        #expect(seen[1].map(\.name) == ["committed", "event"] && seen[1].allSatisfy { $0.document == "0-0" })
        #expect(seen[2] == steps("event"), "whoever does not ask is told nothing")
    }

    /// The source's topic is followed by one reader, and only while somebody asks.
    @Test func theSourceIsFollowedOnceAndOnlyOnDemand() async throws {
        _ = try await scene.follow([StreamScene.request()], frames: [0]) {
            let request = StreamScene.request([("stages", "received"), ("is_bot", "false"), ("lang", "en")])
            let readers = try (0..<3).map { _ in try StreamReader(request, scene.fixture.api) }
            try await eventually { scene.clients == 4 }
            #expect(scene.topic.state.withLock { $0.sourcesOpen } == 1)
            receive(3, isBot: true)
            receive(4)
            try await eventually { readers.allSatisfy { $0.frameCount >= 1 } }
            // The language is not known yet, so that it leaves nothing out.
            #expect(readers.allSatisfy { SeenFrame.parse($0.body).map(\.document) == ["0-4"] })
            for reader in readers { reader.leave() }
            try await eventually { scene.topic.state.withLock { $0.sourcesOpen } == 0 }
        }
    }

    /// A document that is published again after a crash was committed once; one of another generation is shown to nobody.
    @Test func whatIsPublishedAgainWasCommittedOnce() async throws {
        let request = StreamScene.request([("stages", "committed")])
        let seen = try await scene.follow([request], frames: [4]) {
            for offset in [0, 0, 1, 0, 1] as [Int64] { scene.topic.add(0, offset) }
            scene.topic.add(0, 2, generation: 2)
            scene.topic.index([0: 3])
            try await scene.given(2)
        }
        #expect(seen[0].filter { $0.name == "committed" }.map(\.document) == ["0-0", "0-1"])
    }

    /// Steps that nobody takes are bounded.
    @Test func stepsAreKeptUpToABound() {
        let stages = StreamStages()
        let start = stages.enter([.received])
        for offset in 0..<10_000 as Range<Int64> {
            stages.add([StageStep(.received, docID: nil, partition: 0, offset: offset, atMilliseconds: 0)])
        }
        let (steps, next, isAll) = stages.steps(from: start, countMax: .max)
        #expect(isAll)
        #expect(steps.count <= 4_096 && steps.last?.offset == 9_999 && next == 10_000)
        #expect(stages.steps(from: 9_998, countMax: 9).steps.map(\.offset) == [9_998, 9_999])
        let (first, after, isEnd) = stages.steps(from: 9_998, countMax: 1)
        #expect(first.map(\.offset) == [9_998] && after == 9_999 && !isEnd)
        stages.leave([.received])
        #expect(stages.steps(from: start, countMax: 9).steps.isEmpty && !stages.isWatched(.received))
    }

    /// The log is made anew, or loses its end, while a client watches: the offsets that come again are other documents.
    @Test(arguments: [true, false]) func stepsOfALogMadeAnewAreTold(hasOtherEpoch: Bool) async throws {
        let scene = StreamScene(logMilliseconds: 100)
        let request = StreamScene.request([("stages", "committed")])
        let seen = try await scene.follow([request], frames: [13]) {
            for offset in 0..<4 as Range<Int64> { scene.topic.add(0, offset) }
            scene.topic.index([0: 4])
            try await scene.given(4)
            scene.topic.state.withLock { state in
                state.items = []
                state.indexed.offsets = OffsetVector([0: 0])
                if hasOtherEpoch { state.epoch = "e2" }
                state.ends = [0: 0]
            }
            try await scene.told(hasOtherEpoch ? "other_log" : "ahead")
            scene.topic.state.withLock { $0.ends = nil }
            for offset in 0..<2 as Range<Int64> { scene.topic.add(0, offset) }
            scene.topic.index([0: 2])
            try await scene.given(6)
        }[0]
        let reset = try #require(seen.firstIndex { $0.name == "reset" })
        #expect(seen[..<reset].filter { $0.name == "committed" }.map(\.document) == (0..<4).map { "0-\($0)" })
        #expect(seen[reset...].filter { $0.name == "committed" }.map(\.document) == ["0-0", "0-1"])
    }

    /// More steps at once than are offered in one go, and more than are looked at, to a client that keeps up.
    @Test func manyStepsAtOnceAreAllTold() async throws {
        // As many as the writer, which nobody empties here, has room for.
        let many = StreamScene.request([("stages", "received"), ("wiki", "enwiki")])
        let one = StreamScene.request([("stages", "received"), ("wiki", "dewiki")])
        let seen = try await scene.follow([many, one], frames: [800, 1]) {
            let steps = (0...1_000 as ClosedRange<Int64>).map { offset in
                let wiki = offset == 1_000 ? "dewiki" : offset < 800 ? "enwiki" : "frwiki"
                return StageStep(
                    .received, docID: "0-\(offset)", partition: 0, offset: offset, atMilliseconds: 0,
                    attributes: AttributeList([.wiki: .string(wiki)]))
            }
            scene.topic.state.withLock { $0.steps += steps }
        }
        #expect(seen[0].map { $0.data["offset"]?.integer } == (0..<800).map { $0 })
        #expect(seen[1].map(\.document) == ["0-1000"])
    }

    @Test func anUnknownStageIsRefused() async {
        let reply = await scene.fixture.reply(StreamScene.request([("stages", "received,lost")]))
        #expect(reply.status == 422)
    }

    /// Whoever asks for no step: the process itself wants to know how long documents were on their way.
    @Test func howLongDocumentsWereOnTheirWayIsTold() async throws {
        let (topic, flow) = (FakeTopic(), PipelineFlow(clock: { 0 }))
        for offset in 0..<3 as Range<Int64> { topic.add(0, offset) }
        let hub = EventHub(
            topics: topic, sources: [FakeTopic.source], indexed: { topic.state.withLock { $0.indexed } },
            metrics: MetricsRegistry(), logger: Logger("stream", level: .error), flow: flow)
        let stop = StopSignal()
        let running = Task { await hub.run(stop: stop) }
        try await eventually { topic.state.withLock { $0.itemsRead } >= 3 }
        let now = SystemClock.epochMilliseconds()
        topic.state.withLock { $0.indexed.indexedAtMilliseconds = now }
        topic.index([0: 2])
        try await eventually { flow.fromBroker(sinceNanoseconds: 0) != nil }
        stop.request()
        await running.value
        let stages = flow.reading.stages
        // The events are recorded: they happened years before.
        #expect(stages.map { $0.dwell?.p50 }.prefix(4) == [nil, nil, 50, 100])
        #expect(stages.last?.count == 2 && stages.allSatisfy { $0.dwell?.p50 ?? 0 >= 0 })
    }
}
