import Bytes
import Console

/// `medallion search`: hits for a query.
struct SearchCommand: Command {
    static let name = "search"
    static let summary = "Finds documents by meaning and by words."
    static let table = ArgumentTable(
        options: Question.options + [
            .init(name: "--sort", value: "ORDER", help: "relevance, or time: the newest first among what was found."),
            .init(
                name: "--half-life", value: "TIME", help: "New documents rise, half as far after this time, such as 6h."
            ),
            .init(name: "--min-score", value: "N", help: "Only hits whose fused score is not less."),
            .init(name: "--group-by", value: "NAME", help: "One hit for each title, or value of an attribute."),
            .init(name: "--timeout-ms", value: "N", help: "How long the search may take."),
            .init(name: "--explain", value: nil, help: "What scores are made of; with --json."),
        ],
        positionals: [.init(name: "QUERY", isRequired: true, help: "What to look for.", takesRest: true)])

    private let question: Question

    init(_ arguments: ParsedArguments) throws {
        let scoreMin = try arguments.number("--min-score", in: 0...1_000_000)
        let timeout = try arguments.integer("--timeout-ms", in: 1...1_000_000)
        // As with other members: what is left out is not sent.
        question = try Question(arguments) { json in
            if let order = arguments.value("--sort") { json.string("sort", order) }
            if let halfLife = arguments.value("--half-life") {
                json.key("recency")
                json.beginObject()
                json.string("half_life", halfLife)
                json.endObject()
            }
            if let scoreMin { json.double("min_score", scoreMin) }
            if let grouping = arguments.value("--group-by") { json.string("group_by", grouping) }
            if let timeout { json.integer("timeout_ms", timeout) }
            if arguments.has("--explain") { json.bool("explain", true) }
        }
    }

    func run(_ context: Context) async throws {
        try await question.ask("/search", context, render: Rendering.hits)
    }
}
