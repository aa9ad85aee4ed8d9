import Bytes
import Concurrency
import Console
import Files
import Glibc
import HTTPClient
import Kafka
import Postgres
import ServiceLifecycle
import Synchronization
import Telemetry

/// All roles under load while everything goes wrong that a seed thinks of; at the end nothing may be missing.
///
/// What is there then equals what an undisturbed stream job and indexer make of the same topic, and every event that the
/// broker acknowledged is in Bronze, and from there in the index or explained.
struct EnduranceBench {
    let minutes: Double
    let rate: Double
    let seed: UInt64
    let isEmbedding: Bool
    let spoil: EnduranceSpoil?
    let logger: Logger

    private static let topic = "wikimedia.recentchange"
    private static let referenceDatabase = "reference"
    private static let crashesMax = 10

    func run() async throws -> BenchReport {
        EnduranceDisk.enterOwnNamespace()
        // Its thread lives as long as the processes, which end with it.
        return try await Lane(name: "endure").run { [self] in try work() }
    }

    private func work() throws -> BenchReport {
        let scene = try EnduranceScene(isEmbedding: isEmbedding, logger: logger)
        var keepsLogs = true
        defer { scene.tearDown(keepsLogs: keepsLogs) }
        if scene.disk == nil {
            logger.warning("no full disks: only root with the right to mount (CAP_SYS_ADMIN) can have the small ones")
        }
        do {
            let report = try measure(scene)
            keepsLogs = !report.findings.isEmpty
            if keepsLogs { logger.warning("the logs of the run are kept", ["folder": scene.folder.path]) }
            return report
        } catch {
            logger.error("endure, seed \(seed): the logs are kept", ["folder": scene.folder.path])
            throw error
        }
    }

    private func measure(_ scene: EnduranceScene) throws -> BenchReport {
        let began = EnduranceScene.now()
        let events = try EnduranceEvents(
            path: scene.folder.path + "/events.jsonl", count: max(100, Int(minutes * 60 * rate)), rate: rate, seed: seed
        )
        try scene.start(recording: events.path, rate: rate, seed: seed)
        try scene.wait("the first documents", seconds: 180) {
            try reached(scene.dsn() ?? "").values.contains { $0 > 0 }
        }
        let searches = EnduranceSearches(scene.api)
        defer { searches.stop() }
        let poison = try EndurancePoison(brokers: scene.brokers, topic: Self.topic, seed: seed)
        var disturbances = EnduranceDisturbances(scene, seed: seed &+ 2)
        let generations = EnduranceGenerations(scene, seed: seed &+ 3)
        let end = EnduranceScene.now() + Int64(minutes * 60_000)
        logger.info("endure: everything runs, disturbing it for \(minutes) minutes", ["seed": "\(seed)"])
        while EnduranceScene.now() < end {
            try scene.tick()
            disturbances.tick()
            try poison.tick()
            try generations.tick()
            Pause.milliseconds(20)
        }
        disturbances.calm()
        try scene.calm()
        if spoil == .crash { scene.crash(.serve) }
        logger.info("endure: calm now; waiting until all is there")
        try generations.calm()
        poison.finish(seconds: 120)
        searches.stop()
        var check = EnduranceCheck(scene, topic: Self.topic)
        if poison.pendingCount > 0 { check.note("\(poison.pendingCount) records were never reported by the broker") }
        try compare(scene, events, poison, generations, &check)
        for crash in scene.crashes.prefix(Self.crashesMax) { check.note("nothing explains that \(crash)") }
        if scene.crashes.count > Self.crashesMax { check.note("\(scene.crashes.count) ends that nothing explains") }
        return report(
            scene, events, poison, check,
            counts: disturbances.counts.merging(generations.counts) { $1 }, searches: searches.counts,
            seconds: Double(EnduranceScene.now() - began) / 1_000)
    }

    /// Waits for the end of the topic, lake and index, runs the undisturbed ones, and holds everything against it.
    private func compare(
        _ scene: EnduranceScene, _ events: EnduranceEvents, _ poison: EndurancePoison,
        _ generations: EnduranceGenerations, _ check: inout EnduranceCheck
    ) throws {
        let patience = 180 + events.count / 25
        let topic = EnduranceTopic(brokers: scene.brokers, topic: Self.topic)
        let (highs, missing) = try topic.awaitEvents(events.digests, scene, seconds: events.count / Int(rate) + 180)
        if missing > 0 { check.note("\(missing) of \(events.digests.count) events are not in the topic") }
        let reference = scene.folder.path + "/reference-lake"
        let variables = try startReference(scene, lake: reference, highs: highs, seconds: patience)
        try scene.wait("the index to catch up", seconds: patience) { try hasReached(highs, dsn: scene.dsn() ?? "") }
        do {
            _ = try generations.replayInPeace()
        } catch let failure as Failure {
            check.note(failure.description)
        }
        if let ending = scene.end(.stream), !ending.isSuccess { check.note("stream \(ending) when asked to stop") }
        for environment in [[:], variables] {
            let (isSuccess, output) = try scene.runCommand(["lake", "seal"], environment)
            if !isSuccess { check.note("lake seal: \(output.suffix(400))") }
        }
        // The indexer or the server has the database: they end last.
        let (dsn, undisturbed) = (scene.dsn() ?? "", variables["POSTGRES_DSN"] ?? "")
        if spoil == .index { try spoil?.inIndex(dsn: dsn) }
        if spoil == .lake { try spoil?.inLake(scene.lakeFolder) }
        check.attempt("Bronze") { try $0.bronze(events, poison, highs: highs) }
        check.attempt("what became of Bronze") { try $0.explanation(dsn: dsn) }
        check.attempt("the lake") { try $0.lakes(reference: reference) }
        check.attempt("the index") { try $0.indexes(dsn: dsn, reference: undisturbed) }
        check.attempt("the generations") { try $0.generations(generations.complete(), dsn: dsn) }
        for role in [EnduranceRole.serve, .index, .broker] {
            // What goes before it may end it with an error, but not with a signal.
            if let ending = scene.end(role), EnduranceScene.isCrash(ending, isInTrouble: true) {
                check.note("\(role.rawValue) \(ending) when asked to stop")
            }
        }
    }

