import Bytes
import Console
import EmbeddedPostgres
import Glibc
import HTTPClient
import JSONScan
import Postgres
import Processes
import Synchronization
import Telemetry

/// What a user would build instead: tools/peers/search_api.py under uvicorn, over a copy of the documents in a table of its own.
///
/// The table lies in the platform's Postgres, so that both have the same server with the same memory.
final class SearchPeer: Sendable {
    /// The service over Postgres.
    let url: String
    /// Its versions, such as `torch 2.8.0`.
    let versions: String
    /// Whether it answers from LanceDB, too.
    let hasLance: Bool
    private let child: Int32
    private let isStopped = Mutex(false)

    private static let limit = 600_000
    /// It copies the table into LanceDB and builds indexes there.
    private static let startSeconds = 600

    /// Copies what is visible now, starts the service, and blocks until it answers. The thread that calls this must outlive it.
    ///
    /// - Parameter folder: of a Python environment with `make setup-peers`' packages; nil for `.deps/peers`.
    /// - Returns: nil where there is none.
    init?(folder python: String?, deployment: BenchDeployment, logger: Logger) throws {
        let found = python.map { $0 + "/bin/python" } ?? Installation.path(".deps/peers/bin/python") ?? ""
        guard access(found, X_OK) == 0, let script = Installation.path("tools/peers/search_api.py") else {
            logger.warning("no peers are installed, so there is no comparison: run `make setup-peers`")
            return nil
        }
        logger.info("copying documents and vectors into the peer's table")
        try Self.copy(deployment)
        let folder = try deployment.makeFolder("peer")
        let port = try FreePorts.take(1)[0]
        url = "http://127.0.0.1:\(port)"
        child = try ChildProcess.spawn(
            [
                "/usr/bin/setpriv", "--pdeathsig=TERM", "--", found, "-m", "uvicorn", "--app-dir",
                String(script.dropLast("/search_api.py".count)), "--host", "127.0.0.1", "--port", "\(port)", "--loop",
                "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log", "search_api:app",
            ],
            environment: [
                "PATH=/usr/bin:/bin", "HOME=\(folder)", "PYTHONDONTWRITEBYTECODE=1", "HF_HUB_OFFLINE=1",
                "LANCEDB_LOG=error",
                "PEER_PG_HOST=\(try Self.socketFolder(deployment))", "PEER_FOLDER=\(folder)",
            ], output: STDERR_FILENO)
        do {
            (versions, hasLance) = try Self.waitUntilReady(url, child)
        } catch {
            Self.end(child)
            throw error
        }
    }

    /// Process ids of the service.
    var processes: [Int32] { [child] + ProcessTable.children(of: child) }

    /// Ends the service; a second call does nothing.
    func stop() {
        isStopped.withLock { isStopped in
            guard !isStopped else { return }
            isStopped = true
            Self.end(child)
        }
    }

    private static func end(_ child: Int32) {
        kill(child, SIGTERM)
        for _ in 0..<100 where !ProcessTable.isZombie(child) { Pause.milliseconds(100) }
        if !ProcessTable.isZombie(child) { kill(child, SIGKILL) }
        _ = ChildProcess.reap(child)
    }

    // MARK: Preparing

    /// Rows as a user would have them: text, vector and words side by side, with the indexes that pgvector's and Postgres' manuals
    /// name.
    private static func copy(_ deployment: BenchDeployment) throws {
        let configuration = PostgresConfiguration(dsn: try dsn(deployment), applicationName: "medallion-bench")
        let connection = try PostgresConnection(configuration, timeoutMilliseconds: 10_000)
        let models = try connection.script("SELECT id FROM models ORDER BY id", timeoutMilliseconds: limit)
        guard let model = models.first?.first ?? nil, Int(model) != nil else {
            throw Failure("the index has no vectors")
        }
        try connection.script(
            """
            CREATE SCHEMA peer;
            CREATE TABLE peer.passages AS
                SELECT p.id, d.doc_id, d.title, d.wiki, d.event_time, p.text, v.embedding, to_tsvector('simple', p.text) AS words
                FROM visibility s JOIN documents d ON d.id = s.document_id JOIN passages p ON p.document_id = d.id
                JOIN vectors_\(model) v ON v.id = p.vector_id
                WHERE s.to_version IS NULL AND s.generation = (SELECT generation FROM generations WHERE state = 'active');
            ALTER TABLE peer.passages ADD PRIMARY KEY (id);
            CREATE INDEX ON peer.passages USING hnsw (embedding halfvec_cosine_ops) WITH (m = 16, ef_construction = 64);
            CREATE INDEX ON peer.passages USING gin (words);
            ANALYZE peer.passages
            """, operation: "bench", timeoutMilliseconds: limit)
    }

    static func dsn(_ deployment: BenchDeployment) throws -> String {
        guard let dsn = EmbeddedPostgres.runningDSN(folder: deployment.postgresFolder) else {
            throw Failure("the platform's Postgres does not run")
        }
        return dsn
    }

    /// `host='/tmp/…/run' port=…`
    private static func socketFolder(_ deployment: BenchDeployment) throws -> String {
        let parts = try dsn(deployment).split(separator: "'")
        guard parts.count > 1 else { throw Failure("the platform's Postgres has no socket") }
        return String(parts[1])
    }

    private static func waitUntilReady(_ url: String, _ child: Int32) throws -> (versions: String, hasLance: Bool) {
        let client = HTTPClient()
        for _ in 0..<startSeconds * 4 {
            if let reply = try? client.request(HTTPClientRequest(url: url + "/ready"), timeoutMilliseconds: 1_000),
                reply.status == 200
            {
                let json = try JSONValue.parse(reply.body)
                return (json["versions"]?.string ?? "", json["lance"]?.bool ?? false)
            }
            guard !ProcessTable.isZombie(child) else { break }
            Pause.milliseconds(250)
        }
        throw Failure("the peer's service does not start; its log is above", code: .dependencyUnavailable)
    }
}
