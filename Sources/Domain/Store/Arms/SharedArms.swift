package import Arms
import Bytes
package import Records
import Synchronization

/// How a search was done, for metrics.
package enum ArmsOutcome: String, Sendable, CaseIterable {
    /// Both arms in memory, what is shown out of Postgres.
    case memory
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
        /// When they were last known to be up to date, monotonic nanoseconds.
        var checkedAt: Int64
    }

    /// Beyond this searches are done in Postgres.
    private static let lateNanoseconds: Int64 = 1_000_000_000
    private let held = Mutex<[TenantID: Held]>([:])
    private let count: @Sendable (ArmsOutcome) -> Void

    /// - Parameter count: told of every search.
    package init(count: @escaping @Sendable (ArmsOutcome) -> Void = { _ in }) { self.count = count }

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

    /// A tenant's arms that are up to date; else why there are none.
    func current(of tenant: TenantID) -> (held: Held?, outcome: ArmsOutcome) {
        guard let known = held.withLock({ $0[tenant] }) else { return (nil, .notLoaded) }
        guard SystemClock.monotonicNanoseconds() - known.checkedAt <= Self.lateNanoseconds else { return (nil, .late) }
        return (known, .memory)
    }

    func replace(_ arms: Held?, of tenant: TenantID) { held.withLock { $0[tenant] = arms } }

    func isUpToDate(_ tenant: TenantID, at nanoseconds: Int64) {
        held.withLock { $0[tenant]?.checkedAt = nanoseconds }
    }

    /// What is held, by tenant.
    package var sizes: [TenantID: ArmsSize] {
        held.withLock { $0 }.mapValues { $0.index.size }
    }
}
