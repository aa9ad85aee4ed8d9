import Console
import Health
import Ingest
import Kafka
import KafkaAccess
import Logic
import Records
import ServiceLifecycle
import Sources

extension Platform {
    /// A service for each declared source that has a connector, and its checks.
    ///
    /// - Parameter isRequired: whether this process is there for nothing else.
    func sourceServices(
        _ sources: [SourceDeclaration], in health: HealthRegistry, isRequired: Bool
    ) -> [any Service] {
        sources.compactMap { source -> (any Service)? in
            switch source.connector {
            case .serverSentEvents(let stream): producer(source, stream, in: health, isRequired: isRequired)
            case .files(let files): connector(source, files, in: health, isRequired: isRequired)
            case .none: nil
            }
        }
    }

    private func producer(
        _ source: SourceDeclaration, _ stream: ServerSentEventsDeclaration, in health: HealthRegistry, isRequired: Bool
    ) -> any Service {
        var configuration = ProducerConfiguration(settings, brokers: brokers, url: stream.url)
        configuration.topic = source.topic
        configuration.kafka = kafka("source-\(source.name)")
        let producer = Producer(configuration: configuration, metrics: context.metrics, logger: context.logger)
        ProducerWatch(producer, url: stream.url).register(source.name.text, in: health, isRequired: isRequired)
        return producer
    }

    private func connector(
        _ source: SourceDeclaration, _ files: FilesDeclaration, in health: HealthRegistry, isRequired: Bool
    ) -> any Service {
        var configuration = ProducerConfiguration(settings, brokers: brokers)
        configuration.topic = source.topic
        configuration.kafka = kafka("source-\(source.name)")
        var options = FilesConnector.Options(
            folder: files.folder, statePath: "\(settings.dataDirectory)/connectors/\(source.name)/files.jsonl")
        options.pollMilliseconds = files.pollMilliseconds
        options.settleMilliseconds = files.settleMilliseconds
        options.lineBytesMax = files.lineBytesMax
        options.filesMax = files.filesMax
        let idPath = Self.idPath(source.logic)
        let service = ConnectorService(
            source: source.name.text, configuration: configuration, metrics: context.metrics, logger: context.logger
        ) { [options] in try FilesConnector(options, scan: DocumentScan(idPath: idPath)) }
        ProducerWatch(service, place: files.folder).register(source.name.text, in: health, isRequired: isRequired)
        return service
    }

    /// Where a document's id stands, which is the record's key.
    private static func idPath(_ logic: LogicSettings) -> String {
        switch logic {
        case .document(let settings): settings.mapping.id.text
        // The declaration's check lets no such pair pass.
        case .recentChange: "meta.id"
        }
    }
}
