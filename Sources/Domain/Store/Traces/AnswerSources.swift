import Postgres
package import Records

/// A document that an answer was made of, as the answer's generation showed it then.
package struct AnswerSource: Sendable, Equatable {
    /// What the answer kept of it; answers of former versions kept nothing.
    package struct Seen: Sendable, Equatable {
        package var version: Int64
        package var contentHash: String
        /// Where the Bronze record lies that it was made from.
        package var source: TopicPartition
        package var sourceOffset: Int64
        /// The index version that made it visible.
        package var fromVersion: Int64
        package var times: IndexedTimes
    }

    /// The document's collection and id.
    package var collection: String, docID: String
    /// Whether a sentence cites it; else it was only looked at.
    package var isCited: Bool
    package var seen: Seen?
}

enum AnswerSourceSQL {
    /// What an answer's generation and index version showed of the document `d`, by the key and the history of the index: one row, or none
    /// where it went meanwhile. Within a statement whose $4 and $5 are generation and index version, and $12 the tenant.
    static let seen = """
        SELECT g.version, o.content_hash, g.source_topic, g.source_partition, g.source_offset, g.from_version,
            g.lineage #>> '{parents,0,event_id}' AS event_id, v.embedded_at, g.shown_at, v.searchable_at
        FROM documents o
        JOIN collections c ON c.id = o.collection_id
        JOIN visibility g ON g.document_id = o.id
        LEFT JOIN index_versions v ON v.version = g.from_version
        WHERE o.doc_id = d.doc_id AND o.tenant = $12 AND c.name = d.collection AND g.generation = $4
            AND g.from_version <= $5 AND (g.to_version IS NULL OR g.to_version > $5)
        LIMIT 1
        """
}

/// The documents that an answer was made of.
struct ReadAnswerSources: PostgresStatement {
    static let name = "read_answer_sources"
    static let sql = """
        SELECT a.collection, a.doc_id, a.is_cited, a.version, a.content_hash, a.source_topic, a.source_partition, a.source_offset,
            a.from_version, a.embedded_at, a.indexed_at, coalesce(a.searchable_at, v.searchable_at)
        FROM answer_documents a LEFT JOIN index_versions v ON v.version = a.from_version WHERE a.answer_id = $1 AND a.tenant = $2
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerSource {
        var found = AnswerSource(
            collection: try row.text(0), docID: try row.text(1), isCited: try row.bool(2), seen: nil)
        guard !row.isNull(5) else { return found }
        found.seen = AnswerSource.Seen(
            version: try row.int64(3), contentHash: try row.text(4),
            source: TopicPartition(topic: try row.text(5), partition: try row.int32(6)), sourceOffset: try row.int64(7),
            fromVersion: try row.int64(8),
            times: IndexedTimes(
                embeddedMilliseconds: try row.timestampMillisecondsOrNil(9),
                indexedMilliseconds: try row.timestampMillisecondsOrNil(10),
                searchableMilliseconds: try row.timestampMillisecondsOrNil(11)))
        return found
    }
}

extension SearchStore {
    /// The documents that a tenant's answer was made of, in any order.
    package func sources(
        ofAnswer id: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> [AnswerSource] {
        try run(ReadAnswerSources(id: id, tenant: tenant), for: tenant, timeoutMilliseconds)
    }
}
