import Bytes
import Files
import PlatformTesting
import Records
import Synchronization
import Telemetry
import Testing

@testable import Broker

/// The broker's storage at work, on the test's own thread, where `FileWatch` sees each change to the disk: what its
/// storage thread does with the requests of clients that try again until they are told that it worked.
final class BrokerRun {
    /// What clients were told, and so must find.
    struct Promises: Sendable {
        /// By topic partition: what was acknowledged at which offset, and not given up since.
        var records: [TopicPartition: [Int64: String]] = [:]
        /// By topic partition: the records before it were deleted.
        var starts: [TopicPartition: Int64] = [:]
        /// Committed by the group `g`.
        var offsets: [TopicPartition: Int64] = [:]
        var present: Set<String> = []
        var absent: Set<String> = []
        /// Nobody has committed anything in them since they were made.
        var fresh: Set<String> = []
        var producerIDs: Set<Int64> = []

        mutating func giveUp(_ topic: String) {
            records = records.filter { $0.key.topic != topic }
            starts = starts.filter { $0.key.topic != topic }
            offsets = offsets.filter { $0.key.topic != topic }
            present.remove(topic)
            fresh.remove(topic)
        }
    }

    struct Refused: Error {}

    private static let triesMax = 20

    let durability: BrokerConfiguration.Durability
    /// Beginning of each value, and the producer's number: another in each run.
    private let name: String
    private let producerID: Int64
    private let tables = StorageTables()
    private let metrics: BrokerMetrics
    private let logger = Logger("broker", sink: LogSink(format: .text, output: { _ in }))
    private var rounds: StorageRounds
    private var state: StorageState
    private var sequences: [TopicPartition: Int32] = [:]
    private(set) var promises: Promises
    /// Told of each change of the promises.
    private let note: (Promises) -> Void

    static func configuration(_ folder: String, _ durability: BrokerConfiguration.Durability) -> BrokerConfiguration {
        var configuration = BrokerConfiguration(directory: folder)
        configuration.durability = durability
        configuration.segmentBytesMax = 260
        return configuration
    }

    /// Opens the folder, as often as it takes.
    init(
        _ folder: String, number: Int64, durability: BrokerConfiguration.Durability = .always,
        promises: Promises = Promises(), note: @escaping (Promises) -> Void = { _ in }
    ) throws {
        name = "run \(number)"
        producerID = 1_000_000 + number
        self.durability = durability
        self.promises = promises
        self.note = note
        metrics = BrokerMetrics(MetricsRegistry())
        rounds = StorageRounds(
            durability: durability, metrics: metrics, logger: logger, helpers: SyncHelpers(threadCount: 0))
        var tries = 0
        while true {
            do {
                state = try StorageState(
                    configuration: Self.configuration(folder, durability), tables: tables, logger: logger,
                    disk: .system)
                break
            } catch is FileError where tries < Self.triesMax {
                tries += 1
            }
        }
    }

    /// Tries until it works, as clients do.
    private func retry(_ body: () throws -> Void) throws {
        for _ in 0..<Self.triesMax {
            do { return try body() } catch is FileError {} catch is Refused {}
        }
        throw Refused()
    }

    private func round(_ jobs: [StorageThread.Job]) {
        let (completions, _) = rounds.run(jobs, &state, mustSync: true)
        for completion in completions { completion() }
    }

    private func task(_ body: @escaping @Sendable (inout StorageState) throws -> Void) throws {
        let failure = Mutex<(any Error)?>(nil)
        round([
            .task { state in
                do { try body(&state) } catch { failure.withLock { $0 = error } }
            }
        ])
        if let error = failure.withLock({ $0 }) { throw error }
    }

    // MARK: What clients ask for

    func createTopic(_ topic: String, partitions: Int) throws {
        promises.absent.remove(topic)
        note(promises)
        let logger = logger
        try retry {
            try task { state in
                _ = try state.createTopic(topic, partitionCount: partitions, configs: TopicConfigs(), logger: logger)
            }
        }
        promises.present.insert(topic)
        promises.fresh.insert(topic)
        note(promises)
    }

    func deleteTopic(_ topic: String) throws {
        promises.giveUp(topic)
        note(promises)
        let (tables, logger) = (tables, logger)
        try retry {
            guard let found = tables.topic(topic) else { return }
            try task { state in try state.deleteTopic(found, logger: logger) }
        }
        sequences = sequences.filter { $0.key.topic != topic }
        promises.absent.insert(topic)
        note(promises)
    }

