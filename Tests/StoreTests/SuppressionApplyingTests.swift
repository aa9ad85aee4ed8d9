import IndexTesting
import Kafka
import KafkaAccess
import Postgres
import Records
import Retrieval
import Synchronization
import Telemetry
import Testing

@testable import Indexer
@testable import Store

/// Suppressions apply in steps, are found by indexes, reach answers whose rows are gone, and none keeps others from applying.
@Suite struct SuppressionApplyingTests {
    private static let limit = IndexFixture.limit
    private static let collection = IndexFixture.collection.text
    private static let page = SuppressionTarget.page(collection: collection, title: "Title 1", wiki: nil)
    private let fixture: IndexFixture
    private let store: SuppressionStore

    init() throws {
        fixture = try IndexFixture()
        store = SuppressionStore(configuration: fixture.configuration)
    }

    private static func entry(_ id: String, _ target: SuppressionTarget) -> SuppressionEntry {
        .suppress(
            Suppression(
                id: id, tenant: .standard, target: target, reason: "a test", by: "ann",
                atMilliseconds: 1_700_000_000_000))
    }

    private static func lift(_ id: String) -> SuppressionEntry {
        .lift(id: id, tenant: .standard, reason: "checked", by: "bob", atMilliseconds: 1_700_000_001_000)
    }

    private func write(_ number: Int, version: Int64) throws {
        let document = IndexFixture.document(
            number, text: "river \(number) of version \(version)", version: version, embedding: nil, model: "")
        _ = try fixture.writer.write([document], timeoutMilliseconds: Self.limit)
    }

    /// Rows that are suppressed, and all.
    private func hidden() throws -> [String?] {
        try fixture.connect().script(
            "SELECT count(suppression), count(*) FROM visibility", timeoutMilliseconds: Self.limit)[0]
    }

    private func step(_ number: Int64) throws -> Int64? {
        try fixture.connect().run(
            ContinueSuppression(number: number, limit: 1), timeoutMilliseconds: Self.limit
        ).first ?? nil
    }

    private func isApplied(_ id: String) throws -> Bool? {
        try store.find(id, of: .standard, timeoutMilliseconds: Self.limit)?.isApplied
    }

