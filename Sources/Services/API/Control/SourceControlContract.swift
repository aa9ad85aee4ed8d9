import Access
import Forms
import HTTPEndpoints
import HTTPServer
import Health
import JSONScan
import Records

/// What each request may say about itself.
struct SourceAsking: Sendable {
    var reason = ""
    /// The `Idempotency-Key`.
    var key: String?
}

/// Parameters that requests to sources share.
private enum SourceParameters {
    static let reasonCharactersMax = SourceRequest.textBytesMax / 4
    private static let keyBytesMax = 255

    static func source<Root: Sendable>(_ path: any WritableKeyPath<Root, String> & Sendable) -> Parameter<Root> {
        Parameter(.path, "source", path, .string(1...249), "The source's name, as `GET /sources` has it.")
    }

    static func reason<Root: Sendable>(_ path: any WritableKeyPath<Root, String> & Sendable) -> Parameter<Root> {
        Parameter(.query, "reason", path, .string(0...reasonCharactersMax), "Why, for those who look later.")
    }

    static func key<Root: Sendable>(_ path: any WritableKeyPath<Root, String?> & Sendable) -> Parameter<Root> {
        let pattern = TextPattern("^[!-~]*$", "must be printable ASCII without blanks") { text in
            text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        }
        return Parameter(
            .header, "Idempotency-Key", path, Form<String>.string(1...keyBytesMax, pattern: pattern).optional,
            "The same whenever this is asked again: among the source's last \(SourceWishes.historyMaxUsual) requests it counts once."
        )
    }
}

/// What `POST /sources/{source}/pause` and `…/resume` read.
struct SourceRequestInput: Sendable {
    var source = ""
    var asking = SourceAsking()

    static let form = InputForm(
        SourceRequestInput(),
        [
            SourceParameters.source(\.source), SourceParameters.reason(\.asking.reason),
            SourceParameters.key(\.asking.key),
        ])
}

/// What `POST /sources/{source}/give-up` reads.
struct GiveUpInput: Sendable {
    var source = ""
    var snapshot: String?
    var asking = SourceAsking()

    static let form = InputForm(
        GiveUpInput(),
        [
            SourceParameters.source(\.source),
            Parameter(
                .query, "snapshot", \.snapshot, Form<String>.string(1...SourceParameters.reasonCharactersMax).optional,
                "`request` of the snapshot; all that wait or run, if left out."),
            SourceParameters.reason(\.asking.reason), SourceParameters.key(\.asking.key),
        ])
}

/// What `GET /sources/{source}/requests` reads.
struct SourceRequestsInput: Sendable {
    var source = ""
    var limit = SourceWishes.historyMaxUsual

    static let form = InputForm(
        SourceRequestsInput(),
        [
            SourceParameters.source(\.source),
            Parameter(.query, "limit", \.limit, .integer(1...SourceWishes.historyMaxUsual), "Requests at most."),
        ])
}

/// What `POST /sources/{source}/snapshot` reads.
struct SourceSnapshotInput: Sendable {
    /// The body.
    struct Part: Sendable {
        var from: String?
        var to: String?
        var reason = ""
    }

    var source = ""
    var part = Part()
    var key: String?

    static let form = InputForm(
        SourceSnapshotInput(), [SourceParameters.source(\.source), SourceParameters.key(\.key)],
        body: BodyForm(
            \.part,
            Form<Part>.object(
                Part(),
                [
                    Field(
                        "from", \.from, Form<String>.primaryKey.optional,
                        "The first primary key, as the database writes it; from the first row on if left out."),
                    Field(
                        "to", \.to, Form<String>.primaryKey.optional,
                        "The last primary key; up to the last row if left out."),
                    Field(
                        "reason", \.reason, .string(0...SourceParameters.reasonCharactersMax),
                        "Why, for those who look later."),
                ]
            ).named("SnapshotRequest"),
            examples: [
                ("the whole table", .object([])),
                ("a part of it", .object([("from", .integer(1_000)), ("to", .integer(1_999))])),
            ]))
}

extension Form where Value == String {
    /// A primary key in JSON: a text as the database writes it, or a whole number.
    fileprivate static var primaryKey: Form<String> {
        Form(
            schema: .anyOf([.string(), .integer()]), json: { .string($0) },
            read: { value, reading in
                if let number = value.integer { return "\(number)" }
                if let text = value.string, text.utf8.count <= SourceKeyRange.textBytesMax, !text.contains("\0") {
                    return text
                }
                reading.fault(
                    "key_type",
                    "must be a whole number or a text of at most \(SourceKeyRange.textBytesMax) bytes without U+0000",
                    input: value)
                return nil
            })
    }
}

extension Contract {
    private static let writing = EndpointAccess.role(Role.write.rawValue)
    private static let noSource = EndpointReply.error(404, "There is no such source for this caller.")
    private static let refused = EndpointReply.error(
        409, "It cannot be asked for that: another program fills its topic, or it reads no table.")
    private static let noWay = EndpointReply.error(
        503, "The broker did not take it, or may have taken it all the same.")

