import Broker
import Bytes
import Concurrency
import Console
import Files
import Ingest
import Kafka
import Lake
import Logic
import Quarantine
import Records
import ServiceLifecycle
import Simulator
import StreamJob
import Telemetry

/// Topic to committed lake: the embedded broker holds the events, a stream job takes them in, Gold is published.
///
/// Records have the keys and headers that the producer gives them. The baseline, run first over the same topic, only
/// consumes and drops. Processor time counts all of the process, broker and Kafka clients included: unlike the rate, it
/// means something on a busy machine, too.
///
/// With `poison` it runs over two topics in turn, one of them spoilt, and tells what the poison costs.
struct StreamBench {
    let events: Int
    /// Percent of the events that are spoilt in the second topic; 0 for no comparison.
    var poison = 0.0
    let source: any PlayableSource
    let partitions: Int
    let commitIntervalMilliseconds: Int
    let logger: Logger

    static let topic = "wikimedia.recentchange"
    private static let roundsOfComparison = 3

    func run() async throws -> BenchReport {
        if poison > 0 { return try await comparePoison() }
        let folder = try ScratchFolder()
        defer { folder.remove() }
        var configuration = BrokerConfiguration(directory: folder.path + "/broker")
        configuration.port = 0
        let broker = try BrokerServer(configuration: configuration, metrics: MetricsRegistry(), logger: logger)
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())", clientID: "bench")
        defer { broker.stop() }
        let lane = Lane(name: "bench")
        let bytes = try await lane.run { try fill(kafka, Self.topic, source) }
        let baseline = try await lane.run { try consume(kafka) }
        let processorBefore = ProcessorTime.seconds()
        let seconds = try await time(
            job(kafka, Self.topic, lake: folder.path + "/lake"), lake: folder.path + "/lake")
        let rate = Double(events) / seconds
        let processor = (ProcessorTime.seconds() - processorBefore) / Double(events) * 1e6
        return BenchReport(
            title: "stream: topic to committed lake, \(partitions) topic partitions, commits every "
                + "\(commitIntervalMilliseconds) ms, Gold published, embedded broker in the same process",
            figures: [
                BenchFigure("events", Double(events), ""),
                BenchFigure("bytes per event", Double(bytes) / Double(events), "B"),
                BenchFigure("baseline, consume and drop", baseline, "events/s"),
                BenchFigure("topic to committed lake", rate, "events/s", target: "wanted: at least 120,000"),
                BenchFigure("ratio to the baseline", rate / baseline, ""),
                BenchFigure("processor time", processor, "µs/event", target: "two cores have 16.7 at 120,000 events/s"),
                BenchFigure("resident memory", ProcessMemory.residentMegabytes(), "MB"),
            ])
    }

    /// Takes the same events into a lake in each round, which `body` gets before it is removed.
    ///
    /// - Returns: events a second of each round.
    func rates(rounds: Int, folder: String, _ body: (_ lake: String) async throws -> Void) async throws -> Sample {
        var configuration = BrokerConfiguration(directory: folder + "/broker")
        configuration.port = 0
        let broker = try BrokerServer(configuration: configuration, metrics: MetricsRegistry(), logger: logger)
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())", clientID: "bench")
        defer { broker.stop() }
        _ = try await Lane(name: "bench").run { try fill(kafka, Self.topic, source) }
        var rates = Sample()
        for round in 0..<rounds {
            let lake = "\(folder)/lake-\(round)"
            rates.add(Double(events) / (try await time(job(kafka, Self.topic, lake: lake), lake: lake)))
            try await body(lake)
            try Folder.removeTree(lake)
        }
        return rates
    }

    private func job(_ kafka: KafkaConfiguration, _ topic: String, lake: String) throws -> StreamJob {
        StreamJob(
            options: StreamJobOptions(
                kafka: kafka, topic: topic, goldTopic: topic + ".gold", topicPartitions: partitions,
                groupID: "bench", lakeDirectory: lake, commitIntervalMilliseconds: commitIntervalMilliseconds,
                logic: .recentChange(TransformSettings(template: try TextTemplate(TextTemplate.standard)))),
            registry: MetricsRegistry(), logger: logger)
    }

    /// The same events clean and spoilt, in turn, so that a drift of the machine meets both.
    private func comparePoison() async throws -> BenchReport {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        var configuration = BrokerConfiguration(directory: folder.path + "/broker")
        configuration.port = 0
        let broker = try BrokerServer(configuration: configuration, metrics: MetricsRegistry(), logger: logger)
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())", clientID: "bench")
        defer { broker.stop() }
        let lane = Lane(name: "bench")
        let spoilt = PoisonedSource(source: source, percent: poison)
        let topics: [(name: String, source: any PlayableSource)] = [("clean", source), ("spoilt", spoilt)]
        var bytes: [Int] = []
        for topic in topics { bytes.append(try await lane.run { try fill(kafka, topic.name, topic.source) }) }
        var seconds: [Sample] = [Sample(), Sample()]
        var processor: [Sample] = [Sample(), Sample()]
        var rejected = 0
        for round in 0..<Self.roundsOfComparison {
            for index in round % 2 == 0 ? [0, 1] : [1, 0] {
                let lake = "\(folder.path)/lake-\(index)-\(round)"
                let before = ProcessorTime.seconds()
                seconds[index].add(try await time(job(kafka, topics[index].name, lake: lake), lake: lake))
                processor[index].add((ProcessorTime.seconds() - before) / Double(events) * 1e6)
                if index == 1 {
                    let summaries = try QuarantineReader(layout: LakeLayout(root: lake)).summaries(QuarantineQuery())
                    rejected = summaries.reduce(0) { $0 + $1.counts.values.reduce(0, +) }
                }
                try Folder.removeTree(lake)
            }
        }
        let (clean, poisoned) = (seconds[0].quantile(0.5), seconds[1].quantile(0.5))
        return BenchReport(
            title:
                "stream with \(poison) % poison of every kind against none, medians of \(Self.roundsOfComparison) runs "
                + "each in turn, \(partitions) topic partitions",
            figures: [
                BenchFigure("events", Double(events), ""),
                BenchFigure("in quarantine", Double(rejected), ""),
                BenchFigure("bytes per event, clean", Double(bytes[0]) / Double(events), "B"),
                BenchFigure("bytes per event, spoilt", Double(bytes[1]) / Double(events), "B"),
                BenchFigure("clean", Double(events) / clean, "events/s"),
                BenchFigure("spoilt", Double(events) / poisoned, "events/s"),
                BenchFigure("loss of throughput", (poisoned / clean - 1) * 100, "%", target: "wanted: below 5 at 1 %"),
                BenchFigure("processor time, clean", processor[0].quantile(0.5), "µs/event"),
                BenchFigure("processor time, spoilt", processor[1].quantile(0.5), "µs/event"),
            ])
    }

    /// - Returns: bytes of the values.
    private func fill(_ kafka: KafkaConfiguration, _ topic: String, _ source: any PlayableSource) throws -> Int {
        try KafkaAdmin(kafka).createTopic(
            topic, partitions: partitions, config: ["message.timestamp.type": "LogAppendTime"],
            timeoutMilliseconds: 10_000)
        var options = ProducerOptions()
        options.lingerMilliseconds = 20
        let producer = try KafkaProducer(kafka, options: options)
        var payload: [UInt8] = []
        var bytes = 0
        for index in 0..<events {
            payload.removeAll(keepingCapacity: true)
            source.appendPayload(index, to: &payload)
            bytes += payload.count
            while try !send(payload, index, topic, producer) {
                try check(producer.poll(timeoutMilliseconds: 50))
            }
            if index % 10_000 == 0 { try check(producer.poll(timeoutMilliseconds: 0)) }
        }
        try check(producer.flush(timeoutMilliseconds: 120_000))
        return bytes
    }

    /// - Returns: false while the producer's queue is full.
    private func send(_ payload: [UInt8], _ index: Int, _ topic: String, _ producer: KafkaProducer) throws -> Bool {
        let position = #"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"offset":\#(5_960_000_000 + index)}]"#
        let headers = [
            (RecordHeaders.ingestTime, Array("\(SystemClock.epochMilliseconds())".utf8)),
            (RecordHeaders.position, Array("\(index)".utf8)),
            (RecordHeaders.acknowledged, Array("\(index) \(position)".utf8)),
            (RecordHeaders.sseID, Array(position.utf8)),
        ]
        do throws(KafkaError) {
            try producer.send(
                topic: topic, partition: Int32(index % partitions), key: Array("examplewiki:Title \(index)".utf8),
                // No event is empty: here that stands for a tombstone.
                value: payload.isEmpty ? nil : payload, headers: headers)
            return true
        } catch {
            guard error.kind == .queueFull else { throw error }
            return false
        }
    }

    private func check(_ reports: [DeliveryReport]) throws {
        for report in reports { if let error = report.error { throw error } }
    }

    /// - Returns: records per second.
    private func consume(_ kafka: KafkaConfiguration) throws -> Double {
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        let consumer = try KafkaConsumer(kafka, options: options)
        let began = SystemClock.monotonicNanoseconds()
        try consumer.assign(
            (0..<partitions).map { (topic: Self.topic, partition: Int32($0), offset: StartOffset.beginning) })
        var seen = 0
        while seen < events {
            try consumer.next(maxRecords: 10_000, timeoutMilliseconds: 1_000) { batch in
                if let error = batch.errors.first { throw error }
                seen += batch.count
            }
        }
        return Double(events) / (Double(SystemClock.monotonicNanoseconds() - began) / 1e9)
    }

    /// - Returns: seconds from the job's start to the last commit.
    private func time(_ job: StreamJob, lake: String) async throws -> Double {
        let stop = StopSignal()
        let began = SystemClock.monotonicNanoseconds()
        async let running: Void = job.run(stop: stop)
        let reader = LakeReader(layout: LakeLayout(root: lake))
        var seconds = 0.0
        while true {
            var committed: Int64 = 0
            for source in try reader.sources() { committed += try reader.committedRange(source)?.count ?? 0 }
            seconds = Double(SystemClock.monotonicNanoseconds() - began) / 1e9
            if committed >= Int64(events) { break }
            guard seconds < 600 else { throw Failure("only \(committed) of \(events) events came into the lake") }
            if let trouble = job.trouble { throw Failure(trouble) }
            if await stop.pause(milliseconds: 20) { break }
        }
        stop.request()
        try await running
        return seconds
    }
}
