import Concurrency
package import Kafka
import KafkaAccess
package import Lake
package import Logic
package import Records
package import ServiceLifecycle
package import Settings
package import Sources
import Synchronization
package import Telemetry

/// How a stream job runs: one for each source.
package struct StreamJobOptions: Sendable {
    package var kafka: KafkaConfiguration
    /// The source's name, for people: in logs, threads and metrics.
    package var source: String
    package var topic: String
    package var goldTopic: String
    /// Topic partitions for topics that are not there yet.
    package var topicPartitions: Int
    /// The topics as they are to be made where they are missing.
    package var plans: [TopicPlan]
    /// The consumer group under which offsets are committed for people and tools to see; the lake's are the truth.
    package var groupID: String
    package var lakeDirectory: String
    package var commitIntervalMilliseconds: Int
    /// A commit is made early when the values of its batch reach this.
    package var commitBytesMax: Int
    /// What the declaration asks for. It makes the topic's first generation; the active one's stored logic runs.
    package var logic: LogicSettings
    package var tenant = TenantID.standard
    /// Under which name documents are found.
    package var collection: String
    /// How often the number of topic partitions is asked for.
    package var sizeCheckMilliseconds = 30_000
    /// Where sealed files may have moved to.
    package var objects: LakeObjects?
    /// What bounds how far broker times may run ahead.
    package var clock = LakeClock()
    /// What to do about records that expired before they were read, or that cannot be read.
    package var expiredOffsets = ExpiredOffsets.stop
    /// The largest record of the Gold topic; nil asks the broker.
    package var goldRecordBytesMax: Int?
    /// How long a log may be ahead while nothing comes, until somebody looks for the reason.
    package var stallMilliseconds = StallWatch.limitMilliseconds
    /// Whether this process takes all topic partitions, or those that the group gives it.
    package var assignment = TopicPartitionAssignment.all
    /// How long a process of the group may be silent until others take over.
    package var sessionMilliseconds = 10_000
    /// Who is told what it reads and writes; nil: nobody.
    package var runs: (any RunEventSink)?
    /// How often it tells that.
    package var runReportMilliseconds = 60_000

    package init(
        kafka: KafkaConfiguration, topic: String, goldTopic: String, topicPartitions: Int, groupID: String,
        lakeDirectory: String, commitIntervalMilliseconds: Int, commitBytesMax: Int = 4 << 20,
        logic: LogicSettings
    ) {
        self.kafka = kafka
        self.source = topic
        self.topic = topic
        collection = topic
        self.goldTopic = goldTopic
        self.topicPartitions = topicPartitions
        plans = [topic, goldTopic].map {
            TopicPlan(name: $0, partitions: topicPartitions, properties: TopicPlan.brokerTime)
        }
        self.groupID = groupID
        self.lakeDirectory = lakeDirectory
        self.commitIntervalMilliseconds = commitIntervalMilliseconds
        self.commitBytesMax = commitBytesMax
        self.logic = logic
    }

    /// Takes the deployment's settings, and from the declaration the source's topics, logic and collection. Sources share the
    /// consumer group: each has a topic of its own.
    ///
    /// - Throws: ``LakeSettingsError`` naming the variable.
    package init(_ settings: Settings, source: SourceDeclaration, kafka: KafkaConfiguration) throws {
        self.init(
            kafka: kafka, topic: source.topic, goldTopic: source.goldTopic,
            topicPartitions: settings.topics.partitions, groupID: settings.reading.group,
            lakeDirectory: settings.folders.lake, commitIntervalMilliseconds: settings.lake.commitIntervalMilliseconds,
            logic: source.logic)
        self.source = source.name.text
        tenant = source.tenant
        collection = source.collection.name.text
        plans = [
            TopicPlan(source: settings, topic: source.topic), TopicPlan(gold: settings, topic: source.goldTopic),
        ]
        objects = try .named(by: settings)
        clock = LakeClock(aheadMaxMilliseconds: Int64(settings.lake.clockAheadMaxSeconds) * 1_000)
        expiredOffsets = settings.reading.expiredOffsets
        assignment = settings.reading.assignment
        sessionMilliseconds = Int(settings.reading.sessionSeconds * 1_000)
    }
}

