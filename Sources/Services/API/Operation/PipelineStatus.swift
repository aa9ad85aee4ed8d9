import Bytes
import HTTPServer
import Health
import Records
import Telemetry

extension Operation {
    /// `GET /pipeline/status`: out of memory, so that it answers while everything else hangs. Sources and how fresh the index is
    /// are the caller's tenant's; the stages count what passes, whosever it is.
    func pipelineStatus(_ request: HTTPRequest) throws -> HTTPResponse {
        // An administrator of the platform who names no tenant sees all of them.
        let tenant: TenantID? =
            try access.seesAllTenants(request) && AccessGuard.namedTenant(request.headers) == nil
            ? nil : access.tenant(of: request)
        let index = registry.snapshot().first { $0.name == "index" }?.last?.detail ?? []
        func figure(_ name: String) -> Int64? { index.first { $0.name == name }.flatMap { Int64($0.value) } }
        var writer = JSONWriter(capacity: 2_048)
        writer.beginObject()
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        let freshness = self.freshness(tenant)
        writer.key("pipeline")
        writer.pipeline(pipeline(tenant), freshness)
        writer.key("generation")
        writer.optional(freshness.generation ?? figure("generation"))
        writer.key("index_version")
        writer.optional(freshness.indexVersion ?? figure("index_version"))
        writer.freshness(freshness)
        writer.key("stages")
        writer.beginArray()
        let stages = self.stages()
        for stage in stages { writer.stage(stage) }
        writer.endArray()
        writer.key("delay")
        writer.delay(PipelineDelay(stages: stages, freshness: freshness))
        writer.key("sources")
        writer.beginArray()
        let isDetailed = access.maySeeDetails(request)
        for source in sources(tenant) { writer.source(source, isDetailed: isDetailed) }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

extension JSONWriter {
    /// - Parameter isDetailed: whether the caller may see what a source said when it failed.
    fileprivate mutating func source(_ source: SourceStatus, isDetailed: Bool) {
        beginObject()
        key("name")
        string(source.name)
        key("connector")
        string(source.connector)
        key("phase")
        optional(source.phase)
        key("last_event")
        time(source.lastEventMilliseconds)
        key("position")
        optional(source.position)
        key("last_error")
        optional(isDetailed ? source.lastError : nil)
        key("last_error_at")
        time(source.lastErrorMilliseconds)
        key("freshness")
        string(source.freshness.state.rawValue)
        key("events_behind")
        optional(source.freshness.eventsBehind)
        endObject()
    }

    fileprivate mutating func delay(_ delay: PipelineDelay?) {
        guard let delay else { return null() }
        beginObject()
        key("stage")
        string(delay.stage)
        key("kind")
        string(delay.kind.rawValue)
        key("events")
        optional(delay.events)
        key("p95_ms")
        if let seconds = delay.seconds { double((seconds * 1e6).rounded() / 1e3) } else { null() }
        endObject()
    }

    fileprivate mutating func stage(_ stage: PipelineStage) {
        beginObject()
        key("name")
        string(stage.name)
        key("count")
        optional(stage.count)
        key("rate_per_sec")
        optional(stage.ratePerSecond.map { ($0 * 10).rounded() / 10 })
        key("lag")
        optional(stage.lag)
        key("latency_ms")
        if let latency = stage.latency, latency.count > 0 {
            beginObject()
            for (name, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
                key(dynamic: name)
                double(((latency.quantile(quantile) ?? 0) * 1e6).rounded() / 1e3)
            }
            endObject()
        } else {
            null()
        }
        key("last_event")
        time(stage.lastEventMilliseconds)
        endObject()
    }
}
