import Bytes
import Concurrency
import Console
import Embeddings
import Files
import Glibc
import HTTPClient
import JSONScan
import Kafka
import Metering
import Settings

/// One look at a dependency; blocks for some seconds at most.
struct DoctorCheck: Sendable {
    /// What `--only` calls it.
    let name: String
    let run: @Sendable () -> DoctorResult
}

/// Everything `doctor` looks at. None of it changes anything.
enum DoctorChecks {
    /// What `--only` may name, the model included.
    static let names = ["settings", "lake", "broker", "postgres", "api", "source", "sources", "model"]

    static func all(_ platform: Platform, isOffline: Bool) -> [DoctorCheck] {
        var checks = [
            DoctorCheck(name: "settings") { settings(platform.settings) },
            DoctorCheck(name: "lake") { folder("lake", platform.settings.folders.lake) },
            DoctorCheck(name: "broker") { broker(platform) },
            DoctorCheck(name: "postgres") { DoctorDatabase.check(platform) },
            DoctorCheck(name: "api") { api(platform.settings) },
            DoctorCheck(name: "sources") { DoctorSources.check(platform.settings) },
        ]
        if !isOffline { checks.append(DoctorCheck(name: "source") { source(platform.settings) }) }
        return checks
    }

    private static func settings(_ settings: Settings) -> DoctorResult {
        let given = settings.given.keys.sorted().joined(separator: ", ")
        let detail = given.isEmpty ? "all defaults" : "set: \(given)"
        guard let suspect = settings.suspects.first else { return DoctorResult("settings", .ok, detail) }
        return DoctorResult(
            "settings", .warning, detail, hint: "\(suspect)")
    }

    private static func folder(_ name: String, _ path: String) -> DoctorResult {
        // The folder itself may be made at the first start; then its nearest existing parent counts.
        var existing = path
        while access(existing, F_OK) != 0 {
            let parent = Folder.parent(of: existing)
            if parent == existing || parent.isEmpty { break }
            existing = parent
        }
        if existing.isEmpty || access(existing, F_OK) != 0 { existing = "." }
        guard access(existing, W_OK | X_OK) == 0 else {
            return DoctorResult(
                name, .failed, "\(path): \(existing) cannot be written",
                hint: "set DATA_DIR or LAKE_DIR to a folder of yours")
        }
        let free = DiskSpace.freeBytes(at: existing) ?? 0
        let detail = "\(path), \(free >> 20) MiB free"
        return free < DiskSpace.lowBytes
            ? DoctorResult(name, .warning, detail, hint: "the lake stops when the disk is full: make room")
            : DoctorResult(name, .ok, detail)
    }

    private static func broker(_ platform: Platform) -> DoctorResult {
        let kind = platform.isBrokerEmbedded ? "embedded broker" : "broker"
        do {
            let admin = try KafkaAdmin(platform.kafka("doctor"))
            let metadata = try admin.metadata(topic: nil, timeoutMilliseconds: 4_000)
            let topics = [platform.settings.topics.raw, platform.settings.topics.gold].map { name in
                let found = metadata.topics.first { $0.name == name }
                return "\(name) \(found.map { "with \($0.partitions.count) topic partitions" } ?? "not there yet")"
            }
            if let fault = sourceRequests(admin, metadata, platform.settings.topics.sourceRequests) { return fault }
            return DoctorResult(
                kind, .ok, "\(platform.brokers), \(metadata.brokers.count) brokers; \(topics.joined(separator: ", "))")
        } catch {
            if platform.isBrokerEmbedded {
                return DoctorResult(
                    kind, .idle, "nothing listens at \(platform.brokers)",
                    hint: "`medallion up` or `medallion broker` starts it")
            }
            return DoctorResult(
                kind, .failed, "\(platform.brokers): \(error)", hint: "check KAFKA_BROKERS and that the brokers run")
        }
    }