    /// What was interrupted between two transactions goes on where it was; what comes meanwhile is hidden at once.
    @Test func stepsGoOnWhereTheyWere() throws {
        for version in 1...3 as ClosedRange<Int64> { try write(1, version: version) }
        let number = try #require(
            try store.begin(Self.entry("s-1", Self.page), reached: ("t", 9), timeoutMilliseconds: Self.limit))
        #expect(try store.position(of: "t", timeoutMilliseconds: Self.limit) == 9)
        #expect(try hidden() == ["0", "3"] && isApplied("s-1") == false)
        try write(1, version: 4)
        #expect(try hidden() == ["1", "4"])
        #expect(try step(number) == 1)
        #expect(try hidden() == ["2", "4"] && isApplied("s-1") == false)
        // Known, and so not begun again.
        #expect(try store.apply(Self.entry("s-1", Self.page), timeoutMilliseconds: Self.limit) == nil)
        let before = try store.state(timeoutMilliseconds: Self.limit)
        try store.finish(timeoutMilliseconds: Self.limit)
        #expect(try hidden() == ["4", "4"] && isApplied("s-1") == true)
        #expect(try store.state(timeoutMilliseconds: Self.limit) > before)
        #expect(try step(number) == nil)
        // A lift, too.
        #expect(try store.begin(Self.lift("s-1"), timeoutMilliseconds: Self.limit) == number)
        #expect(try step(number) == 1 && hidden() == ["3", "4"] && isApplied("s-1") == false)
        try write(1, version: 5)
        try store.finish(timeoutMilliseconds: Self.limit)
        #expect(try hidden() == ["0", "5"] && isApplied("s-1") == true)
    }

    /// A lift that comes while documents are still being taken out.
    @Test func aLiftEndsWhatIsNotFinished() throws {
        for version in 1...3 as ClosedRange<Int64> { try write(1, version: version) }
        let number = try #require(
            try store.begin(Self.entry("s-1", Self.page), timeoutMilliseconds: Self.limit))
        #expect(try step(number) == 1)
        try store.apply(Self.lift("s-1"), timeoutMilliseconds: Self.limit)
        #expect(try hidden() == ["0", "3"] && isApplied("s-1") == true)
    }

    @Test(arguments: [
        (page, "documents_title"), (.user(collection: collection, name: "User 1"), "documents_user"),
        (.eventID("doc-1"), "visibility_event"),
    ]) func candidatesAreFoundByAnIndex(target: SuppressionTarget, index: String) throws {
        try write(1, version: 1)
        _ = try store.begin(Self.entry("s-1", target), timeoutMilliseconds: Self.limit)
        let found = try fixture.connect().script(
            """
            WITH c AS MATERIALIZED (SELECT medallion_suppression_candidates(s, 10) AS ids FROM suppressions s)
            SELECT cardinality(ids), pg_stat_get_xact_numscans('\(index)'::regclass) FROM c
            """, timeoutMilliseconds: Self.limit)
        #expect(found == [["1", "1"]])
    }

    // MARK: Answers

    private func save(_ id: String, _ documents: [String], offset: Int64?) throws {
        var answer = StoredAnswer(
            id: id, tenant: .standard, question: "why?", createdAtMilliseconds: 1_700_000_000_000, generation: 1,
            indexVersion: 1, isRefused: false, requestJSON: Array("{}".utf8), replyJSON: Array("{}".utf8),
            retrievedJSON: Array("[]".utf8))
        answer.documents = documents.map {
            StoredAnswer.Source(collection: Self.collection, docID: $0, isCited: true)
        }
        try fixture.store.save(answer, timeoutMilliseconds: Self.limit)
        let place = offset.map { "'\(IndexFixture.source.topic)', \(IndexFixture.source.partition), \($0), 'e-\($0)'" }
        try fixture.connect().script(
            """
            UPDATE answer_documents SET (source_topic, source_partition, source_offset, event_id) =
                (\(place ?? "NULL, NULL, NULL, NULL")) WHERE answer_id = '\(id)'
            """, timeoutMilliseconds: Self.limit)
    }

    private func withheld(_ id: String) throws -> [String]? {
        try fixture.store.givenAnswer(id: id, tenant: .standard, timeoutMilliseconds: Self.limit)?.suppressed
            .map(\.docID)
    }

    /// The index holds the document no more; the answer knows its event.
    @Test func answersOutliveTheRows() throws {
        try save("a-1", ["gone"], offset: 7)
        for (number, target) in [
            .event(IndexFixture.source, offset: 7), .eventID("e-7"),
            .document(collection: Self.collection, docID: "gone"),
        ].enumerated() as EnumeratedSequence<[SuppressionTarget]> {
            try store.apply(Self.entry("s-\(number)", target), timeoutMilliseconds: Self.limit)
            #expect(try withheld("a-1") == ["gone"], "\(target)")
            try store.apply(Self.lift("s-\(number)"), timeoutMilliseconds: Self.limit)
            #expect(try withheld("a-1") == [], "\(target)")
        }
        try store.apply(
            Self.entry("s-other", .event(IndexFixture.source, offset: 8)), timeoutMilliseconds: Self.limit)
        #expect(try withheld("a-1") == [])
    }

    /// One bad edit does not take away what was made of a later one, unless nobody knows of which one an answer was made.
    @Test func onlyTheEventThatIsMeant() throws {
        try write(1, version: 1)
        try save("a-later", ["doc-1"], offset: 2)
        try save("a-unknown", ["doc-1"], offset: nil)
        try store.apply(Self.entry("s-1", .event(IndexFixture.source, offset: 1)), timeoutMilliseconds: Self.limit)
        #expect(try withheld("a-later") == [] && withheld("a-unknown") == ["doc-1"])
        try store.apply(Self.entry("s-2", Self.page), timeoutMilliseconds: Self.limit)
        #expect(try withheld("a-later") == ["doc-1"])
    }

    // MARK: The service

    private func service(
        faults: SuppressionFaults = SuppressionFaults(), metrics: MetricsRegistry = MetricsRegistry(),
        readLog: @escaping @Sendable () throws -> [SuppressionEntry] = { [] }
    ) -> SuppressionApplying {
        let follower = SuppressionFollower(
            { KafkaConfiguration(brokers: "127.0.0.1:1") }, plan: TopicPlan(name: "t", partitions: 1),
            laneName: "t", logger: Logger("test", level: .error))
        return SuppressionApplying(
            follower, database: fixture.configuration, readLog: readLog, faults: faults, metrics: metrics,
            logger: Logger("test", level: .error))
    }

    /// What Postgres refuses for ever is passed over, and the next one applies.
    @Test func whatIsRefusedStopsNoOther() throws {
        try write(1, version: 1)
        var generator = SystemRandomNumberGenerator()
        let long = (0..<600).map { _ in String(generator.next(), radix: 16) }.joined()
        let metrics = MetricsRegistry()
        try service(metrics: metrics).apply(
            [(1, Self.entry("s-1", .eventID(long))), (2, nil), (3, Self.entry("s-2", Self.page))], to: store
        ) { false }
        #expect(try hidden() == ["1", "1"])
        #expect(try store.position(of: "t", timeoutMilliseconds: Self.limit) == 3)
        #expect(metrics.counter("medallion_index_refused_suppressions_total", help: "").value == 1)
    }

    /// A log that cannot be read keeps nobody from following the topic; no position is kept before it was read.
    @Test func aLogThatCannotBeReadBlocksNothing() throws {
        struct Unreadable: Error {}
        try write(1, version: 1)
        try write(2, version: 1)
        let log = Self.entry("s-log", .page(collection: Self.collection, title: "Title 2", wiki: nil))
        let faults = SuppressionFaults()
        let box = Readable()
        let service = service(faults: faults) {
            guard box.isReadable.load(ordering: .relaxed) else { throw Unreadable() }
            return [log]
        }
        #expect(try service.position(store) { false } == nil)
        #expect(faults.current != nil)
        try service.apply([(1, Self.entry("s-1", Self.page))], to: store) { false }
        #expect(try hidden() == ["1", "2"])
        #expect(try store.position(of: "t", timeoutMilliseconds: Self.limit) == nil)
        box.isReadable.store(true, ordering: .relaxed)
        try service.takeLog(store) { false }
        #expect(try hidden() == ["2", "2"] && faults.current == nil)
        try service.apply([(2, Self.lift("s-1"))], to: store) { false }
        #expect(try store.position(of: "t", timeoutMilliseconds: Self.limit) == 2)
    }

    private final class Readable: Sendable {
        let isReadable = Atomic(false)
    }
}
