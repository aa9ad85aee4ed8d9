import Bytes
import Console
import Indexer
import Lake
import Logic
import Records
import Replay
import StreamJob

/// `medallion replay`: what would change, or a generation in which it has changed.
struct ReplayCommand: Command {
    static let name = "replay"
    static let summary = "Runs Bronze through the present logic into a new generation, beside the live stream."
    static let table = ArgumentTable(options: [
        .init(name: "--from", value: "OFFSET", help: "First offset; with --to and --partition."),
        .init(name: "--to", value: "OFFSET", help: "Offset behind the last one."),
        .init(name: "--partition", value: "N", help: "Topic partition of --from and --to."),
        .init(name: "--topic", value: "TOPIC", help: "Source topic; KAFKA_TOPIC unless given."),
        .init(name: "--since", value: "TIME", help: "From this broker time on (RFC 3339), all topic partitions."),
        .init(name: "--all", value: nil, help: "Everything that the lake holds."),
        .init(name: "--dry-run", value: nil, help: "Only count what would change."),
        .init(name: "--json", value: nil, help: "One JSON object."),
    ])
    static let details = """
        The logic is what the settings say now (TEXT_TEMPLATE, WIKI_FILTER, ALLOWED_NAMESPACES, FILTER_BOTS,
        MAX_CONTENT_CHARS). The stream job goes on with the active generation's logic, and feeds the new generation
        by its own logic from the handover on. `medallion promote N` then serves it.
        """

    private enum Scope {
        case offsets(partition: Int32, OffsetRange)
        case since(Int64)
        case all
    }

    private let scope: Scope
    private let topic: String?
    private let isDryRun: Bool
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        let from = try arguments.integer("--from", in: 0...Int.max)
        let to = try arguments.integer("--to", in: 0...Int.max)
        let partition = try arguments.integer("--partition", in: 0...Int(Int32.max))
        let since = try arguments.time("--since")
        let isAll = arguments.has("--all")
        guard [from != nil || to != nil, since != nil, isAll].filter({ $0 }).count == 1 else {
            throw UsageError("give --from and --to, or --since, or --all")
        }
        if let since {
            scope = .since(since)
        } else if isAll {
            scope = .all
        } else {
            guard let from, let to, let range = OffsetRange(start: Int64(from), end: Int64(to)), !range.isEmpty else {
                throw UsageError("--from and --to need an offset each, --to the larger one")
            }
            guard let partition else { throw UsageError("--from and --to go with --partition") }
            scope = .offsets(partition: Int32(partition), range)
        }
        topic = arguments.value("--topic")
        isDryRun = arguments.has("--dry-run")
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let settings = try TransformSettings(context.settings)
        let scope: ReplayScope =
            switch self.scope {
            case .offsets(let partition, let range):
                .offsets(TopicPartition(topic: topic ?? context.settings.kafkaTopic, partition: partition), range)
            case .since(let time): .since(time)
            case .all: .all
            }
        let report: ReplayReport
        if isDryRun {
            report = try await Replay.dryRun(
                layout: LakeLayout(context.settings), settings: settings, scope: scope)
        } else {
            let platform = Platform(context: context)
            try platform.checkModelSettings()
            let database = try platform.database("replay")
            let embedder = try platform.embedder()
            let replay = try Replay(
                layout: LakeLayout(context.settings), settings: settings, database: database,
                index: DocumentIndexer(
                    configuration: database, embedder: embedder, logger: context.logger.scoped("replay")),
                logger: context.logger.scoped("replay"))
            report = try await context.withProbes { try await replay.run(scope) }
        }
        isJSON ? printJSON(report) : printText(report)
    }

    private func printText(_ report: ReplayReport) {
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) { Output.line("\(source) \(range)") }
        let difference = report.difference
        Output.line(
            "documents: \(difference.added) added, \(difference.changed) changed, \(difference.removed) removed, "
                + "\(difference.unchanged) unchanged against generation \(report.parent)")
        guard let generation = report.generation else {
            Output.line("logic \(report.logicVersion); a dry run: nothing was written")
            return
        }
        Output.line("texts embedded: \(report.embedded); passages taken over from the parent: \(report.inherited)")
        Output.line(
            "generation \(generation) (logic \(report.logicVersion)) is complete: medallion promote \(generation)")
    }

    private func printJSON(_ report: ReplayReport) {
        var json = JSONWriter()
        json.beginObject()
        json.key("generation")
        if let generation = report.generation { json.integer(generation) } else { json.null() }
        json.integer("parent", report.parent)
        json.string("logic_version", report.logicVersion)
        json.key("ranges")
        json.beginArray()
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) {
            json.beginObject()
            json.string("topic", source.topic)
            json.integer("partition", source.partition)
            json.integer("start_offset", range.start)
            json.integer("next_offset", range.end)
            json.endObject()
        }
        json.endArray()
        for (name, value) in [
            ("added", report.difference.added), ("changed", report.difference.changed),
            ("removed", report.difference.removed), ("unchanged", report.difference.unchanged),
            ("embedded", report.embedded), ("inherited", report.inherited),
        ] {
            json.key(dynamic: name)
            json.integer(value)
        }
        json.endObject()
        Output.write(json.bytes + [0x0A])
    }
}
