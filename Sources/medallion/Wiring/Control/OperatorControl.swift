import API
import Bytes
import Concurrency
import Console
import Files
import Indexer
import Lake
import Logic
import Postgres
import Quarantine
import Records
import Replay
import Sources
import Store

/// What operators do, for the API: the same parts as the commands'.
struct OperatorControl: PlatformControl {
    private let platform: Platform
    private let declarations: Declarations
    private let runner = ReplayRunner()
    /// Of what is known of replays, on one connection: streams of progress ask twice a second.
    private let store: LanePool<ReplayStore>
    /// Of what opens models and connections.
    private let lane = Lane(name: "operator")
    /// Of looks at the quarantine, which may go through all of it.
    private let looks = LanePool<Void>(name: "quarantine", count: 2, waitersMax: 16, make: {})
    /// Of redrives and discards.
    private let changes = LanePool<Void>(name: "redrive", count: 1, waitersMax: 4, make: {})
    private static let statementMilliseconds = 10_000

    init(_ platform: Platform, _ declarations: Declarations) {
        self.platform = platform
        self.declarations = declarations
        store = LanePool(name: "operator-store", count: 1) {
            ReplayStore(configuration: try platform.database("operator"))
        }
    }

    private func layout() throws -> LakeLayout {
        let layout = try LakeLayout(platform.settings)
        guard Folder.exists(layout.generationLog) else {
            throw APIError(
                status: 503, type: "no_lake", message: "this process has no lake: ask one that has (LAKE_DIR)",
                headers: ["Retry-After": "60"])
        }
        return layout
    }

    private func promotion() throws -> Promotion {
        Promotion(lakeDirectory: try layout().root, database: try platform.database("operator"))
    }

    /// Runs `body`, whose errors of what was asked for become a client's.
    private func told<T>(_ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as ReplayError {
            throw APIError(status: 409, type: "replay_refused", message: "\(error)")
        } catch let error as QuarantineError {
            throw APIError(status: 409, type: "quarantine_refused", message: "\(error)")
        } catch let error as UsageError {
            throw APIError(status: 422, type: "validation", message: "\(error)")
        } catch let error as DeclarationError {
            throw APIError(status: 422, type: "validation", message: "\(error)")
        } catch let error as IndexError where error.kind == .generation || error.kind == .generationBehind {
            throw APIError(
                status: 409, type: error.kind == .generation ? "generation_state" : "generation_behind",
                message: error.message)
        } catch LakeError.generation(let reason) {
            throw APIError(status: 409, type: "generation_state", message: reason)
        }
    }

    // MARK: Generations

    func generations() async throws -> [[UInt8]] {
        try await told { try await promotion().list().map { GenerationsCommand.json($0.lake, $0.index) } }
    }

    func promote(_ generation: Int64, waitMilliseconds: Int) async throws {
        try await told { try await promotion().promote(generation, waitMilliseconds: waitMilliseconds) }
    }

    func prune(_ generation: Int64) async throws {
        try await told { try await promotion().prune(generation) }
    }

    // MARK: Replays

    func logics() async throws -> [[UInt8]] {
        try await told {
            let layout = try layout()
            return try await looks.run(deadline: Deadline(milliseconds: Self.statementMilliseconds)) {
                [declarations] _, _ in
                try SourceLogics.json(declarations.current, served: GenerationLog(layout: layout).active())
            }
        }
    }

    func replays() async throws -> [[UInt8]] {
        let kept = try await store { try $0.list(timeoutMilliseconds: $1) }
        let runs = runner.runs
        let dry = runs.filter(\.isDryRun).map { ReplayViews.json($0) }
        return dry
            + kept.map { kept in
                ReplayViews.json(kept, runs.first { $0.monitor.progress.generation == kept.generation })
            }
    }

    func replay(_ id: String) async throws -> (json: [UInt8], isOver: Bool)? {
        let run = runner.run(id)
        if let run, run.isDryRun { return (ReplayViews.json(run), run.isOver) }
        guard let generation = Int64(id),
            let kept = try await store({ try $0.read(generation, timeoutMilliseconds: $1) })
        else { return nil }
        let isLive = run?.isOver == false
        return (ReplayViews.json(kept, run), kept.state != .running || kept.isInterrupted && !isLive)
    }

