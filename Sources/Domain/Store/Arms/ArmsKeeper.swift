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
        /// What hits show is in memory, too.
        case rowsLoaded(TenantID, ArmsSize)
        /// What hits show takes more than there is room for; it is fetched.
        case rowsGivenUp(TenantID, bytes: Int)
        /// Read from a file and brought up to date.
        case read(TenantID, ArmsSize, milliseconds: Int)
        /// A file is of no use; the arms are loaded anew.
        case fileDropped(TenantID, why: String)
        /// There are no files, since it cannot be told whose they would be.
        case filesAreOff(why: String)
    }

    /// Bytes that a passage takes besides its vector, before any was loaded: postings, tables.
    private static let passageBytes = 1_000
    /// Before what failed or found no room is tried again.
    private static let retryNanoseconds: Int64 = 30_000_000_000
    /// While one tenant's arms are loaded, the others are followed so often.
    private static let followNanoseconds: Int64 = 100_000_000
    /// Slots of hidden passages that are borne: as many as are shown, and these.
    private static let hiddenMax = 20_000
    static let timeoutMilliseconds = 30_000
    /// Where the state of the index takes longer to read, the database counts as away.
    private static let stateTimeoutMilliseconds = 2_000

    let shared: SharedArms
    let connection: LazyConnection
    private let interrupt = PostgresInterrupt()
    let bytesMax: Int
    /// Between two looks at whether the oldest documents of a tenant have expired.
    let expiryNanoseconds: Int64
    let tell: (Event) -> Void
    var arms: [TenantID: Arms] = [:]
    private var refused: [TenantID: Refusal] = [:]
    /// Where arms are kept between starts; nil where they are not.
    let files: ArmsFiles?
    /// Tenants whose file was looked for.
    var lookedFor: Set<TenantID> = []
    var database: String?
    /// When what failed, or found no room, is tried again, monotonic nanoseconds.
    private var triedAgainAt: [TenantID: Int64] = [:]

    /// What was tried and found no room.
    private struct Refusal {
        let passages: Int
        let bytes: Int
    }

    struct Arms {
        let index: ArmsIndex
        let state: ReadArmsState.Row
        var rows = Rows.loading(after: -1)
        /// When it is looked at whether the oldest documents have expired, monotonic nanoseconds, and of which collection.
        var expiry = (dueAt: Int64.min, turn: 0)
    }

    /// - Parameters:
    ///   - configuration: of a migrated database.
    ///   - bytesMax: of all arms together.
    ///   - files: where arms are kept between starts.
    ///   - expiryMilliseconds: between two looks at whether the oldest documents of a tenant's collection have expired.
    ///   - tell: told of what it does.
    package init(
        configuration: PostgresConfiguration, shared: SharedArms, bytesMax: Int, files: ArmsFiles? = nil,
        expiryMilliseconds: Int = 500, tell: @escaping (Event) -> Void
    ) {
        self.files = files
        expiryNanoseconds = Int64(expiryMilliseconds) * 1_000_000
        var configuration = configuration
        configuration.sessionSettings += SearchStore.feedSettings
        configuration.role = SearchStore.readerRole
        configuration.interrupt = interrupt
        connection = LazyConnection(configuration)
        self.shared = shared
        self.bytesMax = bytesMax
        self.tell = tell
    }

    /// Ends the statement that runs, for a stop.
    package var interruption: @Sendable () -> Void { { [interrupt] in interrupt.request() } }

    /// One round: follows what is loaded, and loads what is not, one tenant at a time. One tenant's failure does not keep
    /// the others from being followed.
    ///
    /// - Parameter isStopping: asked within long work.
    /// - Throws: the first failure, once all was tried.
    package func round(of tenants: [TenantID], isStopping: @escaping () -> Bool) throws(IndexError) {
        for tenant in arms.keys where !tenants.contains(tenant) { drop(tenant, "the tenant is no longer declared") }
        let followed = try followAll()
        var failure = followed.failure
        guard let state = followed.state, state.areWordsComplete else { return }
        let now = SystemClock.monotonicNanoseconds()
        // A tenant whose rows cannot be read keeps no other from being loaded.
        do throws(IndexError) { try loadRows(isStopping) } catch { failure = failure ?? error }
        let next = tenants.first { arms[$0] == nil && triedAgainAt[$0] ?? .min <= now }
        if let next, !isStopping() {
            do throws(IndexError) {
                try load(next, state, isStopping)
                if failure == nil { try loadRows(isStopping) }
            } catch {
                triedAgainAt[next] = SystemClock.monotonicNanoseconds() + Self.retryNanoseconds
                throw error
            }
        }
        if let failure { throw failure }
    }

    func followAll() throws(IndexError) -> (state: ReadArmsState.Row?, failure: IndexError?) {
        let begun = SystemClock.monotonicNanoseconds()
        guard let state = try readState() else { return (nil, nil) }
        giveUpRows(toFit: 0)
        var failure: IndexError?
        for (tenant, known) in arms {
            if let why = reason(against: known, state) {
                drop(tenant, why)
                continue
            }
            do throws(IndexError) {
                let feed = feed(of: tenant)
                guard try isOfThisHistory(known.index, state) else {
                    drop(tenant, "the index has another history")
                    continue
                }
                // Before following, which shows what was suppressed when it was missed and is no longer.
                let missed = shared.takeMissed(of: tenant)
                if !missed.isEmpty { known.index.change { $0.hide(passages: missed) } }
                guard try feed.follow(known.index, state) else {
                    drop(tenant, "too much changed at once")
                    continue
                }
                if !known.index.keepsRows, known.rows.areWanted { refuseUnreadableRows(of: tenant) }
                try hideExpired(tenant, by: feed)
                shared.isUpToDate(tenant, at: begun)
            } catch {
                // What takes too long once would do so again.
                if error.underlying?.kind == .timeout { drop(tenant, "following it took too long") }
                failure = failure ?? error
            }
        }
        return (state, failure)
    }

    /// Whether the version that arms are at is still the one that it was: a database that was set back, or whose replica took over
    /// without its last transactions, gives the same numbers to others.
    private func isOfThisHistory(_ index: ArmsIndex, _ state: ReadArmsState.Row) throws(IndexError) -> Bool {
        let reached = index.reached
        guard let stamp = reached.stamp, reached.version > 0 else { return true }
        if reached.version == state.version { return stamp == state.stamp }
        return try connection.run(
            FindArmsStamp(version: reached.version), timeoutMilliseconds: Self.timeoutMilliseconds
        ).first == stamp
    }

    func readState() throws(IndexError) -> ReadArmsState.Row? {
        do throws(IndexError) {
            let state = try connection.run(ReadArmsState(), timeoutMilliseconds: Self.stateTimeoutMilliseconds).first
            shared.note(isAway: false)
            return state
        } catch {
            shared.note(isAway: error.isOfUnreachable || error.underlying?.kind == .timeout)
            throw error
        }
    }

    func feed(of tenant: TenantID) -> ArmsFeed {
        ArmsFeed(connection, tenant: tenant, timeoutMilliseconds: Self.timeoutMilliseconds)
    }

    /// Why arms are of no use any more; nil where they are.
    func reason(against known: Arms, _ state: ReadArmsState.Row) -> String? {
        if known.state.generation != state.generation { return "another generation was promoted" }
        if known.state.model != state.model { return "the generation has got a model" }
        if !state.areWordsComplete { return "passages are being cut into words anew" }
        let size = known.index.size
        if size.version < state.oldestVersion { return "what changed since is no longer kept" }
        if size.version > state.version { return "the index was set back" }
        if size.hidden > size.passages + Self.hiddenMax { return "most of it is hidden" }
        if bytes > bytesMax, size.bytes == arms.values.map(\.index.size.bytes).max() {
            return "there is no room for it"
        }
        return nil
    }

    var bytes: Int { arms.values.reduce(0) { $0 + $1.index.size.bytes } }

    private func drop(_ tenant: TenantID, _ why: String) {
        guard let dropped = arms.removeValue(forKey: tenant) else { return }
        dropped.index.abandon()
        shared.replace(nil, of: tenant)
        tell(.dropped(tenant, why: why))
    }

    private func load(
        _ tenant: TenantID, _ state: ReadArmsState.Row, _ isStopping: () -> Bool
    ) throws(IndexError) {
        let feed = feed(of: tenant)
        if try read(tenant, state, by: feed, isStopping) { return }
        let passages = Int(
            try feed.run(CountArmsPassages(tenant: tenant, generation: state.generation)).first ?? 0)
        // What was tried counts until a fifth of it has gone.
        let tried = refused[tenant].map { passages * 5 > $0.passages * 4 ? $0.bytes : 0 } ?? 0
        let expected = max(passages * (Self.passageBytes + 2 * state.dimensions), tried)
        // Rows give way to arms.
        let held = arms.values.reduce(0) { $0 + $1.index.size.bytes - $1.index.size.rowBytes }
        guard held + expected <= bytesMax else { return refuse(tenant, expected, passages) }
        let start = SystemClock.monotonicNanoseconds()
        var followedAt = start
        let index = ArmsIndex(dimensions: state.dimensions)
        var (isShown, isTooLarge) = (false, false)
        defer { if !isShown { index.abandon() } }
        let isComplete = try feed.load(index, state) { taken in
            let now = SystemClock.monotonicNanoseconds()
            if now - followedAt > Self.followNanoseconds {
                // What fails here fails again in the next round, which tells of it.
                _ = try? followAll()
                followedAt = now
            }
            giveUpRows(toFit: taken)
            isTooLarge = bytes + taken > bytesMax
            return !isTooLarge && !isStopping()
        }
        guard isComplete else {
            if isTooLarge { refuse(tenant, index.size.bytes, passages) }
            return
        }
        // Loading took its time: what is shown from here on is what the index shows now.
        let now = SystemClock.monotonicNanoseconds()
        guard let newest = try readState(), reason(against: Arms(index: index, state: state), newest) == nil,
            try feed.follow(index, newest)
        else { return }
        isShown = true
        show(index, of: tenant, state, checkedAt: now)
        tell(.loaded(tenant, index.size, milliseconds: Int((now - start) / 1_000_000)))
    }

    /// Hands arms that are complete to those who search.
    func show(_ index: ArmsIndex, of tenant: TenantID, _ state: ReadArmsState.Row, checkedAt: Int64) {
        refused[tenant] = nil
        triedAgainAt[tenant] = nil
        arms[tenant] = Arms(index: index, state: state)
        let size = index.size
        if size.rows > 0, size.rows == size.documents { arms[tenant]?.rows = .complete }
        _ = shared.takeMissed(of: tenant)
        shared.replace(
            SharedArms.Held(
                index: index, generation: state.generation, modelName: state.modelName,
                identity: identity(of: tenant, state), checkedAt: checkedAt), of: tenant)
    }

    private func refuse(_ tenant: TenantID, _ bytes: Int, _ passages: Int) {
        if refused[tenant] == nil { tell(.tooLarge(tenant, bytes: bytes)) }
        refused[tenant] = Refusal(passages: passages, bytes: bytes)
        triedAgainAt[tenant] = SystemClock.monotonicNanoseconds() + Self.retryNanoseconds
    }
}
