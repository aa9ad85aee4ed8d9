import Bytes
import Concurrency
import Console
import Files
import Glibc
import HTTPClient
import JSONScan
import Kafka
import ServiceLifecycle
import Synchronization
import Telemetry

/// What sources take in: changes of a Postgres table until they are found, its snapshot, documents over HTTP and from a file.
///
/// Each part starts what it needs, with temporary data. What goes to a topic is held against librdkafka alone, which sends as many
/// records of that size to the same broker.
struct SourcesBench {
    /// What can be measured by itself, in the order of a whole run.
    enum Part: String, CaseIterable, Sendable {
        case capture, snapshot, webhook, files
    }

    /// How much is measured.
    struct Options: Sendable {
        var parts = Part.allCases
        /// Of the snapshot, and documents of the file.
        var rows = 200_000
        /// Of watching changes, and of sending documents.
        var seconds = 30
    }

    private static let changesPerSecond = 500
    private static let textsPerSecond = 100
    private static let freshnessGoal = 500.0
    private static let snapshotGoal = 20_000.0
    private static let webhookGoal = 5_000.0
    private static let filesGoal = 20_000.0
    private static let batchDocuments = 100
    private static let clients = 4
    private static let requestMilliseconds = 30_000
    private static let patienceSeconds = 300
    private static let plainRecords = 100_000
    private static let plainTopic = "plain"
    private static let documentLogic =
        #""logic":{"type":"document","fields":{"id":"id","title":"title","text":["title","body"],"version":"version"}}"#

    let options: Options
    let logger: Logger

    func run() async throws -> BenchReport {
        var report = BenchReport(title: "sources: " + options.parts.map(\.rawValue).joined(separator: ", "))
        // Processes end with the thread that started them.
        let lane = Lane(name: "bench")
        for part in options.parts {
            logger.info("sources", ["part": part.rawValue])
            let figures =
                switch part {
                case .capture: try await capture(lane, &report.findings)
                case .snapshot: try await lane.run { try snapshot() }
                case .webhook: try await webhook(lane)
                case .files: try await lane.run { try files() }
                }
            for figure in figures { logger.info(figure.name, ["value": BenchReport.text(figure.value)]) }
            report.figures += figures
        }
        report.figures.append(BenchFigure("load average", ProcessorTime.loadAverage(), ""))
        return report
    }

    // MARK: Changes of a table

    private func capture(_ lane: Lane, _ findings: inout [String]) async throws -> [BenchFigure] {
        let logger = logger
        let (server, roles) = try await lane.run {
            let server = try SourceServer(rows: CaptureFreshness.rows, logger: logger)
            let roles = try BenchRoles([:])
            try roles.declare(server.declaration)
            try roles.start(["up"])
            let client = HTTPClient()
            // The last row of the snapshot, and so all before it.
            try roles.wait(for: "the table in the index", seconds: Self.patienceSeconds) {
                try CaptureFreshness.hits("\"Thing \(CaptureFreshness.rows) of\"", roles.api, client) ?? 0 > 0
            }
            return (server, roles)
        }
        let watch = CaptureFreshness(
            server: server, api: roles.api, seconds: options.seconds, changesPerSecond: Self.changesPerSecond,
            textsPerSecond: Self.textsPerSecond)
        let found: CaptureFreshness.Results
        do {
            found = try await watch.run()
            try await lane.run { Self.end(roles, server) }
        } catch {
            try await lane.run { Self.end(roles, server) }
            throw error
        }
        if found.lost > 0 { findings.append("\(found.lost) changes were not seen in the index") }
        let goal = BenchGoal.atMost(Self.freshnessGoal)
        return [
            BenchFigure("changes", found.changes, "/s", target: "\(Self.textsPerSecond) of them of the text"),
            BenchFigure("an update is found, p50", found.found.quantile(0.5), "ms"),
            BenchFigure("an update is found, p95", found.found.quantile(0.95), "ms", goal: goal),
            BenchFigure("a deleted row is gone, p50", found.gone.quantile(0.5), "ms"),
            BenchFigure("a deleted row is gone, p95", found.gone.quantile(0.95), "ms", goal: goal),
        ]
    }

