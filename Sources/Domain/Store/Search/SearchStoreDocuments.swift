import Postgres
package import Records
package import Retrieval

/// A document as a generation shows it.
package struct ShownDocument: Sendable, Equatable {
    /// With its first passage.
    package var first: Candidate
    /// The texts of all passages, a JSON array; nil where they were not asked for.
    package var passagesJSON: [UInt8]?
    /// The index version that made it visible.
    package var fromVersion: Int64
}

/// Some documents of a collection, in the order of their ids' bytes.
package struct DocumentPage: Sendable, Equatable {
    package var documents: [ShownDocument]
    /// The id behind which the next page begins; nil where there is none.
    package var next: String?

    package init(documents: [ShownDocument], next: String?) {
        self.documents = documents
        self.next = next
    }
}

/// How much of a collection the active generation shows.
package struct CollectionSize: Sendable, Equatable {
    package var name: String
    package var documents: Int64
    /// Whether those are all: no more than ``DocumentPage/countedMax`` contents are looked at, of all collections together.
    package var isComplete: Bool
    /// As of the last count, which is some seconds behind.
    package var passages: Int64
}

extension DocumentPage {
    /// Documents of one page at most.
    package static let limitMax = 500
    /// Rows that one page walks at most, but for the contents of its last document: contents that are shown no more stand
    /// between the others until they are removed.
    static let rowsMax = 2_000
    /// Contents that are looked at to count the documents of a tenant's collections, the same number of each.
    package static let countedMax = 10_000
}

/// Documents by their ids, and what became of records that somebody waits for.
extension SearchStore {
    /// How many of these records of a topic partition the active generation shows documents of, or has shown.
    package func shownCount(
        of offsets: [Int64], in place: TopicPartition, tenant: TenantID, timeoutMilliseconds: Int
    ) throws -> Int {
        let counts = try run(
            CountShownRecords(tenant: tenant, place: place, offsets: offsets), for: tenant, timeoutMilliseconds)
        return Int(counts.first ?? 0)
    }

    /// A page of a collection's documents.
    ///
    /// - Parameter id: of the document behind which it begins; empty for the first page. Whatever is written meanwhile, no document
    ///   that stays comes twice or is left out.
    package func documents(
        of tenant: TenantID, collection: String, after id: String, limit: Int, timeoutMilliseconds: Int
    ) throws -> DocumentPage {
        let limit = max(1, min(limit, DocumentPage.limitMax))
        let rows = try run(
            ListDocuments(tenant: tenant, collection: collection, after: id, limit: limit + 1), for: tenant,
            timeoutMilliseconds)
        let found = rows.compactMap { $0.document }.sorted {
            $0.first.docID.utf8.lexicographicallyPrecedes($1.first.docID.utf8)
        }
        guard found.count > limit else {
            return DocumentPage(documents: found, next: rows.compactMap { $0.edge }.first)
        }
        let documents = Array(found.prefix(limit))
        return DocumentPage(documents: documents, next: documents.last?.first.docID)
    }

    /// A document with all of its passages; nil where the active generation shows none of that id.
    package func document(
        _ id: String, of tenant: TenantID, collection: String, timeoutMilliseconds: Int
    ) throws -> ShownDocument? {
        try run(FindDocument(tenant: tenant, collection: collection, id: id), for: tenant, timeoutMilliseconds).first
    }

