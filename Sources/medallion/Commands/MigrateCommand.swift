import Console
import ServiceLifecycle

/// `medallion migrate`: the index's schema.
struct MigrateCommand: Command {
    static let name = "migrate"
    static let summary = "Brings the database's schema up to date."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let work = ClosureService(name: "migrate", endsGroup: true) { stop in
            let applied = try await platform.migrate(stop: stop)
            for name in applied { Output.line("applied \(name)") }
            Output.line(applied.isEmpty ? "the schema is up to date" : "\(applied.count) migrations applied")
        }
        // Without the one that databaseServices() adds: this one tells what it did.
        try await context.run(platform.databaseServices().filter { $0.name != "migrations" } + [work])
    }
}
