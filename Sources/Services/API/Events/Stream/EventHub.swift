package import Health
import Records
package import ServiceLifecycle
import Synchronization
package import Telemetry

/// The streams of all tenants: for each that has sources one of its own, which knows nothing of the others
/// (``TenantEvents``). So no id, no notice and no page that a client gets can tell what it is not to know, and a tenant whose
/// clients catch up holds up no other. Drained means: nothing is read any more.
package final class EventHub: Sendable {
    /// How often things are done.
    struct Pauses: Sendable {
        var heartbeatMilliseconds: Int
        var logMilliseconds: Int
        var catchUpIdleMilliseconds: Int
    }

    private let make: @Sendable (TenantID, [StreamSource]) -> TenantEvents
    private let state: Mutex<State>

    private struct State: Sendable {
        var tenants: [TenantID: TenantEvents] = [:]
        /// For tenants without sources, of which there may be any number.
        var nobodys: TenantEvents?
        /// Starts one that is made while the others run; nil before, and after the stop.
        var start: (@Sendable (TenantEvents) -> Void)?

        var all: [TenantEvents] { Array(tenants.values) + (nobodys.map { [$0] } ?? []) }
    }

    /// - Parameters:
    ///   - sources: shown at first; see ``follow(_:)``.
    ///   - indexed: asks the index; called on a lane, may block for a moment.
    ///   - flow: told of what is committed and becomes searchable.
    ///   - heartbeatMilliseconds: between two comments to a client.
    ///   - logMilliseconds: between two looks whether the logs are still the same.
    ///   - catchUpIdleMilliseconds: how long readers for clients that catch up stay open unused.
    package init(
        topics: any EventTopics, sources: [StreamSource], indexed: @escaping @Sendable () throws -> IndexedUpTo,
        metrics: MetricsRegistry, logger: Logger, flow: PipelineFlow = PipelineFlow(),
        heartbeatMilliseconds: Int = 15_000, logMilliseconds: Int = 5_000, catchUpIdleMilliseconds: Int = 30_000
    ) {
        let pauses = Pauses(
            heartbeatMilliseconds: heartbeatMilliseconds, logMilliseconds: logMilliseconds,
            catchUpIdleMilliseconds: catchUpIdleMilliseconds)
        // All clients wait for one thread: what they compute stays behind searches, however many tenants there are.
        let executor = StreamExecutor()
        let make: @Sendable (TenantID, [StreamSource]) -> TenantEvents = { tenant, sources in
            TenantEvents(
                topics: topics, tenant: tenant, sources: sources, indexed: indexed, metrics: metrics, logger: logger,
                flow: flow, pauses: pauses, executor: executor)
        }
        self.make = make
        var first = State()
        for (tenant, sources) in Self.byTenant(sources) { first.tenants[tenant] = make(tenant, sources) }
        state = Mutex(first)
        metrics.gauge("medallion_api_stream_clients", help: "Clients that read the stream now.") { [weak self] in
            Double(self?.clientCount ?? 0)
        }
    }

    /// The standard tenant always has a stream, as a deployment without tenants has.
    private static func byTenant(_ sources: [StreamSource]) -> [TenantID: [StreamSource]] {
        var found = Dictionary(grouping: sources, by: \.tenant)
        if found[.standard] == nil { found[.standard] = [] }
        return found
    }

    private var clientCount: Int { state.withLock { $0.all }.reduce(0) { $0 + $1.clientCount } }

    /// From now on these sources are shown, whose topics all differ. Clients stay connected: they go on with the sources of
    /// their tenant that they had, get what comes of a new one from now on, and nothing more of one that is gone. Clients of a
    /// tenant that had none until now are cut, and get its stream when they come back.
    package func follow(_ sources: [StreamSource]) {
        let byTenant = Self.byTenant(sources)
        state.withLock { state in
            for (tenant, events) in state.tenants { events.follow(byTenant[tenant] ?? []) }
            for (tenant, sources) in byTenant where state.tenants[tenant] == nil {
                let events = make(tenant, sources)
                state.tenants[tenant] = events
                state.start?(events)
            }
        }
    }

    /// The stream of a tenant.
    func events(of tenant: TenantID) -> TenantEvents {
        state.withLock { state in
            if let known = state.tenants[tenant] ?? state.nobodys { return known }
            let events = make(tenant, [])
            state.nobodys = events
            state.start?(events)
            return events
        }
    }

    /// Follows the topics until stopped.
    package func run(stop: StopSignal) async {
        let (fresh, feed) = AsyncStream.makeStream(of: TenantEvents.self)
        state.withLock { state in
            for events in state.all { feed.yield(events) }
            state.start = { feed.yield($0) }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await stop.wait()
                self.state.withLock { $0.start = nil }
                feed.finish()
            }
            for await events in fresh { group.addTask { await events.run(stop: stop) } }
        }
    }
}
