package import Postgres

/// What one index holds that another one should hold, too.
package enum IndexComparison {
    /// How two indexes, or two generations of one, compare.
    package struct Result: Sendable {
        package var rows = 0
        /// Of the vectors that are not equal in bytes; 1 where all are.
        package var worstCosine = 1.0
        /// The first few rows that differ, and every part that differs in its number of rows.
        package var lines: [String] = []

        /// The shape of a batch moves bf16, so vectors may differ by so much.
        package static let cosineMin = 0.9999
        static let linesMax = 20
    }

    /// The rows of a generation in a database.
    package struct Side: Sendable {
        let dsn: String
        let generation: Int64?

        /// - Parameter generation: what it shows now; nil for all rows, also of passages that no generation shows.
        package init(dsn: String, generation: Int64? = nil) {
            self.dsn = dsn
            self.generation = generation
        }
    }

    /// Every row equal but for its numbers, and for the generation's where one is named; vectors nearly so.
    package static func compare(found: Side, expected: Side) throws(PostgresError) -> Result {
        let left = try PostgresConnection(PostgresConfiguration(dsn: found.dsn), timeoutMilliseconds: 10_000)
        defer { left.close() }
        let right = try PostgresConnection(PostgresConfiguration(dsn: expected.dsn), timeoutMilliseconds: 10_000)
        defer { right.close() }
        var result = Result()
        // In parts, so that memory does not hold an index twice.
        for digit in "0123456789abcdef" {
            let there = try rows(left, found, part: digit)
            let wanted = try rows(right, expected, part: digit)
            result.rows += there.count
            if there.count != wanted.count {
                result.lines.append("part \(digit) has \(there.count) rows, expected \(wanted.count)")
            }
            compare(there, wanted, into: &result)
        }
        if result.worstCosine < Result.cosineMin { result.lines.append("a vector's cosine is \(result.worstCosine)") }
        return result
    }

    /// Walks both by their order, so that one missing row counts once.
    private static func compare(_ there: [[String]], _ wanted: [[String]], into result: inout Result) {
        var (i, j) = (0, 0)
        func note(_ line: String) { if result.lines.count < Result.linesMax { result.lines.append(line) } }
        while i < there.count || j < wanted.count {
            guard i < there.count else {
                note("missing: \(wanted[j].dropLast())")
                j += 1
                continue
            }
            guard j < wanted.count else {
                note("one too many: \(there[i].dropLast())")
                i += 1
                continue
            }
            let (row, other) = (there[i], wanted[j])
            if row.dropLast() == other.dropLast() {
                if row.last != other.last {
                    result.worstCosine = min(result.worstCosine, cosine(vector(row.last), vector(other.last)))
                }
                (i, j) = (i + 1, j + 1)
            } else if row[0] == other[0] && row[1] == other[1] {
                note("is \(row.dropLast()), expected \(other.dropLast())")
                (i, j) = (i + 1, j + 1)
            } else if (row[0] + row[1]).utf8.lexicographicallyPrecedes((other[0] + other[1]).utf8) {
                note("one too many: \(row.dropLast())")
                i += 1
            } else {
                note("missing: \(other.dropLast())")
                j += 1
            }
        }
    }

    /// Document and passage first, which the rows are ordered by; the vector last.
    private static func rows(
        _ connection: PostgresConnection, _ side: Side, part: Character
    ) throws(PostgresError) -> [[String]] {
        let numbers = side.generation == nil ? "g.generation, g.version" : "'-', '-'"
        let join = side.generation == nil ? "FULL JOIN" : "JOIN"
        let scope = side.generation.map { " AND g.generation = \($0) AND g.to_version IS NULL" } ?? ""
        return try connection.script(
            """
            SELECT p.doc_id, lpad(p.passage::text, 6, '0') AS place, p.content_hash, p.text_hash, p.model, p.tenant, p.collection, p.wiki,
                p.lang, p.type, p.namespace, p.user_name, p.is_bot, p.event_time, p.title, p.url, p.quality_flags,
                p.attributes, p.text, \(numbers), g.logic_version, g.lineage, g.source_topic, g.source_partition,
                g.source_offset, g.to_version IS NULL, encode(halfvec_send(p.embedding), 'hex')
            FROM generation_passages g \(join) passages p ON p.id = g.passage_id
            WHERE left(md5(p.doc_id), 1) = '\(part)'\(scope)
            ORDER BY p.doc_id COLLATE "C", p.passage, p.tenant, p.collection COLLATE "C", p.content_hash, p.model, g.generation, g.source_partition,
                g.source_offset
            """, timeoutMilliseconds: 120_000
        ).map { row in row.map { $0 ?? "NULL" } }
    }

    /// A halfvec as it is sent: two bytes of length, two unused, then IEEE 754 binary16 numbers, all big-endian.
    private static func vector(_ hex: String?) -> [Double] {
        let digits = Array((hex ?? "").utf8).map { $0 < 0x3A ? UInt16($0) &- 0x30 : UInt16($0) &- 0x57 }
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
