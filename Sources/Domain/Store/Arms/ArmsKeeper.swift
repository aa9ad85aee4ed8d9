package import Arms
import Bytes
package import Postgres
package import Records

/// Keeps ``SharedArms`` up to date: loads what fits, follows index versions, and gives up what the index has left behind. One
/// thread's, and blocking.
package final class ArmsKeeper {
    /// What is told of its work.
    package enum Event: Sendable, Equatable {
        case loaded(TenantID, ArmsSize, milliseconds: Int)
        /// Not loaded, as it would take more than there is room for.
        case tooLarge(TenantID, bytes: Int)
        /// What was loaded is no longer what the index shows; it is loaded anew.
        case dropped(TenantID, why: String)
    }

    /// Bytes that a passage takes, before any was loaded: vector, postings, tables.
    private static let passageBytes = 1_500
    /// Slots of hidden passages that are borne: as many as are shown, and these.
    private static let hiddenMax = 20_000
    private static let timeoutMilliseconds = 30_000

    private let shared: SharedArms
    private let connection: LazyConnection
    private let interrupt = PostgresInterrupt()
    private let bytesMax: Int
    private let tell: (Event) -> Void
    private var arms: [TenantID: Arms] = [:]
    private var refused: [TenantID: (state: Int64, bytes: Int)] = [:]

    private struct Arms {
        let index: ArmsIndex
        let state: ReadArmsState.Row
    }

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - bytesMax: of all arms together.
    ///   - tell: told of what it does.
    package init(
        configuration: PostgresConfiguration, shared: SharedArms, bytesMax: Int, tell: @escaping (Event) -> Void
    ) {
        var configuration = configuration
        configuration.sessionSettings += SearchStore.sessionSettings()
        configuration.role = SearchStore.readerRole
        configuration.interrupt = interrupt
        connection = LazyConnection(configuration)
        self.shared = shared
        self.bytesMax = bytesMax
        self.tell = tell
    }

    /// Ends the statement that runs, for a stop.
    package var interruption: @Sendable () -> Void { { [interrupt] in interrupt.request() } }

    /// One round: follows what is loaded, and loads what is not.
    ///
    /// - Parameter isStopping: asked within long work.
    package func round(of tenants: [TenantID], isStopping: @escaping () -> Bool) throws(IndexError) {
        let begun = SystemClock.monotonicNanoseconds()
        guard let state = try connection.run(ReadArmsState(), timeoutMilliseconds: Self.timeoutMilliseconds).first
        else { return }
        for tenant in arms.keys where !tenants.contains(tenant) { drop(tenant, "the tenant is no longer declared") }
        for tenant in tenants {
            if let why = reason(against: arms[tenant], state) { drop(tenant, why) }
            guard state.areWordsComplete else { continue }
            let feed = ArmsFeed(connection, tenant: tenant, timeoutMilliseconds: Self.timeoutMilliseconds)
            if let known = arms[tenant] {
                if known.index.version < state.version { _ = try feed.follow(known.index, state) }
                shared.isUpToDate(tenant, at: begun)
            } else {
                try load(tenant, state, feed, isStopping)
            }
            if isStopping() { return }
        }
    }

    /// Why arms are of no use any more; nil where they are.
    private func reason(against known: Arms?, _ state: ReadArmsState.Row) -> String? {
        guard let known else { return nil }
        if known.state.generation != state.generation { return "another generation was promoted" }
        if known.state.model != state.model { return "the generation has got a model" }
        if !state.areWordsComplete { return "passages are being cut into words anew" }
        let size = known.index.size
        if size.version < state.oldestVersion { return "what changed since is no longer kept" }
        if size.version > state.version { return "the index was set back" }
        if size.hidden > size.passages + Self.hiddenMax { return "most of it is hidden" }
        if bytes > bytesMax { return "there is no room for it" }
        return nil
    }

    private var bytes: Int { arms.values.reduce(0) { $0 + $1.index.size.bytes } }

    private func drop(_ tenant: TenantID, _ why: String) {
        guard arms.removeValue(forKey: tenant) != nil else { return }
        shared.replace(nil, of: tenant)
        tell(.dropped(tenant, why: why))
    }

    private func load(
        _ tenant: TenantID, _ state: ReadArmsState.Row, _ feed: ArmsFeed, _ isStopping: () -> Bool
    ) throws(IndexError) {
        let others = bytes
        let passages = Int(
            try connection.run(
                CountArmsPassages(tenant: tenant, generation: state.generation),
                timeoutMilliseconds: Self.timeoutMilliseconds
            ).first ?? 0)
        // One that was too large is tried again when it has become smaller, or others have.
        let expected = max(
            passages * Self.passageBytes, refused[tenant].map { min($0.bytes, passages * Self.passageBytes * 2) } ?? 0)
        guard others + expected <= bytesMax else { return refuse(tenant, expected, state) }
        let start = SystemClock.monotonicNanoseconds()
        let index = ArmsIndex(dimensions: state.dimensions)
        var isTooLarge = false
        let isComplete = try feed.load(index, state) { taken in
            isTooLarge = others + taken > bytesMax
            return !isTooLarge && !isStopping()
        }
        guard isComplete else {
            if isTooLarge { refuse(tenant, index.size.bytes, state) }
            return
        }
        _ = try feed.follow(index, state)
        refused[tenant] = nil
        arms[tenant] = Arms(index: index, state: state)
        let now = SystemClock.monotonicNanoseconds()
        shared.replace(
            SharedArms.Held(index: index, generation: state.generation, modelName: state.modelName, checkedAt: now),
            of: tenant)
        tell(.loaded(tenant, index.size, milliseconds: Int((now - start) / 1_000_000)))
    }

    private func refuse(_ tenant: TenantID, _ bytes: Int, _ state: ReadArmsState.Row) {
        if refused[tenant] == nil { tell(.tooLarge(tenant, bytes: bytes)) }
        refused[tenant] = (state.version, bytes)
    }
}
