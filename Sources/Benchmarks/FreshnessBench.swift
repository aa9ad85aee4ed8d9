import Bytes
import Concurrency
import Console
import Glibc
import HTTPClient
import JSONScan
import Synchronization
import Telemetry

/// From the simulator writing an edit to a search returning it, while events and other searches go on.
///
/// Every edit is injected at its time, however long the ones before it take: a probe that waited for the last one would
/// leave out the slowest moments.
struct FreshnessBench {
    let seconds: Int
    let rate: Double
    let recording: String?
    /// Searches that are asked beside the probes.
    let searchesPerSecond: Int
    /// What is wanted of the time from written to found, in milliseconds.
    let goals: (p50: Double, p95: Double)
    /// Number of the first edit: equal numbers have equal texts, which must not come twice into one index.
    let firstEdit: Int
    let logger: Logger

    private static let injectEveryMilliseconds: Int64 = 500
    /// Until a tenth of the time that has passed is more.
    private static let pollEveryMilliseconds = 20
    private static let patienceMilliseconds: Int64 = 20_000
    /// Of each client that searches beside.
    private static let searchesOfOne = 10
    /// Edits that may be waited for at the same time.
    private static let probes = 8

    /// What came of it.
    struct Results {
        /// Milliseconds from written to found, by mode.
        var found: [String: Sample] = ["hybrid": Sample(), "vector": Sample()]
        /// Of hybrid searches: when each was written, in milliseconds since 1970, and how many it took.
        var timeline: [(writtenAt: Int64, milliseconds: Double)] = []
        var injected = 0
        /// Edits that were not found in time, by mode.
        var lost: [String: Int] = [:]
        /// Milliseconds of the searches beside, from when they were due.
        var searches = Sample()
        var failures = 0
    }

    private let results = Shared(Results())

    private final class Shared<Value: Sendable>: Sendable {
        let value: Mutex<Value>
        init(_ value: Value) { self.value = Mutex(value) }
    }

    init(
        seconds: Int, rate: Double, recording: String?, searchesPerSecond: Int = 20,
        goals: (p50: Double, p95: Double) = (400, 1_000), firstEdit: Int = 0, logger: Logger
    ) {
        self.seconds = seconds
        self.rate = rate
        self.recording = recording
        self.searchesPerSecond = searchesPerSecond
        self.goals = goals
        self.firstEdit = firstEdit
        self.logger = logger
    }

    func run() async throws -> BenchReport {
        let setup = Lane(name: "bench")
        let deployment = try await setup.run { [self] in
            try BenchDeployment(rate: rate, recording: recording, logger: logger)
        }
        do {
            let report = try await measure(deployment, setup)
            try await setup.run { deployment.stop() }
            return report
        } catch {
            try await setup.run { deployment.stop() }
            throw error
        }
    }

    private func measure(_ deployment: BenchDeployment, _ setup: Lane) async throws -> BenchReport {
        let before = try await setup.run {
            try deployment.waitUntilIndexing()
            // Caches, the model and the statistics of the database warm up.
            Pause.milliseconds(5_000)
            if try !deployment.waitUntilCaughtUp(rate: rate) {
                logger.warning("the pipeline does not keep up with the events; measuring nevertheless")
            }
            return try deployment.documentsIndexed()
        }
        let processor = ProcessTable.processorSeconds(of: [deployment.upProcess])
        let start = Self.now()
        let found = try await watch(deployment)
        let elapsed = Double(Self.now() - start) / 1_000
        let after = try await setup.run { try deployment.documentsIndexed() }
        let used = ProcessTable.processorSeconds(of: [deployment.upProcess]) - processor
        return report(found, deployment, documentsPerSecond: (after - before) / elapsed, cores: used / elapsed)
    }

