import Bytes
import Console
import Health
import ServiceLifecycle

/// `medallion producer`: from the sources to their topics.
struct ProducerCommand: Command {
    static let name = "producer"
    static let summary = "Follows the sources and writes their events to the topics."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The stream, in place of the address that is declared."),
        .init(name: "--source", value: "NAME", help: "Only this declared source (default: all that have a connector)."),
    ])

    private let url: SecretURL?
    private let source: String?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.value("--url"), named: "--url")
        source = arguments.value("--source")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let health = HealthRegistry()
        let declarations = try Declarations(platform) { [url, source] declared, isStart in
            try declared.only(
                source, where: { $0.connector != .none && !$0.connector.isPushed }, else: "with a connector",
                isStart: isStart
            ).following(url, isStart: isStart)
        }
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: true)
        declarations.register(in: health)
        platform.registerSourceRequests(in: health)
        platform.registerBroker(in: health, isRequired: true)
        let outcomes = platform.sourceOutcomeReporter()
        try await context.run(
            context.roleServices(health) + [
                platform.sizeService(of: []), platform.sourceRequestFollowing(), outcomes,
                roles.connectors(outcomes: outcomes), declarations,
            ])
    }
}
