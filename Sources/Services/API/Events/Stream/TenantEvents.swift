import Bytes
import Concurrency
import HTTPEndpoints
import HTTPServer
import Health
import Records
import ServiceLifecycle
import Synchronization
import Telemetry

/// Follows the Gold topics of one tenant's sources and shows every event, once it is searchable, to all of the tenant's clients
/// of `GET /stream`. Nothing here, neither ids nor pages nor what is told of a log, ever holds anything of another tenant's.
///
/// One reader for each source and one rendering serve all clients. What was read goes into one list, from which every client's own task
/// takes what it wants, at its pace; the reading lane only appends and rings, and the clients' tasks share a thread of their
/// own (``StreamExecutor``). So neither filters nor a slow client hold up the reading or other requests. A client that comes
/// back is served what it missed from that list, or from the topic where the list does not reach back far enough
/// (``CatchUp``). Drained means: nothing is read any more.
final class TenantEvents: Sendable {
    private let topics: any EventTopics
    /// Whose they are.
    private let tenant: TenantID
    /// What no client is to get, as of the last look at the index.
    private let suppressed = Mutex(SuppressionSet())
    private let indexed: @Sendable () throws -> IndexedUpTo
    let logger: Logger
    private let lane = Lane(name: "stream-read")
    private let logLane = Lane(name: "stream-log")
    private let sourceLane = Lane(name: "stream-source")
    let catchUp: CatchUp
    private let executor: StreamExecutor
    let stages = StreamStages()
    /// Rings when there are new events.
    let bell = Bell()
    /// Rings when there are new events or new steps.
    let stageBell = Bell()
    private let state: HubState
    private let events: Counter
    let cuts: Counter
    private let metrics: MetricsRegistry
    private let flow: PipelineFlow
    /// Between two comments.
    let heartbeatNanoseconds: Int64
    private let tickMilliseconds: Int
    private let logMilliseconds: Int

    /// Between two looks at how far the index is.
    private static let lookMilliseconds = 50
    /// The same while nothing waits to be shown.
    private static let idleLookMilliseconds = 250
    /// Documents that may wait for the index, of all sources together. Reading of a source pauses when it has its share, so
    /// that one whose indexer stands still holds up no other.
    private static let waitingMax = 20_000
    /// Between two rings without news, so that every client looks around now and then.
    private static let tickMillisecondsMax = 500
    /// How long a client waits for an answer about the log.
    private static let answerMillisecondsMax: Int64 = 5_000
    /// Between two looks at the log that clients ask for.
    private static let logMillisecondsMin = 100
    /// Between two words on how far the lake is.
    private static let tellMilliseconds = 100
    /// Documents of one release whose times are told.
    private static let dwellsMax = 256
    /// Between two reads of the sources' topics, which bounds how often clients are woken.
    private static let sourceMilliseconds = 20

    /// - Parameters:
    ///   - sources: of one tenant, shown at first; see ``follow(_:)``.
    ///   - indexed: asks the index; called on a lane, may block for a moment.
    ///   - flow: told of what is committed and becomes searchable.
    ///   - executor: on which clients are served.
    init(
        topics: any EventTopics, tenant: TenantID, sources: [StreamSource],
        indexed: @escaping @Sendable () throws -> IndexedUpTo,
        metrics: MetricsRegistry, logger: Logger, flow: PipelineFlow, pauses: EventHub.Pauses, executor: StreamExecutor
    ) {
        self.flow = flow
        self.executor = executor
        logMilliseconds = pauses.logMilliseconds
        heartbeatNanoseconds = Int64(pauses.heartbeatMilliseconds) * 1_000_000
        tickMilliseconds = min(Self.tickMillisecondsMax, pauses.heartbeatMilliseconds)
        self.topics = topics
        self.tenant = tenant
        self.indexed = indexed
        self.logger = logger
        self.metrics = metrics
        let state = HubState()
        self.state = state
        state.follow(sources)
        catchUp = CatchUp(
            topics: topics, metrics: metrics, logger: logger, idleMilliseconds: pauses.catchUpIdleMilliseconds,
            isEnded: { state.isEnded })
        events = metrics.counter(
            "medallion_api_stream_events_total", help: "Events that became searchable and went to the stream.")
        cuts = metrics.counter(
            "medallion_api_stream_cut_total", help: "Clients of the stream that were cut because they read too slowly.")
    }

