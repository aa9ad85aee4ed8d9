import Bytes
package import Embeddings
import Events
package import Kafka
package import Postgres
package import ServiceLifecycle
package import Settings
import Synchronization
package import Telemetry
import VectorIndex

/// What an indexer is started with.
package struct IndexerConfiguration: Sendable {
    package var kafka: KafkaConfiguration
    package var goldTopic: String
    /// Of a migrated database.
    package var database: PostgresConfiguration
    /// Records taken from the topic at once. Small, for freshness: what arrives while one batch is embedded becomes
    /// the next one.
    package var batchRecordsMax = 64
    /// What to do about Gold that expired before it was indexed.
    package var expiredOffsets = ExpiredOffsets.stop

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

    /// Time between two looks at the planner's statistics.
    private static let lexemesMilliseconds: Int64 = 60_000

    /// - Parameter embedder: nil indexes words only.
    package init(
        configuration: IndexerConfiguration, embedder: (any TextEmbedder)?, metrics: MetricsRegistry, logger: Logger
    ) {
        self.configuration = configuration
        documents = DocumentIndexer(configuration: configuration.database, embedder: embedder)
        self.metrics = IndexerMetrics(metrics)
        self.logger = logger
    }

    package func run(stop: StopSignal) async throws {
        var backoff = Backoff(baseMilliseconds: 100, capMilliseconds: 5_000)
        while !stop.isRequested {
            let before = metrics.transactions.value
            do {
                try await session(stop: stop)
                return
            } catch {
                guard IndexerError.isRetriable(error) else { throw error }
                if metrics.transactions.value > before { backoff.reset() }
                metrics.failures.increment()
                let wait = backoff.next()
                logger.warning("indexing is interrupted and tried again", ["error": "\(error)", "wait_ms": "\(wait)"])
                if await stop.pause(milliseconds: wait) { break }
            }
        }
    }

    /// Reads and writes until the stop or a failure, from what the database says was written.
    private func session(stop: StopSignal) async throws {
        let state = try await documents.state()
        let configuration = configuration
        let logger = logger
        try await readLane.run { [self] in
            try reader.withLock { reader in
                reader = nil
                reader = try GoldReader(
                    configuration: configuration.kafka, topic: configuration.goldTopic,
                    checkpoints: state.checkpoints, positions: state.goldPositions,
                    policy: configuration.expiredOffsets, logger: logger)
            }
        }
        var writing: Task<Void, any Error>?
        var lexemesAt = Int64.min
        do {
            while !stop.isRequested {
                let batch = try await next()
                if batch.hasRecords {
                    let prepared = try await documents.prepare(batch.documents)
                    try await writing?.value
                    writing = Task { try await self.write(batch, prepared) }
                } else {
                    // A failure must not wait for the next record to be noticed: there may be none for long.
                    try await writing?.value
                    writing = nil
                }
                let now = SystemClock.epochMilliseconds()
                if now - Self.lexemesMilliseconds > lexemesAt {
                    lexemesAt = now
                    try await documents.refreshLexemes()
                }
            }
        } catch {
            // The write under way ends first; its own failure would be the same news.
            _ = await writing?.result
            throw error
        }
        try await writing?.value
    }

    private func next() async throws -> GoldBatch {
        let recordsMax = configuration.batchRecordsMax
        let batch = try await readLane.run { [self] in
            try reader.withLock { reader in
                let batch = try reader?.next(recordsMax: recordsMax, timeoutMilliseconds: 200) ?? GoldBatch()
                for (gold, position) in batch.positions {
                    if let lag = reader?.lag(gold, position: position) { metrics.lag(gold).set(Double(lag)) }
                }
                return batch
            }
        }
        metrics.skipped.increment(by: batch.skipped)
        metrics.poison.increment(by: batch.unreadable)
        metrics.gapOffsets.increment(by: Int(clamping: batch.gapOffsets))
        metrics.expiredOffsets.increment(by: Int(clamping: batch.expiredOffsets))
        if let document = batch.lastSkipped { try await documents.checkSameTopic(document) }
        return batch
    }

    private func write(_ batch: GoldBatch, _ prepared: DocumentIndexer.Prepared) async throws {
        // Records that change nothing (repeats) need no transaction; their positions come with the next one.
        guard !prepared.documents.isEmpty || !batch.moves.isEmpty else { return }
        let started = SystemClock.monotonicNanoseconds()
        let positions = batch.positions.map { (gold: $0.key, nextOffset: $0.value) }
        let outcome = try await documents.write(prepared, moving: batch.moves, goldPositions: positions)
        metrics.writeSeconds.observe(Double(SystemClock.monotonicNanoseconds() - started) / 1e9)
        metrics.transactions.increment()
        metrics.documents.increment(by: prepared.documents.count)
        metrics.passages.increment(by: outcome.passagesAdded)
        metrics.embedded.increment(by: outcome.embedded)
        metrics.reused.increment(by: outcome.reused)
        let now = SystemClock.epochMilliseconds()
        for document in batch.documents {
            guard let received = document.sourceTimestampMilliseconds else { continue }
            metrics.freshnessSeconds.observe(Double(max(0, now - received)) / 1_000)
        }
        for move in batch.moves {
            metrics.checkpoint(generation: move.generation, source: move.source).set(Double(move.next))
        }
    }
}
