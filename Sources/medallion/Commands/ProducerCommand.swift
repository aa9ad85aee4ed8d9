import Bytes
import Console
import Health
import Ingest
import ServiceLifecycle
import Sources

/// `medallion producer`: from the sources to their topics.
struct ProducerCommand: Command {
    static let name = "producer"
    static let summary = "Follows the sources and writes their events to the topics."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The stream, in place of WIKIMEDIA_SSE_URL."),
        .init(name: "--source", value: "NAME", help: "Only this declared source (default: all that have a connector)."),
    ])

    private let url: SecretURL?
    private let source: String?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.value("--url"), named: "--url")
        source = arguments.value("--source")
        if url != nil, source != nil {
            throw UsageError("--url is for the environment's source, --source for a declared one")
        }
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        let health = HealthRegistry()
        let services = try services(platform, health)
        platform.registerBroker(in: health, isRequired: true, topic: nil)
        try await context.run(context.roleServices(health) + [platform.sizeService(of: [])] + services)
    }

    private func services(_ platform: Platform, _ health: HealthRegistry) throws -> [any Service] {
        let declared = try DeclaredSources.read(platform.settings)
        if let file = declared.file, url == nil {
            let chosen = declared.sources.filter { source == nil || $0.name.text == source }
            let services = platform.sourceServices(chosen, in: health, isRequired: true)
            guard services.isEmpty else { return services }
            throw Failure(
                source.map { "no source \($0) with a connector is declared in \(file)" }
                    ?? "no source in \(file) has a connector: there is nothing to do here", code: .usage)
        }
        guard source == nil else {
            throw Failure("--source needs a declaration; see medallion sources --help", code: .usage)
        }
        var configuration = ProducerConfiguration(platform.settings, brokers: platform.brokers, url: url)
        configuration.kafka = platform.kafka("producer")
        let producer = Producer(
            configuration: configuration, metrics: platform.context.metrics, logger: platform.context.logger)
        ProducerWatch(producer, url: configuration.url).register(in: health, isRequired: true)
        return [producer]
    }
}
