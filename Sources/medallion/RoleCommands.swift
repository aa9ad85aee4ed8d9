import Bytes
import Health
import Indexer
import Ingest
import ServiceLifecycle

/// `medallion broker`: the embedded broker alone.
struct BrokerCommand: Command {
    static let name = "broker"
    static let summary = "Runs the embedded broker at BROKER_LISTEN."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        guard context.settings.kafkaBrokers.isEmpty else {
            throw Failure("KAFKA_BROKERS is set: this deployment has a broker already", code: .usage)
        }
        let platform = Platform(context: context)
        let health = HealthRegistry()
        platform.registerBroker(in: health, isRequired: true, topic: nil)
        platform.registerDisk("log", folder: context.settings.brokerDirectory, in: health, isRequired: true)
        platform.registerBrokerDisk(in: health)
        try await context.run(
            context.roleServices(health) + [platform.sizeService(of: [.broker]), platform.brokerService()])
    }
}

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

/// `medallion serve`: the HTTP API.
struct ServeCommand: Command {
    static let name = "serve"
    static let summary = "Serves the HTTP API and the page at API_LISTEN."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        try platform.checkModelSettings()
        let health = HealthRegistry()
        let board = platform.freshnessBoard()
        let api = try platform.apiService(
            health: health, freshness: board, pipeline: { nil }, stages: { board.servingStages })
        try await context.run(
            context.probeServices(platform.servingPages(health, board)) + platform.databaseServices() + [
                platform.freshnessService(board), platform.sizeService(of: []), api,
            ])
    }
}

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
