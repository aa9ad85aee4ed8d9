import Console
import Health
import ServiceLifecycle

/// `medallion stream`: the stream job as a process of its own.
struct StreamCommand: Command {
    static let name = "stream"
    static let summary = "Consumes the sources' topics, writes Bronze, Silver and Gold, and publishes Gold."
    static let table = ArgumentTable(options: [
        .init(name: "--source", value: "NAME", help: "Only this declared source (default: all).")
    ])

    private let source: String?

    init(_ arguments: ParsedArguments) throws {
        source = arguments.value("--source")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let health = HealthRegistry()
        let declarations = try Declarations(platform) { [source] in try $0.only(source, isStart: $1) }
        // A wrong setting ends the start before anything runs.
        for source in declarations.current.sources { _ = try platform.streamOptions(source) }
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: true)
        declarations.register(in: health)
        platform.registerDisk("lake", folder: context.settings.folders.lake, in: health, isRequired: true)
        platform.registerBroker(in: health, isRequired: true)
        let faults = platform.registerSuppressions(in: health)
        // It is stopped last, when all is told.
        let emitters: [any Service] = try platform.lineageEmitters()
        try await context.run(
            emitters + context.roleServices(health) + [
                platform.sizeService(of: [.lake]), roles.streamJobs(), platform.suppressionLogging(faults),
                declarations,
            ])
    }
}
