import Arms
package import Bytes
package import Records
package import Retrieval

/// A ``SearchStore`` whose searches are done in memory where the arms are there. What hits show is in memory, too, or where there
/// was no room for it fetched out of Postgres, at the version that the arms are at, under the tenant's policy. All else, and searches
/// that ask for another version, a number of candidates of the graph, or counts, are Postgres' as before.
package final class ArmedStore: RetrievalStore {
    private let store: SearchStore
    private let shared: SharedArms

    /// - Parameters:
    ///   - store: does what memory does not.
    ///   - shared: the arms, which others keep up to date.
    package init(_ store: SearchStore, shared: SharedArms) {
        self.store = store
        self.shared = shared
    }

    /// See ``SearchStore/candidates(for:timeoutMilliseconds:)``.
    package func candidates(for query: CandidateQuery, timeoutMilliseconds: Int) throws -> CandidateSet {
        guard query.page == nil else {
            return try store.candidates(for: query, timeoutMilliseconds: timeoutMilliseconds)
        }
        let start = SystemClock.monotonicNanoseconds()
        var (held, outcome) = shared.current(of: query.filter.scope.tenant)
        if let known = held, !isAnswerable(query, by: known) { (held, outcome) = (nil, .asked) }
        if let held, let found = try search(query, held, timeoutMilliseconds, isStale: outcome == .stale) {
            shared.note(outcome)
            return found
        }
        let spent = Int((SystemClock.monotonicNanoseconds() - start) / 1_000_000)
        do {
            let found = try store.candidates(for: query, timeoutMilliseconds: max(1, timeoutMilliseconds - spent))
            shared.note(held == nil ? outcome : .asked)
            return found
        } catch let error as IndexError where error.isOfUnreachable {
            // Nobody has noticed yet that it is away.
            guard let held = shared.insteadOfPostgres(of: query.filter.scope.tenant), isAnswerable(query, by: held),
                let found = try search(query, held, timeoutMilliseconds, isStale: true)
            else { throw error }
            shared.note(.stale)
            return found
        }
    }

    private func isAnswerable(_ query: CandidateQuery, by held: SharedArms.Held) -> Bool {
        held.canAnswer(query, model: query.vectorModel ?? store.model)
    }

    /// Nil where it is Postgres' after all: phrases are looked for in texts, of which it looks at more where they leave too
    /// few; and some of what was found could not be fetched.
    private func search(
        _ query: CandidateQuery, _ held: SharedArms.Held, _ timeoutMilliseconds: Int, isStale: Bool
    ) throws -> CandidateSet? {
        let words = try store.lookup(of: query) { held.words(beginningWith: $0) }
        guard words.phrases.isEmpty else { return nil }
        let asked = ArmsQuery(query, words)
        let found = held.index.search(asked)
        let first = min(found.places.count, asked.rowsMax)
        let rows =
            try found.rows ?? fetched(found, first, held, query.filter.scope.tenant, timeoutMilliseconds)
        return rows.map { held.set(of: found, rows: $0, for: query, words, isStale: isStale) }
    }

    /// What hits show of the first places, out of Postgres; nil where some of it has gone meanwhile, which is Postgres' to say.
    private func fetched(
        _ found: ArmsFound, _ first: Int, _ held: SharedArms.Held, _ tenant: TenantID, _ timeoutMilliseconds: Int
    ) throws -> [Candidate]? {
        let wanted = found.places.prefix(first).map(\.passageID)
        guard !wanted.isEmpty else { return [] }
        let rows = try store.run(
            FetchPassages(tenant: tenant, passages: wanted, generation: held.generation, version: found.version),
            for: tenant, timeoutMilliseconds)
        guard rows.count == first else {
            let there = Set(rows.map(\.passageID))
            shared.miss(wanted.filter { !there.contains($0) }, of: tenant)
            return nil
        }
        return rows
    }

    // MARK: Postgres' alone

    package func recent(_ query: RecentQuery, timeoutMilliseconds: Int) throws -> RecentPage {
        try store.recent(query, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func likenesses(of target: LikeTarget, timeoutMilliseconds: Int) throws -> [Likeness] {
        try store.likenesses(of: target, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func status(timeoutMilliseconds: Int) throws -> IndexStatus {
        try store.status(timeoutMilliseconds: timeoutMilliseconds)
    }
    package func moment(_ asOf: AsOf, tenant: TenantID, timeoutMilliseconds: Int) throws -> PastMoment {
        try store.moment(asOf, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func save(_ answer: StoredAnswer, timeoutMilliseconds: Int) throws {
        try store.save(answer, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func givenAnswer(id: String, tenant: TenantID, timeoutMilliseconds: Int) throws -> GivenAnswer? {
        try store.givenAnswer(id: id, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func givenAnswers(_ query: AnswerListQuery, timeoutMilliseconds: Int) throws -> [AnswerSummary] {
        try store.givenAnswers(query, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func save(
        _ feedback: AnswerFeedback, of id: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws -> AnswerFeedback.Keeping {
        try store.save(feedback, of: id, tenant: tenant, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func count(_ hits: [AnswerHitCount], of tenant: TenantID, timeoutMilliseconds: Int) throws -> Set<String> {
        try store.count(hits, of: tenant, timeoutMilliseconds: timeoutMilliseconds)
    }
    package func tidyAnswers(
        _ bounds: AnswerBounds, nowMilliseconds: Int64, timeoutMilliseconds: Int
    ) throws -> Int64 {
        try store.tidyAnswers(bounds, nowMilliseconds: nowMilliseconds, timeoutMilliseconds: timeoutMilliseconds)
    }
    package var interruption: Interruption? { store.interruption }
}
