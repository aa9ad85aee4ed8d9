package import Arms
import Bytes
package import Records
package import Retrieval
import Text

/// A result of a search, as far as what changes in the index is checked against it.
package struct WatchedResult: Sendable {
    /// Known to hold after these changes of the index in memory; nil where it can only grow old.
    fileprivate var place: ChangePlace?
    fileprivate var probe: ResultProbe?
    package let tenant: TenantID
    package let generation: Int64
    /// The index version at which it is known to hold.
    package fileprivate(set) var version: Int64
    /// The last moment at which it is known to be what a search would find, monotonic nanoseconds.
    package fileprivate(set) var goodAt: Int64

    /// Memory that it takes, roughly.
    package var bytes: Int { 128 + (probe?.bytes ?? 0) }
}

/// Whether a watched result still holds.
package enum WatchVerdict: Sendable {
    case holds
    /// Something changed that it shows, or should show.
    case changed
    /// It cannot be told: what changed is forgotten, another index was loaded, or none follows the database.
    case unknown
}

/// Checks what searches found against what changed since.
extension ArmsReader {
    /// What is to be known of a result so that it can be checked later; nil where the index in memory does not follow the
    /// database closely enough.
    ///
    /// - Parameter shown: what of it is shown.
    package func watch(_ query: CandidateQuery, _ set: CandidateSet, _ shown: ResultProbe.Shown) -> WatchedResult? {
        let tenant = query.filter.scope.tenant
        guard let place = set.place, let held = held(of: tenant), held.generation == set.generation,
            held.index.log.id == place.log
        else { return nil }
        var hasPrefixes = false
        let looked = try? analyzers.withAnalyzer { analyzer in
            WordLookup(of: query, by: analyzer, usual: languages, ranking: ranking) { _ in
                hasPrefixes = true
                return []
            }
        }
        guard let words = looked else { return nil }
        let asked = ArmsQuery(query, words)
        let counts = held.index.countsAtOnce(of: asked).flatMap { $0.place == place ? $0 : nil }
        return WatchedResult(
            place: place,
            probe: ResultProbe(
                asked, found: set.candidates.map(\.place) + set.rest, shown: shown, counts: counts,
                isPlain: query.options.isPlain, isOpen: hasPrefixes || words.isCut),
            tenant: tenant, generation: set.generation, version: set.indexVersion, goodAt: held.checkedAt)
    }

    /// Whether a result still holds; what is known of it by now is noted there.
    package func check(_ watched: inout WatchedResult) -> WatchVerdict {
        guard let place = watched.place, let held = held(of: watched.tenant) else { return .unknown }
        guard held.generation == watched.generation else { return .changed }
        let log = held.index.log
        guard log.id == place.log else { return .unknown }
        // Asked before the changes are: those reach at least as far.
        let version = held.index.version
        if log.number != place.number {
            guard let changes = log.changes(since: place.number) else { return .unknown }
            for change in changes where watched.probe?.holds(after: change) != true { return .changed }
            watched.place?.number += changes.count
        }
        watched.version = max(watched.version, version)
        watched.goodAt = max(watched.goodAt, held.checkedAt)
        return .holds
    }

    private func held(of tenant: TenantID) -> SharedArms.Held? {
        let (held, outcome) = shared.current(of: tenant)
        return outcome == .memory ? held : nil
    }
}

extension WatchedResult {
    /// A result of which nothing is known but when it was searched for: it may be served as long as replies may be late.
    package init(unwatched set: CandidateSet, of tenant: TenantID, searchedAt nanoseconds: Int64) {
        self.init(
            place: nil, probe: nil, tenant: tenant, generation: set.generation, version: set.indexVersion,
            goodAt: nanoseconds)
    }
}
