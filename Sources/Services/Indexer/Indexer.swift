import Bytes
import Concurrency
package import Embeddings
package import Kafka
import KafkaAccess
package import Postgres
import Records
import Retrieval
package import ServiceLifecycle
package import Settings
package import Store
import Synchronization
package import Telemetry

/// What an indexer is started with.
package struct IndexerConfiguration: Sendable {
    package var kafka: KafkaConfiguration
    package var goldTopic: String
    /// The topic of raw events that the Gold topic's documents were made from, whose checkpoints this one shows; nil for all.
    /// Several indexers, one for each source, may share a database.
    package var sourceTopic: String?
    /// Of a migrated database.
    package var database: PostgresConfiguration
    /// Records taken from the topic at once. Small, for freshness: what arrives while one batch is embedded becomes
    /// the next one.
    package var batchRecordsMax = 64
    /// Batches that are embedded at once. More than one for a server, which may give few turns and takes many texts in each:
    /// those of the next batches fill up a request.
    package var batchesAtOnce = 1
    /// What to do about Gold that expired before it was indexed.
    package var expiredOffsets = ExpiredOffsets.stop
    /// Whether this process takes all topic partitions, or those that the group gives it.
    package var assignment = TopicPartitionAssignment.all
    /// The consumer group of indexers that share the Gold topic.
    package var groupID = "medallion-index"
    /// How long a process of the group may be silent until others take over.
    package var sessionMilliseconds = 10_000
    /// How long a log may be ahead while nothing comes, until somebody looks for the reason.
    package var stallMilliseconds = StallWatch.limitMilliseconds
    /// How often the number of topic partitions is asked for.
    package var sizeCheckMilliseconds: Int64 = 30_000
    /// Of the tables that are made for its model.
    package var graph = VectorGraph()
    /// Told of what waits.
    package var load = IndexingLoad()

    package init(kafka: KafkaConfiguration, goldTopic: String, database: PostgresConfiguration) {
        self.kafka = kafka
        self.goldTopic = goldTopic
        self.database = database
    }
}

