import Bytes
import Concurrency
import Console
import Glibc
import HTTPClient
import JSONScan
import Postgres
import ServiceLifecycle
import Synchronization

/// How soon an update of a row is found, and a deleted row is not any more, while others change rows of the table.
struct CaptureFreshness {
    /// Of the table: those that change, and behind them those that are watched.
    static let busyRows = 4_000
    static let rows = busyRows + 1_000

    let server: SourceServer
    let api: String
    let seconds: Int
    let changesPerSecond: Int
    /// Of the changes.
    let textsPerSecond: Int

    private static let ticksPerSecond = 20
    private static let probes = 4
    private static let probeEveryMilliseconds: Int64 = 1_000
    private static let pollEveryMilliseconds = 10
    private static let patienceMilliseconds: Int64 = 20_000
    private static let limit = 10_000
    private static let settleSeconds = 10

    /// Milliseconds from the statement's start.
    struct Results: Sendable {
        var found = Sample()
        var gone = Sample()
        var lost = 0
        /// That were made, a second.
        var changes = 0.0
    }

    private final class Board: Sendable {
        let value = Mutex(Results())
    }

    func run() async throws -> Results {
        let (board, isOver) = (Board(), StopSignal())
        async let changes = Lane(name: "bench-change").run { try change(until: { isOver.isRequested }) }
        do {
            // What follows a snapshot, and caches and statistics, settle under the load that is measured.
            try await Task.sleep(for: .seconds(Self.settleSeconds))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for probe in 0..<Self.probes {
                    group.addTask { try await Lane(name: "probe-\(probe)").run { try watch(probe, board) } }
                }
                try await group.waitForAll()
            }
            isOver.request()
        } catch {
            isOver.request()
            throw error
        }
        let made = try await changes
        return board.value.withLock {
            $0.changes = made
            return $0
        }
    }

    /// Changes rows at an even pace.
    ///
    /// - Returns: changes a second.
    private func change(until isOver: () -> Bool) throws -> Double {
        let connection = try server.connect()
        defer { connection.close() }
        var random = SeededGenerator(seed: 3)
        let (each, texts) = (changesPerSecond / Self.ticksPerSecond, textsPerSecond / Self.ticksPerSecond)
        let start = SystemClock.monotonicNanoseconds()
        var ticks = 0
        while !isOver() {
            let due = start + Int64(ticks) * 1_000_000_000 / Int64(Self.ticksPerSecond)
            Pause.milliseconds(Int(max(0, (due - SystemClock.monotonicNanoseconds()) / 1_000_000)))
            let first = Int.random(in: 1...Self.busyRows - each, using: &random)
            try connection.script(
                """
                BEGIN;
                UPDATE things SET stock = stock + 1, changed_at = now() WHERE id BETWEEN \(first + texts) AND \(first + each - 1);
                UPDATE things SET body = concat_ws(' ', 'kettle', md5(id::text || now()::text), 'changed in',
                    md5(now()::text || id::text), 'again'), changed_at = now() WHERE id BETWEEN \(first) AND \(first + texts - 1);
                COMMIT
                """, operation: "change", timeoutMilliseconds: Self.limit)
            ticks += 1
        }
        return Double(ticks * each) / (Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
    }

    private func watch(_ probe: Int, _ board: Board) throws {
        let connection = try server.connect()
        defer { connection.close() }
        let client = HTTPClient()
        let start = Self.now()
        let spacing = Self.probeEveryMilliseconds / Int64(Self.probes)
        var number = probe
        while Int64(number) * spacing < Int64(seconds) * 1_000 {
            let due = start + Int64(number) * spacing
            Pause.milliseconds(Int(max(0, due - Self.now())))
            let (row, word) = (Self.busyRows + 1 + number % (Self.rows - Self.busyRows), "probe\(number)word")
            let updated = try time(
                "UPDATE things SET body = 'a kettle of \(word)', changed_at = now() WHERE id = \(row)", connection
            ) { try found(word, client) }
            // What is not seen in time counts as long as it was waited for.
            board.value.withLock { results in
                results.found.add(updated ?? Double(Self.patienceMilliseconds))
                if updated == nil { results.lost += 1 }
            }
            if updated != nil {
                let deleted = try time("DELETE FROM things WHERE id = \(row)", connection) { try isGone(word, client) }
                board.value.withLock { results in
                    results.gone.add(deleted ?? Double(Self.patienceMilliseconds))
                    if deleted == nil { results.lost += 1 }
                }
            }
            number += Self.probes
        }
    }

    /// Milliseconds from a statement's start until something is so; nil where it takes too long.
    private func time(_ sql: String, _ connection: PostgresConnection, _ isSo: () throws -> Bool) throws -> Double? {
        let start = SystemClock.monotonicNanoseconds()
        try connection.script(sql, operation: "probe", timeoutMilliseconds: Self.limit)
        while try !isSo() {
            let elapsed = (SystemClock.monotonicNanoseconds() - start) / 1_000_000
            guard elapsed < Self.patienceMilliseconds else { return nil }
            // What takes long is asked for less often: polling must not become the load that it measures.
            Pause.milliseconds(max(Self.pollEveryMilliseconds, Int(elapsed) / 20))
        }
        return Double(SystemClock.monotonicNanoseconds() - start) / 1e6
    }

    private func found(_ word: String, _ client: HTTPClient) throws -> Bool {
        try Self.hits(word, api, client).map { $0 > 0 } ?? false
    }

    private func isGone(_ word: String, _ client: HTTPClient) throws -> Bool {
        try Self.hits(word, api, client).map { $0 == 0 } ?? false
    }

    /// Hits of a word; nil where the API does not answer.
    static func hits(_ word: String, _ api: String, _ client: HTTPClient) throws -> Int? {
        var json = JSONWriter()
        json.beginObject()
        json.string("query", word)
        json.string("mode", "lexical")
        json.integer("top_k", 3)
        json.endObject()
        let request = HTTPClientRequest(
            method: "POST", url: api + "/search",
            // A kept reply may be a second old, as declared; what is asked here is the index.
            headers: [("Content-Type", "application/json"), ("Cache-Control", "no-cache")], body: json.bytes)
        guard let reply = try? client.request(request, timeoutMilliseconds: limit), reply.status == 200 else {
            return nil
        }
        return try JSONValue.parse(reply.body, maxDepth: 64)["hits"]?.array?.count
    }

    private static func now() -> Int64 { SystemClock.monotonicNanoseconds() / 1_000_000 }
}
