import Bytes
import IndexTesting
import Postgres
import PostgresTesting
import Retrieval
import ServiceLifecycle
import Store
import Telemetry
import Testing

@testable import Indexer

/// What is kept of given answers, in the database itself.
@Suite struct AnswerBoundsTests {
    private let limit = 60_000
    private let now: Int64 = 1_800_000_000_000

    /// Answers `from..<to`, a second apart, of about `bytes` bytes each.
    private func fill(
        _ connection: PostgresConnection, _ numbers: Range<Int>, isAnonymous: Bool = true, bytes: Int = 1_000
    ) throws {
        try connection.script(
            """
            INSERT INTO answers (answer_id, question, created_at, generation, index_version, is_refused, request, reply,
                retrieved, bytes, is_anonymous)
            SELECT 'a' || n, 'q', to_timestamp(\(now / 1_000) - 10000000 + n), 1, 1, true, '{}', '{}', '[]', \(bytes),
                \(isAnonymous) FROM generate_series(\(numbers.lowerBound), \(numbers.upperBound - 1)) n
            """, timeoutMilliseconds: limit)
    }

    private func numbers(_ connection: PostgresConnection, _ condition: String = "true") throws -> [Int] {
        try connection.script(
            "SELECT substr(answer_id, 2)::int FROM answers WHERE \(condition) ORDER BY 1", timeoutMilliseconds: limit
        ).compactMap { $0.first.flatMap { $0 }.flatMap { Int($0) } }
    }

    private func tidy(_ store: SearchStore, _ bounds: AnswerBounds) throws -> Int64 {
        var sum: Int64 = 0
        while true {
            let removed = try store.tidyAnswers(bounds, nowMilliseconds: now, timeoutMilliseconds: limit)
            #expect(removed <= 10_000, "a step is bounded")
            if removed == 0 { return sum }
            sum += removed
        }
    }

