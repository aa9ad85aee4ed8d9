import Bytes
import Concurrency
import Glibc
import IndexTesting
import Postgres
import Retrieval
import Synchronization
import Testing

@testable import Store

/// Statements end: at the server's own limit, when their call is stopped, and at the bound of an exact search.
@Suite struct SearchBoundTests {
    private let limit = IndexFixture.limit

    /// Makes every look at a passage take long, so that a search of any kind does.
    private func slowDown(_ fixture: IndexFixture, seconds: Double) throws {
        try fixture.connect().script(
            """
            CREATE FUNCTION slow_wiki(of_wiki text) RETURNS text LANGUAGE plpgsql VOLATILE COST 1 AS $$
            BEGIN PERFORM pg_sleep(\(seconds)); RETURN of_wiki; END $$;
            ALTER TABLE documents RENAME TO all_documents;
            CREATE VIEW documents AS
                SELECT id, key_id, tenant, collection_id, doc_id, content_hash, model_id, text_hash, title, url, lang,
                    event_time, slow_wiki(wiki) AS wiki, type, user_name, namespace, is_bot, attributes, quality_flags
                FROM all_documents;
            GRANT SELECT ON documents TO medallion_reader
            """, timeoutMilliseconds: limit)
    }

    private func filled(_ count: Int) throws -> (IndexFixture, [Float]) {
        let fixture = try IndexFixture()
        var generator = SeededGenerator(seed: 7)
        let vector = IndexFixture.vector(&generator)
        let documents = (0..<count).map {
            IndexFixture.document($0, embedding: IndexFixture.neighbour(of: vector, &generator))
        }
        _ = try fixture.writer.write(documents, timeoutMilliseconds: limit)
        return (fixture, vector)
    }

    @Test func aSearchThroughTheIndexAloneSaysThatItFoundFew() throws {
        let (fixture, vector) = try filled(30)
        let store = fixture.store
        var query = IndexFixture.query("number", vector: vector)
        query.vectorScan = .approximate
        let first = try store.candidates(for: query, timeoutMilliseconds: limit)
        #expect(first.isVectorArmShort)
        query.vectorScan = .exact
        let exact = try store.candidates(for: query, timeoutMilliseconds: limit)
        #expect(exact.nearest.count == 30 && !exact.isVectorArmShort)
        query.vectorScan = .automatic
        #expect(try store.candidates(for: query, timeoutMilliseconds: limit).nearest == exact.nearest)
    }

    /// The bound is the server's, so that the connection stays: another search goes on with it.
    @Test func anExactSearchEndsAtItsBoundAndKeepsTheConnection() throws {
        let (fixture, vector) = try filled(30)
        try slowDown(fixture, seconds: 0.2)
        let store = fixture.store
        let filter = try Filter(must: [.texts(.wiki, ["enwiki"])])
        var query = IndexFixture.query(vector: vector, filter: filter, lexicalLimit: 0)
        query.vectorScan = .exact
        let process = try backend(of: store)
        let error = #expect(throws: SearchBoundReached.self) {
            try store.candidates(for: query, timeoutMilliseconds: 300)
        }
        #expect(error?.milliseconds == 300)
        #expect(try backend(of: store) == process, "a new connection was made")
    }

    /// The process that serves a store's connection.
    private func backend(of store: SearchStore) throws -> Int32 {
        try store.backendProcessID(timeoutMilliseconds: limit)
    }

    @Test func aSearchThatIsStoppedEndsOnTheServerToo() throws {
        let (fixture, vector) = try filled(30)
        try slowDown(fixture, seconds: 2)
        let store = fixture.store
        let process = try backend(of: store)
        let interruption = try #require(store.interruption)
        let filter = try Filter(must: [.texts(.wiki, ["enwiki"])])
        let query = IndexFixture.query(vector: vector, filter: filter, lexicalLimit: 0)
        let isStopped = Mutex(false)
        let lane = Lane(name: "stopper")
        try lane.post {
            // Not before the statement runs.
            let watcher = try? fixture.connect()
            for _ in 0..<2_000 {
                let active = try? watcher?.script(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = \(process) AND state = 'active'",
                    timeoutMilliseconds: 10_000)
                if active?.isEmpty == false { break }
                usleep(5_000)
            }
            interruption.request()
            isStopped.withLock { $0 = true }
        }
        let error = #expect(throws: IndexError.self) { try store.candidates(for: query, timeoutMilliseconds: 50_000) }
        #expect(error?.underlying?.kind == .interrupted)
        #expect(isStopped.withLock { $0 })
        interruption.clear()
        // The same connection, and nothing is left of the request.
        #expect(try backend(of: store) == process)
        #expect(try store.status(timeoutMilliseconds: limit).generation == 1)
    }

    /// A request that nobody cleared away ends the next call; a cleared one does not.
    @Test func aRequestThatComesTooLateIsForgotten() throws {
        let fixture = try IndexFixture()
        let store = fixture.store
        let interruption = try #require(store.interruption)
        interruption.request()
        interruption.request()
        interruption.clear()
        #expect(try store.status(timeoutMilliseconds: limit).generation == 1)
        interruption.request()
        // It may end before it is stopped.
        _ = try? store.status(timeoutMilliseconds: limit)
        interruption.clear()
        #expect(try store.status(timeoutMilliseconds: limit).generation == 1)
    }
}
