import CPostgres

/// Statements that travel together: one round trip, one transaction (all or nothing).
///
/// The caller bounds it; a few thousand statements or some megabytes of values are a good upper end, since all of it
/// is held in memory until sent.
package struct PostgresBatch {
    struct Entry {
        let name: String
        let sql: String
        let types: [PostgresType]
        let parameters: PostgresParameters
    }

    private(set) var entries: [Entry] = []

    package init() {}

    /// How many statements it holds.
    package var count: Int { entries.count }

    /// Adds a statement; the slot finds its result afterwards.
    @discardableResult
    package mutating func add<S: PostgresStatement>(_ statement: S) -> PostgresSlot<S> {
        var parameters = PostgresParameters()
        statement.bind(into: &parameters)
        let text = statement.text
        entries.append(Entry(name: text.name, sql: text.sql, types: text.types, parameters: parameters))
        return PostgresSlot(index: entries.count - 1)
    }
}

extension PostgresBatch {
    /// Adds the other batch's statements; its slots then find theirs ``PostgresResults/removeFirst()`` later.
    mutating func add(contentsOf other: PostgresBatch) {
        entries += other.entries
    }
}

/// The place of one statement's result among those of its batch.
package struct PostgresSlot<S: PostgresStatement>: Sendable {
    let index: Int
}

/// The results of a batch, in C memory that is freed with this object. Confined to the connection's thread.
package final class PostgresResults {
    private var results: [OpaquePointer] = []
    private var names: [String]
    private let server: String

    init(names: [String], server: String) {
        self.names = names
        self.server = server
    }

    deinit {
        for result in results { PQclear(result) }
    }

    /// Takes ownership.
    func append(_ result: OpaquePointer) {
        results.append(result)
    }

    /// Leaves out the first result, so that slots of the batch behind it fit.
    func removeFirst() {
        guard !results.isEmpty, !names.isEmpty else { return }
        PQclear(results.removeFirst())
        names.removeFirst()
    }

    /// All rows of one statement, decoded.
    package func rows<S: PostgresStatement>(_ slot: PostgresSlot<S>) throws(PostgresError) -> [S.Row] {
        let result = try result(at: slot.index)
        var rows: [S.Row] = []
        let count = PQntuples(result)
        rows.reserveCapacity(Int(count))
        for index in 0..<count {
            rows.append(
                try S.decode(PostgresRow(result: result, index: index, statement: S.name, server: server)))
        }
        return rows
    }

    /// Rows inserted, updated, deleted or selected by one statement.
    package func affected<S: PostgresStatement>(_ slot: PostgresSlot<S>) throws(PostgresError) -> Int {
        let text = String(cString: PQcmdTuples(try result(at: slot.index)))
        return Int(text) ?? 0
    }

    private func result(at index: Int) throws(PostgresError) -> OpaquePointer {
        guard results.indices.contains(index), names.indices.contains(index) else {
            throw PostgresError(
                kind: .usage, operation: "batch", server: server, message: "no result at place \(index)")
        }
        return results[index]
    }
}