    /// A second stream job and indexer over the same topic, into an empty lake and an empty database, run to the end.
    ///
    /// - Returns: what their settings are.
    private func startReference(
        _ scene: EnduranceScene, lake: String, highs: [Int32: Int64], seconds: Int
    ) throws -> [String: String] {
        try scene.wait("the database", seconds: 60) {
            let connection = try PostgresConnection(
                PostgresConfiguration(dsn: scene.dsn() ?? ""), timeoutMilliseconds: 5_000)
            defer { connection.close() }
            let known = try connection.script(
                "SELECT 1 FROM pg_database WHERE datname = '\(Self.referenceDatabase)'", timeoutMilliseconds: 5_000)
            if known.isEmpty {
                try connection.script("CREATE DATABASE \(Self.referenceDatabase)", timeoutMilliseconds: 60_000)
            }
            return true
        }
        let dsn = scene.dsn(database: Self.referenceDatabase) ?? ""
        let variables = [
            "LAKE_DIR": lake, "KAFKA_GOLD_TOPIC": "reference.gold", "KAFKA_GROUP": "reference", "POSTGRES_DSN": dsn,
        ]
        let stream = try scene.spawn("reference-stream", ["stream"], variables)
        let index = try scene.spawn("reference-index", ["index"], variables)
        try scene.wait("the undisturbed index", seconds: seconds) {
            for (child, name) in [(stream, "reference-stream"), (index, "reference-index")] {
                if ProcessTable.isZombie(child) {
                    throw Failure("\(name) ended: \(scene.output(of: name).suffix(400))")
                }
            }
            return try hasReached(highs, dsn: dsn)
        }
        for child in [stream, index] {
            kill(child, SIGTERM)
            _ = scene.awaitEnd(child, seconds: 60)
        }
        return variables
    }

    private func hasReached(_ highs: [Int32: Int64], dsn: String) throws -> Bool {
        let reached = try reached(dsn)
        return highs.allSatisfy { partition, high in high == 0 || reached["\(partition)"] ?? 0 >= high }
    }

    /// How far the first generation of an index is, by topic partition.
    private func reached(_ dsn: String) throws -> [String: Int64] {
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 5_000)
        defer { connection.close() }
        let rows = try connection.script(
            """
            SELECT partition, min(next_offset) FROM index_checkpoints
            WHERE topic = '\(Self.topic)' AND generation = 1 GROUP BY partition
            """, timeoutMilliseconds: 5_000)
        return Dictionary(rows.map { ($0[0] ?? "", Int64($0[1] ?? "") ?? 0) }) { $1 }
    }

    private func report(
        _ scene: EnduranceScene, _ events: EnduranceEvents, _ poison: EndurancePoison, _ check: EnduranceCheck,
        counts: [String: Int], searches: (succeeded: Int, failed: Int), seconds: Double
    ) -> BenchReport {
        var figures = [
            BenchFigure("seed", Double(seed), ""), BenchFigure("all in all", seconds, "s"),
            BenchFigure("events of the source", Double(events.count), "", target: "\(events.digests.count) different"),
            BenchFigure("poison of \(poison.counts.count) kinds", Double(poison.counts.values.reduce(0, +)), ""),
            BenchFigure("poison without an answer", Double(poison.uncertain), ""),
        ]
        figures += counts.sorted { $0.key < $1.key }.map { BenchFigure($0.key, Double($0.value), "") }
        if scene.disk == nil {
            figures.append(BenchFigure("disk full", 0, "", target: "left out: takes root that may mount"))
        }
        figures += scene.endedByThemselves.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            BenchFigure("ended by itself: \($0.key.rawValue)", Double($0.value), "", target: "started again")
        }
        figures += [
            BenchFigure("searches answered", Double(searches.succeeded), ""),
            BenchFigure("searches refused", Double(searches.failed), "", target: "while serve or database was away"),
        ]
        return BenchReport(
            title: "endure: all roles for \(minutes) minutes at \(rate) events/s, seed \(seed)",
            figures: figures + check.figures, findings: check.findings)
    }
}

/// Searches at a steady pace from a thread of its own.
final class EnduranceSearches: Sendable {
    private let state = Mutex(State())

    private struct State {
        var isStopped = false
        var succeeded = 0
        var failed = 0
    }

    init(_ api: String) {
        _ = Threads.start(name: "searches") { [self] in
            let client = HTTPClient()
            while !state.withLock({ $0.isStopped }) {
                let request = HTTPClientRequest(
                    method: "POST", url: api + "/search", headers: [("Content-Type", "application/json")],
                    body: Array(#"{"query": "river flood"}"#.utf8))
                let isAnswered = (try? client.request(request, timeoutMilliseconds: 2_000).status) == 200
                state.withLock { state in
                    if isAnswered { state.succeeded += 1 } else { state.failed += 1 }
                }
                Pause.milliseconds(100)
            }
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    var counts: (succeeded: Int, failed: Int) { state.withLock { ($0.succeeded, $0.failed) } }
}
