import Bytes
import Files
import PlatformTesting
import Records
import Testing

@testable import Broker

/// The small files beside the logs.
struct StorageTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func change(_ group: String, _ offset: Int64?, partition: Int32 = 0) -> OffsetChange {
        OffsetChange(
            group: group, topicPartition: TopicPartition(topic: "t", partition: partition),
            committed: offset.map { CommittedOffset(offset: $0, leaderEpoch: 0, metadata: "m\($0)", commitTime: 7) })
    }

    @Test("Committed offsets survive, up to the last whole entry, wherever the journal is cut")
    func journalTruncation() throws {
        let path = folder.path + "/" + OffsetJournal.fileName
        var ends: [(bytes: Int, table: OffsetJournal.Table)] = []
        do {
            var journal = try OffsetJournal(folder: folder.path)
            ends.append((0, journal.table))
            for changes in [[change("a", 1)], [change("a", 2), change("b", 9, partition: 4)], [change("a", nil)]] {
                try journal.append(changes)
                try journal.sync()
                ends.append((try File.contents(of: path).count, journal.table))
            }
        }
        let bytes = try File.contents(of: path)
        for length in 0...bytes.count {
            try File.replace(path, with: Array(bytes[..<length]))
            let journal = try OffsetJournal(folder: folder.path)
            let expected = try #require(ends.last { $0.bytes <= length })
            // An append of several entries may be kept in part: each entry stands for itself.
            if expected.bytes == length { #expect(journal.table == expected.table) }
            #expect(journal.bytesCut <= length - expected.bytes)
            // Written anew, it says the same.
            let again = try OffsetJournal(folder: folder.path)
            #expect(again.table == journal.table && again.bytesCut == 0)
        }
    }

    @Test("A journal that is mostly outdated is written anew and stays the same")
    func journalRewrite() throws {
        var journal = try OffsetJournal(folder: folder.path)
        let changes = (0..<2_000).map { change("group", Int64($0), partition: Int32($0 % 3)) }
        for _ in 0..<20 {
            try journal.append(changes)
            try journal.sync()
        }
        #expect(try File.contents(of: folder.path + "/" + OffsetJournal.fileName).count < 1_100_000)
        let again = try OffsetJournal(folder: folder.path)
        #expect(again.table == journal.table)
        #expect(again.table["group"]?[TopicPartition(topic: "t", partition: 1)]?.offset == 1_999)
    }

    @Test("The catalog is read back, and any damage to it is noticed")
    func catalog() throws {
        var configs = TopicConfigs()
        try configs.set("retention.ms", "1000")
        let catalog = TopicCatalog(
            clusterID: "cluster",
            topics: [TopicCatalog.Entry(name: "a.b", id: .random(), partitionCount: 3, configs: configs)])
        let bytes = catalog.encoded()
        #expect(TopicCatalog(decoding: bytes) == catalog)
        for position in bytes.indices {
            var damaged = bytes
            damaged[position] ^= 4
            #expect(TopicCatalog(decoding: damaged) == nil)
        }
        try Folder.create(folder.file("t-0"))
        #expect(throws: BrokerError.self) { try TopicCatalog.open(folder: folder.path) }
    }

    @Test("Topic names and settings follow Kafka's rules")
    func rules() {
        for name in ["a", "wikimedia.recentchange", "A-b_c.9", String(repeating: "x", count: 249)] {
            #expect(Topic.isValidName(name))
        }
        for name in ["", ".", "..", "a/b", "../x", "a b", "é", "a\0", String(repeating: "x", count: 250)] {
            #expect(!Topic.isValidName(name), "\(name)")
        }
        var configs = TopicConfigs()
        #expect(throws: TopicConfigs.Refusal.self) { try configs.set("cleanup.policy", "compact") }
        #expect(throws: TopicConfigs.Refusal.self) { try configs.set("no.such.thing", "1") }
        #expect(throws: TopicConfigs.Refusal.self) { try configs.set("segment.bytes", "1") }
        #expect(throws: TopicConfigs.Refusal.self) { try configs.set("retention.ms", "soon") }
        #expect(configs == TopicConfigs())
    }

    @Test("Producer ids are never given twice, also after a crash")
    func producerIDs() throws {
        var seen: Set<Int64> = []
        for _ in 0..<3 {
            var ids = try ProducerIDs(folder: folder.path)
            for _ in 0..<1_500 { #expect(seen.insert(try ids.take()).inserted) }
        }
    }

    /// Commits in the order of the requests, with what a deletion forgets in between.
    @Test("An offset committed in a topic that is deleted meanwhile does not come back in the next of its name")
    func offsetsOfADeletedTopic() throws {
        let run = try BrokerRun(folder.file("b"), number: 1)
        try run.createTopic("t", partitions: 1)
        let codes = try run.commitAroundADeletion("t")
        #expect(codes == [[.none], [.unknownTopicOrPartition], [.unknownTopicOrPartition]])
        // Neither the one before the deletion, nor those that were checked against the topic that is gone.
        try run.check(run.promises)
        #expect(run.committed().isEmpty)
    }

    @Test("Offsets of a topic that is gone are forgotten by the next start")
    func offsetsLeftByAKill() throws {
        let path = folder.file("b")
        do {
            let run = try BrokerRun(path, number: 1)
            try run.createTopic("t", partitions: 1)
            try run.createTopic("stays", partitions: 1)
            try run.commit("t", 0, 3)
            try run.commit("stays", 0, 4)
        }
        // A kill between the catalog's change and that of the offsets.
        var catalog = try TopicCatalog.open(folder: path)
        catalog.topics.removeAll { $0.name == "t" }
        try catalog.save(folder: path)
        let run = try BrokerRun(path, number: 2)
        #expect(run.committed().keys.map(\.topic) == ["stays"])
        #expect(try OffsetJournal(folder: path).table["g"]?.count == 1, "forgotten on the disk as well")
    }
}