    @Test func theOldestGoFirstByNumberAndBytes() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        try fill(connection, 0..<25_000)
        let store = fixture.store
        #expect(try tidy(store, AnswerBounds()) == 0, "without bounds nothing goes")
        // Down to fifteen sixteenths, so that the next answer does not make it due again.
        #expect(try tidy(store, AnswerBounds(rowsMax: 1_600)) == 23_500)
        #expect(try numbers(connection) == Array(23_500..<25_000))
        #expect(try tidy(store, AnswerBounds(bytesMax: 160_000)) == 1_350)
        #expect(try numbers(connection) == Array(24_850..<25_000))
        #expect(try tidy(store, AnswerBounds(rowsMax: 1_600, bytesMax: 160_000)) == 0)
        let seconds: Int64 = 10_000_000 - 24_900
        #expect(try tidy(store, AnswerBounds(retentionMilliseconds: seconds * 1_000)) == 50)
        #expect(try numbers(connection) == Array(24_900..<25_000))
        // While all fit none goes, and then many at once: finding them reads the whole index.
        let bounds = AnswerBounds(rowsMax: 1_600)
        try fill(connection, 25_000..<26_475)
        #expect(try tidy(store, bounds) == 0 && numbers(connection).count == 1_575)
        try fill(connection, 26_475..<26_476)
        #expect(try tidy(store, bounds) == 76 && numbers(connection) == Array(24_976..<26_476))
        try connection.script("DELETE FROM answers WHERE answer_id >= 'a25'", timeoutMilliseconds: limit)
        try fill(connection, 24_900..<24_976)
        // The indexer's way is the same.
        let removed = try fixture.writer.tidyAnswers(
            AnswerBounds(rowsMax: 1), nowMilliseconds: now, timeoutMilliseconds: limit)
        #expect(removed == 99)
        #expect(try numbers(connection) == [24_999])
    }

    /// Those who have no key may use all the room, but push nobody else out of his half.
    @Test func strangersPushOutNobody() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        let bounds = AnswerBounds(rowsMax: 160, bytesMax: 1_000_000)
        try fill(connection, 0..<70, isAnonymous: false)
        try fill(connection, 100..<2_100, isAnonymous: true)
        _ = try tidy(fixture.store, bounds)
        #expect(try numbers(connection, "NOT is_anonymous") == Array(0..<70), "older than all that went")
        #expect(try numbers(connection, "is_anonymous") == Array(2_020..<2_100))
        // Alone they have it all.
        try connection.script("DELETE FROM answers WHERE NOT is_anonymous", timeoutMilliseconds: limit)
        try fill(connection, 3_000..<4_000, isAnonymous: true)
        _ = try tidy(fixture.store, bounds)
        #expect(try numbers(connection) == Array(3_850..<4_000))
        // And people with keys push strangers out.
        try fill(connection, 5_000..<5_150, isAnonymous: false)
        _ = try tidy(fixture.store, bounds)
        #expect(try numbers(connection) == Array(5_000..<5_150))
        // By bytes alone, too.
        try fill(connection, 6_000..<6_100, isAnonymous: true, bytes: 50_000)
        _ = try tidy(fixture.store, AnswerBounds(bytesMax: 1_000_000))
        #expect(try numbers(connection, "NOT is_anonymous") == Array(5_000..<5_150))
        // Their half, and what the others leave.
        #expect(try numbers(connection, "is_anonymous") == Array(6_085..<6_100))
    }

    /// Several processes at once neither remove too much nor wait for one another for ever.
    @Test func severalMayTidyAtOnce() async throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect()
        try fill(connection, 0..<30_000)
        let bounds = AnswerBounds(rowsMax: 1_600, retentionMilliseconds: (10_000_000 - 5_000) * 1_000)
        let (configuration, now, limit) = (fixture.configuration, self.now, self.limit)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    let store = SearchStore(configuration: configuration)
                    for _ in 0..<6 {
                        _ = try store.tidyAnswers(bounds, nowMilliseconds: now, timeoutMilliseconds: limit)
                    }
                }
            }
            try await group.waitForAll()
        }
        _ = try tidy(fixture.store, bounds)
        #expect(try numbers(connection) == Array(28_500..<30_000))
    }

    /// Removing answers is one of the things that are due: where it fails, the others are done all the same.
    @Test func aFailureToRemoveHoldsUpNothingElse() async throws {
        let fixture = try IndexFixture()
        _ = try fixture.writer.write([IndexFixture.document(1, embedding: nil, model: "")], timeoutMilliseconds: limit)
        try fixture.connect().script(
            """
            DROP TABLE answers CASCADE;
            INSERT INTO generations VALUES (2, 1, 'pruned', '', '', now());
            UPDATE visibility SET generation = 2
            """, timeoutMilliseconds: limit)
        let metrics = MetricsRegistry()
        var configuration = IndexUpkeepConfiguration(database: fixture.configuration)
        configuration.answers = AnswerBounds(rowsMax: 1, retentionMilliseconds: 1)
        let service = IndexUpkeepService(
            configuration: configuration, metrics: metrics, logger: Logger("test", level: .error))
        let stop = StopSignal()
        let running = Task { try await service.run(stop: stop) }
        let failures = metrics.counter("medallion_index_upkeep_failures_total", help: "")
        for _ in 0..<6_000 {
            let rows = try fixture.connect().script("SELECT count(*) FROM documents", timeoutMilliseconds: limit)
            if rows == [["0"]], failures.value > 0 { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        stop.request()
        try await running.value
        #expect(failures.value == 1)
        #expect(
            try fixture.connect().script("SELECT count(*) FROM documents", timeoutMilliseconds: limit) == [["0"]])
    }

    /// Finding what is too much reads the index alone, not the answers.
    @Test func lookingReadsNoAnswer() throws {
        let fixture = try IndexFixture()
        let connection = try fixture.connect(SearchStore.sessionSettings())
        try fill(connection, 0..<2_000)
        try connection.script("VACUUM ANALYZE answers", timeoutMilliseconds: limit)
        let plan = try connection.script(
            """
            EXPLAIN SELECT row_number() OVER (ORDER BY created_at DESC, answer_id DESC), sum(bytes) OVER (
                PARTITION BY is_anonymous ORDER BY created_at DESC, answer_id DESC) FROM answers
            """, timeoutMilliseconds: limit
        ).compactMap { $0.first.flatMap { $0 } }.joined(separator: "\n")
        #expect(plan.contains("Index Only Scan") && plan.contains("answers_kept"), "\(plan)")
    }

    @Test func oneAnswerIsBounded() throws {
        let fixture = try IndexFixture()
        func answer(_ question: Int, _ request: Int, _ reply: Int, _ retrieved: Int) -> StoredAnswer {
            func json(_ count: Int) -> [UInt8] { Array("\"\(String(repeating: "x", count: max(0, count - 2)))\"".utf8) }
            return StoredAnswer(
                id: "a-1", question: String(repeating: "ü", count: question / 2), createdAtMilliseconds: now,
                generation: 1,
                indexVersion: 1, isRefused: true, requestJSON: json(request), replyJSON: json(reply),
                retrievedJSON: json(retrieved), isAnonymous: true)
        }
        let small = answer(10, 1_000, 50_000, 10_000)
        #expect(small.bounded() == small)
        let bytesMax = AnswerBounds.answerBytesMax
        for large in [
            answer(10, 1_000, 50_000, 100_000), answer(10, 500_000, 50_000, 0), answer(500_000, 10, 10, 10),
            answer(10, 10, 5_000_000, 10), answer(500_000, 500_000, 5_000_000, 500_000),
        ] {
            let bounded = large.bounded()
            #expect(bounded.bytes <= bytesMax && bounded.id == large.id && bounded.isAnonymous)
            #expect(large.question.hasPrefix(bounded.question))
        }
        #expect(answer(10, 1_000, 50_000, 100_000).bounded().replyJSON.count == 50_000, "the reply is the last to go")
        // What is left is JSON that the table takes, and read back as it was.
        let kept = answer(500_000, 500_000, 5_000_000, 500_000).bounded()
        let store = fixture.store
        try store.save(kept, timeoutMilliseconds: limit)
        #expect(try store.answer(id: "a-1", timeoutMilliseconds: limit) == kept)
        let rows = try fixture.connect().script("SELECT bytes FROM answers", timeoutMilliseconds: limit)
        #expect(rows == [["\(kept.bytes)"]])
    }
}
