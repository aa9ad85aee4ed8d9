import Bytes
package import Kafka
import KafkaAccess
package import Records
package import ServiceLifecycle

/// Publishes commits to the Gold topic: their documents, then a marker with the commit's next offset.
///
/// The commit log is the outbox: what a crash kept from the topic is published again at the next start, so receivers
/// see documents at least once and in order, and count source offsets. A document that is too large for the topic is
/// named there by a notice, which tells the indexer what the index lacks; the lake has its line.
package final class GoldPublisher: Sendable {
    private let producer: KafkaProducer
    private let topic: String
    private let stop: StopSignal
    private let recordBytesMax: Int
    private let refusals: GoldRefusals?

    /// Room for headers and frame of a document's record.
    package static let frameBytes = 1_024
    /// The largest record that brokers take unless they are told otherwise (`message.max.bytes`).
    package static let recordBytesMaxDefault = 1_048_588

    /// - Parameters:
    ///   - producer: idempotent, so that order holds over its own retries.
    ///   - recordBytesMax: the largest record that the topic takes.
    ///   - refusals: what follows where the broker refuses a record for its size all the same; nil: that ends the work.
    package init(
        producer: KafkaProducer, topic: String, stop: StopSignal,
        recordBytesMax: Int = GoldPublisher.recordBytesMaxDefault, refusals: GoldRefusals? = nil
    ) {
        self.producer = producer
        self.topic = topic
        self.stop = stop
        self.recordBytesMax = recordBytesMax
        self.refusals = refusals
    }

    /// One document on its way, or a line that is about none.
    package struct Document {
        let place: GoldTopic.Place
        /// Empty where the line is about no document.
        let id: UnsafeRawBufferPointer
        let line: UnsafeRawBufferPointer
    }

    /// Queues one document, waiting while the queue is full; where it is too large, a notice in its place.
    package func publish(_ document: Document) throws {
        let bytes = document.id.count + document.line.count + Self.frameBytes
        guard bytes <= recordBytesMax else {
            return try refuse(document, "a record of \(bytes) bytes, but the topic takes \(recordBytesMax)")
        }
        do {
            if document.id.isEmpty {
                try Array(GoldTopic.deleteBelowKey.utf8).withUnsafeBytes { key in
                    try send(document.place, .document, key: key, value: document.line)
                }
            } else {
                try send(document.place, .document, key: document.id, value: document.line)
            }
        } catch let error as KafkaError where error.kind == .messageTooLarge {
            try refuse(document, error.reason)
        }
    }

    private func refuse(_ document: Document, _ reason: String) throws {
        let place = document.place
        refusals?.note(
            topic: topic, topicPartition: "\(place.topicPartition)", offset: place.offset,
            generation: place.generation, reason: reason)
        let notice = RefusalNotice(id: document.id, bytes: document.line.count, reason: reason).json
        try Array(GoldTopic.refusedKey.utf8).withUnsafeBytes { key in
            try notice.withUnsafeBytes { value in try send(place, .refused, key: key, value: value) }
        }
    }

    private func send(
        _ place: GoldTopic.Place, _ kind: GoldTopic.Kind, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) throws {
        let partition = place.topicPartition.partition
        try send(key: key, value: value, partition: partition, headerCount: GoldTopic.Place.headersMax) { headers in
            place.write(kind, text: { headers.add($0, $1) }, number: { headers.add($0, decimal: $1) })
        }
    }

    /// Queues the marker behind a commit's documents.
    package func publish(_ marker: CommitMarker) throws {
        let partition = marker.topicPartition.partition
        // Another worker's thread may be at it. What a stop or a crash keeps back with the marker is published again.
        while let refusals, refusals.isSettling(partition) {
            if stop.sleep(milliseconds: 20) { throw CancellationError() }
        }
        let key = Array(GoldTopic.commitKey.utf8)
        try key.withUnsafeBytes { keyBytes in
            try marker.json.withUnsafeBytes { value in
                try send(key: keyBytes, value: value, partition: partition, headerCount: 1) { headers in
                    headers.add(GoldTopic.kindHeader, GoldTopic.Kind.commit.rawValue)
                }
            }
        }
        try collectReports(timeoutMilliseconds: 0)
    }

    /// Waits until everything is acknowledged.
    ///
    /// - Throws: a failed delivery, or `timedOut` when records are left after the time.
    package func flush(timeoutMilliseconds: Int) throws {
        for report in producer.flush(timeoutMilliseconds: timeoutMilliseconds) { try settle(report) }
        guard producer.pendingCount == 0 else {
            throw KafkaError(
                kind: .timedOut, operation: "publish", subject: topic,
                reason: "\(producer.pendingCount) records are not acknowledged after \(timeoutMilliseconds) ms",
                hint: "they are published again at the next start", isRetriable: true)
        }
    }

    /// The next offset of the last marker about a topic partition of the source; nil where there is none.
    ///
    /// Reads the end of the log, and more of it until a marker shows. One that cannot be read is one that is not there: a
    /// little more is published again.
    package static func lastMarker(
        configuration: KafkaConfiguration, topic: String, topicPartition: TopicPartition, stop: StopSignal
    ) throws -> Int64? {
        var options = ConsumerOptions()
        options.reportsEnd = true
        let consumer = try KafkaConsumer(configuration, options: options)
        let marks = try consumer.watermarks(
            topic: topic, partition: topicPartition.partition, timeoutMilliseconds: 10_000)
        var depth: Int64 = 1_000
        while marks.high > marks.low {
            let start = max(marks.low, marks.high - depth)
            let marker = try scan(
                consumer, options, topic: topic, topicPartition: topicPartition, from: start, to: marks.high, stop: stop
            )
            if let marker { return marker }
            if start == marks.low { return nil }
            depth *= 20
        }
        return nil
    }

    private static func scan(
        _ consumer: KafkaConsumer, _ options: ConsumerOptions, topic: String, topicPartition: TopicPartition,
        from start: Int64, to end: Int64, stop: StopSignal
    ) throws -> Int64? {
        var consumer = consumer
        try consumer.assign([(topic: topic, partition: topicPartition.partition, offset: .at(start))])
        guard var queue = consumer.queue(topic: topic, partition: topicPartition.partition) else { return nil }
        var marker: Int64?
        var position = start
        let gold = TopicPartition(topic: topic, partition: topicPartition.partition)
        var idleSince = SystemClock.monotonicNanoseconds()
        var contradictions = Contradictions()
        while position < end {
            if stop.isRequested { throw CancellationError() }
            var isUnreadable = false
            try queue.next(maxRecords: 10_000, timeoutMilliseconds: 200) { batch in
                let place = batch.unreadable.first
                isUnreadable = place != nil
                if place == nil, let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                for index in 0..<(place?.recordsBefore ?? batch.count) {
                    let record = batch[index]
                    position = record.offset + 1
                    guard (try? GoldTopic.kind { record.header($0) }) == .commit,
                        let found = try? CommitMarker(record.value), found.topicPartition.topic == topicPartition.topic
                    else { continue }
                    marker = max(marker ?? 0, found.nextOffset)
                }
                if batch.count > 0 { idleSince = SystemClock.monotonicNanoseconds() }
                // Control records and compaction leave holes: the end may come without the last offset.
                if let reached = batch.ends.first { position = max(position, reached.offset) }
            }
            let idle = SystemClock.monotonicNanoseconds() - idleSince
            guard isUnreadable || idle > idleNanosecondsMax else { continue }
            let place = position
            position = try next(readableFrom: position, gold, consumer.configuration, stop: stop) ?? end
            guard position < end else { break }
            if isUnreadable, position == place { try contradictions.note(gold, at: place) }
            // With another client: this one's queue may hold more about the old place.
            consumer = try KafkaConsumer(consumer.configuration, options: options)
            try consumer.assign([(topic: topic, partition: topicPartition.partition, offset: .at(position))])
            guard let fresh = consumer.queue(topic: topic, partition: topicPartition.partition) else { break }
            queue = fresh
            idleSince = SystemClock.monotonicNanoseconds()
        }
        return marker
    }

    /// How long a log may give nothing until somebody looks for the reason.
    private static let idleNanosecondsMax: Int64 = 10_000_000_000

    /// From where on records of a log can be read; nil where there are none.
    private static func next(
        readableFrom position: Int64, _ log: TopicPartition, _ configuration: KafkaConfiguration, stop: StopSignal
    ) throws -> Int64? {
        switch try LogProbe(configuration, log, isStopped: { stop.isRequested }).examine(from: position) {
        case .unreadable(let range, _): return range.end
        case .end: return nil
        case .readable: return position
        case .silent:
            throw KafkaError(
                kind: .timedOut, operation: "find the last commit marker", subject: "\(log)",
                reason: "the broker gives nothing from offset \(position) on, though its log goes on",
                isRetriable: true)
        }
    }

    private func send(
        key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, partition: Int32, headerCount: Int,
        addHeaders: (RecordHeaderList) -> Void
    ) throws {
        while true {
            do throws(KafkaError) {
                try producer.send(
                    topic: topic, partition: partition, key: key, value: value, headerCount: headerCount,
                    addHeaders: addHeaders)
                return
            } catch {
                guard error.kind == .queueFull else { throw error }
            }
            if stop.isRequested { throw CancellationError() }
            try collectReports(timeoutMilliseconds: 5)
        }
    }

    /// Takes the reports that are there, waiting up to the timeout for the first.
    ///
    /// - Throws: a failed delivery.
    func collectReports(timeoutMilliseconds: Int) throws {
        for report in producer.poll(timeoutMilliseconds: timeoutMilliseconds) { try settle(report) }
    }

    /// - Throws: a failed delivery that cannot be settled by sending the record alone.
    private func settle(_ report: DeliveryReport) throws {
        guard let error = report.error else { return }
        guard error.kind == .messageTooLarge, let refusals, let record = report.undelivered else { throw error }
        try refusals.sendAlone(record, topic: topic, partition: report.partition, stop: stop)
    }
}
