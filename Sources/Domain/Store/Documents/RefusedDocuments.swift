import Bytes
package import Postgres
package import Records

/// A document that a receiver refused for what it holds, kept aside so that the others go on.
package struct RefusedDocument: Sendable, Equatable {
    package var generation: Int64
    /// The topic partition of the Bronze record.
    package var source: TopicPartition
    package var sourceOffset: Int64
    /// The beginning of its id, for people.
    package var docID: String
    /// Postgres' SQLSTATE, or ``tooLarge``.
    package var code: String
    /// What the receiver said.
    package var reason: String
    /// The Gold line; nil where it did not come as far as the index.
    package var line: [UInt8]?

    /// The code of a document that the Gold topic refused for its size.
    package static let tooLarge = "MSG_SIZE_TOO_LARGE"
    private static let docIDCharactersMax = 255
    private static let reasonCharactersMax = 1_000

    package init(
        generation: Int64, source: TopicPartition, sourceOffset: Int64, docID: String, code: String, reason: String,
        line: [UInt8]?
    ) {
        self.generation = generation
        self.source = source
        self.sourceOffset = sourceOffset
        self.docID = Self.beginning(docID, Self.docIDCharactersMax)
        self.code = Self.beginning(code, Self.docIDCharactersMax)
        self.reason = Self.beginning(reason, Self.reasonCharactersMax)
        self.line = line
    }

    init(_ document: IndexedDocument, _ error: PostgresError) {
        self.init(
            generation: document.generation, source: document.source, sourceOffset: document.sourceOffset,
            docID: document.document.docID, code: error.sqlState ?? "",
            reason: error.message + (error.detail.map { "; \($0)" } ?? ""), line: document.line)
    }

    /// So much of a text that Postgres takes it in any case.
    private static func beginning(_ text: String, _ count: Int) -> String {
        IndexText.clean(String(String.UnicodeScalarView(text.unicodeScalars.prefix(count))))
    }
}

/// A refused document as the index keeps it.
package struct RefusedDocumentRow: Sendable {
    package var document: RefusedDocument
    /// Bytes of its Gold line; nil where the line is only in the lake.
    package var lineBytes: Int64?
    /// Milliseconds since 1970.
    package var refusedAtMilliseconds: Int64
}

/// Which refused documents are meant; what is nil restricts nothing.
package struct RefusedDocumentQuery: Sendable {
    /// Nil for all that were not pruned.
    package var generation: Int64?
    package var topic: String?
    package var partition: Int32?
    package var offsets: OffsetRange?
    /// Times of refusal in milliseconds since 1970, from this one on.
    package var since: Int64?
    /// Times of refusal before this one.
    package var until: Int64?
    /// At most so many rows.
    package var limit = Int.max
    /// Whether rows bring their Gold lines.
    package var withLines = false

    package init() {}
}

/// Lists refused documents. Blocks, and is confined to one thread.
package final class RefusedDocumentStore {
    private let connection: LazyConnection

    /// - Parameter configuration: of a database that is migrated.
    package init(configuration: PostgresConfiguration) {
        connection = LazyConnection(configuration)
    }

    /// Calls `body` with each, by generation and source offset. A document that came into the index after all, such as by a
    /// repeat after room was made for it, is not among them.
    ///
    /// - Parameter timeoutMilliseconds: for each page of rows.
    package func forEach(
        _ query: RefusedDocumentQuery, timeoutMilliseconds: Int, _ body: (RefusedDocumentRow) -> Void
    ) throws(IndexError) {
        var left = query.limit
        var last: RefusedDocument?
        while left > 0 {
            // Lines may be large.
            let count = min(left, query.withLines ? 1 : Self.pageRows)
            let page = try connection.run(
                ListRefusedDocuments(query: query, after: last, count: count),
                timeoutMilliseconds: timeoutMilliseconds)
            for row in page { body(row) }
            guard page.count == count, let row = page.last else { return }
            last = row.document
            left -= count
        }
    }

    private static let pageRows = 1_000
}

