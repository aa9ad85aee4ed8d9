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
    /// By which another process can check it; nil where it cannot.
    package var seed: ResultSeed?
    package let tenant: TenantID
    package let generation: Int64
    /// The index version at which it is known to hold.
    package fileprivate(set) var version: Int64
    /// The last moment at which it is known to be what a search would find, monotonic nanoseconds.
    package fileprivate(set) var goodAt: Int64

    /// The numbers of the passages that it shows; nil where that is not known.
    package var shownPassages: Set<Int64>? { probe?.shown.passages }

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
        guard let (asked, isOpen) = self.asked(query) else { return nil }
        let counts = held.index.countsAtOnce(of: asked).flatMap { $0.place == place ? $0 : nil }
        let places = set.candidates.map(\.place) + set.rest
        return WatchedResult(
            place: place,
            probe: ResultProbe(
                asked, found: places, shown: shown, counts: counts, isPlain: query.options.isPlain, isOpen: isOpen),
            seed: ResultSeed(asked, places, shown, counts, version: set.indexVersion, of: held.index.log),
            tenant: tenant, generation: set.generation, version: set.indexVersion, goodAt: held.checkedAt)
    }

    /// What another process found, where it still holds; nil where it does not, or that cannot be told.
    ///
    /// - Parameter query: as it was asked there; with the seed's vector.
    package func adopt(_ seed: ResultSeed, of query: CandidateQuery, generation: Int64) -> WatchedResult? {
        let tenant = query.filter.scope.tenant
        guard let held = held(of: tenant), held.generation == generation,
            let number = held.index.log.number(at: seed.version, stamp: seed.stamp),
            // What expired goes without a version, and may have gone here before that version.
            held.index.showsAtOnce(seed.shown.passages) == true, let (asked, isOpen) = self.asked(query)
        else { return nil }
        let place = ChangePlace(log: held.index.log.id, number: number)
        guard
            let probe = ResultProbe(asked, seed, at: place, isPlain: query.options.isPlain, isOpen: isOpen)
        else { return nil }
        var watched = WatchedResult(
            place: place, probe: probe, tenant: tenant, generation: generation, version: seed.version,
            goodAt: held.checkedAt)
        guard case .holds = check(&watched) else { return nil }
        return watched
    }

    /// What tells the database from others, for keys that several processes share; nil where it is not known.
    package func database(of tenant: TenantID) -> String? { held(of: tenant)?.identity?.database }

    /// The query as the arms are asked, and whether it stands for words that are not all known.
    private func asked(_ query: CandidateQuery) -> (ArmsQuery, isOpen: Bool)? {
        var hasPrefixes = false
        let looked = try? analyzers.withAnalyzer { analyzer in
            WordLookup(of: query, by: analyzer, usual: languages, ranking: ranking) { _ in
                hasPrefixes = true
                return []
            }
        }
        return looked.map { (ArmsQuery(query, $0), hasPrefixes || $0.isCut) }
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
