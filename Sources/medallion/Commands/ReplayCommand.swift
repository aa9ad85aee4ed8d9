import Bytes
import Console
import Derivation
import Indexer
import Lake
import Logic
import Records
import Replay
import Settings
import Sources
import Store
import StreamJob

/// `medallion replay`: what would change, or a generation in which it has changed.
struct ReplayCommand: Command {
    static let name = "replay"
    static let summary = "Runs Bronze through other logic into a new generation, beside the live stream."
    static let table = ArgumentTable(options: [
        .init(name: "--from", value: "OFFSET", help: "First offset; with --to and --partition."),
        .init(name: "--to", value: "OFFSET", help: "Offset behind the last one."),
        .init(name: "--partition", value: "N", help: "Topic partition of --from and --to."),
        .init(
            name: "--source", value: "NAME",
            help: "The source to replay; needed with --from or --logic if there are several."),
        .init(name: "--topic", value: "TOPIC", help: "The same by its topic."),
        .init(name: "--logic", value: "FILE", help: "The new logic, written as in a declaration."),
        .init(name: "--since", value: "TIME", help: "From this broker time on (RFC 3339), all topic partitions."),
        .init(name: "--all", value: nil, help: "Everything that the lake holds."),
        .init(name: "--dry-run", value: nil, help: "Only count what would change."),
        .init(name: "--json", value: nil, help: "One JSON object."),
    ])
    static let details = """
        The logic is that of FILE, else what the declarations say now: sources.json, and the settings (TEXT_TEMPLATE,
        WIKI_FILTER, ALLOWED_NAMESPACES, FILTER_BOTS, MAX_CONTENT_CHARS). Sources that are not replayed keep theirs. The
        stream job goes on with the active generation's logic, and feeds the new generation by its own logic from the
        handover on. `medallion promote N` then serves it, and no setting needs to change.
        """

    private enum Scope {
        case offsets(partition: Int32, OffsetRange)
        case since(Int64)
        case all
    }

    private let scope: Scope
    private let source: String?
    private let topic: String?
    private let logicFile: String?
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
        source = arguments.value("--source")
        topic = arguments.value("--topic")
        if source != nil, topic != nil { throw UsageError("give --source or --topic") }
        logicFile = arguments.value("--logic")
        isDryRun = arguments.has("--dry-run")
        isJSON = arguments.has("--json")
    }

    func run(_ context: Context) async throws {
        let sources = try chosen(of: try DeclaredSources.read(context.settings).sources)
        let logics = try logics(of: sources, context.settings)
        let scope: ReplayScope =
            switch self.scope {
            case .offsets(let partition, let range):
                .offsets(TopicPartition(topic: sources[0].topic, partition: partition), range)
            case .since(let time): .since(time)
            case .all: .all
            }
        let report: ReplayReport
        if isDryRun {
            report = try await Replay.dryRun(
                layout: LakeLayout(context.settings), logics: logics, scope: scope)
        } else {
            let platform = Platform(context: context)
            try platform.checkModelSettings()
            let database = try await platform.checkedDatabase("replay", for: .writing)
            let embedder = try platform.embedder()
            let replay = try Replay(
                layout: LakeLayout(context.settings), logics: logics, database: database,
                index: DocumentIndexer(
                    configuration: database, embedder: embedder, graph: VectorGraph(context.settings),
                    logger: context.logger.scoped("replay")),
                logger: context.logger.scoped("replay"))
            report = try await context.withProbes { try await replay.run(scope) }
        }
        isJSON ? printJSON(report) : printText(report)
    }

    /// The sources that are replayed; one where only one can be meant.
    private func chosen(of declared: [SourceDeclaration]) throws -> [SourceDeclaration] {
        let names = declared.map(\.name.text).joined(separator: ", ")
        if source != nil || topic != nil {
            let chosen = declared.filter { source == nil ? $0.topic == topic : $0.name.text == source }
            guard !chosen.isEmpty else {
                throw UsageError("no declared source is \(source ?? topic ?? ""); declared are \(names)")
            }
            return chosen
        }
        guard !declared.isEmpty else { throw UsageError("no source is declared") }
        if declared.count > 1 {
            if logicFile != nil { throw UsageError("--logic goes with --source; declared are \(names)") }
            if case .offsets = scope { throw UsageError("--from and --to go with --source; declared are \(names)") }
        }
        return declared
    }

    /// By topic, what the new generation is to store.
    private func logics(of sources: [SourceDeclaration], _ settings: Settings) throws -> [String: TopicLogic] {
        var logics: [String: TopicLogic] = [:]
        for source in sources {
            var logic = source.logic
            if let logicFile {
                logic = try LogicFile.read(logicFile, of: source, defaults: try TransformSettings(settings))
            }
            logics[source.topic] = try TopicLogic(
                logic, tenant: source.tenant, collection: source.collection.name.text)
        }
        return logics
    }

    private func printText(_ report: ReplayReport) {
        for (source, range) in report.ranges.sorted(by: { $0.key < $1.key }) { Output.line("\(source) \(range)") }
        let difference = report.difference
        Output.line(
            "documents: \(difference.added) added, \(difference.changed) changed, \(difference.removed) removed, "
                + "\(difference.unchanged) unchanged against generation \(report.parent)")
        guard let generation = report.generation else {
            Output.line("logic \(logics(report)); a dry run: nothing was written")
            return
        }
        Output.line("texts embedded: \(report.embedded); documents taken over from the parent: \(report.inherited)")
        Output.line(
            "generation \(generation) (logic \(logics(report))) is complete: medallion promote \(generation)")
    }

    private func logics(_ report: ReplayReport) -> String {
        Set(report.logics.values).sorted().joined(separator: ", ")
    }

    private func printJSON(_ report: ReplayReport) {
        var json = JSONWriter()
        json.beginObject()
        json.key("generation")
        if let generation = report.generation { json.integer(generation) } else { json.null() }
        json.integer("parent", report.parent)
        json.string("logic_version", report.logicVersion)
        json.key("logics")
        json.beginObject()
        for (topic, version) in report.logics.sorted(by: { $0.key < $1.key }) {
            json.key(dynamic: topic)
            json.string(version)
        }
        json.endObject()
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
