import Bytes
import Files
import Hashing
import Lake
import PlatformTesting
import Postgres
import PostgresTesting
import Records
import Store

@testable import Replay

/// A lake in memory and a migrated database, with lines and documents that say by which generation's logic they were made.
final class Place {
    static let limit = 60_000
    private(set) var folder: TemporaryFolder
    let store: GenerationStore
    let index: IndexWriter
    let connection: PostgresConnection
    var layout: LakeLayout { LakeLayout(root: folder.file("lake")) }
    var log: GenerationLog { GenerationLog(layout: layout) }

    init(_ configuration: PostgresConfiguration) throws {
        folder = try Self.newFolder()
        store = GenerationStore(configuration: configuration)
        index = IndexWriter(configuration: configuration)
        connection = try PostgresConnection(configuration, timeoutMilliseconds: Self.limit)
    }

    /// A database of a test's own.
    static func database() throws -> PostgresConfiguration {
        let configuration = PostgresConfiguration(dsn: try SharedPostgres.freshDatabase())
        try Migrator(connection: PostgresConnection(configuration, timeoutMilliseconds: limit)).migrate()
        return configuration
    }

    private static func newFolder() throws -> TemporaryFolder {
        try TemporaryFolder(in: Folder.exists("/dev/shm") ? "/dev/shm" : "/tmp")
    }

    /// Begins with a lake and a database as they are at first.
    func beginAnew() throws {
        folder = try Self.newFolder()
        try emptyDatabase()
    }

    /// Makes the database as the migrations leave it.
    func emptyDatabase() throws {
        try connection.script(
            """
            TRUNCATE documents, passages, words, passage_terms, postings, word_counts, collection_counts, uncounted_documents,
                visibility; DELETE FROM index_checkpoints;
            DELETE FROM active_generation; DELETE FROM generations;
            INSERT INTO generations VALUES (1, NULL, 'active', '', '', now());
            INSERT INTO active_generation VALUES (true, 1, now())
            """, timeoutMilliseconds: Self.limit)
    }

    func steps(_ fate: Fate = Fate(.none)) -> GenerationSteps {
        GenerationSteps(log: log, database: FatedDatabase(store: store, fate: fate))
    }

    /// Makes a step under a fate.
    func under<Result>(_ fate: Fate, _ body: (GenerationSteps) throws -> Result) throws -> Result {
        try FileWatch.$witness.withValue(fate) { try body(steps(fate)) }
    }

    var reader: LakeReader { LakeReader(layout: layout) }

    func states() throws -> (lake: [Int64: GenerationState], index: [Int64: GenerationState]) {
        (
            Dictionary(uniqueKeysWithValues: try log.read().map { ($0.number, $0.state) }),
            try store.states(timeoutMilliseconds: Self.limit)
        )
    }

    /// The generation that searches read.
    func served() throws -> Int64 {
        let rows = try connection.script("SELECT generation FROM active_generation", timeoutMilliseconds: Self.limit)
        return rows.first.flatMap { $0[0] }.flatMap { Int64($0) } ?? 0
    }

    /// What a generation shows: by document the content's hash.
    func shown(_ generation: Int64) throws -> [String: String] {
        let rows = try connection.script(
            """
            SELECT d.doc_id, d.content_hash FROM visibility g JOIN documents d ON d.id = g.document_id
            WHERE g.generation = \(generation) AND g.to_version IS NULL
            """, timeoutMilliseconds: Self.limit)
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", $0[1] ?? "") })
    }
}

/// What the records of a topic become.
enum Made {
    static func isGold(_ offset: Int64) -> Bool { offset % 3 != 0 }

    static func documentID(_ source: TopicPartition, _ offset: Int64) -> String { "d-\(source.partition)-\(offset)" }

    static func value(_ source: TopicPartition, _ offset: Int64) -> String {
        #"{"meta":{},"p":\#(source.partition),"n":\#(offset)}"#
    }

    static func bronze(_ source: TopicPartition, _ offset: Int64) -> String {
        #"{"topic":"\#(source.topic)","partition":\#(source.partition),"offset":\#(offset),"timestamp_ms":5,"headers":[],"#
            + #""value":\#(value(source, offset))}"#
    }

    /// A Silver or Gold line.
    static func derived(_ source: TopicPartition, _ offset: Int64, by generation: Int64) -> String {
        let content = #"{"doc_id":"\#(documentID(source, offset))","text":"by \#(generation)""#
        return content + #","content_hash":"\#(sha256(content + "}"))","lineage":{"logic_version":"v1","#
            + #""parents":[{"topic":"\#(source.topic)","partition":\#(source.partition),"offset":\#(offset),"#
            + #""event_id":"e","bronze_sha256":"\#(sha256(value(source, offset)))"}]}}"#
    }

    static func contentHash(_ source: TopicPartition, _ offset: Int64, by generation: Int64) -> String {
        "c-\(generation)-\(documentID(source, offset))"
    }

    static func document(
        _ source: TopicPartition, _ offset: Int64, by logic: Int64, for generation: Int64
    ) -> IndexedDocument {
        let hash = contentHash(source, offset, by: logic)
        guard let collection = CollectionName(source.topic) else { preconditionFailure("\(source) has no name") }
        let document = GoldDocument(
            collection: collection, docID: documentID(source, offset), text: hash,
            eventTimeMilliseconds: 1_700_000_000_000, title: "t", url: "", lang: "en",
            textHash: hash, contentHash: hash,
            lineage: Lineage(
                logicVersion: "v1",
                parents: [
                    ParentReference(
                        topic: source.topic, partition: source.partition, offset: offset, eventID: "e", bronzeSHA256: ""
                    )
                ]))
        return IndexedDocument(
            generation: generation, document: document, source: source, sourceOffset: offset, model: "",
            passages: [IndexedPassage(number: 0, text: hash, embedding: nil)])
    }

    static func batch(
        _ source: TopicPartition, _ range: OffsetRange, time: Int64, hour: LakeHour, generations: [Int64]
    ) -> CommitBatch {
        func text(_ offsets: [Int64], _ line: (Int64) -> String) -> (text: [UInt8], lines: Int) {
            (Array(offsets.map { line($0) + "\n" }.joined().utf8), offsets.count)
        }
        let all = Array(range.start..<range.end)
        return CommitBatch(
            range: range, hour: hour, brokerTimeMax: time, lastSHA256: "", duplicates: 0, canaries: 0,
            bronze: text(all) { bronze(source, $0) },
            generations: generations.map { generation in
                GenerationLines(
                    generation: generation, logicVersion: "v1-\(generation)",
                    silver: text(all) { derived(source, $0, by: generation) },
                    gold: text(all.filter(isGold)) { derived(source, $0, by: generation) }, quarantine: ([], 0),
                    rejects: [:])
            })
    }

    static func sha256(_ text: String) -> String {
        let digest = try? Array(text.utf8).withUnsafeBytes { bytes in
            var hasher = try SHA256Hasher()
            return try hasher.hash(bytes)
        }
        return digest?.hex ?? ""
    }
}
