import Bytes
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

    /// Every file equal, byte for byte, once sealed. Commit logs and generations are about how, not what.
    func compareLakes() throws {
        try deployment.command(["lake", "seal"])
        try deployment.command(["lake", "seal"], environment: ["LAKE_DIR": lake])
        func files(_ root: String) throws -> [String] { try Folder.allFiles(root).filter { !$0.hasPrefix("_") } }
        let expected = try files(lake)
        #expect(try files(deployment.lakeFolder) == expected)
        #expect(expected.contains { $0.hasPrefix("gold/") })
        for file in expected {
            let isEqual =
                try File.contents(of: deployment.lakeFolder + "/" + file) == File.contents(of: lake + "/" + file)
            #expect(isEqual, "\(file)")
        }
    }

    /// Every row equal but for its numbers; vectors at cosine ≥ 0.9999, because the shape of a batch moves bf16.
    func compareIndexes() throws {
        let found = try rows(deployment.dsn() ?? "")
        let expected = try rows(dsn)
        #expect(found.count == expected.count)
        #expect(found.count > 100)
        var worst = 1.0
        for (row, other) in zip(found, expected) {
            guard row.dropLast() == other.dropLast() else {
                throw PipelineFailure("a row of the index is \(row.dropLast()), undisturbed \(other.dropLast())")
            }
            guard row.last != other.last else { continue }
            worst = min(worst, Self.cosine(Self.vector(row.last), Self.vector(other.last)))
        }
        #expect(worst >= 0.9999)
    }

    private func rows(_ dsn: String) throws -> [[String]] {
        let connection = try connect(dsn)
        defer { connection.close() }
        return try connection.script(
            """
            SELECT p.doc_id, p.passage, p.content_hash, p.text_hash, p.model, p.collection, p.wiki, p.lang, p.type,
                p.namespace, p.user_name, p.is_bot, p.event_time, p.title, p.url, p.quality_flags, p.attributes, p.text,
                g.generation, g.version, g.logic_version, g.lineage, g.source_topic, g.source_partition, g.source_offset,
                g.to_version IS NULL, encode(halfvec_send(p.embedding), 'hex')
            FROM generation_passages g FULL JOIN passages p ON p.id = g.passage_id
            ORDER BY p.doc_id, p.passage, p.content_hash, p.model, g.generation
            """, timeoutMilliseconds: 60_000
        ).map { row in row.map { $0 ?? "NULL" } }
    }

    private func connect(_ dsn: String) throws -> PostgresConnection {
        try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 5_000)
    }

    /// A halfvec as it is sent: two bytes of length, two unused, then IEEE 754 binary16 numbers, all big-endian.
    private static func vector(_ hex: String?) -> [Double] {
        let digits = Array((hex ?? "").utf8).map { $0 < 0x3A ? UInt16($0) - 0x30 : UInt16($0) - 0x57 }
        return stride(from: 8, to: digits.count - 3, by: 4).map { position in
            let bits = digits[position..<position + 4].reduce(0) { $0 << 4 | $1 }
            return Double(Float16(bitPattern: bits))
        }
    }

    private static func cosine(_ left: [Double], _ right: [Double]) -> Double {
        guard left.count == right.count, !left.isEmpty else { return 0 }
        func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        return dot(left, right) / (dot(left, left) * dot(right, right)).squareRoot()
    }
}
