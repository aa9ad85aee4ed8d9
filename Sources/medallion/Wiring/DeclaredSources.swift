import Console
import Files
import Logic
import Records
import Settings
import Sources

/// The sources of this deployment, and who declares them.
struct DeclaredSources {
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
        guard let source = standard(settings, logic) else { return DeclaredSources(file: nil, sources: []) }
        return DeclaredSources(file: nil, sources: [source])
    }

    /// The file that declares them; nil where there is none.
    static func file(_ settings: Settings) throws -> String? {
        if !settings.sourcesFile.isEmpty { return settings.sourcesFile }
        let places = [AbsolutePath.of(name), settings.dataDirectory + "/" + name]
        let found = Set(places).filter { Folder.exists($0) }.sorted()
        guard found.count < 2 else {
            throw Failure(
                "there are \(found.joined(separator: " and ")); set SOURCES_FILE to the one that counts", code: .usage)
        }
        return found.first
    }

    /// The source that the environment describes, for roles that know no other yet.
    static func environment(_ settings: Settings) throws -> SourceDeclaration {
        guard let source = standard(settings, try TransformSettings(settings)) else {
            throw Failure("KAFKA_TOPIC must be a name: \(SourceName.grammar)", code: .usage)
        }
        return source
    }

    /// Today's environment as a declaration.
    private static func standard(_ settings: Settings, _ logic: TransformSettings) -> SourceDeclaration? {
        guard let name = SourceName(settings.kafkaTopic), let collection = CollectionName(settings.kafkaTopic) else {
            return nil
        }
        return SourceDeclaration(
            name: name, topic: settings.kafkaTopic, goldTopic: settings.kafkaGoldTopic,
            connector: .serverSentEvents(ServerSentEventsDeclaration(url: settings.wikimediaSSEURL)),
            logic: .recentChange(logic),
            collection: CollectionDeclaration(
                name: collection, attributes: CollectionDeclaration.recentChangeAttributes))
    }
}
