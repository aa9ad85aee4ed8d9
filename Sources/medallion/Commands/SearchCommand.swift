import Console

/// `medallion search`: hits for a query.
struct SearchCommand: Command {
    static let name = "search"
    static let summary = "Finds documents by meaning and by words."
    static let table = ArgumentTable(
        options: Question.options,
        positionals: [.init(name: "QUERY", isRequired: true, help: "What to look for.", takesRest: true)])

    private let question: Question

    init(_ arguments: ParsedArguments) throws { question = try Question(arguments) }

    func run(_ context: Context) async throws {
        try await question.ask("/search", context, render: Rendering.hits)
    }
}
