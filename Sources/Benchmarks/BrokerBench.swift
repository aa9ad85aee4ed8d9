import Bytes
import Concurrency
import Console
import Files
import Glibc
import Kafka
import Processes
import Synchronization
import Telemetry

/// The embedded broker as a process of its own, reached through librdkafka: throughput with a producer and a consumer
/// at work at once, time to the acknowledgement at a given rate, and a start after kill -9 over a large log.
struct BrokerBench {
    let gigabytes: Double
    /// Records a second of the second part.
    let rate: Double
    /// How long the second part lasts.
    let seconds: Int
    let logger: Logger

    private static let topic = "bench"
    private static let partitions = 2
    private static let recordBytes = 1_200
    private static let patience: Int64 = 600_000_000_000

    func run() async throws -> BenchReport {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let broker = try BenchBroker(folder: folder.path)
        defer { broker.kill() }
        // A child is ended with the thread that started it, so that thread lasts as long as the benchmark.
        let lane = Lane(name: "bench")
        try await lane.run { try broker.start() }
        let records = Int(gigabytes * 1e9) / Self.recordBytes
        let through = try await throughput(broker, records)
        let acknowledged = try await lane.run { try acknowledgements(broker) }
        let syncs = try await lane.run { try syncTimes(folder.path) }
        let started = try await lane.run { try restart(broker) }
        let megabytes = Double(records * Self.recordBytes) / 1e6
        return BenchReport(
            title: "broker: a process of its own, records of \(Self.recordBytes) bytes, \(Self.partitions) topic "
                + "partitions, BROKER_FSYNC=always, through librdkafka",
            figures: [
                BenchFigure("records", Double(records), ""),
                BenchFigure(
                    "produced and consumed at once", megabytes / through.seconds, "MB/s", target: "wanted: at least 100"
                ),
                BenchFigure("broker's processor time", through.processor / megabytes * 1_000, "s/GB"),
                BenchFigure("baseline, write and sync a file", try baseline(folder.path), "MB/s"),
                BenchFigure("records a second, acknowledged one by one", acknowledged.rate, ""),
                BenchFigure("acknowledged p50", acknowledged.sample.quantile(0.5), "ms"),
                BenchFigure("acknowledged p99", acknowledged.sample.quantile(0.99), "ms", target: "wanted: at most 10"),
                BenchFigure("acknowledged p99.9", acknowledged.sample.quantile(0.999), "ms"),
                BenchFigure("baseline, write and sync six records, p50", syncs.quantile(0.5), "ms"),
                BenchFigure("baseline, write and sync six records, p99", syncs.quantile(0.99), "ms"),
                BenchFigure("log", Double(started.bytes) / 1e9, "GB"),
                BenchFigure("start after kill -9", started.seconds, "s", target: "wanted with 5 GB: less than 2"),
                BenchFigure("broker's resident memory", started.megabytes, "MB"),
                BenchFigure("load average", ProcessorTime.loadAverage(), ""),
            ])
    }

    // MARK: Throughput

    private func throughput(
        _ broker: BenchBroker, _ records: Int
    ) async throws -> (seconds: Double, processor: Double) {
        try KafkaAdmin(broker.kafka).createTopic(
            Self.topic, partitions: Self.partitions, config: [:], timeoutMilliseconds: 10_000)
        let began = SystemClock.monotonicNanoseconds()
        let before = ProcessTable.processorSeconds(of: [broker.process])
        async let produced: Void = Lane(name: "bench-produce").run { try produce(broker.kafka, records) }
        async let consumed: Void = Lane(name: "bench-consume").run { try consume(broker.kafka, records) }
        _ = try await (produced, consumed)
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        return (seconds, ProcessTable.processorSeconds(of: [broker.process]) - before)
    }

    private func produce(_ kafka: KafkaConfiguration, _ records: Int) throws {
        var options = ProducerOptions()
        options.lingerMilliseconds = 20
        options.reportsOnlyFailures = true
        let producer = try KafkaProducer(kafka, options: options)
        try PlainProducer(producer: producer, topic: Self.topic, partitions: Self.partitions).send(
            records, of: PlainProducer.value(bytes: Self.recordBytes))
    }

    private func consume(_ kafka: KafkaConfiguration, _ records: Int) throws {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let consumer = try KafkaConsumer(kafka, options: options)
        try consumer.assign(
            (0..<Self.partitions).map { (topic: Self.topic, partition: Int32($0), offset: StartOffset.beginning) })
        let deadline = SystemClock.monotonicNanoseconds() + Self.patience
        var seen = 0
        while seen < records {
            guard SystemClock.monotonicNanoseconds() < deadline else {
                throw Failure("only \(seen) of \(records) records came back")
            }
            try consumer.next(maxRecords: 10_000, timeoutMilliseconds: 1_000) { batch in
                if let error = batch.errors.first { throw error }
                seen += batch.count
            }
        }
    }

    // MARK: Acknowledgements

