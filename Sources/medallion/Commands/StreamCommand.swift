import Console
import Health
import StreamJob

/// `medallion stream`: the stream job as a process of its own.
struct StreamCommand: Command {
    static let name = "stream"
    static let summary = "Consumes the source topic, writes Bronze, Silver and Gold, and publishes Gold."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let source = try DeclaredSources.environment(context.settings)
        let job = StreamJob(
            options: try StreamJobOptions(context.settings, source: source, kafka: platform.kafka("stream")),
            registry: context.metrics, logger: context.logger.scoped("stream"))
        let health = HealthRegistry()
        platform.register(job, in: health, isRequired: true)
        platform.registerDisk("lake", folder: context.settings.lakeDirectory, in: health, isRequired: true)
        platform.registerBroker(in: health, isRequired: true, topic: nil)
        try await context.run(context.roleServices(health) + [platform.sizeService(of: [.lake]), job])
    }
}
