import Bytes
import HTTPServer
import Health
import Records
import Synchronization

extension Operation {
    /// `GET /pipeline/status`: out of memory, so that it answers while everything else hangs. Sources and how fresh the index is
    /// are the caller's tenant's, and so is what waits where events are held up; the stages count what passes, whosever it is.
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
        let reading = flow.reading
        for stage in reading.stages { writer.stage(stage) }
        writer.endArray()
        writer.key("way_ms")
        writer.times(reading.way)
        writer.key("delay")
        // What waits of others' sources holds up no event of this tenant.
        let own = tenant.map { reading.stages(ofSources: Set(sources($0).map(\.name))) }
        writer.delay(PipelineDelay(stages: own ?? reading.stages, freshness: freshness))
        writer.key("sources")
        writer.beginArray()
        let isDetailed = access.maySeeDetails(request)
        for source in sources(tenant) {
            writer.beginObject()
            writer.source(source, isDetailed: isDetailed)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `GET /sources`: the same of the sources alone, with their rates.
    func sourcesReply(_ request: HTTPRequest) throws -> HTTPResponse {
        let tenant: TenantID? =
            try access.seesAllTenants(request) && AccessGuard.namedTenant(request.headers) == nil
            ? nil : access.tenant(of: request)
        let isDetailed = access.maySeeDetails(request)
        let now = SystemClock.monotonicNanoseconds()
        var writer = JSONWriter(capacity: 1_024)
        writer.beginObject()
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        writer.key("sources")
        writer.beginArray()
        for source in sources(tenant) {
            writer.beginObject()
            writer.source(source, isDetailed: isDetailed)
            writer.key("rate_per_sec")
            writer.optional(source.position.flatMap { rates.rate(of: source.name, at: $0, nowNanoseconds: now) })
            writer.key("searchable_at")
            writer.time(source.freshness.indexedAtMilliseconds)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes)
    }
}

/// How fast sources' positions grow, from one asking to the next.
final class SourceRates: Sendable {
    private typealias Look = (nanoseconds: Int64, position: Int64)

    private let looks = Mutex<[String: [Look]]>([:])
    private static let windowNanoseconds: Int64 = 60_000_000_000
    /// Of one source; more often asked than that, the earlier ones are thinned out.
    private static let looksMax = 64
    private static let sourcesMax = 256
    private static let stepNanoseconds: Int64 = 1_000_000_000

    /// Takes note of a position.
    ///
    /// - Returns: positions a second since the oldest look within the last minute; nil where there is none, or it is of just now.
    func rate(of source: String, at position: Int64, nowNanoseconds now: Int64) -> Double? {
        looks.withLock { looks in
            if looks[source] == nil, looks.count >= Self.sourcesMax { looks = [:] }
            var known = looks[source] ?? []
            // A source that was started again counts anew.
            known.removeAll { now - $0.nanoseconds > Self.windowNanoseconds || $0.position > position }
            if known.last.map({ now - $0.nanoseconds >= Self.stepNanoseconds }) ?? true {
                known.append((now, position))
                if known.count > Self.looksMax { known.removeFirst() }
            }
            looks[source] = known
            guard let first = known.first, now - first.nanoseconds >= Self.stepNanoseconds / 2 else { return nil }
            return Double(position - first.position) / (Double(now - first.nanoseconds) / 1e9)
        }
    }
}

extension JSONWriter {
    /// - Parameter isDetailed: whether the caller may see what a source said when it failed.
    fileprivate mutating func source(_ source: SourceStatus, isDetailed: Bool) {
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
        key("lag_bytes")
        optional(source.lagBytes)
        key("paused")
        pause(source.pause, isDetailed: isDetailed)
        key("snapshot")
        snapshot(source.snapshot, isDetailed: isDetailed)
        key("freshness")
        string(source.freshness.state.rawValue)
        key("events_behind")
        optional(source.freshness.eventsBehind)
    }

    private mutating func pause(_ pause: SourcePause?, isDetailed: Bool) {
        guard let pause else { return null() }
        beginObject()
        key("by")
        optional(isDetailed ? pause.by : nil)
        key("reason")
        optional(isDetailed ? pause.reason : nil)
        key("at")
        time(pause.atMilliseconds)
        endObject()
    }

    private mutating func snapshot(_ progress: SnapshotProgress?, isDetailed: Bool) {
        guard let progress else { return null() }
        beginObject()
        key("id")
        optional(progress.id)
        string("state", progress.state.rawValue)
        key("from")
        optional(isDetailed ? progress.from : nil)
        key("to")
        optional(isDetailed ? progress.to : nil)
        integer("rows", progress.rows)
        key("rows_expected")
        optional(progress.rowsExpected.map { Int64($0) })
        key("reason")
        optional(isDetailed && !progress.reason.isEmpty ? progress.reason : nil)
        integer("requests_waiting", progress.requestsWaiting)
        endObject()
    }

    fileprivate mutating func delay(_ delay: PipelineDelay?) {
        guard let delay else { return null() }
        beginObject()
        key("stage")
        string(delay.stage.rawValue)
        key("kind")
        string(delay.kind.rawValue)
        key("events")
        optional(delay.events)
        key("p95_ms")
        if let milliseconds = delay.milliseconds { double(milliseconds) } else { null() }
        endObject()
    }

    fileprivate mutating func times(_ times: DwellTimes?) {
        guard let times else { return null() }
        beginObject()
        for (name, value) in [("p50", times.p50), ("p95", times.p95), ("p99", times.p99)] {
            key(dynamic: name)
            double(value)
        }
        endObject()
    }

    fileprivate mutating func stage(_ stage: PipelineStage) {
        beginObject()
        key("name")
        string(stage.name.rawValue)
        key("count")
        optional(stage.count)
        key("rate_per_sec")
        optional(stage.ratePerSecond.map { ($0 * 10).rounded() / 10 })
        key("lag")
        optional(stage.lag)
        key("dwell_ms")
        times(stage.dwell)
        key("last_event")
        time(stage.lastEventMilliseconds)
        endObject()
    }
}
