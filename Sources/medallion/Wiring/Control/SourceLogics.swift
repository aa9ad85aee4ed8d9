import Bytes
import Derivation
import Lake
import Logic
import Records
import Sources

/// What replays of the declared sources begin with, for the API.
enum SourceLogics {
    /// Each source's logic as a JSON object: as it is declared, and as the served generation has it.
    ///
    /// - Parameter declared: those that run, whatever the file says by now.
    static func json(_ declared: DeclaredSources, served: LakeGeneration?) throws -> [[UInt8]] {
        try declared.sources.map { source in
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