/// The stream job cannot go on: why, and what to do.
package struct StreamJobError: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Consumes the source topic and writes Bronze, Silver and Gold with their commit log, then publishes Gold.
///
/// One thread per topic partition owns parser, hasher, buffers and files. Drained means: the batches in hand are
/// committed, and what was committed is acknowledged by the Gold topic or will be published again at the next start.
package final class StreamJob: Service {
    package let name = "stream"
    /// The name of the source whose topic it reads.
    package var source: String { options.source }
    let options: StreamJobOptions
    let registry: MetricsRegistry
    let metrics: StreamJobMetrics
    let logger: Logger
    let meter: LagMeter
    /// The largest record that the Gold topic takes, as of the last start.
    private let goldRecordBytesMax = Mutex(GoldPublisher.recordBytesMaxDefault)
    let state = Mutex(Shown())
    /// Tells what it reads and writes; nil: nobody wants to know.
    let reporter: RunReporter?

    /// What others are shown of its work.
    struct Shown {
        /// How many topic partitions it is to write; nil until that is known.
        var expected: Int?
        var job: String?
        var sources: [TopicPartition: String] = [:]
        /// What was told about a declared logic that does not run.
        var differingLogic: String?
    }

    package init(options: StreamJobOptions, registry: MetricsRegistry, logger: Logger) {
        self.options = options
        self.registry = registry
        self.logger = logger
        let metrics = StreamJobMetrics(registry, source: options.source)
        self.metrics = metrics
        meter = LagMeter(options.kafka, topic: options.topic) { metrics.show(lag: $1, of: $0) }
        reporter = options.runs.map { sink in
            let layout = LakeLayout(root: options.lakeDirectory)
            let bronze = layout.folder(of: .bronze, generation: nil, topic: options.topic)
            return RunReporter(
                RunEvent.Job(name: "stream.\(options.source)", processing: .streaming), inputs: [.topic(options.topic)],
                outputs: [.folder(bronze), .topic(options.goldTopic)], to: sink)
        }
    }

    package func run(stop: StopSignal) async throws {
        // Beside the work, so that the lag moves while the work stands still.
        let hasEnded = StopSignal()
        let metering = Task { [meter] in await meter.run(stop: hasEnded) }
        // Before anything can be noted, so that it is the run's first event.
        reporter?.start()
        let reporting = Task { [reporter, options] in
            while !(await hasEnded.pause(milliseconds: options.runReportMilliseconds)) { reporter?.report() }
        }
        var failure: (any Error)?
        do { try await keepWorking(stop: stop) } catch { failure = error }
        hasEnded.request()
        await metering.value
        await reporting.value
        reporter?.end(failure.map { "\($0)" })
        forget(meter.partitions)
        if let failure { throw failure }
    }

    private func keepWorking(stop: StopSignal) async throws {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 10_000)
        while !stop.isRequested {
            do {
                // After growth it starts again, with the new topic partitions.
                switch options.assignment {
                case .all: guard try await runOnce(stop: stop) else { return }
                case .group: return try await runShared(stop: stop)
                }
                continue
            } catch {
                guard !stop.isRequested else { return }
                guard Self.isRetriable(error) else { throw error }
                note(trouble: "\(error)")
                metrics.restarts.increment()
                logger.warning("stream job waits and starts again", ["error": "\(error)"])
            }
            if await stop.pause(milliseconds: backoff.next()) { return }
        }
    }

    static func isRetriable(_ error: any Error) -> Bool {
        switch error {
        case let error as KafkaError:
            error.isRetriable || [.transport, .allBrokersDown, .timedOut].contains(error.kind)
        case let error as LakeError: error.isRetriable
        case is ReadingInterrupted: true
        default: false
        }
    }

    /// - Returns: whether it ended because there are more topic partitions than it knows.
    private func runOnce(stop: StopSignal) async throws -> Bool {
        let lane = Lane(name: "stream-setup")
        // A worker that fails ends its siblings, so that the whole job starts again or stops loudly.
        let local = StopSignal()
        let (sources, publisher) = try await lane.run { [self] in
            let sources = try prepareTopics()
            expect(sources.count)
            return (sources, try makePublisher(stop: local))
        }
        let forward = Task {
            await stop.wait()
            local.request()
        }
        defer { forward.cancel() }
        let hasGrown = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                // Growth ends the workers, too, and so does whatever hinders the watch.
                defer { local.request() }
                return try await waitForGrowth(beyond: sources.count, stop: local)
            }
            for source in sources {
                group.addTask { [self] in
                    do {
                        try await Lane(name: "stream-\(source.partition) \(options.source)").run { [self] in
                            try work(source, of: sources.count, publisher: publisher, stop: local)
                        }
                        return false
                    } catch is CancellationError where local.isRequested {
                        // Asked to end in the middle of something that is begun anew at the next start.
                        return false
                    } catch {
                        local.request()
                        throw error
                    }
                }
            }
            return try await group.reduce(false) { $0 || $1 }
        }
        try await lane.run { try publisher.flush(timeoutMilliseconds: 10_000) }
        return hasGrown && !stop.isRequested
    }

    /// Makes the topics where they are missing.
    ///
    /// - Returns: the source's topic partitions.
    func prepareTopics() throws -> [TopicPartition] {
        try adoptLogic()
        let admin = try KafkaAdmin(options.kafka)
        for plan in options.plans { _ = try admin.ensure(plan, logger: logger, timeoutMilliseconds: 10_000) }
        let partitions = try size(of: options.topic, admin)
        guard !partitions.isEmpty else {
            throw KafkaError(
                kind: .unknownTopicOrPartition, operation: "start", subject: options.topic,
                reason: "the broker tells no partitions", isRetriable: true)
        }
        try checkGoldTopic(holds: partitions.count, admin)
        noteGoldLimit(admin)
        try noteSize(partitions.count)
        note(trouble: nil)
        return partitions.map { TopicPartition(topic: options.topic, partition: $0) }
    }

    /// - Throws: a retriable ``KafkaError`` while the Gold topic has fewer topic partitions than the source.
    func checkGoldTopic(holds count: Int, _ admin: KafkaAdmin) throws {
        let gold = try size(of: options.goldTopic, admin)
        guard gold.count < count else { return }
        throw KafkaError(
            kind: .unknownTopicOrPartition, operation: "start", subject: options.goldTopic,
            reason:
                "it has \(gold.count) topic partitions, \(options.topic) has \(count), and each goes to its own "
                + "number: add topic partitions to it", isRetriable: true)
    }

    /// - Parameter stop: ends waiting for room in the queue, and for records that the topic refused.
    func makePublisher(stop: StopSignal) throws -> GoldPublisher {
        let recordBytesMax = goldRecordBytesMax.withLock { $0 }
        return GoldPublisher(
            producer: try makeProducer(recordBytesMax: recordBytesMax), topic: options.goldTopic, stop: stop,
            recordBytesMax: recordBytesMax,
            refusals: GoldRefusals(configuration: options.kafka, count: metrics.goldRefused, logger: logger))
    }

    /// Asks how large a record of the Gold topic may be; not every broker tells, nor tells everybody.
    private func noteGoldLimit(_ admin: KafkaAdmin) {
        var found = options.goldRecordBytesMax
        if found == nil {
            let properties = try? admin.properties(ofTopic: options.goldTopic, timeoutMilliseconds: 3_000)
            found = properties?["max.message.bytes"].flatMap { Int($0) }
        }
        let bytes = found ?? GoldPublisher.recordBytesMaxDefault
        goldRecordBytesMax.withLock { $0 = min(max(bytes, 1_000), ProducerOptions.messageMaxBytesLimit) }
    }

    private func makeProducer(recordBytesMax: Int) throws -> KafkaProducer {
        var producerOptions = ProducerOptions()
        producerOptions.messageMaxBytes = recordBytesMax
        // A batch must fit as a record must.
        producerOptions.batchMaxBytes = min(producerOptions.batchMaxBytes, recordBytesMax)
        producerOptions.messageTimeoutMilliseconds = 0
        // Whether all arrived is asked of the queue as a whole.
        producerOptions.reportsOnlyFailures = true
        // Costs less than what it saves in copying and writing: 4 of 18 µs per event with the broker in this process.
        producerOptions.compression = "lz4"
        return try KafkaProducer(options.kafka, options: producerOptions)
    }

    func size(of topic: String, _ admin: KafkaAdmin) throws -> [Int32] {
        try admin.metadata(topic: topic, timeoutMilliseconds: 10_000).topics.first { $0.name == topic }?.partitions
            ?? []
    }

    /// Records how many topic partitions there are, if that is news.
    func noteSize(_ count: Int) throws {
        metrics.topicPartitions.set(Double(count))
        let layout = LakeLayout(root: options.lakeDirectory)
        let reader = LakeReader(layout: layout)
        var offsets: [Int32: Int64] = [:]
        for source in try reader.sources() where source.topic == options.topic {
            offsets[source.partition] = try reader.committedRange(source)?.end
        }
        let size = TopicSize(topic: options.topic, partitions: count, offsets: offsets)
        guard let before = try GenerationLog(layout: layout).note(size) else { return }
        logger.warning(
            "the topic has another number of topic partitions; copies of an event before and after do not meet in a "
                + "duplicate window, the index keeps one of them",
            ["topic": options.topic, "before": String(before.partitions), "now": String(count)])
    }

    /// Asks for the number of topic partitions every now and then.
    ///
    /// - Returns: true when there are more than `count`, false when stopped.
    private func waitForGrowth(beyond count: Int, stop: StopSignal) async throws -> Bool {
        let lane = Lane(name: "stream-size")
        let admin = try await lane.run { [options] in try KafkaAdmin(options.kafka) }
        while !(await stop.pause(milliseconds: options.sizeCheckMilliseconds)) {
            // The workers notice a broker that is away; here it only means that nothing is known.
            let now = try? await lane.run { [self] in try size(of: options.topic, admin).count }
            if let now, now > count { return true }
        }
        return false
    }

    private func work(
        _ source: TopicPartition, of count: Int, publisher: GoldPublisher, stop: StopSignal
    ) throws {
        let worker = try PartitionWorker(
            source: source, options: options, registry: registry, metrics: metrics, logger: logger, stop: stop,
            publisher: publisher, meter: meter, reporter: reporter,
            tell: { [self] in note(trouble: $0, of: source) })
        try work(worker, source, of: count, offsets: nil, stop: stop)
    }

    /// Publishes what is owed, then reads until stopped.
    ///
    /// - Parameters:
    ///   - count: all topic partitions.
    ///   - offsets: of the group, as its member; nil where this process is none.
    func work(
        _ worker: PartitionWorker, _ source: TopicPartition, of count: Int, offsets: GroupOffsets?, stop: StopSignal
    ) throws {
        metrics.held.add(1)
        defer {
            metrics.held.add(-1)
            worker.endReading()
        }
        let marker = try GoldPublisher.lastMarker(
            configuration: options.kafka, topic: options.goldTopic, topicPartition: source, stop: stop)
        try worker.republish(after: marker)
        var consumerOptions = ConsumerOptions()
        // All topic partitions together a quarter of a GiB, and no more than half a second of work: what is fetched further
        // ahead only takes fresh memory, whose first touch costs more than the parsing of what is in it. No less either:
        // librdkafka asks a full queue only now and then whether it has room again.
        consumerOptions.queueMaxKilobytes = max(1_024, min(49_152, 262_144 / count))
        var start: StartOffset?
        repeat {
            let consumer = try KafkaConsumer(
                options.kafka, groupID: offsets == nil ? options.groupID : nil, options: consumerOptions)
            let place =
                try start
                ?? worker.startOffset(
                    consumer.watermarks(
                        topic: source.topic, partition: source.partition, timeoutMilliseconds: 10_000))
            try consumer.assign([(topic: source.topic, partition: source.partition, offset: place)])
            guard let queue = consumer.queue(topic: source.topic, partition: source.partition) else {
                throw StreamJobError("\(source): librdkafka gives no queue for it; restart the process")
            }
            logger.info("reading", ["topic_partition": "\(source)", "from": "\(place)"])
            start = try worker.run(queue, consumer: consumer, offsets: offsets ?? consumer.groupOffsets).map { .at($0) }
        } while start != nil
    }
}
