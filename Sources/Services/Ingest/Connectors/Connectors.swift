package import Kafka
package import Records
package import Settings
package import Sources
package import Telemetry

/// Makes what fills the topics of declared sources. Here, and in `ConnectorDeclaration`, a new connector has its line.
package enum Connectors {
    /// The service that fills a source's topic; nil where somebody else does.
    ///
    /// - Parameters:
    ///   - isDeclared: false for the one source that the environment describes.
    ///   - kafka: how to reach the brokers, as this source's client.
    ///   - wishes: what operators ask of it; nil as long as that is not known.
    ///   - wishesFault: why it is not known.
    ///   - report: told what became of requests. Does not block.
    package static func service(
        for source: SourceDeclaration, isDeclared: Bool, settings: Settings, kafka: KafkaConfiguration,
        metrics: MetricsRegistry, logger: Logger,
        wishes given: @escaping @Sendable () -> SourceWishes? = { SourceWishes() },
        wishesFault: @escaping @Sendable () -> String? = { nil },
        report: @escaping @Sendable (SourceOutcome) -> Void = { _ in }
    ) -> ConnectorService? {
        let folder = "\(settings.folders.data)/connectors/\(source.name)"
        let keeper = PauseKeeper(path: folder + "/paused.json", logger: logger.scoped("source \(source.name)"))
        let wishes: @Sendable () -> SourceWishes? = { keeper.heed(given()) }
        var configuration = ProducerConfiguration(settings, kafka: kafka, topic: source.topic)
        let context = ConnectorContext(
            source: source, stateFolder: folder, wishes: wishes, report: report)
        var lagWhilePaused: (@Sendable () throws -> Int64?)?
        let make: @Sendable () throws -> any SourceConnector
        switch source.connector {
        case .serverSentEvents(let stream):
            configuration.url = stream.url
            let labels = isDeclared ? [("source", source.name.text)] : []
            make = { [configuration] in
                ServerSentEventsConnector(
                    configuration, metrics: metrics, labels: labels, scan: try context.scan(of: stream))
            }
        case .files(let files): make = { try FilesConnector(files, context) }
        case .postgres(let table):
            make = { try PostgresConnector(table, context, metrics: metrics, logger: logger) }
            lagWhilePaused = {
                try CaptureSlot.lagWhilePaused(
                    table, source: context.source.name.text, statePath: context.statePath, metrics)
            }
        // The API takes their records.
        case .webhook, .documents: return nil
        case .none: return nil
        }
        return ConnectorService(
            source: source.name.text, isDeclared: isDeclared, place: source.connector.members?.place ?? "",
            configuration: configuration, metrics: metrics, logger: logger, wishes: wishes,
            wishesFault: wishesFault, lagWhilePaused: lagWhilePaused, report: report, makeConnector: make)
    }
}

/// What a connector may want to know beside its own declaration.
struct ConnectorContext: Sendable {
    let source: SourceDeclaration
    /// The source's own folder, for what a connector keeps durably. It may not be there yet.
    let stateFolder: String
    /// Of what is known of a table.
    var statePath: String { stateFolder + "/postgres.json" }
    /// What operators ask of it; nil as long as that is not known.
    var wishes: @Sendable () -> SourceWishes? = { SourceWishes() }
    /// Told what became of requests. Does not block.
    var report: @Sendable (SourceOutcome) -> Void = { _ in }

    /// What looks into a stream's events; nil where they are recent changes.
    func scan(of stream: ServerSentEventsDeclaration) throws -> DocumentEventScan? {
        guard case .document(let settings) = source.logic else { return nil }
        return try DocumentEventScan(stream, settings)
    }

    /// Where a document's id stands, which is the record's key.
    var idPath: String {
        switch source.logic {
        case .document(let settings): settings.mapping.id.text
        case .recentChange: "meta.id"
        }
    }
}
