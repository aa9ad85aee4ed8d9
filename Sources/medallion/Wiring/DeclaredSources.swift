import Bytes
import Console
import Files
import Logic
import Records
import Settings
import Sources

/// The sources of this deployment, and who declares them.
struct DeclaredSources: Sendable, Equatable {
    /// The file; nil where the environment is the declaration of the one source.
    let file: String?
    let sources: [SourceDeclaration]

    private static let name = "sources.json"

    /// Reads the file that `SOURCES_FILE` names, else `sources.json` in the working folder or in `DATA_DIR`, else the environment.
    ///
    /// - Parameter file: in place of them all.
    /// - Throws: `DeclarationError` with all faults of the file; ``Failure`` where there are two files and none is named.
    static func read(_ settings: Settings, file: String? = nil) throws -> DeclaredSources {
        let logic = try TransformSettings(settings)
        if let path = try file ?? Self.file(settings) {
            return DeclaredSources(file: path, sources: try SourcesFile.read(path, defaults: logic))
        }
        guard let source = standard(settings, logic) else {
            throw Failure("KAFKA_TOPIC=\(settings.topics.raw): a topic's name is \(SourceName.grammar)", code: .usage)
        }
        return DeclaredSources(file: nil, sources: [source])
    }

    /// The file that declares them; nil where there is none.
    static func file(_ settings: Settings) throws -> String? {
        if !settings.source.file.isEmpty { return settings.source.file }
        let places = [AbsolutePath.of(name), settings.folders.data + "/" + name]
        let found = Set(places).filter { Folder.exists($0) }.sorted()
        guard found.count < 2 else {
            throw Failure(
                "there are \(found.joined(separator: " and ")); set SOURCES_FILE to the one that counts", code: .usage)
        }
        return found.first
    }

    /// Whether a file declares them; the environment's one source has no name in metrics and health.
    var isFile: Bool { file != nil }

    /// Those of a tenant; nil for all.
    func sources(of tenant: TenantID?) -> [SourceDeclaration] {
        guard let tenant else { return sources }
        return sources.filter { $0.tenant == tenant }
    }

    /// The collections of each tenant.
    var collections: [TenantID: [CollectionDeclaration]] {
        Dictionary(grouping: sources, by: \.tenant).mapValues { $0.map(\.collection) }
    }

    /// The addresses of the event streams that are followed.
    var streams: [SecretURL] {
        sources.compactMap { source in
            guard case .serverSentEvents(let stream) = source.connector else { return nil }
            return stream.url
        }
    }

    /// One of them alone, or those that a test lets pass.
    ///
    /// - Parameter isStart: while a process runs, the last one may go: another may come.
    /// - Throws: ``Failure`` (64) where none is left at the start.
    func only(
        _ name: String?, where isWanted: (SourceDeclaration) -> Bool = { _ in true }, else words: String = "",
        isStart: Bool
    ) throws -> DeclaredSources {
        let chosen = sources.filter { (name == nil || $0.name.text == name) && isWanted($0) }
        guard chosen.isEmpty, isStart else { return DeclaredSources(file: file, sources: chosen) }
        let place = file ?? "the environment"
        throw Failure(
            name.map { "no source \($0) \(words) is declared in \(place); see medallion sources ls" }
                ?? "no source in \(place) \(words): there is nothing to do here", code: .usage)
    }

    /// With another address for the event stream.
    ///
    /// - Parameter isStart: while a process runs, the source that follows it may go.
    /// - Throws: ``Failure`` (64) where several sources follow one, or none does at the start.
    func following(_ url: SecretURL?, isStart: Bool) throws -> DeclaredSources {
        guard let url else { return self }
        var streams: [String] = []
        let changed = sources.map { source in
            guard case .serverSentEvents(let stream) = source.connector else { return source }
            streams.append(source.name.text)
            return source.with(.serverSentEvents(stream.at(url)))
        }
        guard streams.count < 2 else {
            throw Failure(
                "--url: one address cannot stand for those of \(streams.joined(separator: ", ")); write them in "
                    + "\(file ?? "the environment")", code: .usage)
        }
        guard !streams.isEmpty || !isStart else {
            throw Failure("--url: no source in \(file ?? "the environment") has the connector sse", code: .usage)
        }
        return DeclaredSources(file: file, sources: changed)
    }

    /// Today's environment as a declaration.
    private static func standard(_ settings: Settings, _ logic: TransformSettings) -> SourceDeclaration? {
        guard let name = SourceName(settings.topics.raw), let collection = CollectionName(settings.topics.raw) else {
            return nil
        }
        return SourceDeclaration(
            name: name, topic: settings.topics.raw, goldTopic: settings.topics.gold,
            connector: .serverSentEvents(ServerSentEventsDeclaration(url: settings.source.url)),
            logic: .recentChange(logic),
            collection: CollectionDeclaration(
                name: collection, attributes: CollectionDeclaration.recentChangeAttributes))
    }
}
