import Console
import Replay

/// `medallion promote`: serves another generation.
struct PromoteCommand: Command {
    static let name = "promote"
    static let summary = "Makes a generation the active one; with the previous number it is the rollback."
    static let table = ArgumentTable(
        options: [
            .init(
                name: "--wait", value: "SECONDS",
                help: "How long to wait where its index is behind (default 10); then how far it is behind is said.")
        ],
        positionals: [
            .init(name: "GENERATION", isRequired: true, help: "Its number, as `medallion generations` lists it.")
        ])

    private let generation: Int64
    private let waitSeconds: Int

    init(_ arguments: ParsedArguments) throws {
        guard let number = Int64(arguments.word(0) ?? ""), number > 0 else {
            throw UsageError("GENERATION is a number above 0")
        }
        generation = number
        waitSeconds = try arguments.integer("--wait", in: 0...86_400) ?? 10
    }

    func run(_ context: Context) async throws {
        let promotion = Promotion(
            lakeDirectory: context.settings.folders.lake,
            database: try await Platform(context: context).checkedDatabase("promote", for: .writing))
        try await promotion.promote(generation, waitMilliseconds: waitSeconds * 1_000)
        Output.line("generation \(generation) is active")
    }
}
