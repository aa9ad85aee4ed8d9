import Comparison
import Files
import Postgres
import Processes
import Testing

/// A second, undisturbed stream job and indexer over the same topic, into an empty lake and an empty database.
///
/// Used by one test's thread only.
final class Reference {
    private let deployment: Deployment
    private let lake: String
    private let database = "reference"

    init(_ deployment: Deployment) {
        self.deployment = deployment
        lake = deployment.file("reference-lake")
    }

    private var dsn: String { deployment.dsn(database: database) ?? "" }

    /// Runs both until `isDone`, then stops them.
    func run(seconds: Int, until isDone: (_ dsn: String) throws -> Bool) throws {
        try deployment.wait(for: "the database") {
            let connection = try connect(deployment.dsn() ?? "")
            defer { connection.close() }
            let known = try connection.script(
                "SELECT 1 FROM pg_database WHERE datname = '\(database)'", timeoutMilliseconds: 5_000)
            if known.isEmpty {
                try connection.script("CREATE DATABASE \(database)", timeoutMilliseconds: 30_000)
            }
            return true
        }
        let environment = [
            "LAKE_DIR": lake, "KAFKA_GOLD_TOPIC": "reference.gold", "KAFKA_GROUP": "reference", "POSTGRES_DSN": dsn,
        ]
        let stream = try deployment.start("stream", name: "reference-stream", environment: environment)
        let index = try deployment.start("index", name: "reference-index", environment: environment)
        try deployment.wait(for: "the undisturbed index", seconds: seconds) { try isDone(dsn) }
        #expect(try stream.stop() == .exited(0))
        #expect(try index.stop() == .exited(0))
    }

    /// Every file equal, byte for byte, once sealed.
    func compareLakes() throws {
        try deployment.command(["lake", "seal"])
        try deployment.command(["lake", "seal"], environment: ["LAKE_DIR": lake])
        let (differences, equalFiles) = try LakeComparison.differences(found: deployment.lakeFolder, expected: lake)
        #expect(differences == [])
        #expect(equalFiles > 0)
        #expect(try Folder.allFiles(lake).contains { $0.hasPrefix("gold/") })
    }

    /// Every row equal but for its numbers, and vectors nearly so.
    func compareIndexes() throws {
        let result = try IndexComparison.compare(found: .init(dsn: deployment.dsn() ?? ""), expected: .init(dsn: dsn))
        #expect(result.lines == [])
        #expect(result.rows > 100)
    }

    private func connect(_ dsn: String) throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 5_000)
    }
}
