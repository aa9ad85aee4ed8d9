import Forms
import HTTPEndpoints
import JSONScan
import Retrieval

/// A member that is read and changes nothing.
struct Ignored: Sendable {}

/// The body of `POST /v1/chat/completions`, as OpenAI's clients write it.
///
/// What would change an answer and cannot be done is refused by name; what only steers how a model chooses its words is taken
/// and ignored, since `/answer` chooses its own.
struct ChatInput: Sendable {
    var model = ""
    /// The text of the last message of a user.
    var question = ""
    /// What `/answer` takes besides.
    var options = AnswerInput()
    var tokensMax: Int?
    var completionTokensMax: Int?
    var isStreamed: Bool?
    var streamOptions: ChatStreamOptions?
    private var ignored = Ignored()

    /// The question as `POST /answer` takes it.
    var answer: AnswerInput {
        var answer = options
        answer.search.query = question
        if let tokens = completionTokensMax ?? tokensMax {
            answer.maxTokens = min(tokens, SearchLimits.answerTokensMax)
        }
        return answer
    }

    static let form = Form<ChatInput>.object(
        ChatInput(),
        [
            Field(
                "model", \.model, .string(1...200),
                "`medallion`, or the name of one answerer as `GET /v1/models` lists them.",
                example: .string(ChatModels.all), isRequired: true),
            Field(
                "messages", \.question, ChatMessages.form,
                "The last message of a user is the question. Others are read by nobody: there is no memory, and answers "
                    + "follow no system message.",
                isRequired: true),
            Field(
                "medallion", \.options, options,
                "What `POST /answer` takes besides: filters and the like (`extra_body` of OpenAI's clients)."),
            Field(
                "max_tokens", \.tokensMax, tokens.optional,
                "As `max_tokens` of `POST /answer`; more is as good as its most."),
            Field("max_completion_tokens", \.completionTokensMax, tokens.optional, "The same, and goes first."),
            Field("stream", \.isStreamed, Form<Bool>.bool.optional, "Whether the answer comes in chunks."),
            Field("stream_options", \.streamOptions, ChatStreamOptions.form.optional),
        ] + refused + ignoredNames.map { Field($0, \.ignored, anything, "Ignored.") }
    ).named("ChatRequest")

    private static let tokens = Form<Int>.integer(1...Int.max)

    /// The body of `POST /answer` without what stands elsewhere in this one.
    private static let options = Form<AnswerInput>.object(
        AnswerInput(),
        SearchInput.fields(
            query: \.search.query, topK: \.search.topK, mode: \.search.mode, modes: AskedMode.ofQuestions,
            filter: \.search.filter, collection: \.search.collection, interprets: \.search.interprets,
            isQueryRequired: false
        ).dropFirst() + [Field("debug", \.isDebug, .bool, "Whether `debug` of `medallion` in the reply is filled.")]
    ).named("ChatOptions")

    /// What steers a model's choice of words, and what only OpenAI's service knows.
    private static let ignoredNames = [
        "temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "seed", "user", "metadata",
        "store",
        "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "reasoning_effort", "safety_identifier", "service_tier", "verbosity", "web_search_options",
    ]

    private static let anything = Form<Ignored>(
        schema: .anything(), json: { _ in .null }, read: { _, _ in Ignored() })

    /// What an answer cannot have, each with the values that ask for nothing.
    private static let refused: [Field<ChatInput>] = [
        only("n", [.integer(1)], "there is one answer to a question"),
        only("tools", [.array([])], "answers call no tools"), only("functions", [.array([])], "answers call no tools"),
        only("tool_choice", [.string("none"), .string("auto")], "answers call no tools"),
        only("function_call", [.string("none"), .string("auto")], "answers call no tools"),
        only(
            "response_format", [.object([("type", .string("text"))])],
            "answers are text; `medallion` of the reply is their JSON"),
        only("modalities", [.array([.string("text")])], "answers are text"), only("audio", [], "answers are text"),
        only("logprobs", [.bool(false)], "sentences have no probabilities"),
        only("top_logprobs", [.integer(0)], "sentences have no probabilities"),
        only("stop", [.array([])], "an answer ends with its last sentence; max_tokens bounds it"),
        only("moderation", [], "nothing is moderated"),
    ]

