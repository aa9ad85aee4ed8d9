import Postgres
package import Records
package import Retrieval

/// What the statements below have in common: contents `d` with their rows of visibility `g`, one row for each generation that shows or
/// showed them. What is suppressed is left out here, too, for deployments whose searches have no role of their own; the texts
/// that show it are for the session of the database's own user alone, since no policy lets the role of searches see it.
private enum ImpactSQL {
    static let columns = """
        c.name, d.doc_id, d.title, d.content_hash, g.generation, g.version, g.from_version, g.to_version, g.source_topic,
        g.source_partition, g.source_offset, (SELECT array_agg(p.id) FROM passages p WHERE p.document_id = d.id),
        g.suppression IS NOT NULL
        """
    private static let condition = " AND g.suppression IS NULL"

    /// A statement's text, with what is suppressed where that is wanted.
    static func text(_ name: String, _ sql: String, _ types: [PostgresType], _ showsSuppressed: Bool) -> StatementText {
        guard showsSuppressed else { return StatementText(name: name, sql: sql, types: types) }
        return StatementText(name: "\(name)_whole", sql: sql.replacing(condition, with: ""), types: types)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ImpactDocument {
        ImpactDocument(
            collection: try row.text(0), docID: try row.text(1), title: try row.text(2), contentHash: try row.text(3),
            generation: try row.int64(4), version: try row.int64(5), fromVersion: try row.int64(6),
            toVersion: try row.int64OrNil(7),
            source: TopicPartition(topic: try row.text(8), partition: try row.int32(9)),
            sourceOffset: try row.int64(10),
            passageIDs: row.isNull(11) ? [] : try row.int64s(11), isSuppressed: try row.bool(12))
    }
}

/// The documents that were made from one record, in every generation.
struct FindDocumentsOfRecord: PostgresStatement {
    static let name = "find_documents_of_record"
    static let sql = """
        SELECT \(ImpactSQL.columns)
        FROM generations n
        JOIN visibility g ON g.generation = n.generation AND g.source_topic = $2 AND g.source_partition = $3
            AND g.source_offset = $4
        JOIN documents d ON d.id = g.document_id
        JOIN collections c ON c.id = d.collection_id
        WHERE g.tenant = $1 AND d.tenant = $1 AND g.suppression IS NULL LIMIT $5
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .int4, .int8, .int8]
    let tenant: TenantID
    let source: TopicPartition
    let offset: Int64
    let limit: Int64
    let showsSuppressed: Bool

    var text: StatementText { ImpactSQL.text(Self.name, Self.sql, Self.parameterTypes, showsSuppressed) }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(source.topic))
        parameters.append(source.partition)
        parameters.append(offset)
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ImpactDocument {
        try ImpactSQL.decode(row)
    }
}

/// The same of the records of an event.
struct FindDocumentsOfEvent: PostgresStatement {
    static let name = "find_documents_of_event"
    static let sql = """
        SELECT \(ImpactSQL.columns)
        FROM (SELECT DISTINCT source_topic, source_partition, source_offset FROM medallion_places_of_event($2, $3)) e
        CROSS JOIN generations n
        JOIN visibility g ON g.generation = n.generation AND g.source_topic = e.source_topic
            AND g.source_partition = e.source_partition AND g.source_offset = e.source_offset
        JOIN documents d ON d.id = g.document_id
        JOIN collections c ON c.id = d.collection_id
        WHERE g.tenant = $1 AND d.tenant = $1 AND g.suppression IS NULL LIMIT $3
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .int4]
    let tenant: TenantID
    let eventID: String
    let limit: Int32
    let showsSuppressed: Bool

    var text: StatementText { ImpactSQL.text(Self.name, Self.sql, Self.parameterTypes, showsSuppressed) }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(eventID))
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ImpactDocument {
        try ImpactSQL.decode(row)
    }
}

/// The documents of a title or of a user, the newest contents first, in every generation.
///
/// The length stands in the condition so that the index, which leaves long ones out, may be used.
struct FindDocumentsNamed: PostgresStatement {
    /// What they are found by.
    enum Column: String, CaseIterable {
        case title, user = "user_name"
    }

