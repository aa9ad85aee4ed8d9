import Forms
import HTTPEndpoints

extension ReplySchemas {
    private static let logicChange = Schema.object([
        .init("setting", .string()), .init("before", .string().orNull), .init("after", .string().orNull),
        .init("words", .string(), "All of it in one line."),
    ]).named("LogicChange")

    private static let sampleSide = Schema.object([.init("title", .string()), .init("text", .string())]).orNull

    private static let sample = Schema.object([
        .init("doc_id", .string()), .init("topic", .string()), .init("partition", .integer()),
        .init("offset", .integer()), .init("before", sampleSide), .init("after", sampleSide),
    ]).named("ReplaySample")

    private static let samples = Schema.object([
        .init("added", .array(of: sample)), .init("changed", .array(of: sample)), .init("removed", .array(of: sample)),
    ])

    private static let replayReport = Schema.object([
        .init("generation", .integer().orNull), .init("parent", .integer()),
        .init("model", .string().orNull, "Whose vectors it makes; null: of its parent's model."),
        .init("logic_version", .string()),
        .init("logics", .map(of: .string()), "The logic version of each topic that was replayed."),
        .init("logic_changes", .map(of: .array(of: logicChange)), "By topic, what differs from the parent's logic."),
        .init(
            "ranges",
            .array(
                of: .object([
                    .init("topic", .string()), .init("partition", .integer()), .init("start_offset", .integer()),
                    .init("next_offset", .integer()),
                ]))),
        .init("added", .integer()), .init("changed", .integer()), .init("removed", .integer()),
        .init("unchanged", .integer()), .init("embedded", .integer()), .init("inherited", .integer()),
        .init(
            "embeddings_needed", .integer().orNull,
            "Of a dry run: texts without a vector, each once; null where that was not counted."),
        .init(
            "embeddings_needed_is_least", .bool(),
            "Whether there were too many to tell them apart: there are at least so many."),
        .init("samples", samples),
    ]).named("ReplayReport")

    static let replay = Schema.object([
        .init("id", .string()), .init("dry_run", .bool()), .init("generation", .integer().orNull),
        .init(
            "state", .choice(["running", "paused", "interrupted", "done", "failed"]),
            "`interrupted`: its process has gone; PATCH with `\"paused\": false` goes on."),
        .init("phase", .string()), .init("topics", .array(of: .string())),
        .init("model", .string().orNull, "Whose vectors it makes; null: of its parent's model."),
        .init("paused", .bool()),
        .init("rate", .integer()), .init("wanted_offsets", .integer()), .init("done_offsets", .integer()),
        .init("offsets_per_second", .number().orNull), .init("seconds_left", .number().orNull),
        .init("added", .integer()), .init("changed", .integer()), .init("removed", .integer()),
        .init("unchanged", .integer()), .init("embedded", .integer()), .init("inherited", .integer()),
        .init("embeddings_needed", .integer().orNull), .init("embeddings_needed_is_least", .bool()),
        .init("error", .string()),
        .init("key", .string().orNull, "The id of the key that began it."), .init("started_at", .time()),
        .init("report", replayReport.orNull, "Of one that this process ended."),
    ]).named("Replay")

    static let replays = Schema.object([.init("replays", .array(of: replay))]).named("ReplaysReply")

    static let replayProgress = events(
        "Server-sent events: `progress` twice a second, then `end`.", [("progress", replay), ("end", replay)])

    private static let generation = Schema.object([
        .init("generation", .integer()), .init("is_active", .bool()), .init("lake_state", .string().orNull),
        .init("index_state", .string().orNull), .init("logic_version", .string()),
        .init("logics", .map(of: .string())), .init("parent", .integer().orNull),
        .init("documents", .integer().orNull), .init("model", .string().orNull, "Of its vectors."),
        .init(
            "checkpoints",
            .array(
                of: .object([
                    .init("topic", .string()), .init("partition", .integer()), .init("next_offset", .integer()),
                ]))),
    ]).named("Generation")

    static let generations = Schema.object([.init("generations", .array(of: generation))]).named("GenerationsReply")

    static let generationState = Schema.object([
        .init("generation", .integer()), .init("state", .choice(["active", "pruned"])),
    ]).named("GenerationState")

    private static let logic = Schema.object([
        .init("source", .string()), .init("topic", .string()), .init("collection", .string()),
        .init("logic_version", .string(), "Of what is declared."),
        .init("declared", .anyObject(), "Written as in a declaration, with every member: `logic` of a replay."),
        .init("served_logic_version", .string().orNull),
        .init(
            "served", .anyObject().orNull,
            "The same as the served generation has it; null where it knows nothing of the topic, or this release cannot "
                + "read it."),
    ]).named("SourceLogic")

    static let logics = Schema.object([.init("logics", .array(of: logic))]).named("LogicsReply")

    private static let quarantinedMembers: [Schema.Property] = [
        .init("topic", .string()), .init("partition", .integer()), .init("offset", .integer()), .init("time", .time()),
        .init("rule", .string()), .init("reason", .string()), .init("detail", .string()),
        .init("event_id", .string().orNull), .init("bronze_sha256", .string()), .init("value_bytes", .integer()),
        .init("state", .string()), .init("redriven_to", .integer().orNull),
    ]

    private static let quarantined = Schema.object(quarantinedMembers).named("QuarantinedRecord")

    static let quarantinedRecord = Schema.object(
        quarantinedMembers + [
            .init("discard_reason", .string(), "Of a discarded one; else empty."), .init("logic_version", .string()),
            .init(
                "value_base64", .string().orNull,
                "The first \(QuarantineListing.valueBytesMax) bytes of the value, as they came; null for a tombstone."),
            .init("value_is_cut", .bool(), "Whether the value has more bytes."),
        ]
    ).named("QuarantinedRecordReply")

    static let quarantine = Schema.object([
        .init("records", .array(of: quarantined)),
        .init(
            "next_cursor", .string().orNull,
            "Where the list goes on; null at its end, and where topic partitions are too many for a URL: name a topic."),
        .init("has_more", .bool(), "Whether there are more."),
    ]).named("QuarantineReply")

    static let quarantineChange = Schema.object([
        .init(
            "records",
            .array(
                of: Schema.object([
                    .init("topic", .string()), .init("partition", .integer()), .init("offset", .integer()),
                    .init("rule", .string()),
                    .init("outcome", .choice(["redriven", "discarded", "planned", "refused", "failed"])),
                    .init("redriven_to", .integer(), isRequired: false), .init("detail", .string(), isRequired: false),
                ]).named("QuarantineOutcome")))
    ]).named("QuarantineChangeReply")
}
