import Bytes
import HTTPEndpoints
import Kafka
import KafkaAccess
import Records
import Retrieval

/// Reads all topic partitions of a source's Gold topic from the first document that may be new. Confined to one lane.
final class GoldEventReader: EventReader {
    private var consumer: KafkaConsumer
    private let options: ConsumerOptions
    private let sourceTopic: String
    private let tenant: TenantID
    /// Topic partitions with records that were there at the start and are not read yet, with their end.
    private var unread: [Int32: Int64] = [:]
    private let admin: KafkaAdmin
    /// The Gold topic.
    private let topic: String
    private let topicPartitions: Int
    private var reading: SharedReading
    private var isDrained = false
    private let start: OffsetVector
    /// The source offset behind what was read, by topic partition.
    private var nextOffsets: OffsetVector
    /// Topic partitions in front of whose next record something is missing.
    private(set) var openGaps: [Int32: TopicGap.Reason] = [:]
    /// Those of which nothing was left at the start: what comes after that follows on, and says nothing about what is gone.
    private var emptied: Set<Int32> = []
    private let isStopped: @Sendable () -> Bool
    private let onUnreadable: (String, Int64) -> Void
    private var sizeCheckedAt = SystemClock.monotonicNanoseconds()
    private static let sizeCheckNanoseconds: Int64 = 30_000_000_000

    /// Bound of what is fetched ahead.
    private static let fetchAheadKilobytes = 8_192
    private static let probeMilliseconds = 5_000
    /// The first step back from the end; each further one is eight times as long.
    private static let stepBack: Int64 = 256

    init(
        _ configuration: KafkaConfiguration, _ source: StreamSource, start: OffsetVector, stallMilliseconds: Int64,
        isStopped: @escaping @Sendable () -> Bool,
        onUnreadable: @escaping (String, Int64) -> Void
    ) throws {
        let topic = source.goldTopic
        sourceTopic = source.topic
        tenant = source.tenant
        self.start = start
        nextOffsets = start
        self.isStopped = isStopped
        self.onUnreadable = onUnreadable
        reading = SharedReading(topic: topic, starts: [:])
        var options = ConsumerOptions()
        options.hasQueuePerTopicPartition = false
        options.queueMaxKilobytes = Self.fetchAheadKilobytes
        options.queueMinRecords = 5_000
        options.reportsEnd = true
        self.options = options
        consumer = try KafkaConsumer(configuration, options: options)
        self.topic = topic
        admin = try KafkaAdmin(configuration, requestMilliseconds: SharedReading.requestMilliseconds)
        let metadata = try admin.metadata(topic: topic, timeoutMilliseconds: 10_000)
        let partitions = metadata.topics.first { $0.name == topic }?.partitions ?? []
        topicPartitions = partitions.count
        guard !partitions.isEmpty else {
            throw APIError.unavailable("the stream", "the topic \(topic) does not exist yet")
        }
        var assignments: [(topic: String, partition: Int32, offset: StartOffset)] = []
        var starts: [Int32: Int64] = [:]
        for partition in partitions {
            let marks = try consumer.watermarks(topic: topic, partition: partition, timeoutMilliseconds: 10_000)
            var place = marks.high
            var step = Self.stepBack
            // One record below what is wanted stands before all that is wanted: the topic is in source order, except
            // that a stop may have repeated its end, and that a refused batch's documents come late.
            while place > marks.low {
                place = max(marks.low, marks.high - step)
                step *= 8
                guard place > marks.low else { break }
                if try isBelow(start[self.place(partition)], topic, partition, place) { break }
            }
            assignments.append((topic, partition, .at(place)))
            starts[partition] = place
            if place < marks.high { unread[partition] = marks.high }
            // Nothing below what is wanted was found: perhaps because it is gone.
            if place == marks.low, marks.low > 0 {
                openGaps[partition] = .expired
                if marks.low == marks.high { emptied.insert(partition) }
            }
        }
        reading = SharedReading(topic: topic, starts: starts, stallMilliseconds: stallMilliseconds)
        try consumer.assign(assignments)
    }

