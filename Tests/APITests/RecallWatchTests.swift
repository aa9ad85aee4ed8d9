import Bytes
import Concurrency
import IndexTesting
import Retrieval
import ServiceLifecycle
import Telemetry
import Testing

@testable import API

/// Searches are repeated exactly beside the traffic: on lanes that nobody wants, and no longer than that.
@Suite struct RecallWatchTests {
    /// Sixteen documents, each nearer to `alpha beta` than the one before.
    private static func index() -> FakeIndex {
        let index = FakeIndex()
        for number in 1...16 {
            index.add(
                "d-\(number)", title: String(repeating: "alpha beta ", count: number),
                comment: (number..<40).map { "other\($0)" }.joined(separator: " "))
        }
        return index
    }

    private struct Scene {
        let index = RecallWatchTests.index()
        let registry = MetricsRegistry()
        let lanes: StoreLanes
        let watch: RecallWatch

        init(share: Double = 0.5, lanes count: Int = 1) {
            let index = self.index
            lanes = LanePool(
                name: "test", count: count, make: { index.makeStore() }, interruption: { $0.interruption })
            watch = RecallWatch(stores: lanes, share: share, registry: registry, logger: Logger("t", level: .error))
        }

        func shows(_ line: String) -> Bool {
            String(decoding: registry.render(), as: UTF8.self).contains(line + "\n")
        }
    }

    private static let query = CandidateQuery(text: "alpha beta", vector: FakeIndex.embed("alpha beta"))

    @Test func whatTheIndexFindsIsComparedWithTheExactHits() async {
        let scene = Scene()
        _ = await scene.watch.compare(Self.query)
        #expect(scene.shows("medallion_search_recall_at_10_sum 1"))
        // The ten farthest of sixteen: four of them are among the ten nearest.
        scene.index.state.withLock { $0.isIndexOrderReversed = true }
        _ = await scene.watch.compare(Self.query)
        #expect(scene.shows("medallion_search_recall_at_10_sum 1.4"))
        #expect(scene.shows("medallion_search_recall_at_10_count 2"))
        #expect(scene.shows(#"medallion_search_recall_checks_total{outcome="compared"} 2"#))
        #expect(scene.index.state.withLock { $0.scans } == [.approximate, .exact, .approximate, .exact])
    }

    @Test func equalNeighboursAreAsGood() {
        #expect(RecallWatch.share(of: [0.9, 0.8, 0.8], among: [0.9, 0.8, 0.8, 0.8]) == 1)
        #expect(RecallWatch.share(of: [0.9, 0.8], among: [0.9, 0.7]) == 0.5)
        #expect(RecallWatch.share(of: [0.9], among: []) == 0)
        #expect(RecallWatch.share(of: [], among: [0.9]) == nil)
    }

    @Test func aComparisonGivesWayToARequest() async throws {
        let scene = Scene()
        scene.index.state.withLock { $0.exactDelayMilliseconds = 60_000 }
        let comparing = Task { await scene.watch.compare(Self.query) }
        try await eventually { scene.index.state.withLock { $0.scans.last } == .exact }
        let deadline = Deadline(milliseconds: 50_000)
        #expect(try await scene.lanes.run(deadline: deadline) { _, _ in 7 } == 7)
        _ = await comparing.value
        #expect(scene.index.state.withLock { $0.interrupted } == 1)
        #expect(scene.shows(#"medallion_search_recall_checks_total{outcome="gave_way"} 1"#))
        #expect(scene.index.state.withLock { $0.opened } == 1, "the connection is kept")
    }

    /// Of two lanes, one stays free: a request that comes need not stop anything.
    @Test func theLastFreeLaneIsNotBorrowed() async throws {
        let scene = Scene(lanes: 2)
        scene.index.state.withLock { $0.exactDelayMilliseconds = 60_000 }
        let comparing = Task { await scene.watch.compare(Self.query) }
        try await eventually { scene.index.state.withLock { $0.scans.last } == .exact }
        _ = await scene.watch.compare(Self.query)
        #expect(scene.shows(#"medallion_search_recall_checks_total{outcome="gave_way"} 1"#))
        let deadline = Deadline(milliseconds: 50_000)
        #expect(try await scene.lanes.run(deadline: deadline) { _, _ in 7 } == 7)
        #expect(scene.index.state.withLock { $0.interrupted } == 0)
        comparing.cancel()
        _ = await comparing.value
    }

    /// The pause behind a comparison is as long as the share demands.
    @Test func itRestsInProportion() async {
        let scene = Scene(share: 0.01)
        scene.index.state.withLock { $0.exactDelayMilliseconds = 40 }
        #expect(await scene.watch.compare(Self.query) >= 40 * 99)
    }

    @Test func whatTakesTooLongIsGivenUpAndCounted() async {
        let scene = Scene()
        scene.index.state.withLock { $0.failure = SearchBoundReached(milliseconds: 5_000) }
        _ = await scene.watch.compare(Self.query)
        scene.index.state.withLock { $0.failure = FakeFailure() }
        _ = await scene.watch.compare(Self.query)
        #expect(scene.shows(#"medallion_search_recall_checks_total{outcome="late"} 1"#))
        #expect(scene.shows(#"medallion_search_recall_checks_total{outcome="failed"} 1"#))
        #expect(scene.shows("medallion_search_recall_at_10_count 0"))
    }

    @Test(arguments: [0.0, 0.5]) func servedSearchesAreSampled(share: Double) async throws {
        let fixture = APIFixture(configure: { $0.recallShare = share })
        fixture.fill()
        let stop = StopSignal()
        let watching = Task { await fixture.api.search.recall.run(stop: stop) }
        func exactScans() -> Int { fixture.index.state.withLock { $0.scans.count { $0 == .exact } } }
        if share > 0 {
            try await eventually {
                #expect(await fixture.post(.search, #"{"query": "golden gate"}"#).status == 200)
                return exactScans() > 0
            }
        } else {
            await watching.value
            #expect(await fixture.post(.search, #"{"query": "golden gate"}"#).status == 200)
            #expect(exactScans() == 0)
        }
        stop.request()
        await watching.value
    }

    /// What was compared with all there is need not be compared again.
    @Test func exactAnswersAreNotSampled() async throws {
        let fixture = APIFixture(configure: { $0.recallShare = 0.5 })
        fixture.fill()
        let (recall, stop) = (fixture.api.search.recall, StopSignal())
        let watching = Task { await recall.run(stop: stop) }
        try await eventually { recall.isOpen }
        fixture.index.state.withLock { $0.isIndexExact = true }
        for filters in ["", #", "filters": {"lang": "en"}"#] {
            #expect(await fixture.post(.search, #"{"query": "golden gate"\#(filters)}"#).status == 200)
            #expect(recall.isOpen)
        }
        fixture.index.state.withLock { $0.isIndexExact = false }
        #expect(await fixture.post(.search, #"{"query": "golden gate"}"#).status == 200)
        #expect(!recall.isOpen)
        stop.request()
        await watching.value
    }
}
