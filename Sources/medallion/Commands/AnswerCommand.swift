import Console

/// `medallion answer`: an answer with its citations.
struct AnswerCommand: Command {
    static let name = "answer"
    static let summary = "Answers a question by sentences of the documents, each cited."
    static let table = ArgumentTable(
        options: Question.options,
        positionals: [.init(name: "QUESTION", isRequired: true, help: "What to ask.", takesRest: true)])

    private let question: Question

    init(_ arguments: ParsedArguments) throws { question = try Question(arguments) }

    func run(_ context: Context) async throws {
        try await question.ask("/answer", context, render: Rendering.answer)
    }
}
