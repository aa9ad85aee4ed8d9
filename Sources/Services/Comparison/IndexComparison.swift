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

    /// The vectors of all models, of which each has tables of its own.
    private static func vectors(_ connection: PostgresConnection) throws(PostgresError) -> String {
        let models = try connection.script("SELECT id FROM models ORDER BY id", timeoutMilliseconds: 10_000)
        let tables = models.compactMap { row in row.first.flatMap(\.self).flatMap { Int32($0) } }
        guard !tables.isEmpty else { return "SELECT NULL::bigint AS id, NULL::halfvec AS embedding WHERE false" }
        return tables.map { "SELECT id, embedding::halfvec FROM vectors_\($0)" }.joined(separator: " UNION ALL ")
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
            SELECT d.doc_id, lpad(p.number::text, 6, '0') AS place, d.content_hash, p.passage_hash, coalesce(m.name, ''), d.tenant,
                k.name, d.wiki, d.lang, d.type, d.namespace, d.user_name, d.is_bot, d.event_time, d.title, d.url,
                d.quality_flags, d.attributes, p.text, \(numbers), g.lineage, g.source_topic, g.source_partition,
                g.source_offset, g.to_version IS NULL, encode(halfvec_send(v.embedding), 'hex')
            FROM visibility g \(join) documents d ON d.id = g.document_id
            LEFT JOIN passages p ON p.document_id = d.id
            LEFT JOIN collections k ON k.id = d.collection_id
            LEFT JOIN models m ON m.id = d.model_id
            LEFT JOIN (\(try vectors(connection))) v ON v.id = p.vector_id
            WHERE left(md5(d.doc_id), 1) = '\(part)'\(scope)
            ORDER BY d.doc_id COLLATE "C", p.number, d.tenant, k.name COLLATE "C", d.content_hash, m.name, g.generation,
                g.source_partition, g.source_offset
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
