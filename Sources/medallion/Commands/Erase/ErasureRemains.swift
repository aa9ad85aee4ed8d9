import Bytes
import Kafka
import KafkaAccess
import Lake
import Postgres
import Records
import Settings
import Sources
import Store

/// Where the bytes of what was erased still are, and until when: topics, Postgres' freed pages and logs, backups.
struct ErasureRemains {
    let platform: Platform
    let layout: LakeLayout
    let database: PostgresConfiguration
    let telling: ErasureTelling

    private static let brokerMilliseconds = 10_000
    private static let indexMilliseconds: Int64 = 10_000

    /// Tells all of it.
    ///
    /// - Parameter deletesRecords: of topics, where everybody has read them.
    func tell(_ state: ErasureState, deletesRecords: Bool) throws {
        let store = ErasureStore(configuration: database)
        do { try topics(state, deletesRecords, store) } catch let error as KafkaError { unknown("topics", error) }
        let wal = try store.walBounds(timeoutMilliseconds: Self.brokerMilliseconds)
        telling.say(
            "remains", "freed pages of Postgres",
            "until their room is used again; VACUUM FULL \(ErasureStore.tables.joined(separator: ", ")), in quiet, ends it at once"
        )
        let end = SystemClock.epochMilliseconds() + 2 * wal.checkpointMilliseconds
        telling.say(
            "remains", "the write-ahead log of Postgres",
            "until about \(CivilTime.rfc3339(end)), when checkpoints have passed it"
                + (wal.isArchived ? "; its archive (archive_mode is on) keeps it as long as you do" : "")
                + (wal.slots > 0 ? "; \(wal.slots) replication slots may hold it longer" : ""))
        telling.say(
            "remains", "backups from before \(CivilTime.rfc3339(state.erasure.atMilliseconds))",
            "as long as you keep them; a database that is restored from one is put right by the lake's log when its indexer starts"
        )
    }

    // MARK: Topics

    private func unknown(_ place: String, _ error: KafkaError) {
        telling.say(
            "remains", place,
            "the broker cannot be asked what it still has: \(error); `medallion erase resume --topics` does that")
    }

    private func topics(_ state: ErasureState, _ deletes: Bool, _ store: ErasureStore) throws {
        let admin = try KafkaAdmin(platform.kafka("erase"), requestMilliseconds: Self.brokerMilliseconds)
        let declared = try DeclaredSources.read(platform.settings).sources
        for (source, part) in state.parts.sorted(by: { $0.key < $1.key }) {
            guard let last = part.records.last.map({ $0.end - 1 }) else { continue }
            // One that is gone says nothing about the others.
            do { try raw(source, last, deletes, admin) } catch let error as KafkaError { unknown("\(source)", error) }
            guard let gold = declared.first(where: { $0.topic == source.topic })?.goldTopic else { continue }
            let place = TopicPartition(topic: gold, partition: source.partition)
            do {
                try self.gold(place, source, last, deletes, admin, store)
            } catch let error as KafkaError { unknown("\(place)", error) }
        }
    }

    /// The source's own topic, of which the lake has read what it erased.
    private func raw(_ source: TopicPartition, _ last: Int64, _ deletes: Bool, _ admin: KafkaAdmin) throws {
        let marks = try admin.watermarks(
            topic: source.topic, partition: source.partition, timeoutMilliseconds: Self.brokerMilliseconds)
        guard marks.low <= last, marks.high > marks.low else { return }
        let lakeEnd = try LakeReader(layout: layout).committedRange(source)?.end ?? 0
        guard deletes, lakeEnd > last else {
            return remains(
                source, try time(of: source, last), TopicPlan(source: platform.settings, topic: source.topic))
        }
        let left = try admin.deleteRecords(
            topic: source.topic, partition: source.partition, before: last + 1,
            timeoutMilliseconds: Self.brokerMilliseconds)
        deleted(source, before: left)
    }

    /// The Gold topic, which is read by offsets of its own: what stood there when the lake was rewritten goes once the index has read it.
    private func gold(
        _ place: TopicPartition, _ source: TopicPartition, _ last: Int64, _ deletes: Bool, _ admin: KafkaAdmin,
        _ store: ErasureStore
    ) throws {
        let marks = try admin.watermarks(
            topic: place.topic, partition: place.partition, timeoutMilliseconds: Self.brokerMilliseconds)
        guard marks.high > marks.low else { return }
        let plan = TopicPlan(gold: platform.settings, topic: place.topic)
        guard deletes else { return remains(place, try time(of: source, last), plan) }
        let until = SystemClock.monotonicNanoseconds() + Self.indexMilliseconds * 1_000_000
        while true {
            let reached = try store.goldReached(place, timeoutMilliseconds: Self.brokerMilliseconds) ?? 0
            if reached >= marks.high { break }
            guard SystemClock.monotonicNanoseconds() < until else {
                telling.say(
                    "remains", "\(place)",
                    "the index has read it up to offset \(reached) of \(marks.high); `medallion erase resume --topics` deletes then"
                )
                return
            }
            Pause.milliseconds(100)
        }
        let left = try admin.deleteRecords(
            topic: place.topic, partition: place.partition, before: marks.high,
            timeoutMilliseconds: Self.brokerMilliseconds)
        deleted(place, before: left)
    }

    private func deleted(_ place: TopicPartition, before offset: Int64) {
        telling.say(
            "done", "\(place)",
            "nobody can read what lay before offset \(offset); the broker's disk gives it up with its log segment")
    }

    private func time(of source: TopicPartition, _ offset: Int64) throws -> Int64? {
        do {
            let found = try LakeReader(layout: layout).bronze(source, offset: offset)
            return BronzeLine.read(found.line[...])?.timestampMilliseconds
        } catch LakeError.expired, LakeError.notFound { return nil }
    }

    private func remains(_ place: TopicPartition, _ time: Int64?, _ plan: TopicPlan) {
        let retention = plan.properties["retention.ms"].flatMap { Int64($0) } ?? -1
        let end =
            retention < 0
            ? "for ever: nothing there expires"
            : time.map { "until about \(CivilTime.rfc3339($0 + retention)), by retention" }
                ?? "until retention takes it"
        telling.say("remains", "\(place)", "\(end); --topics deletes it, with all that lies before it")
    }
}
