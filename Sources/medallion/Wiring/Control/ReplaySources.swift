import Console
import Derivation
import Files
import Lake
import Logic
import Records
import Replay
import Settings
import Sources
import Store

/// The sources that a replay is asked for, and the logic that their documents are to be made by.
struct ReplaySources: Sendable {
    private let settings: Settings
    private let sources: [SourceDeclaration]
    /// Whether all declared ones are meant, and there are several.
    private let isSeveral: Bool
    private let names: String

    /// - Parameters:
    ///   - source: a source's name; nil for all, unless a topic is named.
    ///   - topic: the same by its topic.
    /// - Throws: ``UsageError`` where none is meant.
    init(_ settings: Settings, source: String?, topic: String? = nil) throws {
        self.settings = settings
        let declared = try DeclaredSources.read(settings).sources
        names = declared.map(\.name.text).joined(separator: ", ")
        if source != nil || topic != nil {
            sources = declared.filter { source == nil ? $0.topic == topic : $0.name.text == source }
            guard !sources.isEmpty else {
                throw UsageError("no declared source is \(source ?? topic ?? ""); declared are \(names)")
            }
            isSeveral = false
        } else {
            guard !declared.isEmpty else { throw UsageError("no source is declared") }
            sources = declared
            isSeveral = declared.count > 1
        }
    }

    /// By topic, what the new generation is to store.
    ///
    /// - Parameter logic: written as in a declaration, and where it was read; nil for the declared one.
    /// - Throws: ``UsageError`` where the logic may be meant for several sources; `DeclarationError` for what is wrong with it.
    func logics(_ logic: (bytes: [UInt8], file: String)?) throws -> [String: TopicLogic] {
        if logic != nil, isSeveral { throw UsageError("a logic goes with one source; declared are \(names)") }
        var logics: [String: TopicLogic] = [:]
        for source in sources {
            var wanted = source.logic
            if let logic {
                wanted = try LogicFile.parse(
                    logic.bytes, file: logic.file, of: source, defaults: try TransformSettings(settings))
            }
            logics[source.topic] = try TopicLogic(
                wanted, tenant: source.tenant, collection: source.collection.name.text)
        }
        return logics
    }

    /// - Throws: ``UsageError`` where offsets may be of several sources.
    func scope(_ bounds: ReplayBounds) throws -> ReplayScope {
        if bounds.offsets != nil, isSeveral { throw UsageError("offsets go with one source; declared are \(names)") }
        return ReplayScope(bounds, topics: sources.map(\.topic))
    }
}
