import StreamJob

/// `medallion stream`: the stream job as a process of its own.
struct StreamCommand: Command {
    static let name = "stream"
    static let summary = "Consumes the source topic, writes Bronze, Silver and Gold, and publishes Gold."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let job = StreamJob(
            options: try StreamJobOptions(context.settings, kafka: Platform(context: context).kafka("stream")),
            registry: context.metrics, logger: context.logger.scoped("stream"))
        try await context.run(context.metricsServices() + [job])
    }
}
