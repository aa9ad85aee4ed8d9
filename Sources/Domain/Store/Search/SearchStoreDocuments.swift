import Postgres
package import Records

/// What became of records that somebody waits for.
extension SearchStore {
    /// How many of these records of a topic partition the active generation shows documents of, or has shown.
    package func shownCount(
        of offsets: [Int64], in place: TopicPartition, tenant: TenantID, timeoutMilliseconds: Int
    ) throws -> Int {
        let counts = try run(
            CountShownRecords(tenant: tenant, place: place, offsets: offsets), for: tenant, timeoutMilliseconds)
        return Int(counts.first ?? 0)
    }
}

/// How many of some records have documents in the active generation.
struct CountShownRecords: PostgresStatement {
    static let name = "count_shown_records"
    static let sql = """
        SELECT count(*) FROM unnest($4::bigint[]) AS o(source_offset)
        WHERE EXISTS (
            SELECT FROM visibility g
            WHERE g.generation = (SELECT a.generation FROM active_generation a) AND g.source_topic = $2
                AND g.source_partition = $3 AND g.source_offset = o.source_offset AND g.tenant = $1
                AND g.suppression IS NULL)
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .int4, .int8Array]
    let tenant: TenantID
    let place: TopicPartition
    let offsets: [Int64]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(place.topic))
        parameters.append(place.partition)
        parameters.append(offsets)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Int64 { try row.int64(0) }
}
