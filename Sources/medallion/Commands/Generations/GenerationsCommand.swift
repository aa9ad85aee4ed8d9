import Bytes
import Console
import Derivation
import Lake
import Replay
import Store

/// `medallion generations`: what results there are, and which one is served.
struct GenerationsCommand: Command {
    static let name = "generations"
    static let summary = "Lists the generations: which is active, by which logic, how far each index is."
    static let table = ArgumentTable(options: [
        .init(name: "--prune", value: "N", help: "Stop feeding generation N, which must not be active."),
        .init(name: "--json", value: nil, help: "One JSON object per line."),
    ])

    private let prune: Int64?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        prune = try arguments.integer("--prune", in: 1...Int.max).map(Int64.init)
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let promotion = Promotion(
            lakeDirectory: context.settings.folders.lake,
            database: try await Platform(context: context).checkedDatabase(
                "generations", for: prune == nil ? .serving : .writing))
        if let prune { try await promotion.prune(prune) }
        let generations = try await promotion.list()
        for (lake, index) in generations {
            isJSON ? Output.write(Self.json(lake, index) + [0x0A]) : printLine(lake, index)
        }
        for difference in try await promotion.differences() {
            context.logger.warning(
                "\(difference): a step was cut short, or the index is new or older; the next start of a role that has both, "
                    + "or `medallion promote` with the one to serve, mends what it can")
        }
        // The list is of use also where declarations cannot be read; other commands say why.
        guard let active = generations.compactMap(\.lake).last(where: { $0.state == .active }),
            let declared = try? DeclaredSources.read(context.settings)
        else { return }
        for source in declared.sources {
            guard let stored = active.logic.logic(of: source.topic) else { continue }
            let wanted = try TopicLogic(source)
            guard stored != wanted else { continue }
            context.logger.warning(
                "source \(source.name): generation \(active.number) runs logic \(stored.logicVersion), the declaration asks for "
                    + "\(wanted.logicVersion) in collection \(wanted.collection); `medallion replay` makes a candidate of it"
            )
        }
    }

    private func printLine(_ lake: LakeGeneration?, _ index: GenerationSummary?) {
        let number = lake?.number ?? index?.generation ?? 0
        let state = index?.isActive == true ? "active" : (lake?.state.rawValue ?? "not in the lake")
        let checkpoints = (index?.checkpoints ?? []).map { "\($0.source) \($0.nextOffset)" }.joined(separator: ", ")
        Output.line(
            "\(number)  \(state)  logic \(lake?.logicVersion ?? index?.logicVersion ?? "?")"
                + Self.perTopic(lake)
                + (lake?.parent.map { "  parent \($0)" } ?? "")
                + (index.map { $0.model.isEmpty ? "" : "  vectors \($0.model)" } ?? "")
                + "  documents \(index.map { String($0.documents) } ?? "not in the index")  index at \(checkpoints)")
    }

    /// The logic of each topic, where there are several.
    private static func perTopic(_ lake: LakeGeneration?) -> String {
        guard let topics = lake?.logic.topics, topics.count > 1 else { return "" }
        return " (" + topics.map { "\($0.topic) \($0.logic.logicVersion)" }.joined(separator: ", ") + ")"
    }

    /// One generation as a JSON object.
    static func json(_ lake: LakeGeneration?, _ index: GenerationSummary?) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.integer("generation", lake?.number ?? index?.generation ?? 0)
        json.bool("is_active", index?.isActive == true)
        json.key("lake_state")
        if let lake { json.string(lake.state.rawValue) } else { json.null() }
        json.key("index_state")
        if let index { json.string(index.state.rawValue) } else { json.null() }
        json.string("logic_version", lake?.logicVersion ?? index?.logicVersion ?? "")
        json.key("logics")
        json.beginObject()
        for (topic, logic) in lake?.logic.topics ?? [] {
            json.key(dynamic: topic)
            json.string(logic.logicVersion)
        }
        json.endObject()
        json.key("parent")
        if let parent = lake?.parent { json.integer(parent) } else { json.null() }
        json.key("documents")
        if let index { json.integer(index.documents) } else { json.null() }
        json.key("model")
        if let index, !index.model.isEmpty { json.string(index.model) } else { json.null() }
        json.key("checkpoints")
        json.beginArray()
        for checkpoint in index?.checkpoints ?? [] {
            json.beginObject()
            json.string("topic", checkpoint.source.topic)
            json.integer("partition", checkpoint.source.partition)
            json.integer("next_offset", checkpoint.nextOffset)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}