    var hasReachedEnd: Bool { unread.isEmpty }
    var committed: OffsetVector { nextOffsets }

    /// The source's. The topic partitions of the source and of the Gold topic have the same numbers.
    private func place(_ partition: Int32) -> TopicPartition {
        TopicPartition(topic: sourceTopic, partition: partition)
    }

    /// Whether the first record from `place` on is below `wanted`.
    private func isBelow(_ wanted: Int64, _ topic: String, _ partition: Int32, _ place: Int64) throws -> Bool {
        try consumer.assign([(topic: topic, partition: partition, offset: .at(place))])
        let end = SystemClock.monotonicNanoseconds() + Int64(Self.probeMilliseconds) * 1_000_000
        while SystemClock.monotonicNanoseconds() < end {
            if isStopped() { throw CancellationError() }
            let answer = try consumer.next(maxRecords: 1, timeoutMilliseconds: 200) { batch -> Bool? in
                // Unknown; an earlier place decides.
                if let place = batch.unreadable.first, place.recordsBefore == 0 { return false }
                if let error = batch.errors.first(where: { !$0.isRetriable }) { throw error }
                let next = batch.count > 0 ? Self.nextOffset(of: batch[0]) : nil
                if let next { return next <= wanted }
                // Nothing up to the end tells; else the next record does.
                return batch.ends.isEmpty ? nil : false
            }
            if let answer { return answer }
        }
        return false
    }

    /// The source offset behind a document or a marker; nil for others' records, and for a late document, which is out of
    /// order.
    private static func nextOffset(of record: KafkaRecord) -> Int64? {
        guard let kind = try? GoldTopic.kind({ record.header($0) }), !GoldTopic.isLate({ record.header($0) }) else {
            return nil
        }
        if kind == .commit { return (try? CommitMarker(record.value))?.nextOffset }
        return (try? GoldTopic.Place { record.header($0) }).map { $0.offset + 1 }
    }

    /// - Throws: when the topic has more topic partitions than at the start: whoever reads begins anew where it is.
    private func checkSize() throws {
        let now = SystemClock.monotonicNanoseconds()
        guard now - sizeCheckedAt > Self.sizeCheckNanoseconds else { return }
        sizeCheckedAt = now
        // A broker that does not tell is no reason to stop reading.
        guard let found = try? admin.metadata(topic: topic, timeoutMilliseconds: 2_000) else { return }
        let count = found.topics.first { $0.name == topic }?.partitions.count ?? 0
        guard count <= topicPartitions else {
            throw APIError.unavailable("the stream", "\(topic) has grown to \(count) topic partitions")
        }
    }

    func next(countMax: Int, timeoutMilliseconds: Int) throws -> [TopicItem] {
        try checkSize()
        for doubt in reading.doubts(consumer, admin, isDrained: isDrained) { try settle(doubt) }
        return try consumer.next(maxRecords: countMax, timeoutMilliseconds: timeoutMilliseconds) { batch in
            if let error = SharedReading.faults(of: batch).first(where: { !$0.isRetriable }) { throw error }
            var items: [TopicItem] = []
            isDrained = batch.count < countMax
            reading.take(batch) { record in
                if let end = unread[record.partition], record.offset + 1 >= end { unread[record.partition] = nil }
                if let gap = gap(before: record) { items.append(.gap(gap)) }
                if let event = event(record) { items.append(.event(event)) }
            }
            for end in batch.ends { unread[end.partition] = nil }
            return items
        }
    }

    /// The stream is a view: it shows what can be read, whatever the settings say about the rest.
    private func settle(_ doubt: SharedReading.Doubt) throws {
        let partition = doubt.partition
        if case .unreadable(let range, let reason) = try reading.settle(doubt, consumer, isStopped: isStopped) {
            onUnreadable("offsets \(range) of \(topic)[\(partition)] cannot be read: \(reason)", range.count)
            openGaps[partition] = openGaps[partition] ?? .unreadable
            if let end = unread[partition], range.end >= end { unread[partition] = nil }
        } else if !doubt.isTold {
            return
        }
        consumer = try reading.resume(after: consumer, options: options)
    }