    /// Injects edits and searches, for the time; until each edit is found or given up.
    func watch(_ deployment: BenchDeployment) async throws -> Results {
        let start = Self.now()
        let end = start + Int64(seconds) * 1_000
        let searchers = max(2, searchesPerSecond / Self.searchesOfOne)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for probe in 0..<Self.probes {
                group.addTask { [self] in
                    try await Lane(name: "probe-\(probe)").run { [self] in
                        try probeEdits(from: probe, deployment, start: start, end: end)
                    }
                }
            }
            for searcher in 0..<searchers {
                group.addTask { [self] in
                    try await Lane(name: "search-\(searcher)").run { [self] in
                        searchAlong(searcher, of: searchers, deployment, start: start, end: end)
                    }
                }
            }
            try await group.waitForAll()
        }
        return results.value.withLock { $0 }
    }

    // MARK: Probes

    private func probeEdits(from first: Int, _ deployment: BenchDeployment, start: Int64, end: Int64) throws {
        let client = HTTPClient()
        var number = first
        while start + Int64(number) * Self.injectEveryMilliseconds < end {
            let due = start + Int64(number) * Self.injectEveryMilliseconds
            Pause.milliseconds(Int(max(0, due - Self.now())))
            try probe(number, client, deployment)
            number += Self.probes
        }
    }

    private func probe(_ number: Int, _ client: HTTPClient, _ deployment: BenchDeployment) throws {
        let edit = BenchEdit(number: firstEdit + number)
        let reply = try client.request(
            HTTPClientRequest(method: "POST", url: deployment.simulator + "/inject", body: edit.payload),
            timeoutMilliseconds: 10_000)
        guard reply.status == 200, let written = try JSONValue.parse(reply.body)["written_ms"]?.integer else {
            throw Failure("the simulator did not take an edit: status \(reply.status)")
        }
        results.value.withLock { $0.injected += 1 }
        var missing = ["hybrid", "vector"]
        while let mode = missing.first {
            missing.removeFirst()
            if let body = search(edit.query, mode: mode, client, deployment), body.contains(edit.id) {
                let milliseconds = Double(SystemClock.epochMilliseconds() - written)
                results.value.withLock { results in
                    results.found[mode]?.add(milliseconds)
                    if mode == "hybrid" { results.timeline.append((written, milliseconds)) }
                }
                continue
            }
            // The arms take turns.
            missing.append(mode)
            let elapsed = SystemClock.epochMilliseconds() - written
            if elapsed > Self.patienceMilliseconds {
                results.value.withLock { for mode in missing { $0.lost[mode, default: 0] += 1 } }
                return
            }
            // What takes long is asked for less often: polling must not become the load that it measures.
            Pause.milliseconds(max(Self.pollEveryMilliseconds, Int(elapsed) / 10))
        }
    }

    // MARK: Searches

    private func searchAlong(
        _ searcher: Int, of searchers: Int, _ deployment: BenchDeployment, start: Int64, end: Int64
    ) {
        let client = HTTPClient()
        var random = SeededGenerator(seed: UInt64(searcher))
        let spacing = Int64(1_000 * searchers / searchesPerSecond)
        var due = start + Int64(searcher) * spacing / Int64(searchers)
        while due < end {
            Pause.milliseconds(Int(max(0, due - Self.now())))
            let query = BenchEdit.words(3, &random)
            let found = search(query, mode: "hybrid", client, deployment) != nil
            // From when it was due: a search that had to wait for the one before counts as slow.
            let milliseconds = Double(Self.now() - due)
            results.value.withLock { results in
                if found { results.searches.add(milliseconds) } else { results.failures += 1 }
            }
            due += spacing
        }
    }

    private func search(
        _ query: String, mode: String, _ client: HTTPClient, _ deployment: BenchDeployment
    ) -> String? {
        var json = JSONWriter()
        json.beginObject()
        json.string("query", query)
        json.string("mode", mode)
        json.endObject()
        let request = HTTPClientRequest(
            method: "POST", url: deployment.api + "/search", headers: [("Content-Type", "application/json")],
            body: json.bytes)
        guard let reply = try? client.request(request, timeoutMilliseconds: 10_000), reply.status == 200 else {
            return nil
        }
        return String(decoding: reply.body, as: UTF8.self)
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }

    // MARK: Report

    /// Name of the figure for a quantile such as `p50`.
    static func name(_ mode: String, _ quantile: String) -> String { "written to found, \(mode), \(quantile)" }

    /// The same of searches by both arms, while something else is done.
    func figures(_ found: Results, beside: String) -> [BenchFigure] {
        let sample = found.found["hybrid"] ?? Sample()
        return [
            BenchFigure("\(beside): written to found, p50", sample.quantile(0.5), "ms", goal: .atMost(goals.p50)),
            BenchFigure("\(beside): written to found, p95", sample.quantile(0.95), "ms", goal: .atMost(goals.p95)),
            BenchFigure(
                "\(beside): edits not found", Double(found.lost.values.max() ?? 0), "",
                target: "of \(found.injected)", goal: .atMost(0)),
            BenchFigure("\(beside): searches beside, p99", found.searches.quantile(0.99), "ms"),
        ]
    }

    /// How long it took from written to found, and what was lost.
    func figures(_ found: Results) -> [BenchFigure] {
        var figures = [
            BenchFigure("events", rate, "/s"), BenchFigure("edits injected", Double(found.injected), ""),
        ]
        for mode in ["hybrid", "vector"] {
            let sample = found.found[mode] ?? Sample()
            for (name, q, goal) in [("p50", 0.5, goals.p50), ("p95", 0.95, goals.p95), ("p99", 0.99, nil as Double?)] {
                figures.append(
                    BenchFigure(Self.name(mode, name), sample.quantile(q), "ms", goal: goal.map { .atMost($0) }))
            }
            let lost = found.lost[mode, default: 0]
            figures.append(
                BenchFigure(
                    "not found within \(Self.patienceMilliseconds / 1_000) s, \(mode)", Double(lost), "",
                    goal: .atMost(0)))
        }
        return figures
    }

    private func report(
        _ found: Results, _ deployment: BenchDeployment, documentsPerSecond: Double, cores: Double
    ) -> BenchReport {
        let figures =
            figures(found) + [
                BenchFigure("documents indexed", documentsPerSecond, "/s"),
                BenchFigure("cores used, up without Postgres", cores, ""),
                BenchFigure(
                    "searches beside", Double(found.searches.values.count), "", target: "\(searchesPerSecond)/s"),
                BenchFigure("searches that failed", Double(found.failures), ""),
                BenchFigure("search latency p50", found.searches.quantile(0.5), "ms"),
                BenchFigure("search latency p95", found.searches.quantile(0.95), "ms"),
                BenchFigure(
                    "resident, up without Postgres", ProcessMemory.residentMegabytes(of: deployment.upProcess), "MB",
                    target: "wanted: under 700"),
                BenchFigure(
                    "resident, Postgres", ProcessMemory.proportionalMegabytes(of: deployment.postgresProcesses()), "MB",
                    target: "shared pages counted once"),
                BenchFigure("load average", ProcessorTime.loadAverage(), "", target: "other work on this machine"),
            ]
        return BenchReport(
            title: "freshness: simulator's write to search hit, \(seconds) s, polled every "
                + "\(Self.pollEveryMilliseconds) ms by turns",
            figures: figures)
    }
}

