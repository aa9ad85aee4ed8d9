import Access
import HTTPServer
import Health
import JSONScan
import Records
import Telemetry
import Testing

@testable import API

/// What `GET /history` keeps of the last hour.
@Suite struct HistoryTests {
    private func history(_ registry: MetricsRegistry, _ freshness: Freshness = Freshness(.fresh)) -> MetricsHistory {
        MetricsHistory(registry, stepMilliseconds: 10_000, freshness: { freshness })
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
        let history = history(
            registry, Freshness(.late, reason: "events wait", eventsBehind: 12, waitMilliseconds: 7_000))
        let received = registry.counter(
            "medallion_producer_events_acknowledged_total", help: "Events.", labels: [("source", "s")])
        received.increment(by: 1_000)
        requests(registry, "/search").observe(9)
        history.look(atMilliseconds: 0, nanoseconds: 0)
        #expect(history.points.isEmpty, "what was before the first look is of no step")
        received.increment(by: 50)
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
        #expect(point.values[.recall] == nil && point.values[.freshnessP50] == nil && point.values[.committed] == nil)
        history.look(atMilliseconds: 20_000, nanoseconds: 20_000_000_000)
        let quiet = try #require(history.points.last)
        #expect(quiet.values[.received] == 0 && quiet.values[.searches] == 0)
        #expect(quiet.values[.searchP95] == nil && quiet.values[.cacheHits] == nil, "nothing was measured")
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
