package import Arms
import Bytes
package import Records
import Synchronization

/// How a search was done, for metrics.
package enum ArmsOutcome: String, Sendable, CaseIterable {
    /// In memory.
    case memory
    /// In memory as it was when Postgres was last read, since it cannot be reached.
    case stale
    /// In Postgres: nothing of the tenant is in memory, or not yet.
    case notLoaded = "not_loaded"
    /// In Postgres: what is in memory was not brought up to date for too long.
    case late
    /// In Postgres: it asks for what memory does not do, such as another version.
    case asked
}

/// The arms in memory, tenant by tenant, as those who search share them.
package final class SharedArms: Sendable {
    /// One tenant's arms.
    struct Held: Sendable {
        let index: ArmsIndex
        let generation: Int64
        /// Of its vectors; empty where there are none.
        let modelName: String
        /// As what a file of them counts; nil where there are no files.
        let identity: ArmsIdentity?
        /// When they were last known to be up to date, monotonic nanoseconds.
        var checkedAt: Int64

        var ageNanoseconds: Int64 { SystemClock.monotonicNanoseconds() - checkedAt }
    }

    /// Beyond this searches are done in Postgres, where it can be reached.
    private static let lateNanoseconds: Int64 = 1_000_000_000
    private let held = Mutex<[TenantID: Held]>([:])
    private let count: @Sendable (ArmsOutcome) -> Void
    /// How old arms may be that are searched while Postgres cannot be reached.
    private let staleNanoseconds: Int64
    private let isAway = Atomic(false)

    /// - Parameters:
    ///   - staleMilliseconds: how long searches go on while Postgres cannot be reached.
    ///   - count: told of every search.
    package init(
        staleMilliseconds: Int = 0, count: @escaping @Sendable (ArmsOutcome) -> Void = { _ in }
    ) {
        staleNanoseconds = Int64(staleMilliseconds) * 1_000_000
        self.count = count
    }

    /// Passages that could not be fetched, though memory has them.
    private let missed = Mutex<[TenantID: Set<Int64>]>([:])
    private static let missedMax = 10_000

    /// Notes passages that the index no longer has, though no version ended them, as of expired documents.
    func miss(_ passages: some Sequence<Int64>, of tenant: TenantID) {
        missed.withLock { missed in
            guard missed[tenant]?.count ?? 0 < Self.missedMax else { return }
            missed[tenant, default: []].formUnion(passages)
        }
    }

    /// Those that were missed since it was asked last.
    func takeMissed(of tenant: TenantID) -> Set<Int64> {
        missed.withLock { $0.removeValue(forKey: tenant) ?? [] }
    }

    /// Notes a search.
    func note(_ outcome: ArmsOutcome) { count(outcome) }

    /// A tenant's arms that are up to date, or as good as can be had while Postgres cannot be reached; else why there are none.
    func current(of tenant: TenantID) -> (held: Held?, outcome: ArmsOutcome) {
        guard let known = held.withLock({ $0[tenant] }) else { return (nil, .notLoaded) }
        if known.ageNanoseconds <= Self.lateNanoseconds { return (known, .memory) }
        if isAway.load(ordering: .relaxed), known.ageNanoseconds <= staleNanoseconds { return (known, .stale) }
        return (nil, .late)
    }

    /// A tenant's arms for a search that found Postgres away; nil where they are too old.
    func insteadOfPostgres(of tenant: TenantID) -> Held? {
        held.withLock { $0[tenant] }.flatMap { $0.ageNanoseconds <= staleNanoseconds ? $0 : nil }
    }

    /// Notes whether Postgres can be reached.
    func note(isAway: Bool) { self.isAway.store(isAway, ordering: .relaxed) }

    /// The index version that searches of a tenant see at least; nil where they are done in Postgres.
    package func version(of tenant: TenantID) -> Int64? { current(of: tenant).held?.index.version }

    /// How old the oldest arms are that are searched though Postgres cannot be reached, milliseconds; nil where it can be, or some
    /// tenant's can be searched no more.
    package var staleMilliseconds: Int64? {
        guard isAway.load(ordering: .relaxed) else { return nil }
        let ages = held.withLock { $0.values.map(\.ageNanoseconds) }
        return ages.max().flatMap { $0 <= staleNanoseconds ? $0 / 1_000_000 : nil }
    }

    func replace(_ arms: Held?, of tenant: TenantID) { held.withLock { $0[tenant] = arms } }

    func isUpToDate(_ tenant: TenantID, at nanoseconds: Int64) {
        held.withLock { $0[tenant]?.checkedAt = nanoseconds }
    }

    /// All that are held and may be kept in files.
    func all() -> [(tenant: TenantID, index: ArmsIndex, identity: ArmsIdentity)] {
        held.withLock { $0 }.compactMap { tenant, held in held.identity.map { (tenant, held.index, $0) } }
    }

    /// What is held, by tenant.
    package var sizes: [TenantID: ArmsSize] {
        held.withLock { $0 }.mapValues { $0.index.size }
    }
}
