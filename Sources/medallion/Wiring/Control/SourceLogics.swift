import Bytes
import Derivation
import Lake
import Logic
import Records
import Settings
import Sources

/// What replays of the declared sources begin with, for the API.
enum SourceLogics {
    /// Each source's logic as a JSON object: as it is declared, and as the served generation has it.
    ///
    /// - Throws: `DeclarationError`, and ``Failure`` where nothing says which sources there are.
    static func json(_ settings: Settings, served: LakeGeneration?) throws -> [[UInt8]] {
        try DeclaredSources.read(settings).sources.map { source in
            let stored = served?.logic.logic(of: source.topic)
            // What a later release stored is not shown; a replay with declared logic does without it.
            let running = try? stored?.read().declaredJSON()
            var json = JSONWriter()
            json.beginObject()
            json.string("source", source.name.text)
            json.string("topic", source.topic)
            json.string("collection", source.collection.name.text)
            json.string("logic_version", try TopicLogic(source).logicVersion)
            json.key("declared")
            json.raw(try source.logic.declaredJSON())
            json.key("served_logic_version")
            if let stored { json.string(stored.logicVersion) } else { json.null() }
            json.key("served")
            if let running { json.raw(running) } else { json.null() }
            json.endObject()
            return json.bytes
        }
    }
}
