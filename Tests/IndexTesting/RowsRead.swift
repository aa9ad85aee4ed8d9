import Bytes
import JSONScan
package import Postgres
import Testing

/// What a prepared statement's plan reads.
package enum RowsRead {
    /// Rows that the scans of a plan touched: what they gave and what they and the joins above threw away, over all their loops.
    ///
    /// - Parameters:
    ///   - statement: the name of a prepared one.
    ///   - values: of its parameters, as SQL.
    package static func count(_ connection: PostgresConnection, _ statement: String, _ values: String) throws -> Int {
        let text = try connection.script(
            "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE \(statement)(\(values))", timeoutMilliseconds: IndexFixture.limit)
        let plan = try JSONValue.parse(Array((text.first?.first.flatMap { $0 } ?? "").utf8), maxDepth: 200)
        let result = rows(plan.array?.first?["Plan"])
        #expect(result > 0, "\(statement)")
        return result
    }

    private static func number(_ value: JSONValue?) -> Double { value?.double ?? Double(value?.integer ?? 0) }

    private static func rows(_ node: JSONValue?) -> Int {
        guard let node else { return 0 }
        var touched = number(node["Rows Removed by Filter"]) + number(node["Rows Removed by Index Recheck"])
        touched += number(node["Rows Removed by Join Filter"])
        if node["Relation Name"] != nil { touched += number(node["Actual Rows"]) }
        let own = Int((touched * number(node["Actual Loops"])).rounded())
        return (node["Plans"]?.array ?? []).reduce(own) { $0 + rows($1) }
    }
}
