import Broker
import Bytes
import Events
import Files
import Kafka
import Lake
import Producer
import ServiceLifecycle
import Simulator
import StreamJob
import Telemetry
import Transforms

/// Topic to committed lake: the embedded broker holds the events, a stream job takes them in, Gold is published.
///
/// Records have the keys and headers that the producer gives them. The baseline, run first over the same topic, only
/// consumes and drops. Processor time counts all of the process, broker and Kafka clients included: unlike the rate, it
/// means something on a busy machine, too.
struct StreamBench {
    let events: Int
    let source: any PlayableSource
    let partitions: Int
    let commitIntervalMilliseconds: Int
    let logger: Logger

    private static let topic = "wikimedia.recentchange"

    func run() async throws -> BenchReport {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        var configuration = BrokerConfiguration(directory: folder.path + "/broker")
        configuration.port = 0
        let broker = try BrokerServer(configuration: configuration, metrics: MetricsRegistry(), logger: logger)
        let kafka = KafkaConfiguration(brokers: "127.0.0.1:\(try broker.start())", clientID: "bench")
        defer { broker.stop() }
        let lane = Lane(name: "bench")
        let bytes = try await lane.run { try fill(kafka) }
        let baseline = try await lane.run { try consume(kafka) }
        let processorBefore = ProcessorTime.seconds()
        let metrics = MetricsRegistry()
        let job = StreamJob(
            options: StreamJobOptions(
                kafka: kafka, topic: Self.topic, goldTopic: "wikimedia.gold", topicPartitions: partitions,
                groupID: "bench", lakeDirectory: folder.path + "/lake",
                commitIntervalMilliseconds: commitIntervalMilliseconds,
                transform: TransformSettings(template: try TextTemplate(TextTemplate.standard))),
            registry: metrics, logger: logger)
        let seconds = try await time(job, lake: folder.path + "/lake")
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

    /// - Returns: bytes of the values.
    private func fill(_ kafka: KafkaConfiguration) throws -> Int {
        try KafkaAdmin(kafka).createTopic(
            Self.topic, partitions: partitions, config: ["message.timestamp.type": "LogAppendTime"],
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
            while try !send(payload, index, producer) {
                try check(producer.poll(timeoutMilliseconds: 50))
            }
            if index % 10_000 == 0 { try check(producer.poll(timeoutMilliseconds: 0)) }
        }
        try check(producer.flush(timeoutMilliseconds: 120_000))
        return bytes
    }

    /// - Returns: false while the producer's queue is full.
    private func send(_ payload: [UInt8], _ index: Int, _ producer: KafkaProducer) throws -> Bool {
        let position = #"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"offset":\#(5_960_000_000 + index)}]"#
        let headers = [
            (RecordHeaders.ingestTime, Array("\(SystemClock.epochMilliseconds())".utf8)),
            (RecordHeaders.position, Array("\(index)".utf8)),
            (RecordHeaders.acknowledged, Array("\(index) \(position)".utf8)),
            (RecordHeaders.sseID, Array(position.utf8)),
        ]
        do throws(KafkaError) {
            try producer.send(
                topic: Self.topic, partition: Int32(index % partitions), key: Array("examplewiki:Title \(index)".utf8),
                value: payload, headers: headers)
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
