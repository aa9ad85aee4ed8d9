import Console
import Health
import ServiceLifecycle

/// `medallion index`: from the Gold topic to the index.
struct IndexCommand: Command {
    static let name = "index"
    static let summary = "Runs the indexer: the Gold topic to Postgres."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        try platform.checkModelSettings()
        let health = HealthRegistry()
        platform.registerDatabase(in: health)
        platform.registerBroker(in: health, isRequired: true, topic: nil)
        try await context.run(
            context.roleServices(health) + platform.databaseServices() + [
                platform.sizeService(of: [.index]), platform.indexerService(health: health, isRequired: true),
            ])
    }
}
