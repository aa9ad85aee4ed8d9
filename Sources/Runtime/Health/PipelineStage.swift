/// One stage of the pipeline, as `GET /pipeline/status` shows it.
package struct PipelineStage: Sendable, Equatable {
    /// The stages, in the order in which an event takes them.
    package enum Name: String, Sendable, CaseIterable {
        case event, received, broker, committed, indexed, searchable
    }

    /// Of the chain event → received → broker → committed → indexed → searchable.
    package var name: Name
    /// Events since this process began to look; nil where not known here.
    package var count: Int64?
    /// Over the last seconds.
    package var ratePerSecond: Double?
    /// Events that wait for this stage.
    package var lag: Int64?
    /// How long events were between the stage before and this one; nil where nothing passed lately.
    package var dwell: DwellTimes?
    /// Milliseconds since 1970.
    package var lastEventMilliseconds: Int64?

    package init(
        name: Name, count: Int64? = nil, ratePerSecond: Double? = nil, lag: Int64? = nil, dwell: DwellTimes? = nil,
        lastEventMilliseconds: Int64? = nil
    ) {
        self.name = name
        self.count = count
        self.ratePerSecond = ratePerSecond
        self.lag = lag
        self.dwell = dwell
        self.lastEventMilliseconds = lastEventMilliseconds
    }
}