    static let name = "find_documents_named"
    static let sql = make(.title)
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .text, .int8]
    let column: Column
    let tenant: TenantID
    let value: String
    /// Nil for any.
    let collection: String?, wiki: String?
    let limit: Int64
    let showsSuppressed: Bool

    var text: StatementText {
        ImpactSQL.text("\(Self.name)_\(column)", Self.make(column), Self.parameterTypes, showsSuppressed)
    }

    private static func make(_ column: Column) -> String {
        """
        SELECT \(ImpactSQL.columns)
        FROM collections c
        CROSS JOIN LATERAL (
            SELECT o.id, o.doc_id, o.title, o.content_hash FROM documents o
            WHERE o.\(column.rawValue) = $2 AND octet_length(o.\(column.rawValue)) <= 1024 AND o.collection_id = c.id
                AND o.tenant = $1 AND ($4::text IS NULL OR o.wiki = $4)
            ORDER BY o.\(column.rawValue) DESC, o.collection_id DESC, o.id DESC LIMIT $5) d
        JOIN visibility g ON g.document_id = d.id AND g.suppression IS NULL
        WHERE c.tenant = $1 AND ($3::text IS NULL OR c.name = $3) LIMIT $5
        """
    }

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(IndexText.clean(value))
        parameters.append(collection.map { IndexText.clean($0) })
        parameters.append(wiki.map { IndexText.clean($0) })
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ImpactDocument {
        try ImpactSQL.decode(row)
    }
}

/// The answers that were made of records or of an event, and of what former versions kept no record of, by the documents' names.
struct FindAnswersTouched: PostgresStatement {
    static let name = "find_answers_touched"
    static let sql = """
        SELECT s.answer_id, a.question, s.created_at, a.generation, a.hits, s.collection, s.doc_id, s.is_cited, s.is_exact
        FROM (
            (SELECT f.answer_id, f.created_at, f.collection, f.doc_id, f.is_cited, true AS is_exact
            FROM unnest($2, $3, $4) AS r(topic, partition, record)
            CROSS JOIN LATERAL (
                SELECT x.answer_id, x.created_at, x.collection, x.doc_id, x.is_cited FROM answer_documents x
                WHERE x.source_topic = r.topic AND x.source_partition = r.partition AND x.source_offset = r.record
                    AND x.tenant = $1
                ORDER BY x.created_at DESC, x.answer_id LIMIT $8) f)
            UNION
            (SELECT x.answer_id, x.created_at, x.collection, x.doc_id, x.is_cited, true FROM answer_documents x
            WHERE x.event_id = $7 AND octet_length(x.event_id) <= 1024 AND x.tenant = $1
            ORDER BY x.created_at DESC, x.answer_id LIMIT $8)
            UNION
            (SELECT f.answer_id, f.created_at, f.collection, f.doc_id, f.is_cited, false
            FROM unnest($5, $6) AS d(collection, doc_id)
            CROSS JOIN LATERAL (
                SELECT x.answer_id, x.created_at, x.collection, x.doc_id, x.is_cited FROM answer_documents x
                WHERE x.doc_id = d.doc_id AND x.collection = d.collection AND x.tenant = $1 AND x.source_topic IS NULL
                ORDER BY x.created_at DESC, x.answer_id LIMIT $8) f)
        ) s
        JOIN answers a ON a.answer_id = s.answer_id AND a.tenant = $1
        ORDER BY s.created_at DESC, s.answer_id, s.doc_id LIMIT $8
        """
    static let parameterTypes: [PostgresType] = [
        .text, .textArray, .int4Array, .int8Array, .textArray, .textArray, .text, .int8,
    ]
    let tenant: TenantID
    let records: [(source: TopicPartition, offset: Int64)]
    let documents: [(collection: String, docID: String)]
    let eventID: String?
    let limit: Int64

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(records.map { IndexText.clean($0.source.topic) })
        parameters.append(records.map(\.source.partition))
        parameters.append(records.map(\.offset))
        parameters.append(documents.map(\.collection))
        parameters.append(documents.map(\.docID))
        parameters.append(eventID.map { IndexText.clean($0) })
        parameters.append(limit)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> ImpactAnswer {
        ImpactAnswer(
            id: try row.text(0), question: try row.text(1), createdAtMilliseconds: try row.timestampMilliseconds(2),
            generation: try row.int64(3), hits: try row.int64(4), collection: try row.text(5), docID: try row.text(6),
            isCited: try row.bool(7), isExact: try row.bool(8))
    }
}