    /// Sends at an even pace and notes for each record when its acknowledgement was seen.
    private func acknowledgements(_ broker: BenchBroker) throws -> (rate: Double, sample: Sample) {
        // As the platform's producer has it. Without a linger five requests are always under way, librdkafka then polls
        // without pause, and on a busy machine the core it takes is missing where the records are written.
        let producer = try KafkaProducer(broker.kafka)
        let plain = PlainProducer(producer: producer, topic: Self.topic, partitions: Self.partitions)
        let value = PlainProducer.value(bytes: Self.recordBytes)
        let count = Int(rate * Double(seconds))
        // Connections and the producer id are there before the pace begins, and the first second is not counted.
        _ = try plain.offer(value, 0)
        try PlainProducer.check(producer.flush(timeoutMilliseconds: 30_000))
        let warmUp = Int(rate)
        var sample = Sample()
        var reported = 0
        let began = SystemClock.monotonicNanoseconds()
        var sent = 0
        func collect(_ milliseconds: Int) throws {
            let reports = producer.poll(timeoutMilliseconds: milliseconds)
            let now = SystemClock.monotonicNanoseconds()
            try PlainProducer.check(reports)
            for report in reports {
                reported += 1
                if reported > warmUp { sample.add(Double(now - report.token) / 1e6) }
            }
        }
        while sent < count {
            let elapsed = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
            let due = min(count, Int(elapsed * rate) + 1)
            while sent < due {
                guard try plain.offer(value, sent) else { break }
                sent += 1
            }
            try collect(1)
        }
        while reported < count {
            guard SystemClock.monotonicNanoseconds() - began < Self.patience else {
                throw Failure("only \(reported) of \(count) records were acknowledged")
            }
            try collect(100)
        }
        return (Double(count) / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9), sample)
    }

    // MARK: Start

    private func restart(_ broker: BenchBroker) throws -> (bytes: Int, seconds: Double, megabytes: Double) {
        broker.kill()
        let began = SystemClock.monotonicNanoseconds()
        try broker.start()
        let seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
        return (try broker.logBytes(), seconds, ProcessMemory.residentMegabytes(of: broker.process))
    }

    /// What an acknowledgement waits for at least, right after those were measured: the disk, as it is beside whatever
    /// else the machine does.
    private func syncTimes(_ folder: String) throws -> Sample {
        let file = try File(folder + "/syncs", .readWrite)
        let records = [UInt8](repeating: 0x61, count: 6 * Self.recordBytes)
        var sample = Sample()
        for index in 0..<500 {
            let began = SystemClock.monotonicNanoseconds()
            try write(records, to: file, at: index * records.count)
            try file.sync()
            sample.add(Double(SystemClock.monotonicNanoseconds() - began) / 1e6)
            Pause.milliseconds(1)
        }
        return sample
    }

    private func write(_ bytes: [UInt8], to file: borrowing File, at position: Int) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try file.write(buffer, at: position) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// What the disk takes: 256 MB in pieces of a megabyte, synced at the end.
    private func baseline(_ folder: String) throws -> Double {
        let file = try File(folder + "/baseline", .readWrite)
        let piece = [UInt8](repeating: 0x61, count: 1 << 20)
        let began = SystemClock.monotonicNanoseconds()
        for index in 0..<256 { try write(piece, to: file, at: index << 20) }
        try file.sync()
        return 256 * 1.048576 / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
    }
}

/// `medallion broker` in a folder, on a port of its own.
private final class BenchBroker: Sendable {
    let kafka: KafkaConfiguration
    private let folder: String
    private let address: String
    private let child = Mutex<Int32>(0)

    init(folder: String) throws {
        self.folder = folder
        address = "127.0.0.1:\(try FreePorts.take(1)[0])"
        kafka = KafkaConfiguration(brokers: address, clientID: "bench")
    }

    /// Process id; 0 while it does not run.
    var process: Int32 { child.withLock { $0 } }

    /// Blocks until the broker answers a client.
    func start() throws {
        let process = try BenchDeployment.spawn(
            ["broker"],
            [
                "DATA_DIR": folder + "/data", "BROKER_DIR": folder + "/broker", "BROKER_LISTEN": address,
                "LOG_LEVEL": "warning",
            ])
        child.withLock { $0 = process }
        try kafka.waitUntilAnswered(by: process)
    }

    /// Ends the broker as a crash would; nothing when it does not run.
    func kill() {
        let process = child.withLock { child in
            defer { child = 0 }
            return child
        }
        guard process > 0 else { return }
        Glibc.kill(process, SIGKILL)
        _ = ChildProcess.reap(process)
    }

    func logBytes() throws -> Int {
        var bytes = 0
        for name in try Folder.list(folder + "/broker") {
            for file in (try? Folder.list(folder + "/broker/" + name)) ?? [] where file.hasSuffix(".log") {
                bytes += try File(folder + "/broker/" + name + "/" + file, .read).size()
            }
        }
        return bytes
    }
}