    /// From now on these sources are shown, whose topics all differ. Clients stay connected: they go on with the sources that
    /// they had, get what comes of a new one from now on, and nothing more of one that is gone.
    func follow(_ sources: [StreamSource]) { state.follow(sources) }

    /// Whether an event is suppressed now. That something is gone is told all the same: it names a document and nothing of it.
    func isSuppressed(_ event: TopicEvent) -> Bool {
        guard event.operation == .put else { return false }
        let subject =
            event.subject
            ?? SuppressionSubject(topicPartition: event.topicPartition, offset: event.offset, collection: "")
        return suppressed.withLock { $0.covers(subject) }
    }

    /// Clients now.
    var clientCount: Int { state.clientCount }

    /// Follows the topics until stopped; a failure is tried again.
    func run(stop: StopSignal) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.tick(stop) }
            group.addTask { await self.tidy(stop) }
            group.addTask { await self.watchLog(stop) }
            group.addTask { await self.watchSources(stop) }
            await followAgain(stop)
            // Clients wait for a ring, and end when they see that there is no more to come.
            state.end()
            ring()
            catchUp.bell.ring()
        }
    }

    private func followAgain(_ stop: StopSignal) async {
        var backoff = Backoff(baseMilliseconds: 200, capMilliseconds: 5_000)
        while !stop.isRequested {
            do {
                try await lane.run { [self] in try follow(stop: stop) }
                backoff.reset()
            } catch is CancellationError where stop.isRequested {
                break
            } catch {
                let wait = backoff.next()
                logger.warning("the event stream is interrupted", ["error": "\(error)", "wait_ms": "\(wait)"])
                if await stop.pause(milliseconds: wait) { break }
            }
        }
    }

    /// On the lane: reads and gives out until the stop, a failure, another log, or other sources.
    private func follow(stop: StopSignal) throws {
        let (sources, version) = state.sources
        let logs = try topics.logs(of: sources)
        var last = try indexed()
        // After a failure, reading resumes at the last offsets that were given out. `EventOrder` drops what is then read twice.
        let (start, anew, era) = state.begin(logs, from: last.offsets)
        func show() {
            catchUp.show(CatchUp.Shown(generation: last.generation, era: era, sources: sources))
            let found = last.suppressed[tenant] ?? SuppressionSet()
            suppressed.withLock { $0 = found }
        }
        show()
        stages.beginAnew(anew)
        ring()
        var order = EventOrder(from: start)
        let share = Self.waitingMax / max(1, sources.count)
        var readings = sources.map { SourceReading($0, share: share, topics: topics, logger: logger) }
        var lookedAt = SystemClock.monotonicNanoseconds()
        var toldAt: Int64 = 0
        while !stop.isRequested, !state.mustBeginAnew(version) {
            let items = read(&readings, &order, stop)
            order.add(items)
            if stages.committed(items, generation: last.generation, nowMilliseconds: SystemClock.epochMilliseconds()) {
                stageBell.ring()
            }
            let now = SystemClock.monotonicNanoseconds()
            if now - toldAt > Int64(Self.tellMilliseconds) * 1_000_000 {
                for reading in readings { reading.tell(flow, order) }
                toldAt = now
            }
            if !order.isEmpty, now - lookedAt > Int64(Self.lookMilliseconds) * 1_000_000 / 2 {
                last = try indexed()
                show()
                lookedAt = now
            } else if now - lookedAt > Int64(Self.idleLookMilliseconds) * 1_000_000 {
                // Clients that catch up get nothing either that was suppressed since. Without news no failure matters.
                if let found = try? indexed() { last = found }
                show()
                lookedAt = now
            }
            let released = order.release(upTo: last)
            if !released.isEmpty { give(released, logs, last) }
        }
    }

    /// A look at every source. Where none has anything, the looks wait a part of the time each.
    private func read(_ readings: inout [SourceReading], _ order: inout EventOrder, _ stop: StopSignal) -> [TopicItem] {
        var items: [TopicItem] = []
        for round in 0...1 where items.isEmpty {
            let ready = readings.indices.filter { readings[$0].isReady(order) }
            guard !ready.isEmpty else {
                Pause.milliseconds(Self.lookMilliseconds)
                return []
            }
            // The only one waits at once.
            let wait = round == 1 || ready.count == 1 ? max(1, Self.lookMilliseconds / ready.count) : 0
            for index in ready where items.isEmpty || wait == 0 {
                items += readings[index].read(&order, waitMilliseconds: wait, isStopped: { stop.isRequested })
            }
            if wait > 0 { break }
        }
        return items
    }

    /// All that is done on the reading lane for the clients, however many there are: a frame for each event, and a ring.
    private func give(
        _ released: [(item: TopicItem, id: OffsetVector)], _ logs: StreamLogs, _ indexed: IndexedUpTo
    ) {
        let entries = released.map { StreamEntry($0.item, end: $0.id, id: logs.text($0.id)) }
        state.append(entries)
        let now = SystemClock.epochMilliseconds()
        if stages.isWatched(.searchable) {
            stages.add(
                released.compactMap {
                    guard case .event(let event) = $0.item else { return nil }
                    return StageStep(.searchable, of: event, atMilliseconds: now)
                })
        }
        let gaps = released.count {
            if case .gap = $0.item { true } else { false }
        }
        events.increment(by: released.count - gaps)
        let step = released.count / Self.dwellsMax + 1
        flow.note(searchable: released.count - gaps, Self.dwells(of: released, step: step, indexed, now), each: step)
        ring()
    }

    /// Of some documents that have just become searchable, evenly spread. What came late or was published again tells no times.
    private static func dwells(
        of released: [(item: TopicItem, id: OffsetVector)], step: Int, _ indexed: IndexedUpTo, _ now: Int64
    ) -> [EventDwell] {
        return stride(from: 0, to: released.count, by: step).compactMap { number in
            guard case .event(let event) = released[number].item else { return nil }
            return EventDwell(of: event, indexedAtMilliseconds: indexed.indexedAtMilliseconds ?? now, seenAt: now)
        }
    }

    private func ring() {
        bell.ring()
        stageBell.ring()
    }

    private func tick(_ stop: StopSignal) async {
        while !(await stop.pause(milliseconds: tickMilliseconds)) {
            ring()
            catchUp.bell.ring()
        }
    }

    /// A task of its own: closing consumers takes seconds, during which clients still need their tick.
    private func tidy(_ stop: StopSignal) async {
        while !(await stop.pause(milliseconds: tickMilliseconds)) { await catchUp.tidy() }
    }

    // MARK: The logs themselves

    /// Notices when a log is not the one that it was, and tells clients how far the logs go.
    private func watchLog(_ stop: StopSignal) async {
        var wait = Self.logMillisecondsMin
        while !(await stop.pause(milliseconds: Self.logMillisecondsMin)) {
            wait += Self.logMillisecondsMin
            guard state.takeLogWish() || wait >= logMilliseconds else { continue }
            wait = 0
            // What was given out before the question must be below the answer.
            let given = state.given
            let asked = SystemClock.monotonicNanoseconds()
            let sources = state.sources.sources
            let logs = try? await logLane.run { [topics] in try topics.logs(of: sources) }
            for (topic, reason) in state.note(logs, askedAt: asked, given: given) {
                logger.warning(
                    "a log of the event stream is another one than before; clients are told",
                    ["reason": reason.rawValue, "topic": topic, "epoch": logs?[topic]?.epoch ?? ""])
            }
            ring()
        }
    }

    /// The logs as they are now or were after the call began; nil where nobody tells in time.
    func currentLogs() async throws -> StreamLogs? {
        let began = SystemClock.monotonicNanoseconds()
        state.askForLog()
        let limit = began + Self.answerMillisecondsMax * 1_000_000
        while SystemClock.monotonicNanoseconds() < limit {
            if let answer = state.answer(after: began) { return answer.logs }
            if state.isEnded { return nil }
            try await Task.sleep(for: .milliseconds(20))
        }
        return nil
    }

    // MARK: The sources' topics

    /// Follows the sources' topics as long as a client watches what is received.
    private func watchSources(_ stop: StopSignal) async {
        while !(await stop.pause(milliseconds: Self.sourceMilliseconds)) {
            guard stages.isWatched(.received) else { continue }
            do {
                try await sourceLane.run { [self] in try followSources(stop) }
            } catch is CancellationError where stop.isRequested {
                break
            } catch {
                logger.warning("the sources' topics cannot be watched", ["error": "\(error)"])
                if await stop.pause(milliseconds: 1_000) { break }
            }
            stages.isSourceOpen = false
        }
    }

    /// Until nobody watches, the stop, or other sources.
    private func followSources(_ stop: StopSignal) throws {
        let (sources, version) = state.sources
        func isWanted() -> Bool {
            stages.isWatched(.received) && !stop.isRequested && state.sources.version == version
        }
        guard let reader = try topics.openSources(sources, isStopped: { stop.isRequested }) else {
            // Nothing to follow; asked again when the next client comes.
            while isWanted() { Pause.milliseconds(Self.tickMillisecondsMax) }
            return
        }
        stages.isSourceOpen = true
        while isWanted() {
            let steps = try reader.next(countMax: 1_000, timeoutMilliseconds: 200)
            guard !steps.isEmpty else { continue }
            stages.add(steps)
            stageBell.ring()
            Pause.milliseconds(Self.sourceMilliseconds)
        }
    }

    // MARK: Clients

    /// Serves one client until it leaves, is cut, or the task is cancelled.
    ///
    /// - Parameters:
    ///   - id: what the client saw last; nil for events from now on.
    ///   - caller: whose clients take one turn together; nil where nobody knows.
    ///   - pace: how fast the caller may read what lies behind the newest events; nil for any.
    ///   - isWelcome: asked now and then; a client that is not any more is cut.
    func serve(
        _ filter: FeedFilter, after id: StreamID?, stages wanted: Set<StreamStage> = [],
        for caller: StreamSeats.Caller?, pace: CatchUpPace? = nil, to writer: HTTPStreamWriter,
        isWelcome: @escaping @Sendable () -> Bool
    ) async throws {
        let client = StreamClient(
            hub: self, state: state, filter: filter, stages: wanted, caller: caller, pace: pace, writer: writer,
            isWelcome: isWelcome)
        try await withTaskExecutorPreference(executor) { try await client.serve(after: id) }
    }

    /// Counts what a client is told beside events.
    func count(_ reason: String) {
        metrics.counter(
            "medallion_api_stream_notices_total",
            help: "Clients of the stream that were told of a reset or a gap, by its reason.",
            labels: [("reason", reason)]
        ).increment()
    }
}

extension EventDwell {
    /// Of a document that this process sees searchable.
    ///
    /// - Parameter indexedAtMilliseconds: when the last index transaction began: the one that made it visible, or a later one.
    fileprivate init?(of event: TopicEvent, indexedAtMilliseconds: Int64, seenAt now: Int64) {
        guard let appended = event.appendedAtMilliseconds, let published = event.publishedAtMilliseconds else {
            return nil
        }
        var happened: Int64?
        if case .time(let time)? = event.attributes.value(of: .eventTime) { happened = time }
        self.init(
            event: happened, received: event.receivedAtMilliseconds, broker: appended, committed: published,
            indexed: indexedAtMilliseconds, searchable: now)
    }
}