    func addPartitions(_ topic: String, count: Int) throws {
        let (tables, logger) = (tables, logger)
        try retry {
            guard let found = tables.topic(topic), found.logs.count < count else { return }
            try task { state in try state.addPartitions(to: found, count: count, logger: logger) }
        }
    }

    func alter(_ topic: String, _ settings: [(String, String?)]) throws {
        let (tables, logger) = (tables, logger)
        try retry {
            guard let found = tables.topic(topic) else { return }
            var configs = found.configs
            for (name, value) in settings { try configs.set(name, value) }
            let changed = configs
            try task { state in try state.alter(found, changed, logger: logger) }
        }
    }

    func append(_ topic: String, _ partition: Int32, _ values: [String]) throws {
        let topicPartition = TopicPartition(topic: topic, partition: partition)
        let values = values.map { "\(name) \($0)" }
        let sequence = sequences[topicPartition] ?? 0
        let batch = TestBatch.make(values, producerID: producerID, epoch: 0, sequence: sequence)
        let header = try #require(TestBatch.header(batch))
        var base: Int64 = -1
        try retry {
            let found = try #require(tables.topic(topic))
            let log = try #require(found.log(partition))
            let outcome = Mutex<AppendOutcome?>(nil)
            let job = AppendJob(
                frame: batch,
                batches: [AppendBatch(log: log, settings: found.settings, range: 0..<batch.count, header: header)]
            ) { outcomes in outcome.withLock { $0 = outcomes.first } }
            round([.append(job)])
            guard case .accepted(let offset, _, _) = outcome.withLock({ $0 }) else { throw Refused() }
            base = offset
        }
        sequences[topicPartition] = sequence + Int32(values.count)
        for (index, value) in values.enumerated() {
            promises.records[topicPartition, default: [:]][base + Int64(index)] = value
        }
        note(promises)
    }

    func commit(_ topic: String, _ partition: Int32, _ offset: Int64) throws {
        let topicPartition = TopicPartition(topic: topic, partition: partition)
        promises.offsets[topicPartition] = nil
        promises.fresh.remove(topic)
        note(promises)
        try retry {
            let codes = Mutex<[ErrorCode]>([])
            let committed = CommittedOffset(offset: offset, leaderEpoch: 0, metadata: name, commitTime: 7)
            let change = OffsetChange(
                group: "g", topicPartition: topicPartition, committed: committed, topicID: tables.topic(topic)?.id)
            round([.commit(CommitJob(changes: [change]) { found in codes.withLock { $0 = found } })])
            guard codes.withLock({ $0 }) == [.none] else { throw Refused() }
        }
        promises.offsets[topicPartition] = offset
        note(promises)
    }

    /// One round with a commit, the topic's deletion, a commit, another topic of its name, and one more commit, all
    /// checked against the first topic.
    func commitAroundADeletion(_ topic: String) throws -> [[ErrorCode]] {
        let found = try #require(tables.topic(topic))
        let codes = Mutex<[[ErrorCode]]>([])
        let logger = logger
        func commit(_ offset: Int64) -> StorageThread.Job {
            let change = OffsetChange(
                group: "g", topicPartition: TopicPartition(topic: topic, partition: 0),
                committed: CommittedOffset(offset: offset, leaderEpoch: 0, metadata: "", commitTime: 1),
                topicID: found.id)
            return .commit(CommitJob(changes: [change]) { given in codes.withLock { $0.append(given) } })
        }
        round([
            commit(1), .task { try? $0.deleteTopic(found, logger: logger) }, commit(2),
            .task { _ = try? $0.createTopic(topic, partitionCount: 1, configs: TopicConfigs(), logger: logger) },
            commit(3),
        ])
        return codes.withLock { $0 }
    }

    func committed() -> [TopicPartition: CommittedOffset] { tables.committed("g") }

    func takeProducerID() throws {
        let taken = Mutex<Int64>(-1)
        try retry {
            try task { state in
                let id = try state.takeProducerID()
                taken.withLock { $0 = id }
            }
        }
        #expect(promises.producerIDs.insert(taken.withLock { $0 }).inserted, "a producer id was given twice")
        note(promises)
    }

    /// Lets go of what lies before `offset`; in between it may be there or not.
    func deleteRecords(_ topic: String, _ partition: Int32, before offset: Int64) throws {
        let topicPartition = TopicPartition(topic: topic, partition: partition)
        promises.records[topicPartition] = promises.records[topicPartition]?.filter { $0.key >= offset }
        note(promises)
        let tables = tables
        try retry {
            try task { _ in _ = try tables.topic(topic)?.log(partition)?.deleteRecords(before: offset) }
        }
        promises.starts[topicPartition] = offset
        note(promises)
    }

