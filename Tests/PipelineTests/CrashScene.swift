import Bytes
import Files
import Glibc
import Kafka
import Lake
import Postgres
import Processes
import Records
import Simulator
import Testing

/// A part that a crash test kills.
enum CrashRole: String, CaseIterable {
    case broker, producer, stream
    /// Owns the embedded Postgres, which ends with it.
    case index
    case serve
    /// The database's first process; the indexer starts it again.
    case postgres
    /// All in one.
    case up
}

/// Roles under way while a simulator streams, and the seeded kills.
///
/// Used by one test's thread only.
final class CrashScene {
    let deployment: Deployment
    let seed: UInt64
    let recording: String
    /// For messages.
    private(set) var history: [String] = []
    /// End of every topic partition, by its number; from ``awaitTopic()`` on.
    private(set) var highs: [String: Int64] = [:]
    /// How long all events may take to be indexed at once, by a debug build on a busy machine.
    var patienceSeconds: Int { 120 + payloads.count / 25 }
    private let roles: [CrashRole]
    private let perSecond: Int
    private let simulatorArguments: [String]
    private let payloads: Set<[UInt8]>
    private var random: SeededGenerator
    private var running: [CrashRole: RunningProcess] = [:]
    /// How long the log of a part was at its last start.
    private var logBytes: [CrashRole: Int] = [:]

    /// - Parameters:
    ///   - events: that the simulator has.
    ///   - perSecond: that it sends.
    ///   - roles: the processes; Postgres counts as one.
    ///   - timeIDs: whether the simulator's ids are times, so that a resume goes back.
    ///   - badManners: whether the simulator misbehaves, and every hundredth event is a line of a megabyte.
    init(
        _ deployment: Deployment, seed: UInt64, events: Int, perSecond: Int,
        roles: [CrashRole] = CrashRole.allCases.filter { $0 != .up }, badManners: Bool = false,
        timeIDs: Bool = false
    ) throws {
        simulatorArguments =
            (badManners ? ["--bad-manners", "\(seed)", "--close-after", "1"] : []) + (timeIDs ? ["--time-ids"] : [])
        self.deployment = deployment
        self.seed = seed
        self.roles = roles
        self.perSecond = perSecond
        random = SeededGenerator(seed: seed)
        // From 2026-03-14, so that the same seed gives the same bytes.
        let generator = EventGenerator(
            seed: seed, startMilliseconds: 1_773_480_360_000, eventsPerSecond: Double(perSecond))
        var bytes: [UInt8] = []
        var payloads: Set<[UInt8]> = []
        for index in 0..<events {
            var payload: [UInt8] = []
            generator.append(index, to: &payload)
            if badManners && index % 100 == 50 { payload = Self.enlarged(payload) }
            payloads.insert(payload)
            bytes += payload + [0x0A]
        }
        self.payloads = payloads
        recording = deployment.file("events.jsonl")
        try File.replace(recording, with: bytes)
    }

    /// Starts everything, and waits until documents arrive.
    ///
    /// - Parameter more: starts what else is wanted, before the first event.
    func start(_ more: () throws -> Void = {}) throws {
        try deployment.startSimulator(recording, ["--rate", "\(perSecond)"] + simulatorArguments)
        // The indexer first, so that the database is its.
        for role in [CrashRole.broker, .index, .stream, .serve, .producer, .up] where roles.contains(role) {
            if role == .producer || role == .up { try more() }
            try launch(role)
            if role == .index || role == .serve {
                try deployment.wait(for: "the database") { deployment.dsn() != nil }
            }
        }
        if roles.contains(.serve) || roles.contains(.up) {
            try deployment.wait(for: "the first documents") { try !deployment.api.search("edit").isEmpty }
        }
    }

    /// Kills a part and starts it again after so many seconds.
    func takeAway(_ role: CrashRole, seconds: UInt32) throws {
        history.append("\(role.rawValue) for \(seconds) s")
        try running[role]?.kill9()
        sleep(seconds)
        try launch(role)
    }

    /// Asks one part to stop.
    func end(_ role: CrashRole) throws {
        #expect(try running.removeValue(forKey: role)?.stop() == .exited(0), "\(role.rawValue)")
    }

    /// What a part has said so far, all its runs.
    func output(of role: CrashRole) -> String { running[role]?.output ?? "" }

    /// Waits until the lake holds what the topic does.
    func awaitLake() throws {
        let reader = LakeReader(layout: LakeLayout(root: deployment.lakeFolder))
        try deployment.wait(for: "the lake", seconds: patienceSeconds) {
            try highs.allSatisfy { partition, high in
                let source = TopicPartition(topic: deployment.topic, partition: Int32(partition) ?? 0)
                return try high == 0 || reader.committedRange(source)?.end == high
            }
        }
    }

