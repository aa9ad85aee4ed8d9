import Answering
import Bytes
import Forms
import HTTPEndpoints
import HTTPServer
import Retrieval

/// What the chat endpoints write: the shapes of https://platform.openai.com/docs/api-reference/chat.
enum ChatReplies {
    /// `GET /v1/models`
    static func models(_ names: [String], createdAtSeconds: Int64) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("object", "list")
        json.key("data")
        json.beginArray()
        for name in names { json.raw(model(name, createdAtSeconds: createdAtSeconds)) }
        json.endArray()
        json.endObject()
        return json.bytes
    }

    /// `GET /v1/models/{model}`
    static func model(_ name: String, createdAtSeconds: Int64) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("id", name)
        json.string("object", "model")
        json.integer("created", createdAtSeconds)
        json.string("owned_by", "medallion")
        json.endObject()
        return json.bytes
    }

    /// An error as OpenAI's API writes it; `code` is the API's own word, `param` the first value that is wrong.
    static func body(of error: APIError) -> [UInt8] {
        // What the server itself refuses has one fault, which says the same.
        let faults = error.faults.filter { $0.message != error.message }.map { "\(place($0)) \($0.message)" }
        let head = error.type == "validation" ? [] : [error.message]
        let message = (head + (faults.isEmpty ? [] : [faults.joined(separator: "; ")])).joined(separator: ": ")
        var json = JSONWriter()
        json.beginObject()
        json.key("error")
        json.beginObject()
        json.string("message", message)
        json.string("type", kind(ofStatus: error.status))
        json.key("param")
        json.optional(error.faults.first.map(place).flatMap { $0.isEmpty ? nil : $0 })
        json.string("code", error.type)
        json.endObject()
        json.endObject()
        return json.bytes
    }

    /// `messages.0.content` of a place in the body.
    private static func place(_ fault: InputFault) -> String {
        let steps = fault.location.first == .name("body") ? fault.location.dropFirst() : fault.location[...]
        return steps.map { step in
            switch step {
            case .name(let name): name
            case .index(let index): String(index)
            }
        }.joined(separator: ".")
    }

    private static func kind(ofStatus status: Int) -> String {
        switch status {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 429: "rate_limit_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    /// `length` where a model was stopped at its bound of tokens; what failed says so in `medallion`.
    static func finish(_ made: MadeAnswer) -> String {
        made.use.isIncomplete && made.use.reason == nil ? "length" : "stop"
    }

    static let error = Schema.object([
        .init(
            "error",
            .object([
                .init("message", .string()), .init("type", .string()), .init("param", .string().orNull),
                .init("code", .string("The API's own word for it.").orNull),
            ]))
    ]).named("ChatError")

    static let model = Schema.object([
        .init("id", .string()), .init("object", .choice(["model"])), .init("created", .integer()),
        .init("owned_by", .string()),
    ]).named("ChatModel")

    static let models = Schema.object([
        .init("object", .choice(["list"])), .init("data", .array(of: model)),
    ]).named("ChatModels")

    private static let annotation = Schema.object([
        .init("type", .choice(["url_citation"])),
        .init(
            "url_citation",
            .object([
                .init("start_index", .integer(), "Of the sentence in `content`, in Unicode scalars."),
                .init("end_index", .integer(), "Behind its last one."), .init("url", .string()),
                .init("title", .string()),
            ])),
        .init("trace", .string(), "Where `GET` gives the way back to the raw event."),
        .init("n", .integer(), "The citation's number in `medallion`."),
    ]).named("ChatAnnotation")

    private static let usage = Schema.object([
        .init("prompt_tokens", .integer(), "Of the question and the passages that were read, estimated."),
        .init("completion_tokens", .integer(), "Of the answer, estimated."), .init("total_tokens", .integer()),
    ]).named("ChatUsage")

    private static let finish = Schema.choice(["stop", "length"])

    static let completion = Schema.object([
        .init("id", .string()), .init("object", .choice(["chat.completion"])), .init("created", .integer()),
        .init("model", .string()),
        .init(
            "choices",
            .array(
                of: .object([
                    .init("index", .integer()),
                    .init(
                        "message",
                        .object([
                            .init("role", .choice(["assistant"])), .init("content", .string()),
                            .init("refusal", .string().orNull), .init("annotations", .array(of: annotation)),
                        ])), .init("logprobs", .anything()), .init("finish_reason", finish),
                ]))), .init("usage", usage),
        .init("medallion", ReplySchemas.answer, "The same answer as `POST /answer` gives it."),
    ]).named("ChatCompletion")

    static let chunk = Schema.object([
        .init("id", .string()), .init("object", .choice(["chat.completion.chunk"])), .init("created", .integer()),
        .init("model", .string()),
        .init(
            "choices",
            .array(
                of: .object([
                    .init("index", .integer()),
                    .init(
                        "delta",
                        .object([
                            .init("role", .choice(["assistant"]), isRequired: false),
                            .init("content", .string(), isRequired: false),
                            .init("annotations", .array(of: annotation), isRequired: false),
                        ])), .init("logprobs", .anything()), .init("finish_reason", finish.orNull),
                ])), "Empty in the chunk that tells the tokens."),
        .init("usage", usage.orNull, "Where `stream_options.include_usage` is true.", isRequired: false),
        .init("medallion", ReplySchemas.answer, "In the last chunk with a choice.", isRequired: false),
    ]).named("ChatChunk")
}

/// One reply to one question.
struct ChatCompletion: Sendable {
    private let id: String
    private let createdAtSeconds = SystemClock.epochMilliseconds() / 1_000
    private let model: String

    /// - Parameter model: as the client named it.
    init(model: String) {
        var generator = SystemRandomNumberGenerator()
        id = "chatcmpl-" + String(generator.next() | 1 << 63, radix: 36)
        self.model = model
    }

    func whole(_ made: MadeAnswer) throws -> [UInt8] {
        var json = JSONWriter(capacity: 8_192)
        begin("chat.completion", &json)
        json.key("choices")
        json.beginArray()
        json.beginObject()
        json.integer("index", 0)
        json.key("message")
        json.beginObject()
        json.string("role", "assistant")
        json.string("content", made.content)
        json.key("refusal")
        json.null()
        json.annotations(of: made)
        json.endObject()
        json.key("logprobs")
        json.null()
        json.string("finish_reason", ChatReplies.finish(made))
        json.endObject()
        json.endArray()
        json.usage(of: made)
        json.key("medallion")
        json.raw(try made.reply(withText: true))
        json.endObject()
        return json.bytes
    }

    /// - Parameters:
    ///   - countsTokens: whether a chunk tells them at the end: then all others say that they do not.
    ///   - finish: why nothing follows; nil before the end.
    ///   - after: writes further members of the chunk.
    func chunk(
        countsTokens: Bool, finish: String? = nil, delta: (inout JSONWriter) -> Void,
        after: (inout JSONWriter) -> Void = { _ in }
    ) -> [UInt8] {
        var json = JSONWriter()
        begin("chat.completion.chunk", &json)
        json.key("choices")
        json.beginArray()
        json.beginObject()
        json.integer("index", 0)
        json.key("delta")
        json.beginObject()
        delta(&json)
        json.endObject()
        json.key("logprobs")
        json.null()
        json.key("finish_reason")
        json.optional(finish)
        json.endObject()
        json.endArray()
        if countsTokens {
            json.key("usage")
            json.null()
        }
        after(&json)
        json.endObject()
        return json.bytes
    }

    func usageChunk(_ made: MadeAnswer) -> [UInt8] {
        var json = JSONWriter()
        begin("chat.completion.chunk", &json)
        json.key("choices")
        json.beginArray()
        json.endArray()
        json.usage(of: made)
        json.endObject()
        return json.bytes
    }

    private func begin(_ object: String, _ json: inout JSONWriter) {
        json.beginObject()
        json.string("id", id)
        json.string("object", object)
        json.integer("created", createdAtSeconds)
        json.string("model", model)
    }
}

extension MadeAnswer {
    /// The answer as one text.
    var content: String { answer.sentences.map(\.text).joined(separator: " ") }
}

extension JSONWriter {
    /// `annotations`: each citation of each sentence, with the sentence's place in ``MadeAnswer/content``.
    fileprivate mutating func writeAnnotations(of made: MadeAnswer) {
        var start = 0
        for sentence in made.answer.sentences {
            let end = start + sentence.text.unicodeScalars.count
            for number in sentence.citations {
                guard let citation = made.answer.citations.first(where: { $0.number == number }) else { continue }
                annotation(citation, start..<end)
            }
            start = end + 1
        }
    }

    mutating func annotations(of made: MadeAnswer) {
        key("annotations")
        beginArray()
        writeAnnotations(of: made)
        endArray()
    }

    private mutating func annotation(_ citation: Citation, _ place: Range<Int>) {
        let document = citation.hit.candidate
        let trace =
            "/trace/\(PercentCoding.segment(document.docID))?collection=\(PercentCoding.segment(document.collection))"
        beginObject()
        string("type", "url_citation")
        key("url_citation")
        beginObject()
        integer("start_index", place.lowerBound)
        integer("end_index", place.upperBound)
        string("url", document.url.isEmpty ? trace : document.url)
        string("title", document.title)
        endObject()
        string("trace", trace)
        integer("n", citation.number)
        endObject()
    }

    fileprivate mutating func usage(of made: MadeAnswer) {
        let read = made.result.ranking.prefix(made.use.passages).map(\.candidate.text)
        let prompt = ([made.request.search.asked] + read).reduce(0) { $0 + ExtractiveAnswerer.estimatedTokens($1) }
        let completion = made.answer.sentences.reduce(0) { $0 + ExtractiveAnswerer.estimatedTokens($1.text) }
        key("usage")
        beginObject()
        integer("prompt_tokens", prompt)
        integer("completion_tokens", completion)
        integer("total_tokens", prompt + completion)
        endObject()
    }
}
