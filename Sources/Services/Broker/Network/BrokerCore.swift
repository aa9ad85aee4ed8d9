import Telemetry

/// What every part of the network side shares; nothing in it changes after the start but behind locks.
struct BrokerCore: Sendable {
    let configuration: BrokerConfiguration
    let tables: StorageTables
    let storage: StorageThread
    let metrics: BrokerMetrics
    let logger: Logger
}
