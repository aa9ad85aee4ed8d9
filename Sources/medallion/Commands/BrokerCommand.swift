import Console
import Health
import ServiceLifecycle

/// `medallion broker`: the embedded broker alone.
struct BrokerCommand: Command {
    static let name = "broker"
    static let summary = "Runs the embedded broker at BROKER_LISTEN."
    static let table = ArgumentTable()

    init(_ arguments: ParsedArguments) throws {}

    func run(_ context: Context) async throws {
        guard context.settings.broker.bootstrapServers.isEmpty else {
            throw Failure("KAFKA_BROKERS is set: this deployment has a broker already", code: .usage)
        }
        let platform = Platform(context: context)
        let health = HealthRegistry()
        platform.registerBroker(in: health, isRequired: true)
        platform.registerDisk("log", folder: context.settings.folders.broker, in: health, isRequired: true)
        platform.registerBrokerDisk(in: health)
        try await context.run(
            context.roleServices(health) + [platform.sizeService(of: [.broker]), platform.brokerService()])
    }
}