/// Keeps a refused document; what a repeat says of it takes its place.
struct KeepRefusedDocument: PostgresStatement {
    static let name = "keep_refused_document"
    static let sql = """
        INSERT INTO refused_documents AS r (generation, source_topic, source_partition, source_offset, doc_id, code,
            reason, gold_line, refused_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
        ON CONFLICT (generation, source_topic, source_partition, source_offset) DO UPDATE
        SET doc_id = excluded.doc_id, code = excluded.code, reason = excluded.reason,
            gold_line = coalesce(excluded.gold_line, r.gold_line), refused_at = excluded.refused_at
        """
    static let parameterTypes: [PostgresType] = [.int8, .text, .int4, .int8, .text, .text, .text, .bytea]
    let document: RefusedDocument

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(document.generation)
        parameters.append(document.source.topic)
        parameters.append(document.source.partition)
        parameters.append(document.sourceOffset)
        parameters.append(document.docID)
        parameters.append(document.code)
        parameters.append(document.reason)
        if let line = document.line { parameters.append(bytea: line) } else { parameters.appendNull() }
    }
}

/// Refused documents that the index still lacks.
struct ListRefusedDocuments: PostgresStatement {
    static let name = "list_refused_documents"
    static let sql = """
        SELECT generation, source_topic, source_partition, source_offset, doc_id, code, reason,
            octet_length(gold_line)::bigint, CASE WHEN $9 THEN gold_line END, refused_at
        FROM refused_documents r
        WHERE ($1::bigint IS NULL OR generation = $1) AND ($2::text IS NULL OR source_topic = $2)
            AND ($3::bigint IS NULL OR source_partition = $3) AND ($4::bigint IS NULL OR source_offset >= $4)
            AND ($5::bigint IS NULL OR source_offset < $5) AND ($6::timestamptz IS NULL OR refused_at >= $6)
            AND ($7::timestamptz IS NULL OR refused_at < $7)
            AND ($1::bigint IS NOT NULL OR NOT EXISTS (
                SELECT FROM generations n WHERE n.generation = r.generation AND n.state = 'pruned'))
            AND ($10::bigint IS NULL
                OR (generation, source_topic, source_partition::bigint, source_offset) > ($10, $11, $12, $13))
        ORDER BY generation, source_topic, source_partition, source_offset LIMIT $8
        """
    static let parameterTypes: [PostgresType] = [
        .int8, .text, .int8, .int8, .int8, .timestamptz, .timestamptz, .int8, .bool, .int8, .text, .int8, .int8,
    ]
    let query: RefusedDocumentQuery
    /// The last row of the page before.
    let after: RefusedDocument?
    let count: Int

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(query.generation)
        parameters.append(query.topic)
        parameters.append(query.partition.map { Int64($0) })
        parameters.append(query.offsets?.start)
        parameters.append(query.offsets?.end)
        parameters.append(timestampMilliseconds: query.since)
        parameters.append(timestampMilliseconds: query.until)
        parameters.append(Int64(count))
        parameters.append(query.withLines)
        parameters.append(after?.generation)
        parameters.append(after?.source.topic)
        parameters.append((after?.source.partition).map { Int64($0) })
        parameters.append(after?.sourceOffset)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> RefusedDocumentRow {
        let source = TopicPartition(topic: try row.text(1), partition: try row.int32(2))
        let document = RefusedDocument(
            generation: try row.int64(0), source: source, sourceOffset: try row.int64(3), docID: try row.text(4),
            code: try row.text(5), reason: try row.text(6), line: row.withBytes(8) { $0.map { Array($0) } })
        return RefusedDocumentRow(
            document: document, lineBytes: try row.int64OrNil(7),
            refusedAtMilliseconds: try row.timestampMillisecondsOrNil(9) ?? 0)
    }
}