    /// The event with most of a megabyte more, in characters of two and four bytes.
    private static func enlarged(_ payload: [UInt8]) -> [UInt8] {
        Array("{\"padding\":\"".utf8) + Array(String(repeating: "ü😀", count: 150_000).utf8) + Array("\",".utf8)
            + payload.dropFirst()
    }

    /// Kills a part at a random moment and starts it again at another, so often; every part once before one twice.
    ///
    /// - Parameter only: the one part to kill; nil for all.
    func kill(times: Int, only: CrashRole? = nil) throws {
        var next: [CrashRole] = []
        // All the time that events come.
        let pauseMax = max(1_200, 2_000 * payloads.count / perSecond / max(times, 1) - 800)
        for _ in 0..<times {
            if next.isEmpty { next = only.map { [$0] } ?? roles.shuffled(using: &random) }
            let role = next.removeLast()
            pause(100...UInt32(pauseMax))
            history.append(role.rawValue)
            if role == .postgres {
                // Not there while it is being started again.
                try deployment.wait(for: "a database to kill") { deployment.postmaster.map { killNow($0) } ?? false }
            } else {
                try running[role]?.kill9()
                pause(0...700)
                try launch(role)
            }
        }
    }

    /// Stops everything in order.
    func stop() throws {
        for role in [CrashRole.producer, .serve, .stream, .index, .broker, .up] {
            guard let process = running[role] else { continue }
            #expect(try process.stop() == .exited(0), "\(role.rawValue)")
        }
    }

    /// Waits until the topic holds every event that the simulator has, and nothing more comes.
    func awaitTopic() throws {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let configuration = try deployment.kafka()
        let admin = try KafkaAdmin(configuration)
        var partitions: [Int32] = []
        try deployment.wait(for: "the topic") {
            partitions =
                try admin.metadata(topic: deployment.topic, timeoutMilliseconds: 5_000).topics
                .first { $0.name == deployment.topic }?.partitions ?? []
            return !partitions.isEmpty
        }
        let consumer = try KafkaConsumer(configuration, options: options)
        try consumer.assign(partitions.map { (topic: deployment.topic, partition: $0, offset: .beginning) })
        var missing = payloads
        var idle = 0
        try deployment.wait(for: "all events in the topic", seconds: payloads.count / perSecond + 120) {
            let count = try consumer.next(maxRecords: 10_000, timeoutMilliseconds: 500) { batch in
                for index in 0..<batch.count {
                    if let value = batch[index].value { missing.remove(Array(value)) }
                }
                return batch.count
            }
            // One who was killed at the end comes back and sends again what nobody acknowledged to him.
            idle = count == 0 && isProducing() ? idle + 1 : 0
            return missing.isEmpty && idle >= 3
        }
        for partition in partitions {
            highs["\(partition)"] = try admin.watermarks(
                topic: deployment.topic, partition: partition, timeoutMilliseconds: 5_000
            ).high
        }
    }

    /// Whether an index has reached the topic's end.
    func isIndexed(dsn: String) throws -> Bool {
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 5_000)
        defer { connection.close() }
        let rows = try connection.script(
            "SELECT partition, next_offset FROM index_checkpoints WHERE topic = '\(deployment.topic)'",
            timeoutMilliseconds: 5_000)
        let reached = Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", Int64($0[1] ?? "") ?? 0) })
        return highs.allSatisfy { partition, high in high == 0 || reached[partition] == high }
    }

    /// Whether who reads the source has reached it since his last start.
    private func isProducing() -> Bool {
        [CrashRole.producer, .up].allSatisfy { role in
            guard let process = running[role] else { return true }
            let words = String(decoding: process.output.utf8.dropFirst(logBytes[role] ?? 0), as: UTF8.self)
            return words.contains("producer: connected") || words.contains("\"message\":\"connected\"")
        }
    }

    func launch(_ role: CrashRole) throws {
        let arguments: [String] =
            switch role {
            case .producer, .up: ["--url", deployment.streamURL]
            default: []
            }
        let environment =
            role == .producer
            ? [
                "LOG_FORMAT": "json", "RECONNECT_SLEEP_SEC": "0.05", "RECONNECT_MAX_SEC": "2",
                "RECONNECT_REFUSED_SEC": "0.2",
            ] : [:]
        logBytes[role] = output(of: role).utf8.count
        running[role] = try deployment.start(role.rawValue, arguments, environment: environment)
    }

    private func killNow(_ pid: Int32) -> Bool { Glibc.kill(pid, SIGKILL) == 0 }

    private func pause(_ milliseconds: ClosedRange<UInt32>) {
        usleep(UInt32.random(in: milliseconds, using: &random) * 1_000)
    }
}
