import Health
import Telemetry
import Testing

/// Which stage holds events up.
@Suite struct PipelineDelayTests {
    private func stage(_ name: String, lag: Int64? = nil, milliseconds: Double? = nil) -> PipelineStage {
        var stage = PipelineStage(name: name, lag: lag)
        if let milliseconds {
            let histogram = MetricsRegistry().histogram("h", help: "H.", buckets: [milliseconds / 1_000])
            histogram.observe(milliseconds / 1_000)
            stage.latency = histogram.snapshot()
        }
        return stage
    }

    private func stages(lake: Int64 = 0, index: Int64 = 0, behind: Int64 = 0) -> [PipelineStage] {
        [
            stage("event"), stage("broker", lag: 0, milliseconds: 2), stage("committed", lag: lake, milliseconds: 80),
            stage("embedded", lag: index, milliseconds: 40), stage("searchable", lag: behind, milliseconds: 900),
        ]
    }

    @Test func theFullestStageHoldsUp() {
        let late = Freshness(.late, reason: "events wait", eventsBehind: 50)
        let lake = PipelineDelay(stages: stages(lake: 40, index: 10, behind: 50), freshness: late)
        #expect(lake?.stage == "committed" && lake?.kind == .waiting && lake?.events == 40)
        let index = PipelineDelay(stages: stages(lake: 1, index: 49, behind: 50), freshness: late)
        #expect(index?.stage == "embedded" && index?.events == 49)
        // What waits is known of all together alone.
        let all = PipelineDelay(stages: stages(behind: 50), freshness: late)
        #expect(all?.stage == "searchable" && all?.events == 50)
    }

    @Test func aSourceThatIsAwayIsNoStageThatIsSlow() {
        let late = Freshness(.late, reason: "the source has not been connected", eventsBehind: 0)
        let delay = PipelineDelay(stages: stages(), freshness: late)
        #expect(delay?.stage == "event" && delay?.kind == .source && delay?.events == nil)
    }

    @Test func whereNothingWaitsTheSlowestStepIsNamed() throws {
        let delay = try #require(PipelineDelay(stages: stages(), freshness: Freshness(.fresh, eventsBehind: 0)))
        // The last stage's time is of the whole way.
        #expect(delay.stage == "committed" && delay.kind == .slowest)
        let seconds = try #require(delay.seconds)
        #expect(abs(seconds - 0.076) < 0.001)
    }

    @Test func nobodyIsBlamedOnAGuess() {
        #expect(PipelineDelay(stages: stages(lake: 9), freshness: Freshness(.unknown, reason: "nobody answers")) == nil)
        #expect(PipelineDelay(stages: [], freshness: Freshness(.fresh)) == nil)
        let idle = [stage("event"), stage("broker", lag: 0), stage("searchable", lag: 0)]
        #expect(PipelineDelay(stages: idle, freshness: Freshness(.fresh, eventsBehind: 0)) == nil)
    }
}
