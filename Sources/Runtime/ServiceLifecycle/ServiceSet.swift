import Synchronization
package import Telemetry

/// Runs a service for each of some items, such as declared sources, that may come, go and change while it runs.
///
/// A changed item's service is drained before its successor starts; the others are left alone. A failed one is shown (``states``) and
/// started again after a wait that grows to a minute, while the others run on. But as long as there is one item, that of the start, it
/// is as if its service stood in the group itself: its failure is the set's. Drained means: every service has drained.
package final class ServiceSet<Item: Sendable & Equatable>: Service {
    /// How the service of an item is.
    package enum State: Sendable, Equatable {
        case starting
        case running
        /// It is being drained.
        case stopping
        /// With the error in words; it is tried again.
        case failed(String)
        /// It returned by itself.
        case ended
    }

    package let name: String
    private let key: @Sendable (Item) -> String
    private let make: @Sendable (Item) throws -> (any Service)?
    private let removed: @Sendable (Item, Item?) -> Void
    private let failed: @Sendable (Item, any Error) -> Void
    private let logger: Logger
    private let drainLimitSeconds: Int
    private let retryMilliseconds: Int
    private let table: Mutex<Table>
    /// Rings when there may be something to do.
    private let bell: (stream: AsyncStream<Void>, ring: AsyncStream<Void>.Continuation)

    private struct Table {
        var wanted: [Item]
        /// Whether the items are those of the start.
        var isAsStarted = true
        var children: [String: Child<Item>] = [:]
        /// Of items whose service failed lately.
        var backoffs: [String: Backoff] = [:]
    }

    /// - Parameters:
    ///   - items: wanted from the start.
    ///   - key: names an item; of two with one name the first counts.
    ///   - drainLimitSeconds: after so long without having drained, a changed item's successor waits on without holding up others.
    ///   - retryMilliseconds: the shortest wait before a failed service is started again.
    ///   - make: nil where there is nothing to run for an item. Called again after a failure.
    ///   - failed: called once for each failure that is waited out.
    ///   - removed: called once the service of an item has drained that is not wanted any more, or not so: then with what takes its
    ///     place, before that is made.
    package init(
        name: String, items: [Item], logger: Logger, drainLimitSeconds: Int = 15, retryMilliseconds: Int = 1_000,
        key: @escaping @Sendable (Item) -> String, removed: @escaping @Sendable (Item, Item?) -> Void = { _, _ in },
        failed: @escaping @Sendable (Item, any Error) -> Void = { _, _ in },
        make: @escaping @Sendable (Item) throws -> (any Service)?
    ) {
        self.name = name
        self.key = key
        self.make = make
        self.removed = removed
        self.failed = failed
        self.logger = logger
        self.drainLimitSeconds = drainLimitSeconds
        self.retryMilliseconds = retryMilliseconds
        table = Mutex(Table(wanted: items))
        let (stream, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        bell = (stream, ring)
    }

    /// Replaces the items. Returns at once.
    package func want(_ items: [Item]) {
        table.withLock { table in
            if table.wanted != items { table.isAsStarted = false }
            table.wanted = items
        }
        bell.ring.yield()
    }

    /// How the services are, by the items' names.
    package var states: [String: State] {
        table.withLock { $0.children.mapValues(\.state) }
    }

    /// - Throws: what `make` or a service's `prepare` throws for an item that is wanted from the start.
    package func prepare(stop: StopSignal) async throws {
        do {
            for item in wanted.sorted where !stop.isRequested { try await prepare(item, stop: stop) }
        } catch {
            await drain()
            throw error
        }
    }

    private func prepare(_ item: Item, stop: StopSignal) async throws {
        guard let child = try start(item) else { return }
        let forwarder = Task {
            await stop.wait()
            if stop.isRequested { child.stop.request() }
        }
        await child.prepared.wait()
        forwarder.cancel()
        if !child.hasBegun, let error = child.failure { throw error }
    }

    package func run(stop: StopSignal) async throws {
        let stopped = Task { [bell] in
            await stop.wait()
            bell.ring.yield()
        }
        defer { stopped.cancel() }
        for await _ in bell.stream {
            if stop.isRequested { break }
            do { try await settle(stop) } catch {
                await drain()
                throw error
            }
        }
        await drain()
    }

    // MARK: Settling

    private var wanted: (items: [String: Item], sorted: [Item]) {
        let list = table.withLock { $0.wanted }
        var items: [String: Item] = [:]
        var sorted: [Item] = []
        for item in list where items[key(item)] == nil {
            items[key(item)] = item
            sorted.append(item)
        }
        return (items, sorted)
    }

    /// Brings what runs to what is wanted; starts nothing once a stop is requested.
    private func settle(_ stop: StopSignal) async throws {
        let (items, sorted) = wanted
        let (children, isAsStarted) = table.withLock { ($0.children, $0.isAsStarted) }
        if isAsStarted, sorted.count == 1, let child = children[key(sorted[0])], child.item == sorted[0],
            let error = child.failure
        {
            throw error
        }
        // One that drains is not taken back: where it is wanted again, it is started again.
        let leaving = children.filter { name, child in items[name] != child.item || child.isLeaving }
        for child in leaving.values { child.leave() }
        let deadline = Monotonic.milliseconds() + Int64(drainLimitSeconds) * 1_000
        for (name, child) in leaving.sorted(by: { $0.key < $1.key }) {
            await child.drained(orUntil: stop, milliseconds: Int(max(0, deadline - Monotonic.milliseconds())))
            if stop.isRequested { return }
            guard child.finished.isRequested else {
                logger.warning("\(name) has not drained in time; it is waited for", ["limit_s": "\(drainLimitSeconds)"])
                continue
            }
            table.withLock { table in
                table.children[name] = nil
                table.backoffs[name] = nil
            }
            removed(child.item, items[name])
        }
        for item in sorted where !stop.isRequested { try? startAgain(item) }
    }

    /// Starts what is wanted and does not run, unless it failed and its wait is not over.
    private func startAgain(_ item: Item) throws {
        let name = key(item)
        if let child = table.withLock({ $0.children[name] }) {
            guard child.finished.isRequested, child.failure != nil, !child.isLeaving else { return }
            let now = Monotonic.milliseconds()
            guard let due = child.retryAt else {
                let wait = table.withLock { table in
                    var backoff =
                        table.backoffs[name]
                        ?? Backoff(
                            baseMilliseconds: retryMilliseconds, capMilliseconds: 60_000,
                            floorMilliseconds: retryMilliseconds)
                    // One that ran for long fails for the first time again.
                    if now - child.startedAt > 120_000 { backoff.reset() }
                    defer { table.backoffs[name] = backoff }
                    return backoff.next()
                }
                child.retryAt = now + Int64(wait)
                if let error = child.failure { failed(item, error) }
                logger.error(
                    "\(name) failed; the others go on", ["error": "\(child.failureText)", "again_ms": "\(wait)"])
                Task { [bell] in
                    try? await Task.sleep(for: .milliseconds(wait))
                    bell.ring.yield()
                }
                return
            }
            guard now >= due else { return }
        }
        _ = try start(item)
    }

    @discardableResult
    private func start(_ item: Item) throws -> Child<Item>? {
        let child = Child(item: item)
        do {
            guard let service = try make(item) else { return nil }
            table.withLock { $0.children[key(item)] = child }
            child.start(service, logger: logger) { [bell] in bell.ring.yield() }
        } catch {
            child.fail(error)
            table.withLock { $0.children[key(item)] = child }
            bell.ring.yield()
            throw error
        }
        return child
    }

    private func drain() async {
        let children = table.withLock { $0.children }
        for child in children.values { child.leave() }
        for child in children.values { await child.finished.wait() }
    }
}

/// The service of one item.
private final class Child<Item: Sendable & Equatable>: Sendable {
    let item: Item
    let stop = StopSignal()
    /// Requested when `prepare` returned or threw.
    let prepared = StopSignal()
    /// Requested when `run` returned or threw.
    let finished = StopSignal()
    /// Monotonic milliseconds.
    let startedAt = Monotonic.milliseconds()
    private let facts = Mutex(Facts())

    private struct Facts {
        var state = ServiceSet<Item>.State.starting
        var failure: (any Error)?
        var retryAt: Int64?
        var isLeaving = false
        var hasBegun = false
    }

    init(item: Item) { self.item = item }

    var state: ServiceSet<Item>.State { facts.withLock { $0.state } }
    var failure: (any Error)? { facts.withLock { $0.failure } }
    var failureText: String { failure.map { "\($0)" } ?? "" }
    var isLeaving: Bool { facts.withLock { $0.isLeaving } }
    /// Whether it was prepared.
    var hasBegun: Bool { facts.withLock { $0.hasBegun } }
    /// Monotonic milliseconds; nil before the failure was looked at.
    var retryAt: Int64? {
        get { facts.withLock { $0.retryAt } }
        set { facts.withLock { $0.retryAt = newValue } }
    }

    func leave() {
        facts.withLock { facts in
            facts.isLeaving = true
            if facts.state == .running || facts.state == .starting { facts.state = .stopping }
        }
        stop.request()
    }

    /// Waits until it has finished, for as long as that may take and nobody stops the whole.
    func drained(orUntil stop: StopSignal, milliseconds: Int) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [finished] in await finished.wait() }
            group.addTask { await stop.wait() }
            group.addTask { try? await Task.sleep(for: .milliseconds(milliseconds)) }
            await group.next()
            group.cancelAll()
        }
    }

    func fail(_ error: any Error) {
        facts.withLock { facts in
            facts.failure = error
            facts.state = .failed("\(error)")
        }
        prepared.request()
        finished.request()
    }

    func start(_ service: any Service, logger: Logger, ended: @escaping @Sendable () -> Void) {
        // Not a child task: a service that never drains must not hold up the group.
        Task { [self] in
            do {
                try await service.prepare(stop: stop)
                logger.info("\(service.name) started")
                facts.withLock { facts in
                    facts.hasBegun = true
                    if facts.state == .starting { facts.state = .running }
                }
                prepared.request()
                try await service.run(stop: stop)
                facts.withLock { $0.state = .ended }
                logger.info("\(service.name) stopped")
            } catch {
                logger.error("\(service.name) failed", ["error": "\(error)"])
                fail(error)
            }
            prepared.request()
            finished.request()
            ended()
        }
    }
}
