import Bytes
import Files
import Glibc
import Records
import Synchronization
import Telemetry

/// What the storage thread owns besides the logs, and the tables it shows to others.
struct StorageState: ~Copyable {
    let configuration: BrokerConfiguration
    let tables: StorageTables
    var catalog: TopicCatalog
    var journal: OffsetJournal
    private var producerIDs: ProducerIDs
    /// Held as long as the broker runs.
    private let lock: File
    let disk: DiskCalls
    private var offsetReports = ReportLimiter()
    /// A failed change of the catalog may have reached the disk: until the present one is saved again, nothing that
    /// belongs to a topic may be acknowledged.
    private(set) var isUnsure = false

    /// Opens the broker's folder and recovers every log in it.
    init(configuration: BrokerConfiguration, tables: StorageTables, logger: Logger, disk: DiskCalls) throws {
        let folder = configuration.directory
        try Folder.create(folder)
        // Also of a folder that was found: its name may not have been made durable. A parent that may not be read was
        // made by somebody else.
        do throws(FileError) {
            try Folder.sync(Folder.parent(of: folder))
        } catch {
            guard error.code == EACCES else { throw error }
        }
        var lock = try File(folder + "/broker.lock", .readWrite)
        guard try lock.tryLock() else {
            throw BrokerError(
                operation: "open broker folder", subject: folder, reason: "another broker is using it",
                hint: "stop that one, or set BROKER_DIR to another folder; see docs/troubleshooting.md")
        }
        let catalog = try TopicCatalog.open(folder: folder)
        // What was read counts from now on; the process before may have been killed before its name was durable.
        try Folder.sync(folder)
        try Self.removeDeleted(in: folder, logger: logger)
        let journal = try OffsetJournal(folder: folder, disk: disk)
        if journal.bytesCut > 0 {
            logger.warning("cut an unfinished entry off the offset journal", ["bytes": "\(journal.bytesCut)"])
        }
        let producerIDs = try ProducerIDs(folder: folder)
        var topics: [String: Topic] = [:]
        for entry in catalog.topics {
            topics[entry.name] = try Self.open(entry, configuration, logger, disk)
        }
        self.configuration = configuration
        self.tables = tables
        self.catalog = catalog
        self.journal = journal
        self.producerIDs = producerIDs
        self.lock = lock
        self.disk = disk
        tables.set(topics: topics, clusterID: catalog.clusterID)
        // The process may have ended between a topic's end and that of its offsets.
        do throws(FileError) {
            try forgetOffsets { [tables] _, topicPartition in tables.topic(topicPartition.topic) == nil }
        } catch {
            logger.warning(
                "cannot forget the offsets of deleted topics now; they are forgotten before a topic of such a name is made",
                ["error": "\(error)"])
        }
        tables.set(offsets: self.journal)
    }

    private static func open(
        _ entry: TopicCatalog.Entry, _ configuration: BrokerConfiguration, _ logger: Logger, _ disk: DiskCalls
    ) throws -> Topic {
        let settings = entry.configs.logSettings(defaults: configuration.logDefaults)
        var logs: [PartitionLog] = []
        for partition in 0..<entry.partitionCount {
            let folder = configuration.directory + "/" + TopicCatalog.logFolder(entry.name, partition)
            let recovered = try LogRecovery.open(folder: folder, settings: settings, disk: disk)
            let topicPartition = TopicPartition(topic: entry.name, partition: Int32(partition))
            if recovered.bytesCut > 0 {
                logger.warning(
                    "cut an unfinished write off a log",
                    [
                        "log": topicPartition.description, "bytes": "\(recovered.bytesCut)",
                        "next_offset": "\(recovered.published.endOffset)",
                    ])
            }
            logs.append(
                PartitionLog(topicPartition: topicPartition, folder: folder, recovered: recovered, disk: disk))
        }
        return Topic(name: entry.name, id: entry.id, configs: entry.configs, settings: settings, logs: logs)
    }

    // MARK: What tasks do

    /// Makes a topic, durable when this returns.
    ///
    /// - Throws: `ErrorCode.topicAlreadyExists`, or the disk's error.
    mutating func createTopic(_ name: String, partitionCount: Int, configs: TopicConfigs, logger: Logger) throws
        -> Topic
    {
        guard tables.topic(name) == nil else { throw ErrorCode.topicAlreadyExists }
        // An earlier topic of this name may be gone, and its offsets not, where the disk failed.
        try forgetOffsets { _, topicPartition in topicPartition.topic == name }
        // Only an interrupted creation can have left folders of these names: the catalog does not know the topic.
        for partition in 0..<partitionCount {
            let folder = configuration.directory + "/" + TopicCatalog.logFolder(name, partition)
            if Folder.exists(folder) { try Folder.removeTree(folder) }
        }
        let entry = TopicCatalog.Entry(
            name: name, id: TopicID.random(), partitionCount: partitionCount, configs: configs)
        let topic = try Self.open(entry, configuration, logger, disk)
        var grown = catalog
        grown.topics.append(entry)
        try replaceCatalog(with: grown, logger)
        tables.add(topic)
        return topic
    }

    /// Puts another catalog in the place of the present one, durable when this returns.
    mutating func replaceCatalog(with next: TopicCatalog, _ logger: Logger) throws(FileError) {
        do throws(FileError) {
            try next.save(folder: configuration.directory)
            catalog = next
            isUnsure = false
        } catch {
            // The failure may have come after the rename: then a start would find the other one.
            isUnsure = true
            settle(logger)
            throw error
        }
    }

