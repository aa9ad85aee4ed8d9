import Bytes
import Concurrency
import Console
import Files
import Indexer
import Lake
import Logic
import Postgres
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
        .init(name: "--until", value: "TIME", help: "Only before this broker time; with --since."),
        .init(name: "--all", value: nil, help: "Everything that the lake holds."),
        .init(
            name: "--model", value: "MODEL",
            help: "Vectors of another model: float, int8, or with EMBED_URL what its server calls one."),
        .init(name: "--dimensions", value: "N", help: "Vectors of so many numbers, the model's first ones."),
        .init(name: "--dry-run", value: nil, help: "Only count what would change."),
        .init(name: "--rate", value: "N", help: "At most so many records a second (default: any number)."),
        .init(name: "--resume", value: "N", help: "Go on with the replay of generation N, which was cut short."),
        .init(name: "--pause", value: "N", help: "Let the replay of generation N stand still, whoever runs it."),
        .init(name: "--continue", value: "N", help: "Let it go on."),
        .init(name: "--ls", value: nil, help: "List replays: how far each is, and what to do with it."),
        .init(name: "--json", value: nil, help: "One JSON object."),
    ])
    static let details = """
        The logic is that of FILE, else what the declarations say now: sources.json, and the settings (TEXT_TEMPLATE,
        WIKI_FILTER, ALLOWED_NAMESPACES, FILTER_BOTS, MAX_CONTENT_CHARS). Sources that are not replayed keep theirs. The
        stream job goes on with the active generation's logic, and feeds the new generation by its own logic from the
        handover on. `medallion promote N` then serves it, and no setting needs to change.

        --model and --dimensions alone change the vectors: the new generation refers to the active one's files, shows its documents,
        and only embeds. Searches go on by the former vectors until `medallion promote N`, and do again after a rollback.

        One that is killed or interrupted (SIGINT) goes on with --resume N. --rate with --continue sets another rate.
        """

    private enum Action {
        /// Nil where nothing but the vectors changes.
        case make(ReplayBounds?, isDryRun: Bool)
        case resume(Int64)
        case wish(Int64, isPaused: Bool)
        case list
    }

    private let action: Action
    private let rate: Int?
    private let source: String?
    private let topic: String?
    private let logicFile: String?
    private let model: String?
    private let dimensions: Int?
    private let isJSON: Bool

    init(_ arguments: ParsedArguments) throws {
        action = try Self.action(arguments)
        rate = try arguments.integer("--rate", in: 0...10_000_000)
        source = arguments.value("--source")
        topic = arguments.value("--topic")
        if source != nil, topic != nil { throw UsageError("give --source or --topic") }
        logicFile = arguments.value("--logic")
        (model, dimensions) = (arguments.value("--model"), try arguments.integer("--dimensions", in: 1...4_000))
        isJSON = arguments.has("--json")
        let isOfSource = source != nil || topic != nil || logicFile != nil
        if case .make(let bounds, _) = action {
            guard bounds != nil || !isOfSource else {
                throw UsageError("--source, --topic and --logic go with --from and --to, --since, or --all")
            }
            return
        }
        guard !isOfSource, model == nil, dimensions == nil else {
            throw UsageError("--source, --topic, --logic, --model and --dimensions go with a new replay")
        }
    }

    private static func action(_ arguments: ParsedArguments) throws -> Action {
        let number = 1...Int.max
        let resumed = try arguments.integer("--resume", in: number)
        let paused = try arguments.integer("--pause", in: number)
        let continued = try arguments.integer("--continue", in: number)
        let scope = try scope(arguments)
        let isListing = arguments.has("--ls")
        let isOfVectors = arguments.value("--model") != nil || arguments.value("--dimensions") != nil
        let actions = [resumed != nil, paused != nil, continued != nil, scope != nil, isListing].count { $0 }
        guard actions == 1 || actions == 0 && isOfVectors else {
            throw UsageError(
                "give --from and --to, or --since, or --all, or --model or --dimensions; or --resume, --pause, --continue or --ls"
            )
        }
        if actions == 0 { return .make(nil, isDryRun: arguments.has("--dry-run")) }
        if let scope { return .make(scope, isDryRun: arguments.has("--dry-run")) }
        guard !arguments.has("--dry-run") else { throw UsageError("--dry-run goes with a range") }
        if let resumed { return .resume(Int64(resumed)) }
        if let paused { return .wish(Int64(paused), isPaused: true) }
        if let continued { return .wish(Int64(continued), isPaused: false) }
        return .list
    }

    private static func scope(_ arguments: ParsedArguments) throws -> ReplayBounds? {
        let from = try arguments.integer("--from", in: 0...Int.max)
        let to = try arguments.integer("--to", in: 0...Int.max)
        let partition = try arguments.integer("--partition", in: 0...Int(Int32.max))
        let since = try arguments.time("--since")
        let until = try arguments.time("--until")
        let isAll = arguments.has("--all")
        let given = [from != nil || to != nil, since != nil, isAll].filter { $0 }.count
        if given > 1 { throw UsageError("give --from and --to, or --since, or --all") }
        if until != nil, since == nil { throw UsageError("--until goes with --since") }
        var bounds = ReplayBounds()
        if let since {
            if let until, until <= since { throw UsageError("--until is to be later than --since") }
            (bounds.sinceMilliseconds, bounds.untilMilliseconds) = (since, until)
            return bounds
        }
        if isAll { return bounds }
        if given == 0 { return nil }
        guard let from, let to, let range = OffsetRange(start: Int64(from), end: Int64(to)), !range.isEmpty else {
            throw UsageError("--from and --to need an offset each, --to the larger one")
        }
        guard let partition else { throw UsageError("--from and --to go with --partition") }
        (bounds.partition, bounds.offsets) = (Int32(partition), range)
        return bounds
    }

    func run(_ context: Context) async throws {
        switch action {
        case .make(let bounds, let isDryRun): try await make(bounds, isDryRun: isDryRun, context)
        case .resume(let generation):
            let platform = Platform(context: context, isForReplay: true)
            let monitor = ReplayMonitor(ReplayWish(rate: rate ?? 0), runs: try platform.runSink())
            let parts = try await parts(platform)
            let report = try await watched(platform, monitor) {
                try await Replay.resume(
                    generation, layout: try LakeLayout(context.settings), database: parts.database, index: parts.index,
                    monitor: monitor, standing: .idle, logger: context.logger.scoped("replay"))
            }
            isJSON ? ReplayRendering.json(report) : ReplayRendering.text(report)
        case .wish(let generation, let isPaused): try await wish(generation, isPaused: isPaused, context)
        case .list: try await list(context)
        }
    }

    private func make(_ bounds: ReplayBounds?, isDryRun: Bool, _ context: Context) async throws {
        var logics: [String: TopicLogic] = [:]
        var scope = ReplayScope.all
        if let bounds {
            let sources = try ReplaySources(context.settings, source: source, topic: topic)
            logics = try sources.logics(
                try logicFile.map { (try File.contents(of: $0, bytesMax: LogicFile.bytesMax), $0) })
            scope = try sources.scope(bounds)
        }
        let (wantedLogics, wantedScope) = (logics, scope)
        let platform = Platform(context: context, isForReplay: true)
        let monitor = ReplayMonitor(ReplayWish(rate: rate ?? 0), runs: isDryRun ? nil : try platform.runSink())
        let layout = try LakeLayout(context.settings)
        let report: ReplayReport
        if isDryRun {
            let (needs, vectors) = try await needs(context)
            report = try await watched(platform, monitor) {
                try await Replay.dryRun(
                    layout: layout, logics: wantedLogics, scope: wantedScope, needs: needs, model: vectors?.model,
                    monitor: monitor, standing: .idle)
            }
        } else {
            let parts = try await parts(platform)
            let replay = Replay(
                layout: layout, logics: logics, database: parts.database, index: parts.index,
                vectors: try await vectors(platform), monitor: monitor, standing: .idle,
                logger: context.logger.scoped("replay"))
            report = try await watched(platform, monitor) { try await replay.run(wantedScope) }
        }
        isJSON ? ReplayRendering.json(report) : ReplayRendering.text(report)
    }

    /// Shows how far it is, and sends what it tells, until it ends.
    private func watched(
        _ platform: Platform, _ monitor: ReplayMonitor, _ body: @Sendable () async throws -> ReplayReport
    ) async throws -> ReplayReport {
        let context = platform.context
        let bar = Task { await ReplayRendering.follow(monitor, context) }
        defer { bar.cancel() }
        let report = try await platform.sendingRuns { try await context.withProbes(body) }
        bar.cancel()
        await bar.value
        return report
    }

    private func parts(_ platform: Platform) async throws -> (database: PostgresConfiguration, index: DocumentIndexer) {
        try platform.checkModelSettings()
        let database = try await platform.checkedDatabase("replay", for: .writing)
        return (database, try platform.replayIndex(database))
    }

    /// What the new generation's vectors are to be; nil: as the active one's.
    private func vectors(_ platform: Platform) async throws -> VectorKind? {
        let (model, dimensions) = (model, dimensions)
        return try await Lane(name: "model").run {
            try platform.wantedVectors(model: model, dimensions: dimensions)
        }
    }

    /// What tells how much would have to be embedded; nil, with a word in the log, where that cannot be told and the vectors' model is not
    /// what is asked about.
    private func needs(_ context: Context) async throws -> ((any EmbeddingNeeds)?, VectorKind?) {
        let platform = Platform(context: context, isForReplay: true)
        do {
            try platform.checkModelSettings()
            let database = try await platform.checkedDatabase("replay", for: .serving)
            let vectors = try await vectors(platform)
            return (try platform.trialIndex(database, vectors), vectors)
        } catch {
            guard model == nil, dimensions == nil else { throw error }
            context.logger.warning("what would have to be embedded is not counted", ["error": "\(error)"])
            return (nil, nil)
        }
    }

    private func wish(_ generation: Int64, isPaused: Bool, _ context: Context) async throws {
        let database = try await Platform(context: context).checkedDatabase("replay", for: .writing)
        let rate = rate
        let isHeard = try await Lane(name: "replay").run {
            try ReplayStore(configuration: database).wish(
                isPaused: isPaused, rate: rate, of: generation, timeoutMilliseconds: 10_000)
        }
        guard isHeard else {
            throw Failure("no replay of generation \(generation) is under way; see medallion replay --ls")
        }
        Output.line("the replay of generation \(generation) " + (isPaused ? "pauses" : "goes on"))
    }

    private func list(_ context: Context) async throws {
        let database = try await Platform(context: context).checkedDatabase("replay", for: .serving)
        let replays = try await Lane(name: "replay").run {
            try ReplayStore(configuration: database).list(timeoutMilliseconds: 10_000)
        }
        for replay in replays { ReplayRendering.line(replay, asJSON: isJSON) }
    }
}
