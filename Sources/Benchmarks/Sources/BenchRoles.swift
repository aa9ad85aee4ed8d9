import Bytes
import Console
import Files
import Glibc
import Kafka
import Processes
import Synchronization

/// Roles of this executable as processes of their own, with one folder and one set of settings; they end with it.
///
/// The system ends a process with the thread that started it, so all is started on one lane that lasts.
final class BenchRoles: Sendable {
    let folder: ScratchFolder
    let kafka: KafkaConfiguration
    let api: String
    private let settings: Mutex<[String: String]>
    private let children = Mutex<[Int32]>([])
    private static let commandSeconds = 600
    private static let requestMilliseconds = 5_000

    /// - Parameter settings: of all, beside those that keep them apart.
    init(_ more: [String: String]) throws {
        let ports = try FreePorts.take(2)
        folder = try ScratchFolder()
        // The embedded Postgres drops root's privileges and must still reach its folder.
        chmod(folder.path, 0o755)
        api = "http://127.0.0.1:\(ports[0])"
        kafka = KafkaConfiguration(brokers: "127.0.0.1:\(ports[1])", clientID: "bench")
        settings = Mutex(
            [
                "DATA_DIR": folder.path + "/data", "API_LISTEN": "127.0.0.1:\(ports[0])",
                "BROKER_LISTEN": "127.0.0.1:\(ports[1])", "LOG_LEVEL": "warning", "API_KEY_RATE": "0",
            ].merging(more) { $1 })
    }

    deinit { stop() }

    /// Declares the only source.
    func declare(_ source: String) throws {
        let path = folder.path + "/sources.json"
        try File.replace(path, with: Array(#"{"sources":[\#(source)]}"#.utf8))
        settings.withLock { $0["SOURCES_FILE"] = path }
    }

    /// Starts the embedded broker by itself, and blocks until it answers; others find it from then on.
    func startBroker() throws {
        let process = try start(["broker"])
        settings.withLock { $0["KAFKA_BROKERS"] = kafka.brokers }
        try kafka.waitUntilAnswered(by: process)
    }

    @discardableResult
    func start(_ arguments: [String]) throws -> Int32 {
        let child = try BenchDeployment.spawn(arguments, settings.withLock { $0 })
        children.withLock { $0.append(child) }
        return child
    }

    /// Runs a command to its end.
    ///
    /// - Returns: what it printed.
    /// - Throws: ``Failure`` where it fails, or takes too long.
    func command(_ arguments: [String]) throws -> String {
        try BenchChild(arguments.first ?? "command", arguments, settings.withLock { $0 }, in: folder)
            .output(within: Self.commandSeconds)
    }

    /// Waits until something is so.
    ///
    /// - Throws: ``Failure`` where it takes longer than `seconds`.
    func wait(for what: String, seconds: Int = 60, _ isSo: () throws -> Bool) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        while try !isSo() {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw Failure("\(what) did not come in \(seconds) s")
            }
            Pause.milliseconds(10)
        }
    }

    /// Records that a topic of one partition has; 0 where it is not there yet.
    func records(in topic: String, _ admin: KafkaAdmin) -> Int64 {
        (try? admin.watermarks(topic: topic, partition: 0, timeoutMilliseconds: Self.requestMilliseconds))?.high ?? 0
    }

    /// Waits for so many records of a topic.
    ///
    /// - Returns: a second, by the times at which the broker took the first and the last.
    func arrival(of count: Int, in topic: String, seconds: Int) throws -> Double {
        let admin = try KafkaAdmin(kafka)
        try wait(for: "\(count) records of \(topic)", seconds: seconds) { records(in: topic, admin) >= Int64(count) }
        let (first, last) = (try record(of: topic, at: 0), try record(of: topic, at: Int64(count) - 1))
        return Double(count - 1) / max(Double(last.milliseconds - first.milliseconds) / 1_000, 1e-3)
    }

    /// When the broker took a record, in milliseconds since 1970, and how large its value is.
    func record(of topic: String, at offset: Int64) throws -> (milliseconds: Int64, bytes: Int) {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let consumer = try KafkaConsumer(kafka, options: options)
        try consumer.assign([(topic: topic, partition: 0, offset: StartOffset.at(offset))])
        var found: (Int64, Int)?
        for _ in 0..<30 where found == nil {
            try consumer.next(maxRecords: 10, timeoutMilliseconds: 1_000) { batch in
                guard found == nil, batch.count > 0 else { return }
                found = (batch[0].timestampMilliseconds, batch[0].value?.count ?? 0)
            }
        }
        guard let found else { throw Failure("offset \(offset) of \(topic) does not come") }
        return (found.0, found.1)
    }

    /// Ends all, and removes what they wrote.
    func stop() {
        let running = children.withLock { children in
            defer { children = [] }
            return children
        }
        for child in running.reversed() {
            kill(child, SIGTERM)
            for _ in 0..<200 where !ProcessTable.isZombie(child) { Pause.milliseconds(50) }
            if !ProcessTable.isZombie(child) { kill(child, SIGKILL) }
            _ = ChildProcess.reap(child)
        }
        if !running.isEmpty { folder.remove() }
    }
}
