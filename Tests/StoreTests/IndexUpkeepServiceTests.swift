import IndexTesting
import Indexer
import Postgres
import Records
import ServiceLifecycle
import Store
import Telemetry
import Testing

/// A stop ends what upkeep waits for, however long that would take on the server.
@Suite(.timeLimit(.minutes(2))) struct IndexUpkeepServiceTests {
    private let limit = IndexFixture.limit

    @Test func aStopCancelsTheBuildingOfAGraph() async throws {
        let fixture = try IndexFixture()
        let vector = [Float](repeating: 0, count: 383) + [1]
        _ = try fixture.writer.write([IndexFixture.document(1, embedding: vector)], timeoutMilliseconds: limit)
        // A concurrent build waits for this transaction. The server ends it at last, so that a stop that waits for it is seen.
        let holder = try fixture.connect([("idle_in_transaction_session_timeout", "30000")])
        try holder.script("BEGIN", timeoutMilliseconds: limit)
        try holder.script("LOCK TABLE vectors_1_t1 IN ROW EXCLUSIVE MODE", timeoutMilliseconds: limit)
        let metrics = MetricsRegistry()
        var configuration = IndexUpkeepConfiguration(database: fixture.configuration)
        configuration.graph = VectorGraph(m: 24, efConstruction: 96)
        let service = IndexUpkeepService(
            configuration: configuration, metrics: metrics, logger: Logger("test", level: .error))
        let stop = StopSignal()
        let running = Task { try await service.run(stop: stop) }
        let watcher = try fixture.connect()
        func count(_ what: String) throws -> String? {
            try watcher.script("SELECT count(*) FROM \(what)", timeoutMilliseconds: limit).first?.first ?? nil
        }
        let builds =
            "pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%' "
            + "AND state = 'active' AND wait_event_type = 'Lock'"
        while try count(builds) == "0" { try await Task.sleep(for: .milliseconds(10)) }
        stop.request()
        try await running.value
        let locks = "pg_locks WHERE relation = 'vectors_1_t1'::regclass AND mode = 'RowExclusiveLock'"
        #expect(try count(locks) == "1", "the stop has waited for the lock")
        while try count(builds) != "0" { try await Task.sleep(for: .milliseconds(10)) }
        #expect(metrics.counter("medallion_index_upkeep_failures_total", help: "").value == 0)
        // The next start builds it.
        try holder.script("ROLLBACK", timeoutMilliseconds: limit)
        let upkeep = IndexUpkeep(configuration: fixture.configuration)
        #expect(
            try upkeep.buildGraphs(configuration.graph, timeoutMilliseconds: limit) == ["vectors_1_t1_hnsw_24_96"])
    }

    @Test func whatWaitsIsLinkedBesideTheWrites() async throws {
        let fixture = try IndexFixture()
        let metrics = MetricsRegistry()
        let service = IndexUpkeepService(
            configuration: IndexUpkeepConfiguration(database: fixture.configuration), metrics: metrics,
            logger: Logger("test", level: .error))
        let stop = StopSignal()
        let running = Task { try await service.run(stop: stop) }
        for start in stride(from: 0, to: 60, by: 20) {
            let documents = (start..<start + 20).map { number in
                IndexFixture.document(number, embedding: (0..<384).map { $0 == number ? 1 : 0.01 })
            }
            _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
            while try fixture.waitingVectors() > 0 { try await Task.sleep(for: .milliseconds(10)) }
        }
        // What it linked is counted once the step has ended.
        let linked = metrics.counter("medallion_index_linked_vectors_total", help: "")
        while linked.value < 60 { try await Task.sleep(for: .milliseconds(10)) }
        stop.request()
        try await running.value
        #expect(linked.value == 60)
        #expect(metrics.counter("medallion_index_upkeep_failures_total", help: "").value == 0)
        let rows = try fixture.connect().script("SELECT count(*) FROM vectors_1_t1", timeoutMilliseconds: limit)
        #expect(rows == [["60"]])
    }
}
