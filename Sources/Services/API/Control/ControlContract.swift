import Access
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan

/// What operators do, over HTTP.
extension Contract {
    private static let writing = EndpointAccess.role(Role.write.rawValue)
    private static let tag = "Replays"
    private static let failures: [EndpointReply] = [
        .error(503, "This process has no lake, or a dependency is not available."),
        .error(504, "The time limit passed."),
    ]
    private static let noReplay = EndpointReply.error(404, "There is no such replay.")

    static let generations = Endpoint(
        .get, "/generations", id: "generations", tag: tag, access: writing,
        summary: "Results there are, and which is served",
        input: NoInput.form, replies: [.json(200, "By number.", ReplySchemas.generations)] + failures)

    static let promote = Endpoint(
        .post, "/generations/{generation}/promote", id: "promote", tag: tag, access: writing,
        summary: "Serves another generation; the previous one is the rollback", input: GenerationInput.promotion,
        replies: [
            .json(200, "It is active.", ReplySchemas.generationState),
            .error(409, "It is not complete, or its index is behind."),
        ] + failures)

    static let prune = Endpoint(
        .post, "/generations/{generation}/prune", id: "prune", tag: tag, access: writing,
        summary: "Gives up a generation that is not active", input: GenerationInput.pruning,
        replies: [
            .json(200, "It is given up.", ReplySchemas.generationState), .error(409, "It is active."),
        ] + failures)

    static let logics = Endpoint(
        .get, "/logics", id: "logics", tag: tag, access: writing,
        summary: "The logic of each declared source, as a replay takes it",
        input: NoInput.form, replies: [.json(200, "By the order of declaration.", ReplySchemas.logics)] + failures)

    static let replays = Endpoint(
        .get, "/replays", id: "replays", tag: tag, access: writing, summary: "Replays, the newest first",
        input: NoInput.form, replies: [.json(200, "Those that are kept.", ReplySchemas.replays)] + failures)

    static let startReplay = Endpoint(
        .post, "/replays", id: "startReplay", tag: tag, access: writing,
        summary: "Runs Bronze through other logic, into a new generation or only to see what would change",
        input: InputForm(
            ReplayStartInput(),
            body: BodyForm(
                \.self, ReplayStartInput.form,
                examples: [
                    (
                        "a dry run",
                        .object([
                            (
                                "logic",
                                .object([
                                    ("type", .string("recent_change")), ("template", .string("{title}: {comment}")),
                                ])
                            ), ("dry_run", .bool(true)),
                        ])
                    )
                ])),
        replies: [
            .json(202, "It runs.", ReplySchemas.replay),
            .error(409, "Another one runs, or it cannot be done as asked."),
        ] + failures)

    static let replay = Endpoint(
        .get, "/replays/{replay_id}", id: "replay", tag: tag, access: writing, summary: "How far a replay is",
        input: ReplayIDInput.form, replies: [.json(200, "The replay.", ReplySchemas.replay), noReplay] + failures)

    static let replayProgress = Endpoint(
        .get, "/replays/{replay_id}/progress", id: "replayProgress", tag: tag, access: writing,
        summary: "The same as it goes on, as server-sent events", input: ReplayIDInput.form,
        replies: [
            EndpointReply(200, "Its progress.", [(MediaType.events, ReplySchemas.replayProgress)]), noReplay,
        ] + failures)

    static let changeReplay = Endpoint(
        .patch, "/replays/{replay_id}", id: "changeReplay", tag: tag, access: writing,
        summary: "Pauses a replay, lets it go on, or sets its rate", input: ReplayChangeInput.form,
        replies: [
            .json(200, "The replay.", ReplySchemas.replay), noReplay, .error(409, "It is over, or another one runs."),
        ] + failures)

    static let endReplay = Endpoint(
        .delete, "/replays/{replay_id}", id: "endReplay", tag: tag, access: writing,
        summary: "Ends a replay; a generation that is not complete is given up", input: ReplayIDInput.form,
        replies: [
            .json(200, "The replay.", ReplySchemas.replay), noReplay, .error(409, "Its generation is active."),
        ] + failures)

    static let quarantine = Endpoint(
        .get, "/quarantine", id: "quarantine", tag: tag, access: writing,
        summary: "Quarantined records, newest first, without their values",
        input: QuarantineInput.list, replies: [.json(200, "A page of records.", ReplySchemas.quarantine)] + failures)

    static let quarantinedRecord = Endpoint(
        .get, "/quarantine/record", id: "quarantinedRecord", tag: tag, access: writing,
        summary: "One quarantined record, with its value", input: QuarantinedRecordInput.form,
        replies: [
            .json(200, "The record.", ReplySchemas.quarantinedRecord),
            .error(404, "No such record is in quarantine."),
        ] + failures)

    static let redrive = Endpoint(
        .post, "/quarantine/redrive", id: "redrive", tag: tag, access: writing,
        summary: "Publishes quarantined records to their topic again", input: QuarantineInput.redrive,
        replies: [.json(200, "What became of each.", ReplySchemas.quarantineChange)] + failures)

    static let discard = Endpoint(
        .post, "/quarantine/discard", id: "discard", tag: tag, access: writing, summary: "Gives quarantined records up",
        input: QuarantineInput.discard,
        replies: [.json(200, "What became of each.", ReplySchemas.quarantineChange)] + failures)
}
