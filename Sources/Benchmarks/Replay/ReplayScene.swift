import Bytes
import Concurrency
import Console
import Derivation
import Indexer
import Lake
import Logic
import Records
import Replay
import Simulator
import Store
import Telemetry

/// A lake and an index of a benchmark's own, of which replays are made.
///
/// The index is filled by statements over whole tables: a million documents take minutes by the indexer's way. Their rows are those
/// that it would have written, but for words, which no replay reads of documents that are there.
struct ReplayScene: Sendable {
    /// What a replay took.
    struct Run {
        var report: ReplayReport
        /// From the call to its end.
        var seconds: Double
        /// From the first record to the end; what waits for a stream job is before.
        var recordSeconds: Double
        var cost: IndexBenchCost
    }

    private static let commitRecords = 5_000
    private static let timeoutMilliseconds = 60_000
    private static let numbersMax: Int64 = 1_000_000_000

    let server: IndexBenchServer
    let logger: Logger
    private let layout: LakeLayout
    private static let source = TopicPartition(topic: StreamBench.topic, partition: 0)

    init(_ server: IndexBenchServer, lake: String, _ logger: Logger) {
        self.server = server
        self.logger = logger
        layout = LakeLayout(root: lake)
    }

    // MARK: The lake

    /// Commits events as a stream job does, until so many have become documents.
    func fillLake(_ events: any PlayableSource, documents: Int, logic: TopicLogic) throws {
        let generation = try GenerationLog(layout: layout).adopt(Self.source.topic, logic)
        var processor = try RecordProcessor(source: Self.source, writesBronze: true)
        try processor.add(generation)
        var writer = try PartitionWriter.open(layout: layout, source: Self.source)
        try writer.handOver(to: generation.number, at: 0)
        var payload: [UInt8] = []
        var (made, start, next) = (0, Int64(0), Int64(0))
        // No event comes before it was made: that would be one from the future.
        var time = SystemClock.epochMilliseconds()
        while made < documents {
            let index = Int(next)
            payload.removeAll(keepingCapacity: true)
            events.appendPayload(index, to: &payload)
            time = max(time, events.timestamp(index))
            try payload.withUnsafeBytes { bytes in
                _ = try processor.process(
                    SourceRecord(
                        topic: Self.source.topic, partition: Self.source.partition, offset: next,
                        timestampMilliseconds: time, key: nil, value: bytes))
            }
            next += 1
            let isEnough = made + processor.gold.count >= documents
            guard isEnough || next - start >= Int64(Self.commitRecords) else { continue }
            guard next < Int64(documents) * 100 + 1_000 else {
                throw Failure("of \(next) events only \(made) became documents")
            }
            made += processor.gold.count
            guard let range = OffsetRange(start: start, end: next) else { break }
            _ = try writer.commit(processor.batch(range, hour: writer.hour(for: time), brokerTimeMax: time))
            processor.removeLines()
            start = next
        }
    }

    // MARK: The index

    /// Empties the index but for what the migrations made, and moves the checkpoints of the first generation to the lake's end.
    func beginAnew() throws {
        try server.script(
            """
            TRUNCATE documents, passages, visibility, uncounted_documents; DELETE FROM index_checkpoints; DELETE FROM replays;
            DELETE FROM active_generation; DELETE FROM generations;
            INSERT INTO generations VALUES (1, NULL, 'active', '', '', now());
            INSERT INTO active_generation VALUES (true, 1, now())
            """)
        try moveCheckpoints()
    }

    private func moveCheckpoints() throws {
        let reader = LakeReader(layout: layout)
        for source in try reader.sources() {
            guard let end = try reader.committedRange(source)?.end else { continue }
            try server.script(
                """
                INSERT INTO index_checkpoints (generation, topic, partition, next_offset, updated_at)
                VALUES (1, '\(source.topic)', \(source.partition), \(end), now())
                """)
        }
    }

    /// How many documents a generation shows.
    func shown(_ generation: Int64) throws -> Int {
        let rows = try server.script(
            "SELECT count(*) FROM visibility WHERE generation = \(generation) AND to_version IS NULL")
        return (rows.first?.first ?? nil).flatMap { Int($0) } ?? 0
    }

    /// Shows the lake's documents in the first generation, with vectors of a stand-in.
    ///
    /// - Returns: how many there are.
    func fillIndex(model: String, hasGraph: Bool) throws -> Int {
        let dimensions = BenchVectors.dimensions
        try server.script(
            """
            SELECT medallion_prepare_vectors('\(model)', \(dimensions), 'default', 16, 64);
            INSERT INTO collections (tenant, name) VALUES ('default', '\(Self.source.topic)');
            UPDATE generations SET model_id = 1 WHERE generation = 1;
            CREATE UNLOGGED TABLE bench_documents (
                number bigint, doc_id text, version bigint, content_hash text, text_hash text, title text, url text, lang text,
                milliseconds bigint, attributes text, lineage text);
            CREATE UNLOGGED TABLE bench_passages (
                id bigint, number bigint, place integer, hash text, text text, embedding halfvec(\(dimensions)));
            SELECT setval(s.name, \(Self.numbersMax)) FROM (VALUES ('documents_id_sequence'), ('passages_id_sequence'),
                ('vectors_id_sequence')) AS s(name)
            """)
        let indexes = try server.dropIndexes()
        let count = try copyDocuments()
        try copyPassages()
        try server.script(Self.fill)
        for index in indexes where hasGraph || !index.contains("hnsw") {
            try server.script("SET maintenance_work_mem = '\(GrowthTables.buildMemory)'; \(index)")
        }
        try server.script("VACUUM ANALYZE")
        try server.script("CHECKPOINT")
        try moveCheckpoints()
        return count
    }