/// An edit that can be found by its words.
struct BenchEdit {
    let id: String
    /// What is searched for: words of the title and the summary.
    let query: String
    let payload: [UInt8]

    init(number: Int) {
        var random = SeededGenerator(seed: 0xBE7C_0000 + UInt64(number))
        let title = Self.words(3, &random)
        let comment = Self.words(4, &random)
        let nonce = String(random.next() % 0xFFFF_FFFF_FFFF, radix: 16)
        let digits = String(SystemClock.epochMilliseconds() % 0xFFFF_FFFF + Int64(number), radix: 16)
        id = "be7c0000-0000-4000-8000-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
        query = "\(title) \(comment) \(nonce)"
        var json = JSONWriter()
        json.beginObject()
        for (name, value) in [
            ("$schema", "/mediawiki/recentchange/1.0.1"), ("type", "edit"), ("title", "\(title) \(nonce)"),
            ("comment", comment), ("user", "Bench"), ("wiki", "enwiki"),
        ] {
            json.key(dynamic: name)
            json.string(value)
        }
        json.integer("namespace", 0)
        json.bool("bot", false)
        json.key("meta")
        json.beginObject()
        for (name, value) in [
            ("id", id), ("dt", CivilTime.rfc3339(SystemClock.epochMilliseconds())), ("domain", "en.wikipedia.org"),
            ("uri", "https://en.wikipedia.org/wiki/Bench"),
        ] {
            json.key(dynamic: name)
            json.string(value)
        }
        json.endObject()
        json.endObject()
        payload = json.bytes
    }

    /// Different words, so that edits differ in meaning and not only in their nonce.
    static func words(_ count: Int, _ random: inout SeededGenerator) -> String {
        (0..<count).map { _ in vocabulary[Int(random.next() % UInt64(vocabulary.count))] }.joined(separator: " ")
    }

    private static let vocabulary = """
        lantern harbour violin glacier tractor orchid parliament telescope bakery dragonfly cathedral turbine saffron
        monsoon chess walrus archive volcano bicycle opera magnet orchard submarine tapestry barley comet lighthouse
        penicillin accordion desert ferry algebra pottery falcon vineyard railway pyramid hospital reindeer compass
        """.split { $0 == " " || $0 == "\n" }.map(String.init)
}
