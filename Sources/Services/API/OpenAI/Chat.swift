import Answering
import Bytes
import Forms
import HTTPEndpoints
import HTTPServer
import Retrieval
import Synchronization
import Text

/// The names by which clients of OpenAI's API choose who answers.
enum ChatModels {
    /// Whoever answers `POST /answer`: the models in their order, and quoting where all fail.
    static let all = "medallion"
    static let quoting = "extractive"
}

/// `POST /v1/chat/completions` and `GET /v1/models`: `/answer` for programs that speak OpenAI's API, with the same keys, tenants,
/// limits and check of citations, and the same answers kept.
struct Chat: Sendable {
    let answers: Answers
    /// Since 1970; what models say of when they were made.
    let startedAtSeconds: Int64

    func endpoints(in set: inout EndpointSet) {
        set.add(
            Contract.models,
            inline: { _, _ in .fresh(ChatReplies.models(names, createdAtSeconds: startedAtSeconds)) })
        set.add(
            Contract.model,
            inline: { input, _ in
                guard names.contains(input.model) else { throw noModel(input.model) }
                return .fresh(ChatReplies.model(input.model, createdAtSeconds: startedAtSeconds))
            })
        set.add(
            Contract.chat,
            stream: { input, request, _, writer in
                guard let answers = answering(as: input.model) else { throw noModel(input.model) }
                let asked = try input.answer.checked(
                    answers.scope.declared(for: request), nowMilliseconds: answers.search.clock())
                let completion = ChatCompletion(model: input.model)
                try await answers.metrics.answers.observe(writer) {
                    if input.isStreamed == true {
                        let chunks = ChatChunks(
                            completion, countsTokens: input.streamOptions?.includesUsage == true, writer: writer)
                        return try await stream(asked, by: answers, request, chunks, writer)
                    }
                    let made = try await answers.inTurn(asked, request) { _ in }
                    var response = HTTPResponse.fresh(try completion.whole(made))
                    Compression.apply(to: &response, for: request)
                    writer.respond(response)
                    return AnswerOutcome(made)
                }
            })
    }

    private var names: [String] { [ChatModels.all] + answers.chain.models.map(\.name) + [ChatModels.quoting] }

    /// Who answers under that name; nil for nobody.
    private func answering(as name: String) -> Answers? {
        var named = answers
        switch name {
        case ChatModels.all: return answers
        case ChatModels.quoting: named.chain = answers.chain.quoting
        default:
            guard let chain = answers.chain.only(name) else { return nil }
            named.chain = chain
        }
        return named
    }

    private func noModel(_ name: String) -> APIError {
        let message =
            "there is no model of the name \(Snippet.head(of: name, charactersMax: 100)); there are "
            + names.joined(separator: ", ")
        return APIError(
            status: 404, type: "model_not_found", message: message,
            faults: [
                InputFault(type: "model_not_found", location: [.name("body"), .name("model")], message: message)
            ])
    }

    /// In chunks: sentences of a model as they are checked, quotes when all are found and kept.
    private func stream(
        _ input: AnswerRequest, by answers: Answers, _ request: HTTPRequest, _ chunks: ChatChunks,
        _ writer: HTTPStreamWriter
    ) async throws -> AnswerOutcome {
        let isLive = !answers.chain.models.isEmpty
        let made: MadeAnswer
        do {
            made = try await answers.inTurn(input, request) { output in
                guard isLive else { return }
                switch output {
                case .begin: try await chunks.begin()
                case .sentence(let sentence): try await chunks.write(sentence)
                case .draft: break
                }
            }
        } catch  where writer.isStarted && !(error is CancellationError) && !writer.isClosed {
            // Too late for a status: clients raise what stands in a chunk's `error`.
            try await chunks.fail(
                error as? APIError ?? .unavailable("the answer", "it could not be finished or kept; ask again"))
            return .broken
        }
        try await chunks.begin()
        if !isLive || made.answer.isRefused || made.cached != nil {
            for sentence in made.answer.sentences { try await chunks.write(sentence) }
        }
        try await chunks.end(made)
        return AnswerOutcome(made)
    }
}

/// A streamed reply: `chat.completion.chunk` objects as server-sent events, and `[DONE]`.
final class ChatChunks: Sendable {
    private let completion: ChatCompletion
    private let countsTokens: Bool
    private let writer: HTTPStreamWriter
    /// Whether something was said, behind which a space belongs.
    private let hasText = Mutex(false)

    init(_ completion: ChatCompletion, countsTokens: Bool, writer: HTTPStreamWriter) {
        self.completion = completion
        self.countsTokens = countsTokens
        self.writer = writer
    }

    /// The head and the role, once.
    func begin() async throws {
        guard !writer.isStarted else { return }
        writer.start(headers: EventFrame.headers)
        try await send { json in
            json.string("role", "assistant")
            json.string("content", "")
        }
    }

    func write(_ sentence: AnswerSentence) async throws {
        let isFirst = hasText.withLock { hasText in
            defer { hasText = true }
            return !hasText
        }
        for word in AnswerTokens.split((isFirst ? "" : " ") + sentence.text) {
            try await send { $0.string("content", word) }
        }
    }

    /// The annotations, which are the last delta, the tokens where they are wanted, and the mark of the end.
    func end(_ made: MadeAnswer) async throws {
        let reply = try made.reply(withText: true)
        try await writer.write(
            Self.frame(
                completion.chunk(
                    countsTokens: countsTokens, finish: ChatReplies.finish(made), delta: { $0.annotations(of: made) },
                    after: {
                        $0.key("medallion")
                        $0.raw(reply)
                    })))
        if countsTokens { try await writer.write(Self.frame(completion.usageChunk(made))) }
        try await writer.write(Array("data: [DONE]\n\n".utf8))
    }

    func fail(_ error: APIError) async throws {
        try await writer.write(Self.frame(ChatReplies.body(of: error)))
    }

    private func send(_ delta: (inout JSONWriter) -> Void) async throws {
        try await writer.write(Self.frame(completion.chunk(countsTokens: countsTokens, delta: delta)))
    }

    private static func frame(_ data: [UInt8]) -> [UInt8] {
        Array("data: ".utf8) + data + Array("\n\n".utf8)
    }
}