/// Keeps the index up to date with the Gold topic.
///
/// Reads what is there without waiting for more, embeds it, and writes rows, checkpoint and index version in one
/// transaction; the next batch is read and embedded while the last one is written. Whatever fails is tried again from
/// the last transaction, so nothing is lost or doubled. Drained means: the transaction under way has ended; what was
/// read but not written is read again at the next start.
package final class Indexer: Service {
    package let name = "indexer"
    private let configuration: IndexerConfiguration
    private let documents: DocumentIndexer
    private let metrics: IndexerMetrics
    private let logger: Logger
    private let readLane = Lane(name: "index-read")
    private let reader = Mutex<GoldReader?>(nil)
    /// What is known of topic partitions that give nothing though their log is ahead.
    private let stalls = Mutex<[TopicPartition: String]>([:])
    private let meter: LagMeter
    private let progress = Mutex(Progress())
    /// Index transactions of this one; the metric counts those of all sources of the process.
    private let transactions = Atomic(0)

    /// What others are shown of its work.
    private struct Progress {
        /// How many topic partitions it is to read; nil until that is known: all, or what the group has given it.
        var expected: Int?
        /// What it tries again after; nil while work goes on.
        var fault: String?
        /// The Gold topic's partitions that are read, and the source's whose checkpoints are shown.
        var partitions: Set<Int32> = []
        var sources: Set<TopicPartition> = []
    }

    /// The same with one embedder for all generations.
    ///
    /// - Parameter embedder: nil indexes words only.
    package convenience init(
        configuration: IndexerConfiguration, embedder: (any TextEmbedder)?, metrics: MetricsRegistry, logger: Logger
    ) {
        self.init(
            configuration: configuration, embedders: OneEmbedder(embedder), metrics: metrics, logger: logger)
    }

    /// - Parameter embedders: of the generations' vectors; nothing is embedded where the usual one is none.
    package init(
        configuration: IndexerConfiguration, embedders: any EmbedderSource, metrics: MetricsRegistry, logger: Logger
    ) {
        self.configuration = configuration
        documents = DocumentIndexer(
            configuration: configuration.database, embedders: embedders, graph: configuration.graph, logger: logger)
        let shown = IndexerMetrics(metrics)
        self.metrics = shown
        self.logger = logger
        meter = LagMeter(configuration.kafka, topic: configuration.goldTopic) { shown.show(lag: $1, of: $0) }
    }

    /// What it waits for at the broker, or tries again after; nil while all is well.
    package var trouble: String? {
        let stalls = stalls.withLock { $0 }.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        let all = [progress.withLock { $0.fault }].compactMap { $0 } + stalls
        return all.isEmpty ? nil : all.joined(separator: "; ")
    }

    /// Whether it knows what to read; the group may have given it nothing.
    package var hasBegun: Bool { progress.withLock { $0.expected != nil } }

    /// Gold records that wait, in the topic partitions of this process; nil where unknown.
    package var lagRecords: Int64? {
        guard let expected = progress.withLock({ $0.expected }), meter.partitions.count >= expected else { return nil }
        return meter.total
    }

    package func run(stop: StopSignal) async throws {
        // Beside the work, so that the lag moves while the work stands still.
        let hasEnded = StopSignal()
        let metering = Task { [meter] in await meter.run(stop: hasEnded) }
        var failure: (any Error)?
        do { try await work(stop: stop) } catch { failure = error }
        hasEnded.request()
        await metering.value
        forget(progress.withLock { $0.partitions })
        if let failure { throw failure }
    }

    private func work(stop: StopSignal) async throws {
        if configuration.assignment == .group { return try await runShared(stop: stop) }
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000)
        while !stop.isRequested {
            let before = transactions.load(ordering: .relaxed)
            do {
                // Where the topic has grown it begins anew, with the new topic partitions.
                try await session(only: nil, stop: stop)
            } catch {
                guard IndexerError.isRetriable(error) else { throw error }
                if transactions.load(ordering: .relaxed) > before { backoff.reset() }
                if await pause(after: error, &backoff, stop: stop) { break }
            }
        }
    }

    /// Takes the topic partitions that the group gives it, and begins anew whenever those change.
    ///
    /// A process that lost a topic partition without knowing it cannot move its checkpoints any more: they are compared
    /// before they are set.
    private func runShared(stop: StopSignal) async throws {
        let lane = Lane(name: "index-group")
        let member = try await lane.run { [configuration] in
            try GroupMember(
                configuration.kafka, groupID: configuration.groupID, topic: configuration.goldTopic,
                sessionMilliseconds: configuration.sessionMilliseconds)
        }
        var mine: Set<Int32> = []
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000)
        var failure: (any Error)?
        while !stop.isRequested, failure == nil {
            let before = transactions.load(ordering: .relaxed)
            let reading = Reading()
            let partitions = mine.sorted()
            metrics.held(of: configuration.goldTopic).set(Double(mine.count))
            let session = Task { [self] in
                defer { reading.hasEnded.request() }
                if !partitions.isEmpty { try await self.session(only: partitions, stop: reading.stop) }
            }
            var news: GroupMember.News?
            do {
                repeat {
                    news = try await lane.run { try member.next(timeoutMilliseconds: 200) }
                    for fault in member.takeFaults() { logger.warning("trouble with the group", ["error": "\(fault)"]) }
                } while news == nil && !stop.isRequested && (partitions.isEmpty || !reading.hasEnded.isRequested)
            } catch {
                failure = error
            }
            reading.stop.request()
            let outcome = await session.result
            if let news {
                mine = try await follow(news, from: mine, member, lane)
                let count = mine.count
                progress.withLock { $0.expected = count }
            }
            guard case .failure(let error) = outcome else { continue }
            if !IndexerError.isRetriable(error) { failure = failure ?? error }
            if transactions.load(ordering: .relaxed) > before { backoff.reset() }
            if failure == nil, await pause(after: error, &backoff, stop: stop) { break }
        }
        metrics.held(of: configuration.goldTopic).set(0)
        try await lane.run { member.leave() }
        if let failure { throw failure }
    }

    /// One stretch of reading the same topic partitions.
    private struct Reading {
        let stop = StopSignal()
        let hasEnded = StopSignal()
    }

    /// - Returns: the topic partitions that are this process' now.
    private func follow(
        _ news: GroupMember.News, from mine: Set<Int32>, _ member: GroupMember, _ lane: Lane
    ) async throws -> Set<Int32> {
        switch news {
        case .assigned(let partitions):
            logger.info("the group gives topic partitions", ["numbers": "\(partitions)"])
            return mine.union(partitions)
        case .revoked(let partitions, let isLost):
            logger.info("the group takes topic partitions", ["numbers": "\(partitions)", "lost": "\(isLost)"])
            forget(partitions)
            try await lane.run { member.letGo() }
            return mine.subtracting(partitions)
        }
    }

    /// - Returns: whether a stop was asked for meanwhile.
    private func pause(after error: any Error, _ backoff: inout Backoff, stop: StopSignal) async -> Bool {
        metrics.failures.increment()
        progress.withLock { $0.fault = "\(error)" }
        let wait = backoff.next()
        logger.warning("indexing is interrupted and tried again", ["error": "\(error)", "wait_ms": "\(wait)"])
        return await stop.pause(milliseconds: wait)
    }

    /// Reads and writes until the stop, growth of the topic or a failure, from what the database says was written.
    ///
    /// - Parameter only: topic partitions to read; nil for all.
    private func session(only: [Int32]?, stop: StopSignal) async throws {
        defer { forgetStalls() }
        let state = try await documents.state()
        let configuration = configuration
        let logger = logger
        let starts = try await readLane.run { [self] in
            try reader.withLock { reader in
                reader = nil
                let fresh = try GoldReader(
                    configuration: configuration.kafka, topic: configuration.goldTopic, only: only,
                    checkpoints: state.checkpoints, positions: state.goldPositions,
                    policy: configuration.expiredOffsets, logger: logger,
                    stallMilliseconds: configuration.stallMilliseconds, isStopped: { stop.isRequested })
                reader = fresh
                return fresh.positions
            }
        }
        show(starts, state.checkpoints)
        var sizeAt = SystemClock.epochMilliseconds()
        let line = BatchLine(atOnce: configuration.batchesAtOnce)
        do {
            while !stop.isRequested {
                let batch = try await next()
                if batch.hasRecords {
                    try await line.add(stop: stop) { [documents] in
                        try await documents.prepare(batch.documents)
                    } write: { prepared in
                        try await self.write(batch, prepared)
                    }
                } else {
                    // A failure must not wait for the next record to be noticed: there may be none for long.
                    if try await line.settle() { progress.withLock { $0.fault = nil } }
                }
                let now = SystemClock.epochMilliseconds()
                if only == nil, now - sizeAt > configuration.sizeCheckMilliseconds {
                    sizeAt = now
                    if try await readLane.run({ [self] in reader.withLock { $0?.hasGrown() ?? false } }) {
                        logger.info("the Gold topic has more topic partitions", ["topic": configuration.goldTopic])
                        break
                    }
                }
            }
        } catch {
            // The write under way ends first; its own failure would be the same news.
            try? await line.end()
            throw error
        }
        try await line.end()
    }

    private func next() async throws -> GoldBatch {
        let recordsMax = configuration.batchRecordsMax
        let batch = try await readLane.run { [self] in
            try reader.withLock { reader in
                try reader?.next(recordsMax: recordsMax, timeoutMilliseconds: 200) ?? GoldBatch()
            }
        }
        if batch.isFull { configuration.load.noteFullBatch() }
        metrics.skipped.increment(by: batch.skipped)
        metrics.poison.increment(by: batch.unreadable)
        metrics.unreadableOffsets.increment(by: Int(clamping: batch.unreadableOffsets))
        note(batch)
        metrics.gapOffsets.increment(by: Int(clamping: batch.gapOffsets))
        metrics.expiredOffsets.increment(by: Int(clamping: batch.expiredOffsets))
        if let document = batch.lastSkipped { try await documents.checkSameTopic(document) }
        return batch
    }

    /// Shows which topic partitions stall, and that those do no more from which something came or that were looked at.
    private func note(_ batch: GoldBatch) {
        let settled = batch.settled.union(batch.positions.keys)
        let begun = batch.stalls.filter { !settled.contains($0.key) }
        let ended = stalls.withLock { stalls in
            let ended = settled.filter { stalls.removeValue(forKey: $0) != nil }
            stalls.merge(begun) { $1 }
            return ended
        }
        for gold in begun.keys { metrics.stalled(gold).set(1) }
        for gold in ended { metrics.stalled(gold).set(0) }
    }

    /// Nothing is known of topic partitions that are not read.
    private func forgetStalls() {
        let ended = stalls.withLock { stalls in
            defer { stalls = [:] }
            return Array(stalls.keys)
        }
        for gold in ended { metrics.stalled(gold).set(0) }
    }

    /// Shows how far it is in what it reads now, and nothing any more of what it read before.
    private func show(_ starts: [Int32: Int64], _ checkpoints: [IndexCheckpoint]) {
        forget(progress.withLock { $0.partitions.subtracting(starts.keys) })
        let sources = progress.withLock { progress in
            progress.expected = starts.count
            progress.partitions = Set(starts.keys)
            defer { progress.sources = [] }
            return progress.sources
        }
        for (partition, start) in starts { meter.follow(partition, from: start) }
        // Some generation may be gone.
        for source in sources { metrics.forget(checkpointsOf: source) }
        // The stream job publishes each topic partition to its own number.
        for checkpoint in checkpoints
        where starts[checkpoint.source.partition] != nil
            && checkpoint.source.topic == configuration.sourceTopic ?? checkpoint.source.topic
        {
            show(checkpoint.nextOffset, of: checkpoint.source, generation: checkpoint.generation)
        }
    }

    private func show(_ checkpoint: Int64, of source: TopicPartition, generation: Int64) {
        progress.withLock { _ = $0.sources.insert(source) }
        metrics.checkpoint(generation: generation, source: source).set(Double(checkpoint))
    }

    /// Takes the series of topic partitions away: what nobody moves would be shown for ever.
    private func forget(_ partitions: some Collection<Int32>) {
        let sources = progress.withLock { progress in
            progress.partitions.subtract(partitions)
            let gone = progress.sources.filter { partitions.contains($0.partition) }
            progress.sources.subtract(gone)
            return gone
        }
        for partition in partitions {
            meter.leave(partition)
            metrics.forget(TopicPartition(topic: configuration.goldTopic, partition: partition))
        }
        for source in sources { metrics.forget(checkpointsOf: source) }
    }

    private func write(_ batch: GoldBatch, _ prepared: DocumentIndexer.Prepared) async throws {
        try await commit(batch, prepared)
        progress.withLock { $0.fault = nil }
        for (gold, position) in batch.positions { meter.reach(gold.partition, position) }
    }

    private func commit(_ batch: GoldBatch, _ prepared: DocumentIndexer.Prepared) async throws {
        // Records that change nothing (repeats) need no transaction; their positions come with the next one.
        guard !prepared.documents.isEmpty || !batch.moves.isEmpty || !batch.refused.isEmpty else { return }
        let started = SystemClock.monotonicNanoseconds()
        let positions = batch.positions.map { (gold: $0.key, nextOffset: $0.value) }
        let outcome = try await documents.write(
            prepared, moving: batch.moves, goldPositions: positions, refused: batch.refused, origin: .live)
        metrics.writeSeconds.observe(Double(SystemClock.monotonicNanoseconds() - started) / 1e9)
        metrics.transactions.increment()
        transactions.add(1, ordering: .relaxed)
        metrics.documents.increment(by: prepared.documents.count - outcome.refused)
        metrics.passages.increment(by: outcome.passagesAdded)
        metrics.embedded.increment(by: outcome.embedded)
        metrics.reused.increment(by: outcome.reused)
        metrics.linked.increment(by: outcome.linked)
        metrics.refused.increment(by: outcome.refused + batch.refused.count)
        let now = SystemClock.epochMilliseconds()
        for document in batch.documents where !outcome.hasRefused(document) {
            guard let received = document.sourceTimestampMilliseconds else { continue }
            metrics.freshnessSeconds.observe(Double(max(0, now - received)) / 1_000)
        }
        for move in batch.moves { show(move.next, of: move.source, generation: move.generation) }
    }
}
