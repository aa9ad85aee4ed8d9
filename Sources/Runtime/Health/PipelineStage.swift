package import Telemetry

/// One stage of the pipeline, as `GET /pipeline/status` shows it.
package struct PipelineStage: Sendable {
    /// Of the chain event → received → broker → committed → embedded → searchable.
    package var name: String
    /// Events since the process started; nil where not known here.
    package var count: Int64?
    /// Over the last seconds.
    package var ratePerSecond: Double?
    /// Events that wait for this stage.
    package var lag: Int64?
    /// Of the stage's work over the last seconds, in seconds; nil where nothing passed.
    package var latency: HistogramSnapshot?
    /// Milliseconds since 1970.
    package var lastEventMilliseconds: Int64?

    package init(
        name: String, count: Int64? = nil, ratePerSecond: Double? = nil, lag: Int64? = nil,
        latency: HistogramSnapshot? = nil, lastEventMilliseconds: Int64? = nil
    ) {
        self.name = name
        self.count = count
        self.ratePerSecond = ratePerSecond
        self.lag = lag
        self.latency = latency
        self.lastEventMilliseconds = lastEventMilliseconds
    }
}
