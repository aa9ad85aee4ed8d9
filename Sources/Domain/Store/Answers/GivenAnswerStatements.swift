import Postgres
import Records
import Retrieval

/// What was said of an answer, the newest first.
struct ReadFeedback: PostgresStatement {
    static let name = "read_feedback"
    static let sql = """
        SELECT is_up, note, key_id, given_at FROM answer_feedback WHERE answer_id = $1 AND tenant = $2
        ORDER BY given_at DESC, key_id LIMIT \(AnswerFeedback.keptMax)
        """
    static let parameterTypes: [PostgresType] = [.text, .text]
    let id: String
    let tenant: TenantID

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerFeedback {
        AnswerFeedback(
            verdict: try row.bool(0) ? .up : .down, note: try row.text(1), keyID: try row.text(2),
            givenAtMilliseconds: try row.timestampMilliseconds(3))
    }
}

/// Keeps what was said of an answer, in place of what the same key said before. A row where the answer is kept: whether that which
/// was said is, too.
///
/// Keys are made without limit, so beyond ``AnswerFeedback/keptMax`` of one answer only who spoke before is heard again.
struct SaveFeedback: PostgresStatement {
    static let name = "save_feedback"
    static let sql = """
        WITH wanted AS (SELECT answer_id, tenant FROM answers WHERE answer_id = $1 AND tenant = $2),
        kept AS (
            INSERT INTO answer_feedback (answer_id, tenant, key_id, given_at, is_up, note)
            SELECT w.answer_id, w.tenant, $3, $4, $5, $6 FROM wanted w
            WHERE EXISTS (SELECT FROM answer_feedback f WHERE f.answer_id = $1 AND f.key_id = $3)
                OR (SELECT count(*) FROM answer_feedback f WHERE f.answer_id = $1) < \(AnswerFeedback.keptMax)
            ON CONFLICT (answer_id, key_id) DO UPDATE
                SET given_at = excluded.given_at, is_up = excluded.is_up, note = excluded.note
            RETURNING 1
        )
        SELECT EXISTS (SELECT FROM kept) FROM wanted
        """
    static let parameterTypes: [PostgresType] = [.text, .text, .text, .timestamptz, .bool, .text]
    let id: String
    let tenant: TenantID
    let feedback: AnswerFeedback

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(IndexText.clean(id))
        parameters.append(tenant.text)
        parameters.append(feedback.keyID)
        parameters.append(timestampMilliseconds: feedback.givenAtMilliseconds)
        parameters.append(feedback.verdict == .up)
        parameters.append(IndexText.clean(feedback.note))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// Counts how often answers were given again. The ids of those that are still kept.
struct CountHits: PostgresStatement {
    static let name = "count_hits"
    static let sql = """
        UPDATE answers a SET hits = a.hits + n.number FROM unnest($2, $3) AS n(id, number)
        WHERE a.answer_id = n.id AND a.tenant = $1 RETURNING a.answer_id
        """
    static let parameterTypes: [PostgresType] = [.text, .textArray, .int8Array]
    let tenant: TenantID
    let hits: [AnswerHitCount]

    func bind(into parameters: inout PostgresParameters) {
        parameters.append(tenant.text)
        parameters.append(hits.map { IndexText.clean($0.id) })
        parameters.append(hits.map(\.number))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// A page of a tenant's answers, the newest first. It walks the index from the newest on; refusals or other answers alone may make
/// it walk over all that are kept, which are bounded.
struct ListAnswers: PostgresStatement {
    static let name = "list_answers"
    static let sql = """
        SELECT \(AnswerListSQL.columns) FROM answers a
        WHERE a.tenant = $1 AND \(AnswerListSQL.conditions("a"))
        ORDER BY a.created_at DESC, a.answer_id DESC LIMIT $2
        """
    static let parameterTypes = AnswerListSQL.types
    let query: AnswerListQuery

    func bind(into parameters: inout PostgresParameters) { AnswerListSQL.bind(query, &parameters) }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerSummary {
        try AnswerListSQL.decode(row)
    }
}

/// The same of those that cite a document, by the index of documents of answers.
struct ListCitingAnswers: PostgresStatement {
    static let name = "list_citing_answers"
    static let sql = """
        SELECT \(AnswerListSQL.columns)
        FROM (
            SELECT DISTINCT d.created_at, d.answer_id FROM answer_documents d
            WHERE d.doc_id = $8 AND ($9::text IS NULL OR d.collection = $9) AND d.tenant = $1 AND d.is_cited
                AND \(AnswerListSQL.place("d"))
            ORDER BY d.created_at DESC, d.answer_id DESC LIMIT CASE WHEN $5::boolean IS NULL THEN $2 END
        ) c JOIN answers a ON a.answer_id = c.answer_id
        WHERE a.tenant = $1 AND ($5::boolean IS NULL OR a.is_refused = $5)
        ORDER BY a.created_at DESC, a.answer_id DESC LIMIT $2
        """
    static let parameterTypes = AnswerListSQL.types + [.text, .text]
    let query: AnswerListQuery

    func bind(into parameters: inout PostgresParameters) {
        AnswerListSQL.bind(query, &parameters)
        parameters.append(query.citedDocID.map(IndexText.clean))
        parameters.append(query.citedCollection.map(IndexText.clean))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerSummary {
        try AnswerListSQL.decode(row)
    }
}

/// What both lists have in common.
private enum AnswerListSQL {
    static let columns = """
        a.answer_id, a.question, a.created_at, a.generation, a.index_version, a.is_refused,
            (SELECT count(*) FROM answer_feedback f WHERE f.answer_id = a.answer_id AND f.is_up),
            (SELECT count(*) FROM answer_feedback f WHERE f.answer_id = a.answer_id AND NOT f.is_up),
            a.hits
        """
    static let types: [PostgresType] = [
        .text, .int8, .timestamptz, .timestamptz, .bool, .timestamptz, .text,
    ]

    /// Before and behind all times.
    private static let (earliest, latest): (Int64, Int64) = (0, 253_402_300_799_000)

    /// Between the times asked for, and behind the place. Every parameter has a value, and the place's time stands alone, too: only so
    /// a page begins within the index, which under row-level security takes leakproof operators alone.
    static func place(_ row: String) -> String {
        """
        \(row).created_at >= $3 AND \(row).created_at < $4 AND \(row).created_at <= $6
            AND (\(row).created_at, \(row).answer_id) < ($6, $7)
        """
    }

    static func conditions(_ row: String) -> String {
        "\(place(row)) AND ($5::boolean IS NULL OR \(row).is_refused = $5)"
    }

    static func bind(_ query: AnswerListQuery, _ parameters: inout PostgresParameters) {
        parameters.append(query.tenant.text)
        parameters.append(Int64(min(query.limit, AnswerListQuery.limitMax)))
        parameters.append(timestampMilliseconds: query.sinceMilliseconds ?? earliest)
        parameters.append(timestampMilliseconds: query.beforeMilliseconds ?? latest)
        parameters.append(query.isRefused)
        parameters.append(timestampMilliseconds: query.after?.createdAtMilliseconds ?? latest)
        parameters.append(IndexText.clean(query.after?.id ?? ""))
    }

    static func decode(_ row: borrowing PostgresRow) throws(PostgresError) -> AnswerSummary {
        AnswerSummary(
            id: try row.text(0), question: try row.text(1), createdAtMilliseconds: try row.timestampMilliseconds(2),
            generation: try row.int64(3), indexVersion: try row.int64(4), isRefused: try row.bool(5),
            up: try row.int64(6), down: try row.int64(7), hits: try row.int64(8))
    }
}