    func start(_ start: ReplayStart) async throws -> [UInt8] {
        let id = try await told {
            let layout = try layout()
            var (logics, scope): ([String: TopicLogic], ReplayScope) = ([:], .all)
            if !start.isOfVectorsAlone {
                let sources = try ReplaySources(platform.settings, source: start.source)
                logics = try sources.logics(start.logic.map { ($0, "body.logic") })
                scope = try sources.scope(start.bounds)
            }
            let (wantedLogics, wantedScope) = (logics, scope)
            let monitor = ReplayMonitor(start.wish, runs: start.isDryRun ? nil : try platform.runSink())
            let database = try platform.database("replay")
            let (vectors, index) = try await lane.run { [platform] in
                let vectors = try platform.wantedVectors(model: start.model, dimensions: start.dimensions)
                guard start.isDryRun else { return (vectors, try platform.replayIndex(database)) }
                return (vectors, try platform.trialIndex(database, vectors))
            }
            if start.isDryRun {
                return try runner.begin(topics: logics.keys.sorted(), keyID: start.keyID, monitor: monitor) {
                    try await Replay.dryRun(
                        layout: layout, logics: wantedLogics, scope: wantedScope, needs: index, model: vectors?.model,
                        monitor: monitor)
                }
            }
            let replay = Replay(
                layout: layout, logics: logics, database: database, index: index, vectors: vectors, monitor: monitor,
                logger: platform.context.logger.scoped("replay"))
            return try await runner.begin(
                generation: nil, topics: logics.keys.sorted(), keyID: start.keyID, monitor: monitor
            ) { try await replay.run(wantedScope, keyID: start.keyID) }
        }
        return try await shown(id)
    }

    func change(_ id: String, isPaused: Bool?, rate: Int?) async throws -> [UInt8] {
        if let run = runner.run(id), run.isDryRun {
            guard !run.isOver else { throw Self.over(id) }
            let wish = run.monitor.progress.wish
            run.monitor.set(ReplayWish(isPaused: isPaused ?? wish.isPaused, rate: rate ?? wish.rate))
            return ReplayViews.json(run)
        }
        guard let generation = Int64(id),
            let kept = try await store({ try $0.read(generation, timeoutMilliseconds: $1) })
        else { throw Self.unknown() }
        let isHeard = try await store {
            try $0.wish(isPaused: isPaused, rate: rate, of: generation, timeoutMilliseconds: $1)
        }
        guard isHeard else { throw Self.over(id) }
        if isPaused == false, kept.isInterrupted, runner.run(id)?.isOver != false {
            try await resume(kept, rate: rate ?? kept.wish.rate)
        }
        return try await shown(id)
    }

    private func resume(_ kept: KeptReplay, rate: Int) async throws {
        _ = try await told {
            let layout = try layout()
            let monitor = ReplayMonitor(ReplayWish(rate: rate), runs: try platform.runSink())
            let database = try platform.database("replay")
            let index = try await lane.run { [platform] in try platform.replayIndex(database) }
            let logger = platform.context.logger.scoped("replay")
            return try await runner.begin(
                generation: kept.generation, topics: kept.topics, keyID: kept.keyID, monitor: monitor
            ) {
                try await Replay.resume(
                    kept.generation, layout: layout, database: database, index: index, monitor: monitor, logger: logger)
            }
        }
    }

    func end(_ id: String) async throws -> [UInt8] {
        if let run = runner.run(id), run.isDryRun {
            runner.cancel(id)
            return ReplayViews.json(run)
        }
        guard let generation = Int64(id),
            let kept = try await store({ try $0.read(generation, timeoutMilliseconds: $1) })
        else { throw Self.unknown() }
        // What it made is a generation as any other, which may be served.
        guard kept.state == .running else { throw Self.over(id) }
        // Whoever runs it, here or elsewhere, notices at its next step.
        do {
            try await promotion().endReplay(generation)
        } catch is ReplayError {
            throw Self.over(id)
        }
        try await store {
            try $0.end(generation, .failed, error: "it was ended", timeoutMilliseconds: $1)
        }
        return try await shown(id)
    }

    private func shown(_ id: String) async throws -> [UInt8] {
        guard let found = try await replay(id) else { throw Self.unknown() }
        return found.json
    }

    private static func unknown() -> APIError {
        APIError(status: 404, type: "not_found", message: "there is no replay of this id; GET /replays lists them")
    }

    private static func over(_ id: String) -> APIError {
        APIError(status: 409, type: "replay_over", message: "the replay \(id) is over")
    }