    private static func end(_ roles: BenchRoles, _ server: SourceServer) {
        roles.stop()
        server.stop()
    }

    private func snapshot() throws -> [BenchFigure] {
        let server = try SourceServer(rows: options.rows, logger: logger)
        defer { server.stop() }
        let roles = try BenchRoles(["KAFKA_TOPIC_PARTITIONS": "1"])
        defer { roles.stop() }
        try roles.declare(server.declaration)
        try roles.startBroker()
        try roles.start(["producer"])
        let rate = try roles.arrival(of: options.rows, in: "things", seconds: Self.patienceSeconds)
        return try figures("rows of a snapshot", rate, roles, topic: "things", goal: Self.snapshotGoal)
    }

    // MARK: Documents

    private func webhook(_ lane: Lane) async throws -> [BenchFigure] {
        let logger = logger
        let (index, roles, key) = try await lane.run {
            let index = try IndexBenchServer(logger: logger)
            let roles = try BenchRoles([
                "KAFKA_TOPIC_PARTITIONS": "1", "POSTGRES_DSN": index.configuration.dsn.revealed,
                "EMBED_ENABLED": "false",
            ])
            try roles.declare(#"{"name":"hooks","connector":{"type":"webhook"},\#(Self.documentLogic)}"#)
            try roles.startBroker()
            let made = try roles.command(["keys", "create", "bench", "--role", "write", "--json"])
            guard let line = made.split(separator: "\n").last(where: { $0.hasPrefix("{") }),
                let key = try JSONValue.parse(Array(line.utf8))["key"]?.string
            else { throw Failure("no key was made: \(made.suffix(200))") }
            try roles.start(["serve"])
            let client = HTTPClient()
            try roles.wait(for: "the API") {
                (try? client.request(HTTPClientRequest(url: roles.api + "/health"), timeoutMilliseconds: 1_000)) != nil
            }
            return (index, roles, key)
        }
        let sent: Sent
        do {
            sent = try await send(to: roles, key)
        } catch {
            try await lane.run {
                roles.stop()
                index.stop()
            }
            throw error
        }
        return try await lane.run {
            defer {
                roles.stop()
                index.stop()
            }
            var figures = try self.figures(
                "documents in batches of \(Self.batchDocuments)", sent.rate, roles, topic: "hooks",
                goal: Self.webhookGoal)
            figures.insert(BenchFigure("a batch is acknowledged, p95", sent.times.quantile(0.95), "ms"), at: 1)
            return figures
        }
    }

    private struct Sent: Sendable {
        var rate = 0.0
        /// Milliseconds of a request.
        var times = Sample()
    }

    private func send(to roles: BenchRoles, _ key: String) async throws -> Sent {
        let (seconds, url) = (options.seconds, roles.api + "/ingest/hooks")
        let start = SystemClock.monotonicNanoseconds()
        let samples = try await withThrowingTaskGroup(of: Sample.self) { group in
            for client in 0..<Self.clients {
                group.addTask {
                    try await Lane(name: "client-\(client)").run {
                        try Self.sendBatches(client, to: url, key, until: start + Int64(seconds) * 1_000_000_000)
                    }
                }
            }
            return try await group.reduce(into: [Sample]()) { $0.append($1) }
        }
        let elapsed = Double(SystemClock.monotonicNanoseconds() - start) / 1e9
        var sent = Sent()
        for value in samples.flatMap(\.values) { sent.times.add(value) }
        sent.rate = Double(sent.times.values.count * Self.batchDocuments) / elapsed
        return sent
    }

    private static func sendBatches(_ client: Int, to url: String, _ key: String, until end: Int64) throws -> Sample {
        let http = HTTPClient()
        var sample = Sample()
        var number = 0
        while SystemClock.monotonicNanoseconds() < end {
            let body = (0..<batchDocuments).flatMap { document(number * batchDocuments + $0, of: client) }
            let began = SystemClock.monotonicNanoseconds()
            let reply = try http.request(
                HTTPClientRequest(
                    method: "POST", url: url,
                    headers: [
                        ("Content-Type", "application/x-ndjson"), ("Authorization", "Bearer \(key)"),
                        ("Idempotency-Key", "bench-\(client)-\(number)"),
                    ], body: body), timeoutMilliseconds: requestMilliseconds)
            guard reply.status == 202 else {
                throw Failure(
                    "a batch was answered with \(reply.status): \(String(decoding: reply.body, as: UTF8.self))")
            }
            sample.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
            number += 1
        }
        return sample
    }

    /// A line of about 300 bytes.
    private static func document(_ number: Int, of writer: Int) -> [UInt8] {
        let mixed = UInt64(bitPattern: Int64(number)) &* 0x9E37_79B9_7F4A_7C15
        let words = (1...10).map { String((mixed >> UInt64($0)) & 0xFFFF_FFFF_FFFF, radix: 36) }.joined(separator: " ")
        return Array(
            #"{"id":"\#(writer)-\#(number)","version":\#(number + 1),"title":"Kettle \#(number)","body":"A kettle of \#(words)","price":\#(number % 900).5,"stock":\#(number % 100),"url":"https://shop.example/kettles/\#(number)"}"#
                .utf8) + [0x0A]
    }

    private func files() throws -> [BenchFigure] {
        let roles = try BenchRoles(["KAFKA_TOPIC_PARTITIONS": "1"])
        defer { roles.stop() }
        try roles.declare(#"{"name":"notes","connector":{"type":"none"},\#(Self.documentLogic)}"#)
        try roles.startBroker()
        let path = roles.folder.path + "/notes.jsonl"
        var lines: [UInt8] = []
        for number in 0..<options.rows { lines += Self.document(number, of: 0) }
        try File.replace(path, with: lines)
        let began = SystemClock.monotonicNanoseconds()
        _ = try roles.command(["ingest", path, "--source", "notes"])
        let elapsed = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        let arrived = roles.records(in: "notes", try KafkaAdmin(roles.kafka))
        guard arrived == Int64(options.rows) else { throw Failure("\(arrived) of \(options.rows) documents arrived") }
        return try figures(
            "documents of a file, with the command's start and end", Double(options.rows) / elapsed, roles,
            topic: "notes",
            goal: Self.filesGoal)
    }

    // MARK: Beside

    private func figures(
        _ name: String, _ rate: Double, _ roles: BenchRoles, topic: String, goal: Double
    ) throws -> [BenchFigure] {
        let bytes = max(1, try roles.record(of: topic, at: 0).bytes)
        let plain = try Self.plainRate(roles.kafka, bytes: bytes)
        return [
            BenchFigure(name, rate, "/s", goal: .atLeast(goal)),
            BenchFigure("baseline, librdkafka alone with records of \(bytes) bytes", plain, "/s"),
            BenchFigure("ratio to the baseline", rate / plain, ""),
        ]
    }

    /// What a topic takes at most, in records a second: those of librdkafka alone.
    private static func plainRate(_ kafka: KafkaConfiguration, bytes: Int) throws -> Double {
        let admin = try KafkaAdmin(kafka)
        try admin.createTopic(plainTopic, partitions: 1, config: [:], timeoutMilliseconds: 10_000)
        var options = ProducerOptions()
        options.reportsOnlyFailures = true
        let plain = PlainProducer(
            producer: try KafkaProducer(kafka, options: options), topic: plainTopic, partitions: 1)
        let value = PlainProducer.value(bytes: bytes)
        let began = SystemClock.monotonicNanoseconds()
        try plain.send(plainRecords, of: value)
        let elapsed = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        try admin.deleteTopic(plainTopic, timeoutMilliseconds: 10_000)
        return Double(plainRecords) / elapsed
    }
}