    /// Notes how far the source is with this record; what is missing in front of it, if that is in doubt.
    private func gap(before record: KafkaRecord) -> TopicGap? {
        let partition = record.partition
        let source = place(partition)
        guard !GoldTopic.isLate({ record.header($0) }), let place = place(of: record) else { return nil }
        defer { nextOffsets[source] = max(nextOffsets[source], place.next) }
        guard !emptied.contains(partition), let reason = openGaps.removeValue(forKey: partition) else { return nil }
        let seen = nextOffsets[source]
        return seen < place.first ? TopicGap(reason, source, start: seen, end: place.first) : nil
    }

    /// The first source offset whose documents are not missing in front of this record, and the one behind it. In front of a
    /// marker those of its commit may be missing.
    private func place(of record: KafkaRecord) -> (first: Int64, next: Int64)? {
        if (try? GoldTopic.kind { record.header($0) }) == .commit {
            guard let marker = try? CommitMarker(record.value),
                marker.topicPartition == place(record.partition)
            else { return nil }
            return (marker.nextOffset, marker.nextOffset)
        }
        guard let place = sourcePlace(record) else { return nil }
        return (place.offset, place.offset + 1)
    }

    /// The source's record that a document, or a notice in its place, was made from; nil for those of other sources.
    private func sourcePlace(_ record: KafkaRecord) -> GoldTopic.Place? {
        guard let place = try? GoldTopic.Place({ record.header($0) }), place.topicPartition.topic == sourceTopic else {
            return nil
        }
        return place
    }

    /// Nil for markers, documents of other sources or of another tenant, and what cannot be read (which the indexer reports).
    private func event(_ record: KafkaRecord) -> TopicEvent? {
        guard (try? GoldTopic.kind { record.header($0) }) == .document, let place = sourcePlace(record),
            let value = record.value, let line = try? GoldLine.Fields(value), let operation = try? line.operation(),
            let attributes = AttributeList(goldLine: line), isOfTenant(line)
        else { return nil }
        let (docID, text) = (line[.docID].string, line[.text].string)
        guard operation == .deleteBelow || docID != nil && text != nil else { return nil }
        var event = TopicEvent(
            generation: place.generation, topicPartition: place.topicPartition, offset: place.offset,
            line: EventLine.make(line, of: value), docID: operation == .deleteBelow ? nil : docID,
            operation: operation, attributes: attributes, text: text ?? "",
            publishedAtMilliseconds: record.timestampMilliseconds < 0 ? nil : record.timestampMilliseconds)
        event.subject = Self.subject(of: line, docID, attributes, at: place)
        event.receivedAtMilliseconds = place.receivedMilliseconds
        event.appendedAtMilliseconds = place.timestampMilliseconds
        return event
    }

    /// As suppressions name it.
    private static func subject(
        of line: borrowing GoldLine.Fields, _ docID: String?, _ attributes: AttributeList, at place: GoldTopic.Place
    ) -> SuppressionSubject {
        var eventID: String?
        line[.lineage].forEachMember { name, value in
            guard name.equals("parents") else { return }
            value.forEachElement { parent in
                // The first one is the record's own.
                guard eventID == nil else { return }
                parent.forEachMember { name, value in if name.equals("event_id") { eventID = value.string ?? "" } }
            }
        }
        func text(_ name: AttributeName) -> String? {
            if case .string(let text)? = attributes.value(of: name) { text } else { nil }
        }
        return SuppressionSubject(
            topicPartition: place.topicPartition, offset: place.offset, eventID: eventID,
            collection: line[.collection].string ?? "", title: line[.title].string, docID: docID, user: text(.user),
            wiki: text(.wiki))
    }

    /// A source that has changed hands has left the former tenant's documents in its topic.
    private func isOfTenant(_ line: borrowing GoldLine.Fields) -> Bool {
        let named = line[.tenant]
        return named.kind == .absent ? tenant == .standard : named.string == tenant.text
    }
}
