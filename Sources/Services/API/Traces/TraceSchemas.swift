import Forms

/// Of traces.
extension ReplySchemas {
    private static let location: [Schema.Property] = [
        .init("file", .string().orNull, "Relative to the lake, or an object's address."),
        .init("frame_offset", .integer().orNull), .init("frame_length", .integer().orNull),
        .init("line_offset", .integer().orNull),
    ]

    private static let line = Schema.object(
        [
            .init("record", .anyObject()),
            .init(
                "derived_again", .bool(),
                "The line's file went with its generation, or this server does not have the lake's folder: the line was made anew "
                    + "from the event by the logic that made it."),
        ] + location
    ).named("LakeLine")

    static let bronze = Schema.object(
        [
            .init("topic", .string()), .init("partition", .integer()), .init("offset", .integer()),
            .init("timestamp_ms", .integer()), .init("timestamp", .time()), .init("sha256", .string()),
            .init("lineage_sha256", .string()), .init("hash_ok", .bool()), .init("key", .string().orNull),
            .init("key_base64", .string().orNull), .init("value", .string().orNull),
            .init("value_base64", .string().orNull), .init("value_bytes", .integer().orNull),
            .init(
                "headers",
                .array(
                    of: .object([
                        .init("name", .string()), .init("value", .string().orNull),
                        .init("value_base64", .string().orNull),
                    ]))),
            .init(
                "read_from", .choice(TraceBronze.Place.allCases.map(\.rawValue)),
                "Without the lake's folder a server reads the broker, and what that does not keep any more the object storage."
            ),
        ] + location
    ).named("BronzeRecord")

    private static let times = Schema.object([
        .init("event", .time().orNull, "The event's own time."),
        .init("received", .time().orNull, "The producer had it."),
        .init("broker", .time().orNull, "The broker appended it to its log."),
        .init(
            "committed", .time().orNull,
            "The lake's commit; null without the lake's folder, and for what an earlier version took in."),
        .init(
            "embedded", .time().orNull,
            "Its vectors were there; null where the index had all of them already, as after a replay."),
        .init("indexed", .time().orNull, "The index transaction that made it visible."),
        .init("searchable", .time().orNull, "That transaction's commit had returned: searches find it."),
        .init(
            "steps",
            .array(of: .object([.init("from", .string()), .init("to", .string()), .init("ms", .integer())])),
            "From each known time to the next one."),
        .init("total_ms", .integer().orNull, "From the event to searches; the steps add up to it."),
        .init(
            "committed_within_ms", .integer().orNull,
            "By how much the lake's commit may have been earlier: 0, but for records of hours that are over, whose log entries were "
                + "merged by the minute. Null where `committed` is."),
    ]).named("TraceTimes")

    private static let logic = Schema.object([
        .init("type", .string()), .init("settings", .anyObject(), "As the lake stores them."),
        .init("saw", .anyObject(), "What the event has at the places that the logic reads."),
    ]).named("TraceLogic")

    private static let identityOfTrace: [Schema.Property] = [
        .init("doc_id", .string()), .init("collection", .string()), .init("title", .string()), .init("url", .string()),
        .init("version", .integer()), .init("generation", .integer()), .init("index_version", .integer()),
        .init("logic_version", .string()), .init("content_hash", .string().orNull),
        .init("complete", .bool(), "Every step was found and every hash is right."),
        .init("problems", .array(of: .string())), .init("quality_flags", .array(of: .string())),
        .init("rules", .array(of: .string()), "Those that the document breaks without being rejected."),
    ]

    private static let stepsOfTrace: [Schema.Property] = [
        .init("gold", line.orNull), .init("silver", line.orNull), .init("logic", logic.orNull),
        .init("bronze", .array(of: bronze)), .init("times", times),
    ]

    private static let commands = Schema.Property(
        "commands",
        .array(
            of: .object([
                .init("tool", .string()), .init("shows", .string()), .init("command", .string()),
            ]).named("TraceCommand")), "What shows the same without this endpoint, for a shell.")

    static let trace = Schema.object(
        identityOfTrace + [
            .init(
                "passages",
                .array(
                    of: .object([
                        .init("passage", .integer()), .init("text", .string()), .init("text_hash", .string()),
                        .init("model", .string().orNull), .init("from_version", .integer()),
                    ])))
        ] + stepsOfTrace + [
            .init(
                "answers",
                .array(
                    of: .object([
                        .init("answer_id", .string()), .init("created_at", .time()),
                        .init("cited", .bool(), "Whether a sentence cites the document; else it was only looked at."),
                    ])), "The newest answers that the document went into, 20 at most, of those that are kept."),
            commands,
        ]
    ).named("TraceReply")

    static let answerTrace = Schema.object([
        .init("answer_id", .string()), .init("question", .string()), .init("created_at", .time()),
        .init("refused", .bool()), .init("generation", .integer()), .init("index_version", .integer()),
        .init(
            "withheld", .integer(), "Suppressed documents of the answer: sentences and citations of them are left out."),
        .init("hits", .integer(), "How often it was given again out of a cache."),
        .init("complete", .bool(), "Every citation leads to its event, and every hash is right."),
        .init("problems", .array(of: .string())),
        .init(
            "sentences",
            .array(of: .object([.init("text", .string()), .init("citations", .array(of: .integer()))]))),
        .init(
            "citations",
            .array(
                of: .object(
                    [
                        .init("n", .integer()), .init("passage", .integer()),
                        .init("text", .string().orNull, "The passage, by the Gold line."), .init("snippet", .string()),
                    ] + identityOfTrace + stepsOfTrace + [commands]
                ).named("TraceCitation"))),
        commands,
    ]).named("AnswerTraceReply")
}
