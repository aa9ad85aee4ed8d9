import Bytes
import Console
import Glibc
import HTTPServer
import JSONScan
import Postgres
import Telemetry

/// The answers that a platform keeps for the benchmark of traces: some that it gave, and copies of these about documents of the
/// whole index.
struct KeptAnswers: Sendable {
    /// What impact and traces are asked about.
    struct Targets: Sendable {
        var documents: [String]
        /// Queries of `/impact` by what they name.
        var impacts: [(name: String, queries: [String])]
    }

    /// The platform is not to tidy answers away.
    static let settings = ["ANSWERS_MAX_ROWS": "1000000000", "ANSWERS_MAX_BYTES": "1125899906842624"]

    let scene: SearchScene
    let logger: Logger

    private static let statementMilliseconds = 1_800_000
    /// Questions that find nothing give answers that cite nothing.
    private static let attemptsMax = 5
    private static let keepingMicroseconds: UInt32 = 1_000_000

    private func script(_ sql: String) throws -> [[String?]] {
        let connection = try PostgresConnection(
            PostgresConfiguration(dsn: try SearchPeer.dsn(scene.deployment), applicationName: "medallion-bench"),
            timeoutMilliseconds: 10_000)
        return try connection.script(sql, operation: "bench", timeoutMilliseconds: Self.statementMilliseconds)
    }

    /// Asks questions about the embedded documents.
    ///
    /// - Returns: the ids of as many answers that cite something, and nothing but what came through the topic: the further passages are
    ///   rows that no event was ever behind.
    func ask(_ count: Int) throws -> [String] {
        logger.info("asking", ["questions": "\(count)"])
        let questions = try AnswerQuestions(scene.input)
        let client = SearchClient(url: scene.deployment.api + "/answer")
        var random = SeededGenerator(seed: 11)
        var ids: [String] = []
        for _ in 0..<Self.attemptsMax where ids.count < count {
            var given: [String] = []
            for _ in 0..<count {
                let reply = try client.post(Array(questions.fresh(&random).utf8))
                guard let id = reply["answer_id"]?.string, reply["citations"]?.array?.isEmpty == false else { continue }
                given.append(id)
            }
            // They are kept behind the reply.
            usleep(Self.keepingMicroseconds)
            let list = given.map { "'\($0)'" }.joined(separator: ",")
            guard !list.isEmpty else { continue }
            ids += try script(
                """
                SELECT answer_id FROM answer_documents WHERE is_cited AND answer_id IN (\(list))
                GROUP BY answer_id HAVING max(source_offset) < 1::bigint << 40 ORDER BY answer_id
                """
            ).compactMap { $0.first.flatMap { $0 } }
        }
        guard ids.count >= count else { throw Failure("only \(ids.count) of \(count) answers cite events alone") }
        return Array(ids.prefix(count))
    }

    /// Copies the answers until there are so many, each about other documents of the index.
    func multiply(to count: Int) throws {
        let rows = try script("SELECT count(*) FROM answers")
        let given = rows.first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
        guard given > 0, count > given else { return }
        logger.info("copying answers", ["to": "\(count)"])
        let copies = (count - given + given - 1) / given
        _ = try script(
            """
            CREATE TEMP TABLE given AS SELECT * FROM answers;
            CREATE TEMP TABLE seen AS SELECT row_number() OVER () AS place, s.* FROM answer_documents s;
            CREATE TEMP TABLE shown AS
                SELECT row_number() OVER () AS place, c.name AS collection, d.doc_id, d.content_hash, v.version, v.source_topic,
                    v.source_partition, v.source_offset, v.from_version, v.lineage #>> '{parents,0,event_id}' AS event_id
                FROM visibility v JOIN documents d ON d.id = v.document_id JOIN collections c ON c.id = d.collection_id
                WHERE v.to_version IS NULL;
            ALTER TABLE shown ADD PRIMARY KEY (place);
            ANALYZE given, seen, shown;
            INSERT INTO answers
                SELECT (jsonb_populate_record(g, jsonb_build_object(
                    'answer_id', 'ans_' || md5(g.answer_id || n), 'created_at', g.created_at - n * interval '1 second'))).*
                FROM given g CROSS JOIN generate_series(1, \(copies)) n LIMIT \(count - given);
            INSERT INTO answer_documents (answer_id, tenant, collection, doc_id, is_cited, created_at, version, content_hash,
                    source_topic, source_partition, source_offset, event_id, from_version)
                SELECT a.answer_id, s.tenant, w.collection, w.doc_id, s.is_cited, a.created_at, w.version, w.content_hash,
                    w.source_topic, w.source_partition, w.source_offset, w.event_id, w.from_version
                FROM seen s CROSS JOIN generate_series(1, \(copies)) n
                JOIN answers a ON a.answer_id = 'ans_' || md5(s.answer_id || n)
                JOIN shown w ON w.place = (s.place * 7919 + n * 104729) % (SELECT count(*) FROM shown) + 1
                ON CONFLICT DO NOTHING;
            ANALYZE answers, answer_documents, documents, visibility, passages
            """)
    }

    /// Documents of the platform's own, for traces, and of the whole index, for impact.
    func targets(_ count: Int) throws -> Targets {
        let own = try script(
            """
            SELECT d.doc_id FROM visibility v JOIN documents d ON d.id = v.document_id
            WHERE v.to_version IS NULL AND v.source_offset < 1::bigint << 40 ORDER BY md5(d.doc_id) LIMIT \(count)
            """)
        let any = try script(
            """
            SELECT v.source_topic, v.source_partition, v.source_offset, v.lineage #>> '{parents,0,event_id}', c.name, d.title,
                d.user_name
            FROM visibility v JOIN documents d ON d.id = v.document_id JOIN collections c ON c.id = d.collection_id
            WHERE v.to_version IS NULL AND d.user_name IS NOT NULL ORDER BY md5(d.doc_id) LIMIT \(count)
            """
        ).map { row in row.map { PercentCoding.segment($0 ?? "") } }
        return Targets(
            documents: own.compactMap { $0.first.flatMap { $0 } }.map { PercentCoding.segment($0) },
            impacts: [
                ("record", any.map { "topic=\($0[0])&partition=\($0[1])&offset=\($0[2])" }),
                ("event id", any.map { "event_id=\($0[3])" }),
                ("page", any.map { "collection=\($0[4])&title=\($0[5])" }), ("user", any.map { "user=\($0[6])" }),
            ])
    }

    /// What the index holds.
    func sizes() throws -> (documents: Int, answers: Int) {
        let counts = try ["documents", "answers"].map { table in
            try script("SELECT count(*) FROM \(table)").first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
        }
        return (counts[0], counts[1])
    }
}
