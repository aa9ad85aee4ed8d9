import Health
import Testing

/// Which stage holds events up.
@Suite struct PipelineDelayTests {
    private func stage(
        _ name: PipelineStage.Name, lag: Int64? = nil, milliseconds: Int64? = nil, rate: Double? = 5
    ) -> PipelineStage {
        PipelineStage(
            name: name, ratePerSecond: rate, lag: lag, dwell: milliseconds.flatMap { DwellTimes([$0]) })
    }

    private func stages(
        lake: Int64 = 0, index: Int64 = 0, behind: Int64 = 0, lakeRate: Double? = 5, indexRate: Double? = 5
    ) -> [PipelineStage] {
        [
            stage(.event), stage(.received, milliseconds: 60), stage(.broker, milliseconds: 2),
            stage(.committed, lag: lake, milliseconds: 80, rate: lakeRate),
            stage(.indexed, lag: index, milliseconds: 40, rate: indexRate),
            stage(.searchable, lag: behind, milliseconds: 9),
        ]
    }

    @Test func theFullestStageHoldsUp() {
        let late = Freshness(.late, reason: "events wait", eventsBehind: 50)
        let lake = PipelineDelay(stages: stages(lake: 40, index: 10, behind: 50), freshness: late)
        #expect(lake?.stage == .committed && lake?.kind == .waiting && lake?.events == 40)
        let index = PipelineDelay(stages: stages(lake: 1, index: 49, behind: 50), freshness: late)
        #expect(index?.stage == .indexed && index?.events == 49)
        // What waits is known of all together alone.
        let all = PipelineDelay(stages: stages(behind: 50), freshness: late)
        #expect(all?.stage == .searchable && all?.events == 50)
    }

    @Test func aStageThatTakesNothingStandsStill() {
        let late = Freshness(.late, reason: "events wait", eventsBehind: 50)
        let lake = PipelineDelay(
            stages: stages(lake: 45, index: 5, behind: 50, lakeRate: 0, indexRate: 2), freshness: late)
        #expect(lake?.stage == .committed && lake?.kind == .standing && lake?.events == 45)
        let index = PipelineDelay(stages: stages(index: 50, behind: 50, indexRate: 0), freshness: late)
        #expect(index?.stage == .indexed && index?.kind == .standing)
        // Of a rate that nobody knows nothing follows.
        let unknown = PipelineDelay(stages: stages(index: 50, behind: 50, indexRate: nil), freshness: late)
        #expect(unknown?.kind == .waiting)
    }

    @Test func aSourceThatIsAwayIsNoStageThatIsSlow() {
        let late = Freshness(.late, reason: "the source has not been connected", eventsBehind: 0)
        let delay = PipelineDelay(stages: stages(), freshness: late)
        #expect(delay?.stage == .event && delay?.kind == .source && delay?.events == nil)
    }

    @Test func whereNothingWaitsTheStageIsNamedThatEventsAreLongestInFrontOf() {
        let delay = PipelineDelay(stages: stages(), freshness: Freshness(.fresh, eventsBehind: 0))
        #expect(delay?.stage == .committed && delay?.kind == .slowest && delay?.milliseconds == 80)
    }

    /// The index's transaction takes 8 ms and the lake's commit 1 ms; but events lie in the topic for 100 ms first.
    @Test func aStageWhoseWorkIsShortAndWhoseWaitIsLongIsTheSlowOne() throws {
        let flow = PipelineFlow(clock: { 0 })
        let ways = (0..<20).map { number -> EventDwell in
            let broker = 1_000 + Int64(number) * 50
            return EventDwell(
                event: broker - 6, received: broker - 1, broker: broker, committed: broker + 101,
                indexed: broker + 113, searchable: broker + 121)
        }
        flow.note(searchable: ways.count, ways)
        let reading = flow.reading
        let delay = try #require(PipelineDelay(stages: reading.stages, freshness: Freshness(.fresh, eventsBehind: 3)))
        #expect(delay.stage == .committed && delay.kind == .slowest && delay.milliseconds == 101)
        let steps = reading.stages.compactMap(\.dwell?.p95)
        #expect(steps == [5, 1, 101, 12, 8] && reading.way?.p95 == steps.reduce(0, +))
    }

    @Test func nobodyIsBlamedOnAGuess() {
        #expect(PipelineDelay(stages: stages(lake: 9), freshness: Freshness(.unknown, reason: "nobody answers")) == nil)
        #expect(PipelineDelay(stages: [], freshness: Freshness(.fresh)) == nil)
        let idle = [stage(.event), stage(.broker, lag: 0), stage(.searchable, lag: 0)]
        #expect(PipelineDelay(stages: idle, freshness: Freshness(.fresh, eventsBehind: 0)) == nil)
    }
}
