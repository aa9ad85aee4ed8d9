import Bytes
import HTTPServer

extension SearchAPI {
    /// `GET /health`: every dependency with its state. 503 when one that searching needs has failed.
    ///
    /// - Parameter isDetailed: whether the caller may see more than the state: addresses, versions, errors.
    func health(isDetailed: Bool) -> HTTPResponse {
        let entries = dependencies.health.snapshot()
        let overall = HealthRegistry.overall(entries)
        var writer = JSONWriter(capacity: 2_048)
        writer.beginObject()
        writer.key("status")
        writer.string(overall.rawValue)
        guard isDetailed else {
            writer.endObject()
            return .fresh(writer.bytes, status: overall == .failed ? 503 : 200)
        }
        writer.key("version")
        writer.string(configuration.version)
        writer.key("uptime_sec")
        writer.integer((SystemClock.monotonicNanoseconds() - startedAtNanoseconds) / 1_000_000_000)
        writer.key("now")
        writer.time(SystemClock.epochMilliseconds())
        writer.key("pipeline")
        writer.pipeline(dependencies.pipeline())
        writer.key("dependencies")
        writer.beginObject()
        for entry in entries { writer.entry(entry) }
        writer.endObject()
        writer.endObject()
        return .fresh(writer.bytes, status: overall == .failed ? 503 : 200)
    }

    /// `GET /ready`: whether this process should be asked. 503 when something that searching needs has failed or is not
    /// known yet, or when the index is further behind than the limit.
    ///
    /// - Parameter isDetailed: whether the caller may see the reasons.
    func ready(isDetailed: Bool) -> HTTPResponse {
        var reasons: [String] = []
        for entry in dependencies.health.snapshot() where entry.isRequired {
            let state = entry.last?.state ?? .unknown
            if state == .failed || state == .unknown {
                reasons.append("\(entry.name) is \(state.rawValue): \(entry.last?.message ?? "not looked at yet")")
            }
        }
        let limit = configuration.readyEventsBehindMax
        if let behind = dependencies.pipeline()?.eventsBehind, limit > 0, behind > limit {
            reasons.append("the index is \(behind) events behind, more than \(limit) (READY_MAX_LAG)")
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("ready")
        writer.bool(reasons.isEmpty)
        writer.key("reasons")
        writer.beginArray()
        if isDetailed { for reason in reasons { writer.string(reason) } }
        writer.endArray()
        writer.endObject()
        return .fresh(writer.bytes, status: reasons.isEmpty ? 200 : 503)
    }

    /// `GET /live`: the process answers.
    func live() -> HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("live")
        writer.bool(true)
        writer.key("uptime_sec")
        writer.integer((SystemClock.monotonicNanoseconds() - startedAtNanoseconds) / 1_000_000_000)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// Checks of what the API itself talks to. The others are registered by whoever starts them.
    func registerOwnChecks() {
        dependencies.health.register("index", isRequired: true) { [self] in
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let status = try await healthStores.run(deadline: deadline) { store, timeout in
                try store.status(timeoutMilliseconds: timeout)
            }
            return HealthReport(
                .ok, status.serverVersion,
                detail: [
                    ("generation", String(status.generation)), ("index_version", String(status.indexVersion)),
                    ("indexed_at", status.indexedAtMilliseconds.map { CivilTime.rfc3339($0) } ?? "never"),
                ])
        }
        guard let embedder = dependencies.embedder else {
            dependencies.health.register("embedding", isRequired: false) {
                HealthReport(.degraded, "switched off (EMBED_ENABLED): only the lexical arm is served")
            }
            return
        }
        dependencies.health.register("embedding", isRequired: false) {
            let deadline = Deadline(milliseconds: HealthRegistry.checkLimitMilliseconds)
            let vectors = try await embedder.vectors(of: ["health"], deadline: deadline)
            return HealthReport(
                .ok, embedder.modelName, detail: [("dimensions", String(vectors.first?.count ?? 0))])
        }
    }
}

extension JSONWriter {
    fileprivate mutating func entry(_ entry: HealthRegistry.Entry) {
        key(dynamic: entry.name)
        beginObject()
        key("state")
        string((entry.last?.state ?? .unknown).rawValue)
        key("required")
        bool(entry.isRequired)
        key("message")
        string(entry.last?.message ?? "not looked at yet")
        key("latency_ms")
        if let latency = entry.latencyNanoseconds { milliseconds(nanoseconds: latency) } else { null() }
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
