import HTTPEndpoints
import HTTPServer
import JSONScan

/// What `GET /v1/models/{model}` reads.
struct ChatModelInput: Sendable {
    var model = ""

    static let form = InputForm(
        ChatModelInput(),
        [Parameter(.path, "model", \.model, .string(1...200), "A model's name.", example: .string(ChatModels.all))])
}

extension Contract {
    private static func failures(_ more: EndpointReply...) -> [EndpointReply] {
        more + [
            .json(503, "A dependency is not available.", ChatReplies.error),
            .json(504, "The time limit passed.", ChatReplies.error),
        ]
    }

    private static let noModel = EndpointReply.json(404, "There is no such model.", ChatReplies.error)

    static let chat = Endpoint(
        .post, "/v1/chat/completions", id: "chatCompletion", tag: "OpenAI", access: reading,
        summary: "`POST /answer` for clients of OpenAI's API",
        details:
            "The last message of a user is the question, and citations are annotations. Errors have OpenAI's shape.",
        input: InputForm(
            ChatInput(),
            body: BodyForm(
                \.self, ChatInput.form,
                examples: [
                    (
                        "question",
                        .object([
                            ("model", .string(ChatModels.all)),
                            (
                                "messages",
                                .array([
                                    .object([
                                        ("role", .string("user")),
                                        ("content", .string("who repainted the golden gate bridge?")),
                                    ])
                                ])
                            ),
                        ])
                    )
                ])),
        replies: [
            EndpointReply(
                200, "The answer; it is kept under `medallion.answer_id`.",
                [
                    (MediaType.json, ChatReplies.completion),
                    (
                        MediaType.events,
                        ReplySchemas.events(
                            "With `stream`: server-sent events without names, and `[DONE]` in the last one.",
                            [("message", ChatReplies.chunk)])
                    ),
                ])
        ] + failures(noModel), errors: ChatReplies.error)

    static let models = Endpoint(
        .get, "/v1/models", id: "chatModels", tag: "OpenAI", access: reading, summary: "Who answers",
        details: "`medallion` is whoever answers `POST /answer`; the others are its answerers by name.",
        input: NoInput.form, replies: [.json(200, "The models.", ChatReplies.models)] + failures(),
        errors: ChatReplies.error)

    static let model = Endpoint(
        .get, "/v1/models/{model}", id: "chatModel", tag: "OpenAI", access: reading, summary: "One of them",
        input: ChatModelInput.form, replies: [.json(200, "The model.", ChatReplies.model)] + failures(noModel),
        errors: ChatReplies.error)
}
