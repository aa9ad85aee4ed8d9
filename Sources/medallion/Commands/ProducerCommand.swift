import Bytes
import Console
import Health
import Ingest
import ServiceLifecycle

/// `medallion producer`: from the stream to the topic.
struct ProducerCommand: Command {
    static let name = "producer"
    static let summary = "Follows the stream and writes its events to the topic."
    static let table = ArgumentTable(options: [
        .init(name: "--url", value: "URL", help: "The stream, in place of WIKIMEDIA_SSE_URL.")
    ])

    private let url: SecretURL?

    init(_ arguments: ParsedArguments) throws {
        url = try StreamURL.read(arguments.value("--url"), named: "--url")
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        var configuration = ProducerConfiguration(context.settings, brokers: platform.brokers, url: url)
        configuration.kafka = platform.kafka("producer")
        let producer = Producer(configuration: configuration, metrics: context.metrics, logger: context.logger)
        let health = HealthRegistry()
        ProducerWatch(producer, url: configuration.url).register(in: health, isRequired: true)
        platform.registerBroker(in: health, isRequired: true, topic: nil)
        try await context.run(context.roleServices(health) + [platform.sizeService(of: []), producer])
    }
}