    private func store<T: Sendable>(_ body: @escaping @Sendable (ReplayStore, Int) throws -> T) async throws -> T {
        try await store.run(deadline: Deadline(milliseconds: Self.statementMilliseconds)) { try body($0, $1) }
    }

    // MARK: Quarantine

    func quarantined(_ selection: QuarantineSelection, deadline: Deadline) async throws -> QuarantineListing {
        try await told {
            let layout = try layout()
            let query = try Self.query(selection)
            let place = try Self.place(selection)
            return try await looks.run(deadline: deadline) { _, _ in
                let page = try QuarantineReader(
                    layout: layout, generation: selection.generation ?? place?.generation,
                    shouldStop: { deadline.hasPassed }
                ).newest(query, from: place) { DlqRendering.json($0, valueBytesMax: nil) }
                // A page may hold nothing where the next one begins further down.
                if page.items.isEmpty, page.next != nil, !page.hasMoved { throw Self.tooLong(deadline) }
                let cursor = page.next?.text
                let isShort = cursor.map { $0.utf8.count <= QuarantineListing.cursorMax } ?? false
                return QuarantineListing(
                    records: page.items, nextCursor: isShort ? cursor : nil, hasMore: cursor != nil)
            }
        }
    }

    func quarantinedRecord(_ selection: QuarantineSelection, deadline: Deadline) async throws -> [UInt8]? {
        try await told {
            let layout = try layout()
            let query = try Self.query(selection)
            return try await looks.run(deadline: deadline) { _, _ in
                var found: [UInt8]?
                try QuarantineReader(
                    layout: layout, generation: selection.generation, shouldStop: { deadline.hasPassed }
                ).forEach(query) { record in
                    found = DlqRendering.json(record, valueBytesMax: QuarantineListing.valueBytesMax)
                    return false
                }
                if found == nil, deadline.hasPassed { throw Self.tooLong(deadline) }
                return found
            }
        }
    }

    /// - Throws: `UsageError` for what is no cursor, or one of another generation than the one asked for.
    private static func place(_ selection: QuarantineSelection) throws -> QuarantinePlace? {
        guard let text = selection.cursor else { return nil }
        guard let place = QuarantinePlace(text: text) else {
            throw UsageError("cursor is not a next_cursor of GET /quarantine")
        }
        if let generation = selection.generation, generation != place.generation {
            throw UsageError("cursor is of generation \(place.generation), and not of \(generation)")
        }
        return place
    }

    func change(
        _ selection: QuarantineSelection, _ change: QuarantineChange, deadline: Deadline
    ) async throws -> [[UInt8]] {
        try await told {
            let layout = try layout()
            var query = try Self.query(selection)
            if query.offsets?.count != 1, !change.forces { query.leaveOutWhatIsRefused() }
            let (wanted, kafka) = (query, platform.kafka("operator"))
            return try await changes.run(deadline: deadline) { _, _ in
                var entries: [[UInt8]] = []
                let reader = try QuarantineReader(
                    layout: layout, generation: selection.generation, shouldStop: { deadline.hasPassed })
                let desk = QuarantineDesk(reader, forces: change.forces, isDryRun: change.isDryRun) {
                    entries.append(DlqRendering.json($0))
                }
                switch change.way {
                case .redrive(let correction): _ = try desk.redrive(wanted, correction: correction, kafka: kafka)
                case .discard(let reason): _ = try desk.discard(wanted, reason: reason)
                }
                // What was found until then is done, and the rest is asked for again.
                if entries.isEmpty, deadline.hasPassed { throw Self.tooLong(deadline) }
                return entries
            }
        }
    }

    private static func tooLong(_ deadline: Deadline) -> WaitError {
        .timeout(
            "reading the quarantine, which fewer offsets or one topic partition make shorter,",
            milliseconds: deadline.limitMilliseconds)
    }

    private static func query(_ selection: QuarantineSelection) throws -> QuarantineQuery {
        var query = QuarantineQuery()
        (query.topic, query.partition, query.offsets) = (selection.topic, selection.partition, selection.offsets)
        (query.rule, query.since, query.until) = (
            selection.rule, selection.sinceMilliseconds, selection.untilMilliseconds
        )
        if let name = selection.state {
            guard let state = QuarantineState(rawValue: name) else {
                let known = QuarantineState.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("state is one of \(known)")
            }
            query.states = [state]
        }
        query.limit = selection.limit
        return query
    }
}
