import Console
import Health
import ServiceLifecycle

/// `medallion index`: from the Gold topic to the index.
struct IndexCommand: Command {
    static let name = "index"
    static let summary = "Runs the indexer: the Gold topics to Postgres."
    static let table = ArgumentTable(options: [
        .init(name: "--source", value: "NAME", help: "Only this declared source (default: all).")
    ])

    private let source: String?

    init(_ arguments: ParsedArguments) throws {
        source = arguments.value("--source")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        try platform.checkModelSettings()
        let health = HealthRegistry()
        let declarations = try Declarations(platform) { [source] in try $0.only(source, isStart: $1) }
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: true)
        declarations.register(in: health)
        platform.registerDatabase(in: health)
        platform.registerBroker(in: health, isRequired: true)
        try await context.run(
            context.roleServices(health) + platform.databaseServices() + [
                platform.sizeService(of: [.index]), roles.indexers(), platform.upkeepService(declarations),
                declarations,
            ])
    }
}
