import Access
import Forms
import HTTPEndpoints
import Records

extension Contract {
    private static let writing = EndpointAccess.role(Role.write.rawValue)
    private static let noWay = EndpointReply.error(503, "Broker or database are not available; it may have been taken.")

    static let suppress = Endpoint(
        .post, "/suppressions", id: "suppress", tag: "Suppression", access: writing,
        summary: "Takes what came of an event, a page or a user out of replies",
        details:
            "The documents leave searches, answers, caches, `/events/recent` and `/stream` within a second, and what comes later "
            + "does not appear; `DELETE` brings them back. The reply comes once the broker has it; `applied` says whether the index has "
            + "come to it.",
        input: SuppressionInput.input,
        replies: [.json(200, "It is taken.", ReplySchemas.suppression), noWay])

    static let suppressions = Endpoint(
        .get, "/suppressions", id: "suppressions", tag: "Suppression", access: writing,
        summary: "What is and was suppressed, the newest first", input: SuppressionListInput.form,
        replies: [.json(200, "A page of them.", ReplySchemas.suppressions), noWay])

    static let liftSuppression = Endpoint(
        .delete, "/suppressions/{suppression_id}", id: "liftSuppression", tag: "Suppression", access: writing,
        summary: "Lifts a suppression: its documents come back", input: SuppressionLiftInput.form,
        replies: [
            .json(200, "It is taken, or was lifted before.", ReplySchemas.suppression),
            .error(404, "There is no such suppression, as far as broker and index are there to say so."), noWay,
        ])
}

extension ReplySchemas {
    static let suppression = Schema.object([
        .init("id", .string()),
        .init(
            "target", .choice(SuppressionTarget.Kind.allCases.map(\.rawValue)).orNull,
            "Null, with all that follows from it, where a lift came before the index knew of the suppression."),
        .init("name", .string().orNull, "The topic, event id, title, document's id or user."),
        .init("collection", .string().orNull), .init("wiki", .string().orNull),
        .init("partition", .integer().orNull), .init("offset", .integer().orNull),
        .init("reason", .string().orNull),
        .init("by", .string().orNull, "The name and the id of a key, or an account of the machine."),
        .init("at", .time().orNull), .init("applied", .bool(), "Whether the index has come to what was asked for."),
        .init("index_version", .integer().orNull, "From which on it applies; null until then."),
        .init(
            "lifted",
            Schema.object([
                .init("reason", .string()), .init("by", .string()), .init("at", .time()),
                .init("index_version", .integer()),
            ]).orNull, "Null while it is in force."),
    ]).named("Suppression")

    static let suppressions = Schema.object([
        .init("suppressions", .array(of: suppression)),
        .init("next_before", .integer().orNull, "Goes on to older ones; null where there are none."),
    ]).named("SuppressionsReply")
}