    /// Makes sure of the present catalog after a failed change; until that is done, each round tries it.
    mutating func settle(_ logger: Logger) {
        guard isUnsure else { return }
        do throws(FileError) {
            try catalog.save(folder: configuration.directory)
            isUnsure = false
        } catch {
            guard let failures = offsetReports.admit() else { return }
            logger.error(
                "cannot make sure which topics there are; producers and committing consumers are told to try again",
                ["error": "\(error)", "failures": "\(failures)"])
        }
    }

    mutating func takeProducerID() throws(FileError) -> Int64 { try producerIDs.take() }

    /// Commits offsets.
    ///
    /// - Returns: one code per change.
    mutating func commit(_ changes: [OffsetChange], mustSync: Bool, logger: Logger) -> [ErrorCode] {
        // The topic that a request was checked against may have been deleted meanwhile, and another of its name made.
        let isCurrent = changes.map { $0.topicID == nil || tables.topic($0.topicPartition.topic)?.id == $0.topicID }
        let current = zip(changes, isCurrent).filter(\.1).map(\.0)
        var code = isUnsure ? ErrorCode.coordinatorNotAvailable : .none
        do throws(FileError) {
            if code == .none, !current.isEmpty {
                if configuration.durability == .always {
                    try journal.commit(current)
                } else {
                    try journal.append(current)
                }
                tables.set(offsets: journal)
            }
        } catch {
            code = .coordinatorNotAvailable
            report(error, "committed offsets were not written; their consumers are told to try again", logger)
        }
        do throws(FileError) {
            if mustSync { try journal.sync() }
        } catch {
            report(error, "committed offsets are not on the disk yet; they are written anew and synced", logger)
        }
        return isCurrent.map { $0 ? code : .unknownTopicOrPartition }
    }

    private mutating func report(_ error: FileError, _ what: String, _ logger: Logger) {
        guard let failures = offsetReports.admit() else { return }
        logger.error("\(what)", ["error": "\(error)", "failures": "\(failures)"])
    }

    /// How long a log remembers an idempotent producer that it does not hear of, in milliseconds: Kafka's default.
    private static let producerMilliseconds: Int64 = 86_400_000

    /// Drops what the topics' retention settings no longer keep.
    func retain(now: Int64, logger: Logger) {
        for topic in tables.topics() {
            for log in topic.logs {
                log.forgetProducers(before: now - Self.producerMilliseconds)
                guard !topic.configs.retention.isForever else { continue }
                do {
                    let count = try log.retain(topic.configs.retention, now: now)
                    if count > 0 {
                        let start = log.published.withLock { $0.startOffset }
                        logger.info(
                            "dropped old log segments",
                            [
                                "log": log.topicPartition.description, "segments": "\(count)",
                                "start_offset": "\(start)",
                            ])
                    }
                } catch {
                    logger.warning("cannot drop old log segments", ["error": "\(error)"])
                }
            }
        }
    }
}

/// What the network side reads: topics and committed offsets, each behind a lock held for moments.
final class StorageTables: Sendable {
    private struct Topics {
        var byName: [String: Topic] = [:]
        var nameByID: [TopicID: String] = [:]
        var clusterID = ""
    }

    private let table = Mutex(Topics())
    private let offsets = Mutex(Offsets())

    private struct Offsets {
        var table: OffsetJournal.Table = [:]
        /// ``OffsetJournal/liveBytes``
        var byteCount = 0
    }

    func set(topics: [String: Topic], clusterID: String) {
        table.withLock { table in
            table.byName = topics
            table.nameByID = Dictionary(topics.values.map { ($0.id, $0.name) }) { first, _ in first }
            table.clusterID = clusterID
        }
    }

    func add(_ topic: Topic) {
        table.withLock { table in
            table.byName[topic.name] = topic
            table.nameByID[topic.id] = topic.name
        }
    }

    func remove(_ topic: Topic) {
        table.withLock { table in
            table.byName[topic.name] = nil
            table.nameByID[topic.id] = nil
        }
    }

    func topic(_ name: String) -> Topic? { table.withLock { $0.byName[name] } }
    func topic(_ id: TopicID) -> Topic? { table.withLock { table in table.nameByID[id].flatMap { table.byName[$0] } } }
    func topics() -> [Topic] { table.withLock { Array($0.byName.values) } }
    var clusterID: String { table.withLock { $0.clusterID } }

    func set(offsets journal: borrowing OffsetJournal) {
        let (table, byteCount) = (journal.table, journal.liveBytes)
        offsets.withLock { $0 = Offsets(table: table, byteCount: byteCount) }
    }

    func groupsWithOffsets() -> [String] { offsets.withLock { Array($0.table.keys) } }

    /// Whether a group may commit `changes`: another group, or more bytes, only below the limits, so that made-up
    /// names and notes cannot fill the memory.
    func hasRoom(for group: String, _ changes: [OffsetChange], _ limits: GroupLimits) -> Bool {
        offsets.withLock { offsets in
            let known = offsets.table[group]
            if known == nil, offsets.table.count >= limits.groupsWithOffsetsMax { return false }
            let added = changes.reduce(0) { $0 + OffsetJournal.byteCount(of: $1) }
            guard offsets.byteCount + added > limits.offsetBytesMax else { return true }
            let growth = changes.reduce(0) { sum, change in
                var old = change
                old.committed = known?[change.topicPartition]
                let before = old.committed == nil ? 0 : OffsetJournal.byteCount(of: old)
                return sum + OffsetJournal.byteCount(of: change) - before
            }
            return growth <= 0 || offsets.byteCount + growth <= limits.offsetBytesMax
        }
    }

    func committed(_ group: String) -> [TopicPartition: CommittedOffset] {
        offsets.withLock { $0.table[group] ?? [:] }
    }
}
