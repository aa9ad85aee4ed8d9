import Access
import HTTPServer
import Health
import JSONScan
import Records
import Synchronization
import Telemetry
import Testing

@testable import API

/// What `GET /history` keeps of the last hour.
@Suite struct HistoryTests {
    private func history(
        _ registry: MetricsRegistry, _ flow: PipelineFlow = PipelineFlow(), _ freshness: Freshness = Freshness(.fresh)
    ) -> MetricsHistory {
        MetricsHistory(registry, flow: flow, stepMilliseconds: 10_000, freshness: { freshness })
    }

    /// What is in a source's topic, and up to where the index is.
    private func look(_ flow: PipelineFlow, high: Int64, next: Int64) {
        flow.note(
            IndexLook(
                generation: 1, indexVersion: 1, indexedAtMilliseconds: nil,
                places: [0: IndexLook.Place(next: next, low: 0, high: high)], atMilliseconds: 0),
            of: "s", topic: "s")
    }

    private func requests(_ registry: MetricsRegistry, _ route: String) -> Histogram {
        registry.histogram(
            "medallion_api_request_seconds", help: "Time from a request's last byte to its reply's first.",
            labels: [("route", route)])
    }

    private func hits(_ registry: MetricsRegistry, _ what: String, _ cache: String) -> Counter {
        registry.counter("medallion_cache_\(what)_total", help: "Requests.", labels: [("cache", cache)])
    }

    @Test func eachPointIsOfItsStepAlone() throws {
        let registry = MetricsRegistry()
        let now = Mutex<Int64>(0)
        let flow = PipelineFlow(clock: { now.withLock { $0 } })
        let history = history(
            registry, flow, Freshness(.late, reason: "events wait", eventsBehind: 12, waitMilliseconds: 7_000))
        look(flow, high: 1_000, next: 900)
        requests(registry, "/search").observe(9)
        history.look(atMilliseconds: 0, nanoseconds: 0)
        #expect(history.points.isEmpty, "what was before the first look is of no step")
        now.withLock { $0 = 5_000_000_000 }
        look(flow, high: 1_050, next: 1_050)
        flow.note(
            searchable: 30,
            [EventDwell(event: nil, received: nil, broker: 100, committed: 180, indexed: 200, searchable: 220)])
        for _ in 0..<20 { requests(registry, "/search").observe(0.004) }
        registry.histogram("medallion_api_answer_seconds", help: "Time to the last word.").observe(0.15)
        hits(registry, "hits", "search").increment(by: 3)
        hits(registry, "misses", "search").increment()
        // Asked for the same requests, and so counted once.
        hits(registry, "misses", "shared").increment(by: 100)
        history.look(atMilliseconds: 10_000, nanoseconds: 10_000_000_000)
        let point = try #require(history.points.first)
        #expect(point.atMilliseconds == 10_000 && point.state == .late)
        #expect(point.values[.received] == 5 && point.values[.searches] == 2)
        #expect(try #require(point.values[.searchP95]) < 5.001)
        #expect(try #require(point.values[.answerP95]) > 100)
        let share = try #require(point.values[.cacheHits])
        #expect(abs(share - 0.75) < 1e-9)
        #expect(point.values[.oldestWait] == 7_000 && point.values[.eventsBehind] == 12)
        #expect(point.values[.recall] == nil && point.values[.committed] == nil)
        #expect(point.values[.freshnessP50] == 120 && point.values[.searchable] == 3)
        now.withLock { $0 = 15_000_000_000 }
        history.look(atMilliseconds: 20_000, nanoseconds: 20_000_000_000)
        let quiet = try #require(history.points.last)
        #expect(quiet.values[.received] == 0 && quiet.values[.searches] == 0)
        #expect(quiet.values[.searchP95] == nil && quiet.values[.cacheHits] == nil, "nothing was measured")
        #expect(quiet.values[.freshnessP50] == nil && quiet.values[.searchable] == 0)
    }

    /// One reply in a step is all or nothing; a share is of ten, as far as there were so many lately.
    @Test func aShareOfFewRepliesTakesInEarlierOnes() throws {
        let registry = MetricsRegistry()
        let history = history(registry)
        var shares: [Double] = []
        for step in 0...8 {
            hits(registry, step.isMultiple(of: 2) ? "hits" : "misses", "search").increment()
            hits(registry, step.isMultiple(of: 2) ? "misses" : "hits", "search").increment(by: 0)
            history.look(atMilliseconds: Int64(step) * 10_000, nanoseconds: Int64(step) * 10_000_000_000)
            if let share = history.points.last?.values[.cacheHits] { shares.append(share) }
        }
        #expect(shares.count == 8 && shares[0] == 0 && shares[1] == 0.5)
        #expect(shares.suffix(3).allSatisfy { abs($0 - 0.5) < 1e-9 }, "of six steps: \(shares)")
        hits(registry, "hits", "search").increment(by: 20)
        history.look(atMilliseconds: 90_000, nanoseconds: 90_000_000_000)
        #expect(history.points.last?.values[.cacheHits] == 1, "so many say enough by themselves")
    }

    @Test func anHourIsKept() throws {
        let history = history(MetricsRegistry())
        for step in 0...400 { history.look(atMilliseconds: Int64(step), nanoseconds: Int64(step) * 1_000) }
        #expect(history.points.count == 360)
        #expect(history.points.first?.atMilliseconds == 41 && history.points.last?.atMilliseconds == 400)
        // A clock that stands still makes no point, and no rate without end.
        history.look(atMilliseconds: 401, nanoseconds: 400_000)
        #expect(history.points.last?.atMilliseconds == 400)
    }

    @Test func theReplyHasAValueForEachTime() async throws {
        let fixture = APIFixture(adjust: { dependencies in
            let registry = dependencies.metrics
            registry.gauge("process_resident_memory_bytes", help: "Memory.") { 1_234 }
        })
        let empty = await fixture.get(.history)
        #expect(empty.status == 200 && empty.body["at"]?.array?.isEmpty == true)
        for step in 0...3 {
            fixture.api.operation.history.look(
                atMilliseconds: Int64(step) * 10_000, nanoseconds: Int64(step) * 10_000_000_000)
        }
        let reply = await fixture.get(.history).body
        #expect(reply["step_seconds"]?.double == 10)
        #expect(reply["at"]?.array?.count == 3 && reply["at"]?[0]?.string == "1970-01-01T00:00:10.000Z")
        #expect(reply["freshness"]?.array?.compactMap(\.string) == ["fresh", "fresh", "fresh"])
        let series = try #require(reply["series"]?.array)
        #expect(series.compactMap { $0["name"]?.string } == MetricsHistory.Series.allCases.map(\.rawValue))
        #expect(series.allSatisfy { $0["values"]?.array?.count == 3 })
        let memory = series.first { $0["name"]?.string == "memory" }
        #expect(memory?["values"]?[2]?.double == 1_234 && memory?["unit"]?.string == "bytes")
    }

    /// It tells what other tenants do.
    @Test func whereThereAreOtherTenantsItTakesAnAdministrator() async throws {
        let scene = try TenantScene()
        for caller in scene.callers {
            let reply = await scene.fixture.reply(HTTPRequest(target: "/history", headers: caller.headers))
            #expect(reply.status == (caller.isPlatformAdmin ? 200 : 403), "\(caller)")
        }
    }
}
