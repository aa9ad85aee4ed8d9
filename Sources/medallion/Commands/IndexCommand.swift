import Bytes
import Console
import Glibc
import Health
import Indexer
import Lake
import Replay
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// `medallion index`: from the Gold topic to the index, or the index anew from the lake.
struct IndexCommand: Command {
    static let name = "index"
    static let summary = "Runs the indexer: the Gold topics to Postgres. With --rebuild: the index from the lake alone."
    static let table = ArgumentTable(
        options: [
            .init(name: "--source", value: "NAME", help: "Only this declared source (default: all)."),
            .init(
                name: "--rebuild", value: nil,
                help:
                    "Fills the index from the lake, from its checkpoints on, and ends: an empty database becomes whole."
            ),
        ])
    static let details = """
        --rebuild reads the lake and no topic. Stop other indexers of that database first. It may be killed at any time and goes on
        where it was. To search the old index meanwhile, give it an empty database of its own (POSTGRES_DSN, or PGDATA_DIR) and let
        `serve` follow once it is through; another model (MODEL_DIR) is brought in the same way.
        """

    private let source: String?
    private let isRebuild: Bool

    init(_ arguments: ParsedArguments) throws {
        source = arguments.value("--source")
        isRebuild = arguments.has("--rebuild")
        if isRebuild, source != nil { throw UsageError("--rebuild is for all sources; leave --source out") }
    }

    func run(_ context: Context) async throws {
        let platform = Platform(context: context)
        try platform.checkModelSettings()
        if isRebuild { return try await rebuild(platform) }
        let health = HealthRegistry()
        let declarations = try Declarations(platform) { [source] in try $0.only(source, isStart: $1) }
        let roles = SourceRoles(platform: platform, declarations: declarations, health: health, isRequired: true)
        declarations.register(in: health)
        platform.registerDatabase(in: health)
        platform.registerBroker(in: health, isRequired: true)
        try await context.run(
            context.roleServices(health) + platform.databaseServices() + [
                platform.sizeService(of: [.index]), platform.modelService(),
                platform.erasureApplying(), platform.suppressionApplying(platform.registerSuppressions(in: health)),
                roles.indexers(),
                platform.upkeepService(declarations),
                declarations,
            ])
    }

    private func rebuild(_ platform: Platform) async throws {
        let context = platform.context
        let rebuilding = DeferredService(name: "rebuild", endsGroup: true) {
            let database = try platform.database("rebuild")
            let documents = DocumentIndexer(
                configuration: database, embedders: try platform.embedders(), graph: VectorGraph(context.settings),
                logger: context.logger.scoped("rebuild"))
            let rebuild = IndexRebuild(
                layout: try LakeLayout(context.settings), database: database, index: documents,
                logger: context.logger.scoped("rebuild"))
            let bar = ProgressBar()
            return ClosureService(name: "rebuild", endsGroup: true) { stop in
                let work = Task { try await rebuild.run { bar.show($0) } }
                let watch = Task {
                    await stop.wait()
                    work.cancel()
                }
                defer { watch.cancel() }
                do {
                    bar.end(try await work.value)
                } catch is CancellationError {
                    context.logger.info("stopped; `medallion index --rebuild` goes on from here")
                }
            }
        }
        try await context.run(platform.databaseServices() + [rebuilding])
    }
}

/// How far a rebuild is: one line that is written over on a terminal, else a line now and then.
private final class ProgressBar: Sendable {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let shownAt = Atomic<Int64>(0)
    private static let width = 30

    func show(_ progress: RebuildProgress) {
        let now = SystemClock.monotonicNanoseconds()
        let pause: Int64 = isTerminal ? 200_000_000 : 5_000_000_000
        let last = shownAt.load(ordering: .relaxed)
        guard now - last >= pause, shownAt.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
        else { return }
        write(Self.line(progress), ends: !isTerminal)
    }

    func end(_ progress: RebuildProgress) {
        if isTerminal { write(Self.line(progress), ends: true) }
        print(
            "the index has all of the lake: \(progress.documents) documents, \(progress.embedded) texts embedded, "
                + "\(progress.nanoseconds / 1_000_000_000) s, \(Int(progress.rate)) documents/s")
    }

    private func write(_ line: String, ends: Bool) {
        let text = (isTerminal ? "\r" : "") + line + (ends ? "\n" : "")
        // Of a line that cannot be shown nothing more can be said.
        _ = text.withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
    }

    private static func line(_ progress: RebuildProgress) -> String {
        let share =
            progress.wantedOffsets > 0 ? Double(progress.doneOffsets) / Double(progress.wantedOffsets) : 1
        let filled = Int((share * Double(width)).rounded(.down))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
        let left = share > 0 ? Double(progress.nanoseconds) / 1e9 * (1 - share) / share : 0
        return "[\(bar)] \(Int(share * 100)) %  \(progress.doneOffsets) of \(progress.wantedOffsets) offsets  "
            + "\(progress.documents) documents  \(Int(progress.rate))/s  \(Int(left)) s left "
    }
}
