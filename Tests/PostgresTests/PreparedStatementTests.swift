import PostgresTesting
import Testing

@testable import Postgres

/// One of many statements that differ by their text, as searches do.
private struct Numbered: PostgresStatement {
    static let name = "numbered"
    static let sql = "SELECT 0::int8"
    static let parameterTypes: [PostgresType] = []
    let number: Int
    var text: StatementText {
        StatementText(name: "\(Self.name)_\(number)", sql: "SELECT \(number)::int8", types: [])
    }
    func bind(into parameters: inout PostgresParameters) {}
    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}

private struct Failing: PostgresStatement {
    static let name = "failing"
    static let sql = "SELECT 1 / (SELECT 0)"
    static let parameterTypes: [PostgresType] = []
    func bind(into parameters: inout PostgresParameters) {}
}

/// However many statements a session runs, it keeps so many prepared.
@Suite struct PreparedStatementTests {
    private let limit = 30_000

    private func prepared(_ connection: PostgresConnection) throws -> Set<String> {
        Set(
            try connection.script("SELECT name FROM pg_prepared_statements", timeoutMilliseconds: limit)
                .compactMap { $0[0] })
    }

    @Test func theOnesOfLongAgoMakeRoom() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        for number in 0..<200 {
            #expect(try connection.run(Numbered(number: number), timeoutMilliseconds: limit) == [Int64(number)])
            // Used again and again, so that it stays.
            #expect(try connection.run(Numbered(number: 0), timeoutMilliseconds: limit) == [0])
        }
        let kept = try prepared(connection)
        #expect(kept.count <= PreparedStatements.countMax && kept.count > PreparedStatements.countMax / 2)
        #expect(kept.isSuperset(of: (180..<200).map { "numbered_\($0)" } + ["numbered_0"]))
        // What went comes back.
        for number in 1..<100 {
            #expect(try connection.run(Numbered(number: number), timeoutMilliseconds: limit) == [Int64(number)])
        }
        #expect(try prepared(connection).count <= PreparedStatements.countMax)
    }

    /// A batch of more than are kept runs, and so does what comes after one that failed, or within a transaction.
    @Test func aBatchKeepsItsOwn() throws {
        let dsn = try SharedPostgres.freshDatabase()
        let connection = try PostgresConnection(PostgresConfiguration(dsn: dsn), timeoutMilliseconds: limit)
        var batch = PostgresBatch()
        let slots = (0..<100).map { batch.add(Numbered(number: $0)) }
        for _ in 0..<2 {
            let results = try connection.run(batch, timeoutMilliseconds: limit)
            #expect(try slots.map { try results.rows($0)[0] } == (0..<100).map { Int64($0) })
        }
        #expect(try connection.run(Numbered(number: 500), timeoutMilliseconds: limit) == [500])
        #expect(try prepared(connection).count <= PreparedStatements.countMax)
        for number in 600..<640 {
            var failing = PostgresBatch()
            failing.add(Failing())
            failing.add(Numbered(number: number))
            #expect(throws: PostgresError.self) { try connection.run(failing, timeoutMilliseconds: limit) }
            let rows = try connection.transaction(timeoutMilliseconds: limit) {
                try connection.run(Numbered(number: number + 100), timeoutMilliseconds: limit)
            }
            #expect(rows == [Int64(number + 100)])
        }
        for number in 600..<640 {
            #expect(try connection.run(Numbered(number: number), timeoutMilliseconds: limit) == [Int64(number)])
        }
        #expect(try prepared(connection).count <= PreparedStatements.countMax)
    }
}