    /// Whether the topic of requests can be read, without which no source is.
    private static func sourceRequests(
        _ admin: KafkaAdmin, _ metadata: ClusterMetadata, _ topic: String
    ) -> DoctorResult? {
        guard metadata.topics.contains(where: { $0.name == topic }) else { return nil }
        do {
            _ = try admin.watermarks(topic: topic, partition: 0, timeoutMilliseconds: 4_000)
            return nil
        } catch {
            return DoctorResult(
                "broker", .failed, "the topic \(topic) of requests to sources cannot be read: \(error)",
                hint:
                    "no source is read without it: give this client the right to read it (KAFKA_SOURCE_REQUESTS_TOPIC)")
        }
    }

    private static func api(_ settings: Settings) -> DoctorResult {
        let url = settings.apiURL + "/health"
        do {
            var request = HTTPClientRequest(url: url)
            // Without one that may read, it says no more than its state.
            if !settings.access.key.isEmpty { request.headers = [("Authorization", "Bearer \(settings.access.key)")] }
            let reply = try HTTPClient(APIClient.configuration(settings)).request(
                request, timeoutMilliseconds: 4_000, shouldStop: { false })
            let health = try JSONValue.parse(reply.body, maxDepth: 32)
            let bad = (health["dependencies"]?.object ?? []).filter { $0.value["state"]?.string != "ok" }
            let status = health["status"]?.string ?? "\(reply.status)"
            let version = health["version"]?.string.map { ", version \($0)" } ?? ""
            let detail = "\(url): \(status)\(version)"
            if status == "ok" && bad.isEmpty { return DoctorResult("API", .ok, detail) }
            let words = bad.map {
                "\($0.key) \($0.value["state"]?.string ?? "?"): \($0.value["message"]?.string ?? "")"
            }
            return DoctorResult("API", .warning, detail, hint: words.joined(separator: "; "))
        } catch let error as HTTPClientError where error.kind == .library {
            return DoctorResult("API", .failed, "\(error)", hint: "run `make setup`")
        } catch {
            return DoctorResult(
                "API", .idle, "nothing answers at \(url)", hint: "`medallion up` or `medallion serve` starts it")
        }
    }

    private static func source(_ settings: Settings) -> DoctorResult {
        let probe = LiveProbe(url: settings.source.url, userAgent: settings.source.userAgent)
        guard let refusal = probe.refusal() else {
            return DoctorResult("live stream", .ok, "\(settings.source.url)")
        }
        return DoctorResult(
            "live stream", .warning, "\(settings.source.url) \(refusal)",
            hint: "\(refusal.remedy); `medallion demo` works without it (docs/troubleshooting.md)")
    }

    /// Loads the model and embeds a sentence.
    static func model(_ platform: Platform) async -> DoctorResult {
        guard platform.settings.embedding.isEnabled else {
            return DoctorResult("embedding model", .idle, "switched off (EMBED_ENABLED=false): search is lexical only")
        }
        do {
            let embedder = try await Lane(name: "model").run {
                do {
                    return try platform.embedder(patienceMilliseconds: 0)
                } catch let failure as Failure where failure.code == .usage {
                    throw failure
                } catch {
                    // Whether the database is there is another check's to say.
                    return try platform.embedderOfSettings()
                }
            }
            guard let embedder else { return DoctorResult("embedding model", .idle, "switched off") }
            _ = try await embedder.embed(["warm up"], priority: .query)
            let start = SystemClock.monotonicNanoseconds()
            _ = try await embedder.embed(["a doctor looks at the model"], priority: .query)
            let microseconds = (SystemClock.monotonicNanoseconds() - start) / 1_000
            return DoctorResult(
                "embedding model", .ok,
                "\(embedder.modelName), \(embedder.dimensions) dimensions, one query in \(microseconds) µs")
        } catch let failure as Failure where failure.code == .usage {
            return DoctorResult("embedding model", .failed, "\(failure)")
        } catch {
            return DoctorResult(
                "embedding model", .failed, "\(error)", hint: "run `make setup`, or set EMBED_ENABLED=false")
        }
    }
}