    static let pauseSource = Endpoint(
        .post, "/sources/{source}/pause", id: "pauseSource", tag: "Operation", access: writing,
        summary: "Has a source stand still until it is resumed",
        details:
            "Its connector keeps its place and reads nothing; `/ingest` and `/documents` answer 503 for it. It holds over restarts, and for "
            + "every process of the deployment within a second. A database's slot keeps the server's log meanwhile.",
        input: SourceRequestInput.form,
        replies: [.json(200, "It is taken.", ReplySchemas.sourceRequest), noSource, refused, noWay])

    static let resumeSource = Endpoint(
        .post, "/sources/{source}/resume", id: "resumeSource", tag: "Operation", access: writing,
        summary: "Has a source continue where it was", input: SourceRequestInput.form,
        replies: [.json(200, "It is taken.", ReplySchemas.sourceRequest), noSource, refused, noWay])

    static let giveUpSnapshots = Endpoint(
        .post, "/sources/{source}/give-up", id: "giveUpSnapshots", tag: "Operation", access: writing,
        summary: "Ends snapshots that were asked for",
        details: "What was read of one stays; nothing is deleted. The changes are followed all the while.",
        input: GiveUpInput.form,
        replies: [.json(200, "It is taken.", ReplySchemas.sourceRequest), noSource, refused, noWay])

    static let sourceRequests = Endpoint(
        .get, "/sources/{source}/requests", id: "sourceRequests", tag: "Operation", access: reading,
        summary: "What was asked of a source, by whom, and what became of it",
        details:
            "The last \(SourceWishes.historyMaxUsual) requests, the newest first, from the API, the page and the command. "
            + "`medallion sources log` shows older ones.",
        input: SourceRequestsInput.form,
        replies: [
            .json(200, "Those of the source.", ReplySchemas.sourceRequests), noSource,
            .error(503, "The topic of requests was not read yet, or there is no broker."),
        ])

    static let snapshotSource = Endpoint(
        .post, "/sources/{source}/snapshot", id: "snapshotSource", tag: "Operation", access: writing,
        summary: "Reads a table of Postgres again, or a range of its primary key",
        details:
            "While its changes are followed; documents stay found. The whole table removes what vanished from it, a part removes "
            + "nothing. `GET /sources` says how far it is. Of several, one is read after the other; of more than "
            + "\(SourceWishes.snapshotsMax) that wait, the oldest are given up.",
        input: SourceSnapshotInput.form,
        replies: [.json(202, "It is taken.", ReplySchemas.sourceRequest), noSource, refused, noWay])
}

extension ReplySchemas {
    static let sourcePause = Schema.object([
        .init(
            "by", .string().orNull,
            "Name and id of a key, or an account of the machine; null for callers who see no details."),
        .init("reason", .string().orNull, "Empty where nobody said why; null for callers who see no details."),
        .init("at", .time()),
    ]).named("SourcePause")

    static let sourceSnapshot = Schema.object([
        .init("id", .string().orNull, "Of the request; null for the snapshot that the declaration asks for."),
        .init("state", .choice(SnapshotProgress.State.allCases.map(\.rawValue))),
        .init("from", .string().orNull, "Null where it is open, and for callers who see no details."),
        .init("to", .string().orNull, "The same."),
        .init("rows", .integer(), "That were read."),
        .init("rows_expected", .integer().orNull, "As the database guesses; null where it does not."),
        .init("reason", .string().orNull, "Why it waits or was refused."),
        .init("requests_waiting", .integer(), "Behind it."),
    ]).named("SourceSnapshot")

    private static let sourceAction = Schema.choice(["pause", "resume", "snapshot", "give_up"])

    static let sourceRequests = Schema.object([
        .init("source", .string()),
        .init(
            "requests",
            .array(
                of: Schema.object([
                    .init("request", .string(), "The request's id."),
                    .init("action", sourceAction),
                    .init("at", .time()),
                    .init(
                        "by", .string().orNull,
                        "Name and id of a key, or an account of the machine; null for callers who see no details."),
                    .init(
                        "reason", .string().orNull, "Empty where nobody said why; null for callers who see no details."),
                    .init("from", .string().orNull, "Of a snapshot; null where it is open, and without details."),
                    .init("to", .string().orNull, "The same."),
                    .init("snapshot", .string().orNull, "The one that `give_up` is about; null for all of them."),
                    .init(
                        "outcome", .choice(AnsweredRequest.words),
                        "`asked` until it is heeded, then `taken`: the source stands still, runs again, or its table is being read. "
                            + "A snapshot ends as `complete`, `refused` or `given_up`."),
                    .init("outcome_at", .time().orNull, "When that was told."),
                    .init(
                        "outcome_reason", .string().orNull, "Empty for nothing; null for callers who see no details."),
                ]).named("AnsweredSourceRequest"))),
    ]).named("SourceRequests")

    static let sourceRequest = Schema.object([
        .init("source", .string()), .init("request", .string(), "The request's id."),
        .init("action", sourceAction),
        .init("applied", .bool(), "Whether this process has seen it in the topic."),
        .init("paused", sourcePause.orNull, "Null while the source runs."),
        .init("note", .string().orNull, "What to keep in mind."),
    ]).named("SourceRequestReply")
}
