import Bytes
import Files
import JSONScan
import PlatformTesting
import Postgres
import PostgresTesting
import Sources
import Telemetry
import Testing

@testable import Ingest

/// A table, a connector that reads it, and a topic that keeps what arrives.
final class CaptureScene {
    let folder: TemporaryFolder
    /// For as long as this lives.
    let server: LogicalPostgres
    let dsn: String
    let sql: PostgresConnection
    var declaration: PostgresDeclaration
    var options: PostgresConnector.Options
    let metrics = MetricsRegistry()
    private var present: PostgresConnector?
    private var position: SourcePosition?
    private(set) var inFlight: [SourceEvent] = []
    /// In the order of arrival.
    private(set) var topic: [SourceEvent] = []

    /// - Parameter create: SQL that makes the table `things`.
    init(
        _ server: LogicalPostgres? = nil, create: String = "CREATE TABLE things (id int PRIMARY KEY, body text)"
    ) throws {
        folder = try TemporaryFolder(in: "/dev/shm")
        self.server = try server ?? LogicalPostgres.shared()
        dsn = try self.server.freshDatabase()
        sql = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: 10_000)
        let name = "slot_\(folder.path.utf8.suffix(6).reduce(into: "") { $0 += String($1, radix: 16) })"
        declaration = PostgresDeclaration(dsn: SecretURL(dsn), table: "things", slot: name, publication: name)
        options = PostgresConnector.Options(statePath: folder.file("state/postgres.json"))
        options.rowsMax = 7
        options.waitMilliseconds = 20
        // Others' transactions run on the server now and then.
        options.requestPauseMilliseconds = 20
        options.requestPauseMillisecondsMax = 40
        try run(create)
    }

    deinit {
        present = nil
        for _ in 0..<50 {
            let dropped = try? sql.script(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '\(declaration.slot)'",
                timeoutMilliseconds: 5_000)
            if dropped != nil { return }
        }
    }

    @discardableResult
    func run(_ text: String) throws -> [[String?]] { try sql.script(text, timeoutMilliseconds: 30_000) }

    func connector() throws -> PostgresConnector {
        if let present { return present }
        let made = try PostgresConnector(
            declaration, source: "things", options: options, metrics: metrics, logger: Logger("test", level: .error))
        present = made
        return made
    }

    /// One call of the connector.
    @discardableResult
    func step() throws -> Int {
        let batch = try connector().next(after: position)
        position = batch.events.last?.position ?? position ?? SourcePosition(token: [])
        inFlight += batch.events
        return batch.events.count
    }

    /// Has some of what is in flight arrive, and says so.
    func deliver(_ count: Int = .max) throws {
        let arrived = inFlight.prefix(count)
        guard let last = arrived.last else { return }
        topic += arrived
        inFlight.removeFirst(arrived.count)
        try connector().acknowledged(last.position)
    }

    /// Reads, with everything arriving, until the topic shows the table. A fault, as another server process that is just going, is
    /// waited for.
    func drain(seconds: Int = 60) throws {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
        var fault: (any Error)?
        while SystemClock.monotonicNanoseconds() < deadline {
            do {
                if try step() == 0, try shown() == table() { return }
                try deliver()
                fault = nil
            } catch { fault = error }
        }
        let words = try fault.map { "\($0)" } ?? "\(try shown()) for \(try table())"
        Issue.record("the topic does not show the table: \(words)")
        throw CaptureError("not drained")
    }

    /// The process ends without a word. Of what is in flight, the broker may have the first so many.
    func kill(arrived: Int = 0) throws {
        topic += inFlight.prefix(arrived)
        inFlight = []
        position = nil
        present = nil
    }

    func json(_ event: SourceEvent) throws -> JSONValue { try JSONValue.parse(event.value) }

    /// What the duplicate window lets through.
    var distinct: [SourceEvent] {
        var seen: Set<[UInt8]> = []
        return topic.filter { seen.insert($0.eventID).inserted }
    }

    /// What the index shows of events in whatever order: the highest version of each key counts.
    func shown() throws -> [String: String] { try Self.shown(distinct) }

    static func shown(_ events: [SourceEvent]) throws -> [String: String] {
        var rows: [String: (version: Int64, text: String?)] = [:]
        var floor: Int64 = 0
        for event in events where !event.isTombstone {
            let value = try JSONValue.parse(event.value)
            let version = try #require(value["source"]?["order"]?.integer)
            switch value["op"]?.string {
            case "t": floor = max(floor, version)
            case "d":
                let id = try #require(value["before"]?["id"]?.text)
                if version > rows[id]?.version ?? 0 { rows[id] = (version, nil) }
            default:
                let after = try #require(value["after"])
                let id = try #require(after["id"]?.text)
                #expect(version != rows[id]?.version, "two events of one key have one version")
                if version > rows[id]?.version ?? 0 { rows[id] = (version, after["body"]?.text ?? "") }
            }
        }
        return rows.compactMapValues { $0.version >= floor ? $0.text : nil }
    }

    /// The same of the table itself.
    func table() throws -> [String: String] {
        let rows = try run("SELECT to_jsonb(id)::text, coalesce(to_jsonb(body)::text, 'null') FROM things")
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] ?? "", $0[1] ?? "") })
    }

    /// Some changes that follow from the generator's state.
    func write(_ count: Int, _ random: inout SeededGenerator, ids: ClosedRange<Int> = 1...60) throws {
        for _ in 0..<count {
            let id = Int.random(in: ids, using: &random)
            let other = Int.random(in: ids, using: &random)
            let word = "w\(UInt32.random(in: 0...UInt32.max, using: &random))"
            let change: String
            switch Int.random(in: 0..<10, using: &random) {
            case 0...4:
                change =
                    "INSERT INTO things VALUES (\(id), '\(word)') ON CONFLICT (id) DO UPDATE SET body = excluded.body"
            case 5, 6: change = "DELETE FROM things WHERE id = \(id)"
            case 7:
                change =
                    "UPDATE things SET id = \(other) WHERE id = \(id) "
                    + "AND NOT EXISTS (SELECT FROM things WHERE id = \(other))"
            case 8: change = "UPDATE things SET body = body || '!' WHERE id % 3 = \(id % 3)"
            default:
                change =
                    "BEGIN; UPDATE things SET body = 'a' WHERE id = \(id); UPDATE things SET body = 'b' WHERE id = \(id); "
                    + "DELETE FROM things WHERE id = \(other); INSERT INTO things VALUES (\(other), '\(word)') "
                    + "ON CONFLICT DO NOTHING; COMMIT"
            }
            try run(change)
        }
    }
}