    /// How much there is of each of these collections of a tenant that ever had a document.
    package func collectionSizes(
        of tenant: TenantID, names: [String], timeoutMilliseconds: Int
    ) throws -> [CollectionSize] {
        let most = max(1, DocumentPage.countedMax / max(1, names.count))
        return try run(CountCollections(tenant: tenant, names: names, most: most), for: tenant, timeoutMilliseconds)
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

/// What the statements on documents by their ids have in common.
private enum DocumentSQL {
    /// The row of a document `d` in the active generation, its collection and its first passage.
    static let shown = """
        CROSS JOIN LATERAL (
            SELECT * FROM visibility v
            WHERE v.document_id = d.id AND v.generation = (SELECT a.generation FROM active_generation a)
                AND v.tenant = $1 AND v.to_version IS NULL AND v.suppression IS NULL LIMIT 1
        ) g
        CROSS JOIN LATERAL (SELECT * FROM collections k WHERE k.id = d.collection_id LIMIT 1) k
        CROSS JOIN LATERAL (
            SELECT * FROM passages p WHERE p.document_id = d.id AND p.number = 0 LIMIT 1
        ) p
        """
    static let collection = "(SELECT c.id FROM collections c WHERE c.tenant = $1 AND c.name = $2)"
}

/// A page of documents. A bounded number of rows is walked in the order of their index; where they are used up before
/// enough documents were found, the last of them is the edge. All contents of the edge's document are walked, since the one
/// that is shown is mostly the last.
struct ListDocuments: PostgresStatement {
    static let name = "list_documents"
    static let sql = """
        WITH walked AS MATERIALIZED (
            SELECT o.id, o.doc_id FROM documents o
            WHERE o.collection_id = \(DocumentSQL.collection) AND o.tenant = $1 AND o.doc_id COLLATE "C" > $3
            ORDER BY o.collection_id, o.doc_id COLLATE "C" FETCH FIRST \(DocumentPage.rowsMax) ROWS WITH TIES
        ), found AS MATERIALIZED (
            SELECT \(SearchSQL.columns), g.from_version
            FROM walked w CROSS JOIN LATERAL (SELECT * FROM documents x WHERE x.id = w.id LIMIT 1) d
            \(DocumentSQL.shown)
            ORDER BY w.doc_id COLLATE "C" LIMIT $4
        ), edge AS MATERIALIZED (
            SELECT w.doc_id FROM walked w
            WHERE (SELECT count(*) FROM walked) >= \(DocumentPage.rowsMax) AND (SELECT count(*) FROM found) < $4
            ORDER BY w.doc_id COLLATE "C" DESC LIMIT 1
        )
        SELECT f.*, e.doc_id FROM (SELECT 1) one LEFT JOIN found f ON true LEFT JOIN edge e ON true
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .int8]
    let tenant: TenantID
    let collection: String
    let after: String
    let limit: Int

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(collection))
        parameters.append(IndexText.clean(after))
        parameters.append(Int64(limit))
    }

    static func decode(
        _ row: borrowing PostgresRow
    ) throws(PostgresError) -> (document: ShownDocument?, edge: String?) {
        let edge = try row.textOrNil(17)
        guard !row.isNull(0) else { return (nil, edge) }
        let first = try CandidateColumns.decode(row, from: 0)
        return (ShownDocument(first: first, fromVersion: try row.int64(16)), edge)
    }
}

/// A document by its id.
struct FindDocument: PostgresStatement {
    static let name = "find_document"
    static let sql = """
        SELECT \(SearchSQL.columns), g.from_version,
            (SELECT jsonb_agg(q.text ORDER BY q.number) FROM passages q WHERE q.document_id = d.id)
        FROM (
            SELECT * FROM documents o
            WHERE o.doc_id = $3 AND o.collection_id = \(DocumentSQL.collection) AND o.tenant = $1
        ) d
        \(DocumentSQL.shown)
        LIMIT 1
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text]
    let tenant: TenantID
    let collection: String
    let id: String

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(collection))
        parameters.append(IndexText.clean(id))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ShownDocument {
        ShownDocument(
            first: try CandidateColumns.decode(row, from: 0),
            passagesJSON: row.isNull(17) ? nil : try row.json(17), fromVersion: try row.int64(16))
    }
}

/// How much a generation shows of each of a tenant's collections.
struct CountCollections: PostgresStatement {
    static let name = "count_collections"
    static let sql = """
        SELECT c.name, n.documents, n.walked < $3, coalesce(t.passages, 0)
        FROM collections c
        LEFT JOIN collection_counts t
            ON t.collection_id = c.id AND t.generation = (SELECT a.generation FROM active_generation a)
        CROSS JOIN LATERAL (
            SELECT count(g.document_id) AS documents, count(*) AS walked
            FROM (
                SELECT o.id FROM documents o WHERE o.collection_id = c.id AND o.tenant = $1 LIMIT $3
            ) d
            LEFT JOIN LATERAL (
                SELECT v.document_id FROM visibility v
                WHERE v.document_id = d.id AND v.generation = (SELECT a.generation FROM active_generation a)
                    AND v.tenant = $1 AND v.to_version IS NULL AND v.suppression IS NULL LIMIT 1
            ) g ON true
        ) n
        WHERE c.tenant = $1 AND c.name = ANY($2::text[])
        ORDER BY c.name
        """
    static let parameterTypes: [PostgresType] = [.text, .textArray, .int8]
    let tenant: TenantID
    let names: [String]
    let most: Int

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(names.map { IndexText.clean($0) })
        parameters.append(Int64(most))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> CollectionSize {
        CollectionSize(
            name: try row.text(0), documents: try row.int64(1),
            isComplete: try row.bool(2), passages: try row.int64(3))
    }
}
