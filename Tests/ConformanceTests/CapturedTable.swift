import Bytes
import Files
import Ingest
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Telemetry
import Testing

/// A table whose changes are a source of events: its snapshot is behind, and every row that is written is a change in the log.
final class CapturedTable {
    private let sql: PostgresConnection
    private let dsn: String
    private let folder: TemporaryFolder
    private let slot: String
    /// Reads the same log by a slot of its own, to tell what the events are.
    private let otherSlot: String

    init(_ folder: TemporaryFolder) throws {
        self.folder = folder
        slot = "c_" + Hex.string(folder.path.utf8.suffix(6))
        otherSlot = slot + "_other"
        dsn = try LogicalPostgres.shared().freshDatabase()
        sql = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
        try run("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
        let connector = try maker()()
        // The connection, the empty table with its end, and what follows.
        let end = try #require(try Self.events(of: connector, count: 1).last)
        try connector.acknowledged(end.position)
        try File.replace(statePath(otherSlot), with: File.contents(of: statePath(slot)))
        try run("SELECT pg_copy_logical_replication_slot('\(slot)', '\(otherSlot)')")
    }

    deinit {
        for slot in [slot, otherSlot] {
            for _ in 0..<50 {
                if (try? run("SELECT pg_drop_replication_slot('\(slot)')")) != nil { break }
            }
        }
    }

    private func run(_ text: String) throws { try sql.script(text, timeoutMilliseconds: 10_000) }

    private func statePath(_ slot: String) -> String { folder.file("state/\(slot).json") }

    func maker() -> @Sendable () throws -> PostgresConnector { maker(slot) }

    private func maker(_ slot: String) -> @Sendable () throws -> PostgresConnector {
        var options = PostgresConnector.Options(statePath: statePath(slot))
        options.eventsMax = 5
        options.waitMilliseconds = 10
        let declaration = PostgresDeclaration(
            dsn: SecretURL(dsn), table: "numbers", slot: slot, publication: "numbers")
        return { [options] in
            try PostgresConnector(
                declaration, source: "numbers", options: options, metrics: MetricsRegistry(),
                logger: Logger("test", level: .error))
        }
    }

    private static func events(of connector: PostgresConnector, count: Int) throws -> [SourceEvent] {
        var events: [SourceEvent] = []
        let deadline = SystemClock.monotonicNanoseconds() + 30_000_000_000
        while events.count < count, SystemClock.monotonicNanoseconds() < deadline {
            events += try connector.next(after: events.last?.position).events
        }
        return events
    }

    /// Writes a row for each number, some of them over others, each in a transaction of its own.
    ///
    /// - Returns: the events that come of it.
    func write(_ numbers: Range<Int>) throws -> [[UInt8]] {
        for number in numbers {
            try run(
                "INSERT INTO numbers VALUES (\(number % 11), \(number)) ON CONFLICT (id) DO UPDATE SET n = excluded.n")
        }
        let connector = try maker(otherSlot)()
        let events = try Self.events(of: connector, count: numbers.count)
        if let last = events.last { try connector.acknowledged(last.position) }
        // The end of the last transaction comes behind its change, and is confirmed then.
        for _ in 0..<20 { _ = try connector.next(after: events.last?.position) }
        return events.map(\.value)
    }
}