    /// Retention as its timer has it, until nothing is left to drop.
    func retain(now: Int64) throws {
        let before = promises.records
        promises.records = [:]
        note(promises)
        let logger = logger
        for _ in 0..<Self.triesMax { try task { state in state.retain(now: now, logger: logger) } }
        for (topicPartition, records) in before {
            let start = tables.topic(topicPartition.topic)?.log(topicPartition.partition)?.published
                .withLock { $0.startOffset }
            promises.records[topicPartition] = records.filter { $0.key >= start ?? .max }
        }
        note(promises)
    }

    /// Rounds in which nothing is asked for: what an interval leaves to be synced is synced.
    func idle() {
        for _ in 0..<Self.triesMax { round([]) }
    }

    // MARK: What clients find

    /// Checks that everything that was promised is there, once and in order, and nothing that was never sent.
    ///
    /// - Throws: what is not so.
    func check(_ promises: Promises) throws {
        for topic in promises.present where tables.topic(topic) == nil { throw Wrong("\(topic) is gone") }
        for topic in promises.absent where tables.topic(topic) != nil { throw Wrong("\(topic) is back") }
        for topic in tables.topics() {
            for log in topic.logs { try check(log, promises) }
        }
        let offsets = tables.committed("g")
        for (topicPartition, offset) in promises.offsets where offsets[topicPartition]?.offset != offset {
            throw Wrong(
                "committed \(offset) in \(topicPartition), found \(String(describing: offsets[topicPartition]))")
        }
        for topicPartition in offsets.keys {
            let isGone = tables.topic(topicPartition.topic) == nil
            if isGone || promises.fresh.contains(topicPartition.topic) {
                throw Wrong("an offset of \(topicPartition) that nobody committed in this topic")
            }
        }
    }

    private func check(_ log: PartitionLog, _ promises: Promises) throws {
        let view = log.published.withLock { $0 }
        let found = try log.everything(from: view.startOffset)
        let name = log.topicPartition
        guard found.map(\.offset) == Array(view.startOffset..<view.endOffset) else {
            throw Wrong("\(name): offsets \(found.map(\.offset)) in \(view.startOffset)..<\(view.endOffset)")
        }
        guard Set(found.map(\.value)).count == found.count else { throw Wrong("\(name): a record is there twice") }
        let byOffset = Dictionary(uniqueKeysWithValues: found.map { ($0.offset, $0.value) })
        for (offset, value) in promises.records[name] ?? [:] where byOffset[offset] != value {
            throw Wrong("\(name): \(value) is not at \(offset), but \(byOffset[offset] ?? "nothing")")
        }
        guard view.startOffset >= promises.starts[name] ?? 0 else {
            throw Wrong("\(name): starts at \(view.startOffset), deleted up to \(promises.starts[name] ?? 0)")
        }
    }

    struct Wrong: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    // MARK: The script

    /// Does everything that a broker's storage does.
    func play() throws {
        try createTopic("t", partitions: 2)
        for number in 0..<7 { try append("t", 0, ["a\(number)", "b\(number)"]) }
        try append("t", 1, ["only"])
        try takeProducerID()
        try commit("t", 0, 2)
        try createTopic("u", partitions: 1)
        try append("u", 0, ["first life"])
        try commit("u", 0, 1)
        try alter("t", [("retention.bytes", "300")])
        try retain(now: 0)
        try append("t", 0, ["after retention"])
        try deleteRecords("t", 0, before: 13)
        try addPartitions("t", count: 3)
        try append("t", 2, ["grown"])
        try deleteTopic("u")
        try createTopic("u", partitions: 1)
        try check(promises)
        try append("u", 0, ["second life"])
        for offset in Int64(3)..<9 { try commit("t", 0, offset) }
        try alter("t", [("retention.bytes", nil), ("retention.ms", "1000")])
        try retain(now: .max / 2)
        for number in 0..<5 { try append("t", 0, ["c\(number)"]) }
        try takeProducerID()
        try commit("t", 1, 1)
    }

    /// What is done after a restart on whatever is there.
    func goOn() throws {
        for topic in tables.topics() {
            for log in topic.logs {
                for number in 0..<2 { try append(topic.name, log.topicPartition.partition, ["later \(number)"]) }
            }
            try commit(topic.name, 0, 1)
        }
        try takeProducerID()
    }
}