    /// A member that may have these values or be null, and is refused with others.
    private static func only(_ name: String, _ values: [JSONValue], _ why: String) -> Field<ChatInput> {
        let allowed = values + [.null]
        let shown = allowed.map(\.text).joined(separator: " or ")
        let form = Form<Ignored>(
            schema: Schema([(name: "enum", value: .array(allowed))]), json: { _ in .null },
            read: { value, reading in
                let isAllowed = allowed.contains { $0 == value || ($0.double != nil && $0.double == value.double) }
                guard !isAllowed else { return Ignored() }
                reading.fault("unsupported", "must be \(shown): \(why)", input: value)
                return nil
            })
        return Field(name, \.ignored, form, "Nothing else: \(why).")
    }
}

/// `stream_options` of a request.
struct ChatStreamOptions: Sendable {
    var includesUsage: Bool?
    private var ignored = Ignored()

    static let form = Form<ChatStreamOptions>.object(
        ChatStreamOptions(),
        [
            Field(
                "include_usage", \.includesUsage, Form<Bool>.bool.optional,
                "Whether a chunk before the end tells the tokens."),
            Field(
                "include_obfuscation", \.ignored,
                Form<Ignored>(schema: .anything(), json: { _ in .null }, read: { _, _ in Ignored() }), "Ignored."),
        ])
}

/// `messages` of a request: what is read of them is the last question.
enum ChatMessages {
    private static let roles = ["system", "developer", "user", "assistant", "tool", "function"]

    /// Reads the text of the last message of a user.
    static var form: Form<String> {
        var message = Schema([
            (name: "type", value: .string("object")),
            (
                name: "properties",
                value: .object([
                    (
                        "role",
                        .object([("type", .string("string")), ("enum", .array(roles.map(JSONValue.string)))])
                    ),
                    (
                        "content",
                        .object([
                            ("description", .string("Of a question: a text, or a list of parts of the type `text`."))
                        ])
                    ),
                ])
            ),
        ])
        message["required"] = .array([.string("role")])
        var schema = Schema.array(of: message)
        schema["minItems"] = .integer(1)
        return Form(schema: schema, json: { _ in .null }, read: read)
    }

    private static func read(_ value: JSONValue, _ reading: inout InputReading) -> String? {
        guard case .array(let messages) = value else {
            reading.fault("list_type", "must be a list", input: value)
            return nil
        }
        var last: Int?
        for (place, message) in messages.enumerated() {
            guard case .object = message else {
                reading.fault("object_type", "must be an object", at: [.index(place)], input: message)
                continue
            }
            guard let role = message["role"]?.string, roles.contains(role) else {
                let type = message["role"] == nil ? "missing" : "enum"
                reading.fault(
                    type, "must be one of \(roles.joined(separator: ", "))", at: [.index(place), .name("role")],
                    input: message["role"])
                continue
            }
            if role == "user" { last = place }
        }
        guard let last else {
            reading.fault("missing", "must have a message of the role user, which is the question")
            return nil
        }
        return reading.at(.index(last)) { reading in
            reading.at(.name("content")) { text(of: messages[last]["content"] ?? .null, &$0) }
        }
    }

    private static func text(of content: JSONValue, _ reading: inout InputReading) -> String? {
        guard case .array(let parts) = content else { return SearchInput.queryForm.read(content, &reading) }
        var texts: [String] = []
        for (place, part) in parts.enumerated() {
            guard part["type"]?.string == "text", let text = part["text"]?.string else {
                let type = part["type"]?.string ?? "none"
                reading.fault(
                    "unsupported", "must be a part of the type text; \(type) cannot be read", at: [.index(place)],
                    input: part)
                return nil
            }
            texts.append(text)
        }
        return SearchInput.queryForm.read(.string(texts.joined(separator: "\n")), &reading)
    }
}
