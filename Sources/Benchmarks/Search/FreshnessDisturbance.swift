import Console
import EmbeddedPostgres
import JSONScan
import Postgres

/// Heavy work on the index beside which freshness is watched, again and again until the watch ends.
enum FreshnessDisturbance: String, CaseIterable, Sendable {
    /// Another HNSW graph is built over all vectors, as where `HNSW_M` has changed.
    case built = "a graph is built"
    /// The graph is rebuilt under its own name.
    case rebuilt = "the graph is rebuilt"
    /// Some vectors are updated, and a vacuum removes the dead rows from table and graph.
    case vacuumed = "the graph is vacuumed"
    /// A generation with all documents is replayed from Bronze and loaded into the index.
    case loaded = "a generation is loaded"

    private static let limit = 600_000
    private static let replaySeconds = 600
    /// Rows of one vacuum.
    private static let rowsVacuumed = 2_000
    private static let copy = "bench_graph"

    /// Does it until it is told to stop; blocks.
    ///
    /// - Returns: how often it was done as a whole.
    func run(_ deployment: BenchDeployment, until isOver: () -> Bool) throws -> Int {
        var times = 0
        repeat {
            switch self {
            case .loaded: try Self.replay(deployment, [], until: isOver)
            case .built, .rebuilt, .vacuumed:
                let connection = try Self.connect(deployment)
                try disturb(connection, Self.graph(connection))
            }
            times += 1
        } while !isOver()
        return times
    }

    /// The generation is pruned again, or every event behind it would be indexed twice; so is that of a replay which is ended before
    /// it is done.
    ///
    /// - Parameters:
    ///   - arguments: of the replay, beside its range.
    ///   - isOver: whether it is to end as it is.
    static func replay(_ deployment: BenchDeployment, _ arguments: [String], until isOver: () -> Bool) throws {
        let command = ["replay", "--all", "--json"] + arguments
        let replay = try deployment.launch("replay", command)
        guard let output = try replay.output(within: replaySeconds, until: isOver) else {
            let list = try deployment.launch("generations", ["generations", "--json"]).output(within: replaySeconds)
            let created = try lines(list).filter { $0["lake_state"]?.string == "created" }
            for generation in created.compactMap({ $0["generation"]?.integer }) { try prune(deployment, generation) }
            return
        }
        guard let generation = try lines(output).last?["generation"]?.integer else {
            throw Failure("the replay does not say which generation it made: \(output.suffix(200))")
        }
        try prune(deployment, generation)
    }

    private static func prune(_ deployment: BenchDeployment, _ generation: Int64) throws {
        _ = try deployment.launch("prune", ["generations", "--prune", "\(generation)"]).output(
            within: replaySeconds)
    }

    private static func lines(_ output: String) throws -> [JSONValue] {
        try output.split(separator: "\n").filter { $0.hasPrefix("{") }.map { try JSONValue.parse(Array($0.utf8)) }
    }

    private func disturb(_ connection: PostgresConnection, _ graph: Graph) throws {
        func run(_ statement: String) throws {
            try connection.script(statement, operation: "bench", timeoutMilliseconds: Self.limit)
        }
        switch self {
        case .built:
            try run(graph.copying)
            try run("DROP INDEX CONCURRENTLY IF EXISTS \(Self.copy)")
        case .rebuilt: try run("REINDEX INDEX CONCURRENTLY \(graph.name)")
        case .vacuumed:
            try run(
                """
                UPDATE \(graph.table) SET embedding = embedding
                WHERE id IN (SELECT id FROM \(graph.table) ORDER BY random() LIMIT \(Self.rowsVacuumed))
                """)
            try run("VACUUM (INDEX_CLEANUP ON) \(graph.table)")
        case .loaded: break
        }
    }

    // MARK: The graph

    private struct Graph {
        let name: String
        let table: String
        /// What makes a copy of it, named ``copy``.
        let copying: String
    }

    private static func connect(_ deployment: BenchDeployment) throws -> PostgresConnection {
        guard let dsn = EmbeddedPostgres.runningDSN(folder: deployment.postgresFolder) else {
            throw Failure("the platform's Postgres does not run")
        }
        return try PostgresConnection(
            PostgresConfiguration(dsn: dsn, applicationName: "medallion-bench"), timeoutMilliseconds: 10_000)
    }

    /// The largest one there is.
    private static func graph(_ connection: PostgresConnection) throws -> Graph {
        let rows = try connection.script(
            """
            SELECT i.indexrelid::regclass, i.indrelid::regclass, regexp_replace(
                pg_get_indexdef(i.indexrelid), '^CREATE INDEX .* ON ', 'CREATE INDEX CONCURRENTLY \(copy) ON ')
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
            WHERE a.amname = 'hnsw' AND c.relkind = 'i' AND i.indisvalid AND i.indrelid::regclass::text LIKE 'vectors%'
            ORDER BY pg_relation_size(c.oid) DESC LIMIT 1
            """, operation: "bench", timeoutMilliseconds: limit)
        guard let row = rows.first, row.count == 3, let name = row[0], let table = row[1], let copying = row[2] else {
            throw Failure("the index has no graph")
        }
        return Graph(name: name, table: table, copying: copying)
    }
}
