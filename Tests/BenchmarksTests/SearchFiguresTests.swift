import Bytes
import JSONScan
import Testing

@testable import Benchmarks

/// What the search benchmark makes of what it saw.
@Suite struct SearchFiguresTests {
    @Test func wrksWordsAreRead() throws {
        let text = """
            Running 5s test @ http://127.0.0.1:1/search
              1 threads and 4 connections
              Thread Stats   Avg      Stdev     Max   +/- Stdev
                Latency     5.21ms    1.02ms  20.11ms   80.00%
                Req/Sec   771.20     12.00   801.00     70.00%
              Latency Distribution
                 50%    5.10ms
                 75%    5.60ms
                 90%    6.20ms
                 99%    1.02s
              3856 requests in 5.00s, 10.01MB read
              Socket errors: connect 1, read 2, write 0, timeout 3
              Non-2xx or 3xx responses: 4
            Requests/sec:    770.55
            Transfer/sec:      2.00MB
            95% 6530.5us
            """
        let result = try #require(WrkLoad.read(text))
        #expect(result.requestsPerSecond == 770.55)
        #expect(result.p50Milliseconds == 5.1 && result.p99Milliseconds == 1_020)
        #expect(abs(result.p95Milliseconds - 6.5305) < 1e-9)
        #expect(result.failures == 10)
        #expect(WrkLoad.read("unable to connect") == nil)
    }

    @Test func noQueryComesAgain() {
        var random = SeededGenerator(seed: 1)
        let queries = (0..<1_000).map { _ in SearchQueries.next(&random) }
        #expect(Set(queries).count == queries.count)
        #expect(queries.allSatisfy { $0.split(separator: " ").count == 4 })
        #expect(SearchQueries.script(seed: 1) != SearchQueries.script(seed: 2))
    }

    @Test func aReplySaysWhatItFoundAndWhetherThatIsAll() throws {
        let whole = try JSONValue.parse(Array(#"{"hits":[{"doc_id":"b"},{"doc_id":"a"}]}"#.utf8))
        #expect(SearchClient.documents(whole) == ["b", "a"] && SearchClient.hasAllWords(whole))
        let partly = try JSONValue.parse(Array(#"{"hits":[],"bounded_arms":["vector","lexical"]}"#.utf8))
        #expect(SearchClient.documents(partly) == [] && !SearchClient.hasAllWords(partly))
        let vectors = try JSONValue.parse(Array(#"{"hits":[],"bounded_arms":["vector"]}"#.utf8))
        #expect(SearchClient.hasAllWords(vectors))
    }

    @Test func recallCountsWhatIsExact() {
        var tally = RecallTally()
        #expect(tally.share == 0)
        tally.add(found: ["a", "b", "x"], exact: ["a", "b", "c", "d"])
        #expect(tally.share == 0.5)
        tally.add(found: [], exact: [])
        #expect(tally.share == 0.5)
        tally.add(found: ["e", "f", "g", "h"], exact: ["h", "g", "f", "e"])
        #expect(tally.share == 0.75)
    }

    @Test func failuresAreNotWithinAnyTime() {
        var results = PacedSearches.Results()
        for milliseconds in [10.0, 20, 250, 251] { results.latencies.add(milliseconds) }
        #expect(results.share(within: 250) == 0.75)
        results.failures = 1
        #expect(results.share(within: 250) == 0.6)
    }

    @Test func freshnessIsBackWithSeveralInARow() {
        func probes(_ milliseconds: [Double]) -> [FreshnessBurst.Probe] {
            milliseconds.enumerated().map { .init(second: Double($0.offset) / 2, milliseconds: $0.element) }
        }
        #expect(FreshnessBurst.recovery(probes([100, 200, 300, 400, 500, 9_000])) == 0)
        #expect(FreshnessBurst.recovery(probes([9_000, 800, 100, 501, 100, 100, 100, 100, 100])) == 2)
        #expect(FreshnessBurst.recovery(probes([100, 100, 100, 100])) == nil)
        #expect(FreshnessBurst.recovery(probes([100, 100, 100, 900, 100, 100, 100, 100])) == nil)
        // In the order of writing, however they were found.
        #expect(FreshnessBurst.recovery(probes([9_000, 100, 100, 100, 100, 100]).reversed()) == 0.5)
    }

    @Test func pagesShowThreeDigits() {
        #expect(
            [0.9984, 1, 4.826, 23.119, 304.4, 10_078].map(BenchReport.short) == [
                "0.998", "1.0", "4.83", "23.1", "304", "10,078",
            ])
    }

    @Test func goalsAreJudged() {
        #expect(BenchGoal.atMost(0.25).text == "at most 0.25" && BenchGoal.atMost(1_000).text == "at most 1,000")
        #expect(BenchGoal.atLeast(10).isReached(by: 10) && !BenchGoal.atLeast(10).isReached(by: 9.9))
        #expect(BenchGoal.atMost(12).isReached(by: 12) && !BenchGoal.atMost(12).isReached(by: 12.1))
        #expect(BenchFigure("a", 11, "ms", goal: .atMost(12)).remark == "wanted: at most 12, reached")
        #expect(BenchFigure("a", 5, "", target: "x", goal: .atLeast(10)).remark == "wanted: at least 10, missed; x")
        #expect(BenchFigure("a", 5, "", target: "x").remark == "x" && BenchFigure("a", 5, "").remark == nil)
    }
}
