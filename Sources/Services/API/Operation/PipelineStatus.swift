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
        for stage in stages() { writer.stage(stage) }
        writer.endArray()
        writer.key("sources")
        writer.beginArray()
        for source in sources(tenant) { writer.source(source) }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

extension JSONWriter {
    fileprivate mutating func source(_ source: SourceStatus) {
        beginObject()
        key("name")
        string(source.name)
        key("connector")
        string(source.connector)
        key("phase")
        optional(source.phase)
        key("last_event")
        time(source.lastEventMilliseconds)
        key("freshness")
        string(source.freshness.state.rawValue)
        key("events_behind")
        optional(source.freshness.eventsBehind)
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