extension SearchStore {
    /// What came of some events, as far as the tenant is shown it.
    ///
    /// - Parameters:
    ///   - limit: documents at most, and answers.
    ///   - showsSuppressed: whether documents that are suppressed are listed, too. They are read as the database's own user.
    package func impact(
        of target: ImpactTarget, tenant: TenantID, limit: Int, showsSuppressed: Bool = false, timeoutMilliseconds: Int
    ) throws(IndexError) -> Impact {
        let limit = max(1, min(limit, Impact.limitMax))
        var documents = try documents(of: target, tenant, Int64(limit) + 1, showsSuppressed, timeoutMilliseconds)
        let areDocumentsCut = documents.count > limit
        if areDocumentsCut { documents.removeLast(documents.count - limit) }
        documents.sort {
            ($0.generation, $1.fromVersion, $0.collection, $0.docID) < (
                $1.generation, $0.fromVersion, $1.collection, $1.docID
            )
        }
        var places = Set(documents.map { Place(source: $0.source, offset: $0.sourceOffset) })
        var eventID: String?
        switch target {
        case .record(let source, let offset): places.insert(Place(source: source, offset: offset))
        case .event(let id): eventID = id
        case .page, .user: break
        }
        let names = Set(documents.map { Name(collection: $0.collection, docID: $0.docID) })
        var answers = try run(
            FindAnswersTouched(
                tenant: tenant, records: places.map { ($0.source, $0.offset) },
                documents: names.map { ($0.collection, $0.docID) }, eventID: eventID, limit: Int64(limit) + 1),
            for: tenant, timeoutMilliseconds)
        let areAnswersCut = answers.count > limit
        if areAnswersCut { answers.removeLast(answers.count - limit) }
        return Impact(
            documents: documents, answers: answers, areDocumentsCut: areDocumentsCut, areAnswersCut: areAnswersCut)
    }

    private struct Place: Hashable {
        var source: TopicPartition, offset: Int64
    }

    private struct Name: Hashable {
        var collection: String, docID: String
    }

    private func documents(
        of target: ImpactTarget, _ tenant: TenantID, _ limit: Int64, _ showsSuppressed: Bool, _ timeoutMilliseconds: Int
    ) throws(IndexError) -> [ImpactDocument] {
        func find<S: PostgresStatement>(_ statement: S) throws(IndexError) -> [S.Row] {
            try run(statement, for: tenant, asOwner: showsSuppressed, timeoutMilliseconds)
        }
        func named(
            _ column: FindDocumentsNamed.Column, _ value: String, _ collection: String?, _ wiki: String?
        ) throws(IndexError) -> [ImpactDocument] {
            try find(
                FindDocumentsNamed(
                    column: column, tenant: tenant, value: value, collection: collection, wiki: wiki, limit: limit,
                    showsSuppressed: showsSuppressed))
        }
        switch target {
        case .record(let source, let offset):
            return try find(
                FindDocumentsOfRecord(
                    tenant: tenant, source: source, offset: offset, limit: limit, showsSuppressed: showsSuppressed))
        case .event(let id):
            return try find(
                FindDocumentsOfEvent(
                    tenant: tenant, eventID: id, limit: Int32(clamping: limit), showsSuppressed: showsSuppressed))
        case .page(let collection, let title, let wiki): return try named(.title, title, collection, wiki)
        case .user(let name, let collection): return try named(.user, name, collection, nil)
        }
    }
}
