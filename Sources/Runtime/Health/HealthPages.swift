package import Bytes

/// What `/live`, `/ready` and `/health` of a process say; the same words in every role.
package struct HealthPages: Sendable {
    /// A status and a JSON body.
    package typealias Page = (status: Int, body: [UInt8])

    private let registry: HealthRegistry
    private let freshness: (@Sendable () -> (Freshness, FreshnessLimits))?
    private let version: String
    private let startedAtNanoseconds = SystemClock.monotonicNanoseconds()

    /// - Parameters:
    ///   - registry: what this process depends on.
    ///   - freshness: of the index that this process serves, and what makes it unfit to be asked; nil where it serves none.
    ///   - version: of the program.
    package init(
        _ registry: HealthRegistry, freshness: (@Sendable () -> (Freshness, FreshnessLimits))? = nil, version: String
    ) {
        self.registry = registry
        self.freshness = freshness
        self.version = version
    }

    /// `GET /live`: the process answers.
    package func live() -> Page {
        var writer = JSONWriter()
        writer.beginObject()
        writer.bool("live", true)
        writer.integer("uptime_sec", uptimeSeconds)
        writer.endObject()
        return (200, writer.bytes)
    }

    /// `GET /ready`: whether this process does its work. 503 when something that it needs has failed or is not known
    /// yet, or when the index that it serves is stale, or nobody knows how stale.
    ///
    /// - Parameter isDetailed: false for strangers, who get no reasons.
    package func ready(isDetailed: Bool = true) -> Page {
        var reasons: [String] = []
        for entry in registry.snapshot() where entry.isRequired && (entry.state == .failed || entry.state == .unknown) {
            reasons.append("\(entry.name) is \(entry.state.rawValue): \(entry.last?.message ?? "not looked at yet")")
        }
        if let (freshness, limits) = freshness?(), let objection = freshness.objection(limits) {
            reasons.append(objection)
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.bool("ready", reasons.isEmpty)
        writer.key("reasons")
        writer.beginArray()
        if isDetailed { for reason in reasons { writer.string(reason) } }
        writer.endArray()
        writer.endObject()
        return (reasons.isEmpty ? 200 : 503, writer.bytes)
    }

    /// `GET /health`: every dependency with its state. 503 when one that the work needs has failed.
    ///
    /// - Parameters:
    ///   - isDetailed: false for strangers, who get the state alone.
    ///   - more: further members, such as the API's pipeline.
    package func health(isDetailed: Bool = true, _ more: (inout JSONWriter) -> Void = { _ in }) -> Page {
        let entries = registry.snapshot()
        let overall = HealthRegistry.overall(entries)
        var writer = JSONWriter(capacity: 2_048)
        writer.beginObject()
        writer.string("status", overall.rawValue)
        guard isDetailed else {
            writer.endObject()
            return (overall == .failed ? 503 : 200, writer.bytes)
        }
        writer.string("version", version)
        writer.integer("uptime_sec", uptimeSeconds)
        writer.string("now", CivilTime.rfc3339(SystemClock.epochMilliseconds()))
        more(&writer)
        if let (value, _) = freshness?() { writer.freshness(value) }
        writer.key("dependencies")
        writer.beginObject()
        for entry in entries { writer.entry(entry) }
        writer.endObject()
        writer.endObject()
        return (overall == .failed ? 503 : 200, writer.bytes)
    }

    private var uptimeSeconds: Int64 { (SystemClock.monotonicNanoseconds() - startedAtNanoseconds) / 1_000_000_000 }
}

extension JSONWriter {
    /// The members that say how fresh the index is, the same in every reply.
    package mutating func freshness(_ freshness: Freshness) {
        string("freshness", freshness.state.rawValue)
        string("freshness_reason", freshness.reason)
        key("indexed_at")
        time(freshness.indexedAtMilliseconds)
        key("events_behind")
        if let behind = freshness.eventsBehind { integer(behind) } else { null() }
    }

    private mutating func time(_ epochMilliseconds: Int64?) {
        if let epochMilliseconds { string(CivilTime.rfc3339(epochMilliseconds)) } else { null() }
    }

    fileprivate mutating func entry(_ entry: HealthRegistry.Entry) {
        key(dynamic: entry.name)
        beginObject()
        string("state", entry.state.rawValue)
        bool("required", entry.isRequired)
        string("message", entry.last?.message ?? "not looked at yet")
        key("latency_ms")
        if let latency = entry.latencyNanoseconds { double(Double(latency / 1_000) / 1_000) } else { null() }
        key("checked_at")
        time(entry.checkedAtMilliseconds)
        key("last_ok")
        time(entry.lastOkAtMilliseconds)
        key("detail")
        beginObject()
        for (name, value) in entry.last?.detail ?? [] {
            key(dynamic: name)
            string(value)
        }
        endObject()
        endObject()
    }
}