    private func forEachDocument(_ body: (Int64, GoldDocument) throws -> Void) throws {
        let reader = LakeReader(layout: layout)
        guard let range = try reader.committedRange(Self.source) else { throw Failure("the lake is empty") }
        var failure: (any Error)?
        try reader.forEachLine(.gold, generation: 1, source: Self.source, range: range) { offset, line in
            do {
                try body(offset, try line.withUnsafeBytes { try GoldLine.decode($0) })
            } catch {
                failure = error
            }
            return failure == nil
        }
        if let failure { throw failure }
    }

    private func copyDocuments() throws -> Int {
        var count = 0
        try server.copy("bench_documents") { file in
            try forEachDocument { offset, document in
                try file.row(fields: 11)
                file.add(offset)
                file.add(document.docID)
                file.add(document.version)
                file.add(document.contentHash)
                file.add(document.textHash)
                file.add(document.title)
                file.add(document.url)
                file.add(document.lang)
                file.add(document.eventTimeMilliseconds)
                var json = JSONWriter()
                document.attributes.append(to: &json)
                file.add(String(decoding: json.bytes, as: UTF8.self).replacing("\\u0000", with: ""))
                file.add(String(decoding: document.lineage.json, as: UTF8.self).replacing("\\u0000", with: ""))
                count += 1
            }
        }
        return count
    }

    private func copyPassages() throws {
        let cutter = DocumentIndexer(configuration: server.configuration, embedder: nil)
        let vectors = BenchVectors()
        var id: Int64 = 0
        try server.copy("bench_passages") { file in
            try forEachDocument { offset, document in
                for passage in try cutter.passages(of: document) {
                    id += 1
                    try file.row(fields: 6)
                    file.add(id)
                    file.add(offset)
                    file.add(passage.number)
                    file.add(passage.hash ?? document.textHash)
                    file.add(passage.text)
                    file.add(halves: vectors.vector(of: passage.text).map(HalfFloat.bits))
                }
            }
        }
    }

    /// Triggers, which note each document that is to be counted, stay out of it.
    private static let fill = """
        SET LOCAL session_replication_role = replica;
        SET LOCAL work_mem = '512MB';
        SELECT medallion_begin_index_transaction('live', '{1}');
        INSERT INTO vectors_1_t1 (tenant, id, input_hash, embedding, is_linked)
            SELECT DISTINCT ON (text) 'default', id, sha256(convert_to(text, 'UTF8')), embedding, true FROM bench_passages
            ORDER BY text, id;
        INSERT INTO documents (id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
                event_time, wiki, type, user_name, namespace, is_bot, attributes, quality_flags)
            SELECT d.number + 1, d.number + 1, 'default', 1, d.doc_id, d.content_hash, 1, d.text_hash, d.title, d.url, d.lang,
                to_timestamp(d.milliseconds / 1000.0), a.wiki, a.type, a.user_name, a.namespace, a.is_bot, a.others, '[]'
            FROM bench_documents d CROSS JOIN LATERAL medallion_split_attributes(d.attributes::jsonb) a ORDER BY d.number;
        INSERT INTO passages (id, document_id, tenant, number, passage_hash, vector_id, text)
            SELECT p.id, p.number + 1, 'default', p.place, p.hash, v.id, p.text FROM bench_passages p
            JOIN vectors_1_t1 v ON v.input_hash = sha256(convert_to(p.text, 'UTF8')) ORDER BY p.id;
        INSERT INTO visibility (document_id, generation, from_version, key_id, tenant, version, source_topic, source_partition,
                source_offset, shown_at, lineage)
            SELECT number + 1, 1, (SELECT max(version) FROM index_versions), number + 1, 'default', version,
                '\(source.topic)', 0, number, now(), lineage::jsonb FROM bench_documents ORDER BY number;
        DROP TABLE bench_documents, bench_passages
        """

    // MARK: Replays

    /// Runs everything through a logic into the next generation.
    func replay(_ logic: TopicLogic, into index: any ReplayIndex) async throws -> Run {
        let monitor = ReplayMonitor()
        let replay = Replay(
            layout: layout, logics: [Self.source.topic: logic], database: server.configuration, index: index,
            monitor: monitor, logger: logger)
        let watch = Task {
            while monitor.progress.phase == .handover, !Task.isCancelled {
                try? await Task.sleep(nanoseconds: 2_000_000)
            }
            return SystemClock.monotonicNanoseconds()
        }
        defer { watch.cancel() }
        var cost = IndexBenchCost()
        var report: ReplayReport?
        var ended: Int64 = 0
        try await cost.add(server) {
            report = try await replay.run(.all)
            ended = SystemClock.monotonicNanoseconds()
        }
        guard let report else { throw Failure("the replay gave no report") }
        return Run(
            report: report, seconds: cost.seconds, recordSeconds: Double(ended - (await watch.value)) / 1e9, cost: cost)
    }
}
