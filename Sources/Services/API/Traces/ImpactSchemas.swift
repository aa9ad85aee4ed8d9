import Forms

/// Of impact.
extension ReplySchemas {
    private static let touchedDocument = Schema.object([
        .init("doc_id", .string()), .init("collection", .string()), .init("title", .string()),
        .init("content_hash", .string()), .init("generation", .integer()), .init("version", .integer()),
        .init("from_version", .integer(), "The index version that showed it."),
        .init("to_version", .integer().orNull, "The one that ended that; null while it is shown."),
        .init("topic", .string()), .init("partition", .integer()), .init("offset", .integer()),
        .init("passages", .integer()),
        .init("suppressed", .bool(), "Whether it is kept out of replies; only the role `write` is shown what is."),
    ]).named("ImpactDocument")

    private static let touchedAnswer = Schema.object([
        .init("answer_id", .string()), .init("question", .string()), .init("created_at", .time()),
        .init("generation", .integer()), .init("hits", .integer(), "How often it was given again out of a cache."),
        .init("doc_id", .string()), .init("collection", .string()),
        .init("cited", .bool(), "Whether a sentence cites the document; else it was only looked at."),
        .init(
            "exact", .bool(),
            "False for an answer of a former version, which kept the document's name and not the record: it may have seen "
                + "another version of the document."),
    ]).named("ImpactAnswer")

    static let impact = Schema.object([
        .init(
            "generations",
            .array(
                of: .object([
                    .init("generation", .integer()), .init("documents", .integer()),
                    .init("shown", .integer(), "Those that are shown now; the others were."),
                    .init("passages", .integer()),
                ])), "Counts of what is listed."),
        .init("documents", .array(of: touchedDocument)),
        .init("answers", .array(of: touchedAnswer), "One entry for each document that an answer was made of."),
        .init(
            "cached",
            .object([
                .init("searches", .integer()), .init("answers", .integer()),
                .init(
                    "shared",
                    Schema.object([.init("searches", .integer()), .init("answers", .integer())]).orNull,
                    "Those that servers share in Redis; null where they share none, or Redis did not answer in time."),
            ]), "Replies that this server keeps in memory and that show a listed document."),
        .init(
            "truncated", .bool(), "There may be more than `limit` documents or answers; counts are of what is listed."),
    ]).named("ImpactReply")
}
