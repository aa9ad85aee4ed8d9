import Forms
import HTTPEndpoints
import JSONScan

/// What the data of server-sent events look like. OpenAPI 3.1 has no place for them: the stream itself is a text, and
/// `x-events` says which schema each event's data has.
extension ReplySchemas {
    /// A text of server-sent events.
    static func events(_ text: String, _ events: [(name: String, schema: Schema)]) -> Schema {
        Schema(
            [
                (name: "type", value: .string("string")), (name: "description", value: .string(text)),
                (
                    name: "x-events",
                    value: .object(events.map { (key: $0.name, value: $0.schema.json) })
                ),
            ], uses: events.map(\.schema))
    }

    static let stream = events(
        "Server-sent events without end. `event` has a Gold line as data, `deleted` one that takes a document away, and "
            + "`truncated` one that takes away all that a source has below a version. They have the only ids there are: the logs' epochs and the next offset of each topic partition of the sources, "
            + "`epoch;topic/partition:offset,…`, with an epoch for each topic, joined by `-`. Sent back as "
            + "`Last-Event-ID` the stream goes on without gap or repeat; where that cannot be, `reset` or `gap` says so. "
            + "`received`, `committed` and `searchable` come where `stages` asks for them. A comment comes every 15 s.",
        [
            ("event", streamEvent), ("deleted", streamDeletion), ("truncated", streamTruncation),
            ("reset", streamReset),
            ("gap", streamGap),
        ] + StreamStage.allCases.map { ($0.rawValue, streamStage) })

    static let answerStream = events(
        "Server-sent events: `token` for each word, then `citations`, then `done`.",
        [("token", answerToken), ("citations", answerCitations), ("done", answerDone)])

    /// Others may write Gold lines, too, and later formats have more members.
    static let streamEvent: Schema = {
        var schema = Schema.object(
            [
                .init("doc_id", .string()), .init("version", .integer()), .init("collection", .string()),
                .init("attributes", .anyObject()), .init("type", .string(), isRequired: false),
                .init("namespace", .integer().orNull, isRequired: false),
                .init("user", .string(), isRequired: false), .init("is_bot", .bool(), isRequired: false),
                .init("text", .string()), .init("event_time", .time()), .init("title", .string()),
                .init("url", .string()), .init("lang", .string()), .init("wiki", .string(), isRequired: false),
                .init("quality_flags", .array(of: .string())),
                .init("text_hash", .string()), .init("content_hash", .string()), .init("lineage", lineage),
            ],
            "A Gold line (`schemas/gold.schema.json`) of an event that became searchable. `attributes` holds those of every "
                + "collection; `wiki`, `type`, `namespace`, `user` and `is_bot` of recent changes are members, too.")
        schema["additionalProperties"] = .bool(true)
        return schema.named("StreamEvent")
    }()

    static let streamDeletion: Schema = {
        var schema = Schema.object(
            [
                .init("doc_id", .string()), .init("version", .integer()), .init("operation", .choice(["delete"])),
                .init("collection", .string()), .init("lineage", lineage),
            ],
            "A Gold line that takes a document away: no search finds it any more. Filters hold as far as it tells the "
                + "attributes.")
        schema["additionalProperties"] = .bool(true)
        return schema.named("StreamDeletion")
    }()

    static let streamTruncation: Schema = {
        var schema = Schema.object(
            [
                .init("version", .integer(), "Documents with a lower one are gone."),
                .init("operation", .choice(["delete_below"])), .init("collection", .string()),
                .init("event_time", .time()), .init("lineage", lineage),
            ],
            "A Gold line that takes away all documents of its source whose version is lower, whatever they say: the source was "
                + "emptied, or begins anew. Of filters only the collection is compared.")
        schema["additionalProperties"] = .bool(true)
        return schema.named("StreamTruncation")
    }()

    static let streamReset = Schema.object(
        [
            .init(
                "reason", .choice(StreamReset.Reason.allCases.map(\.rawValue)),
                "`other_log`: the id is of another log, or the log was made anew; `ahead`: it lies beyond the log's end."
            ),
            .init("topic", .string(), "The first of `topics`."),
            .init(
                "topics", .array(of: .string()),
                "The sources' topics that are concerned; in the others the stream goes on where the client was."),
            .init("wanted_id", .string(), "The id that does not fit."),
            .init(
                "continues_id", .string(),
                "The stream goes on from there: in the topics concerned from the end of what was shown."),
            .init(
                "oldest_id", .string(), "As `Last-Event-ID` it gives everything that there is of the topics concerned."),
            .init(
                "partitions",
                .array(
                    of: .object([
                        .init("topic", .string()), .init("partition", .integer()), .init("wanted", .integer()),
                        .init(
                            "available", .integer().orNull,
                            "The next record's offset; null where there is no such topic partition."),
                    ])), "The topic partitions that are ahead; none of another log."),
        ], "The client's id could not be used."
    ).named("StreamReset")

    static let streamGap = Schema.object(
        [
            .init(
                "reason", .choice(TopicGap.Reason.allCases.map(\.rawValue)),
                "`expired`: retention deleted them; `unreadable`: their bytes cannot be read."),
            .init("topic", .string(), "The source's topic."), .init("partition", .integer()),
            .init("wanted", .integer(), "The first offset that is missing."),
            .init("available", .integer(), "The stream goes on with this offset."),
            .init("missing", .integer(), "Source offsets; each was at most one event."),
        ], "Events that were asked for are gone."
    ).named("StreamGap")

    static let streamStage = Schema.object(
        [
            .init("doc_id", .string().orNull, "The event's id; null where the record does not tell."),
            .init("source", .string().orNull, "The source's name."),
            .init("topic", .string(), "The source's topic."), .init("partition", .integer()),
            .init("offset", .integer(), "Where the event is in the source's topic: the same at every step."),
            .init("at", .time(), "When it came as far as this."),
        ], "A step of an event on its way; without id."
    ).named("StreamStage")

    private static let answerToken = Schema.object(
        [.init("text", .string(), "With the white space behind it.")], "A word of the answer."
    ).named("AnswerToken")

    private static let answerCitations = Schema.object(
        [
            .init("sentences", .array(of: answerSentence)), .init("citations", .array(of: citation)),
        ], "The answer's sentences and what they cite."
    ).named("AnswerCitations")

    private static let answerDone = Schema.object(
        answerRest, "The rest of AnswerReply."
    ).named("AnswerDone")
}
