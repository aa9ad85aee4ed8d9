import Bytes
import Postgres
import Retrieval

/// One search with its values.
struct IndexSearch {
    let store: SearchStore
    let values: SearchValues
    let model: Int32
    let modelName: String
    let wantsVector: Bool
    let wantsLexical: Bool
    /// Passages that the word arm gives at most.
    var lexicalMax = SearchSQL.armLimit

    /// Candidates that a search with filters keeps at least.
    private static let filteredMin = 500

    private func parts(_ vector: SearchSQL.VectorArm?, _ bounds: SearchBounds) -> SearchSQL.Parts {
        let isPage = values.query.page != nil
        let isCounted = values.query.counted != nil
        return SearchSQL.Parts(
            vector: vector, lexical: wantsLexical, filters: filters, isDemanding: values.words.demanded.count > 0,
            isPage: isPage, isRanked: !isPage && !values.query.options.isPlain,
            isExcluding: (!isPage || isCounted) && values.query.excludedDocument != nil,
            isNarrow: values.isNarrow && vector != .exact && (!isPage || isCounted) && !isPast, isCounted: isCounted,
            isPast: isPast, isNoted: values.query.wantsStatistics, readsCandidate: values.query.readsCandidate,
            lexicalMax: lexicalMax, bounds: bounds)
    }

    private var isPast: Bool { values.query.past != nil && values.query.page == nil }

    private var filters: SearchSQL.Filters {
        values.filter.hasTests ? .tested : values.filter.isEmpty ? .none : .plain
    }

    /// Whether filters or demands leave some of what is seen out.
    private var leavesOut: Bool { filters != .none || values.words.demanded.count > 0 }

    /// - Parameter scan: nil leaves the vector arm out.
    func candidates(_ scan: CandidateQuery.VectorScan?, _ timeoutMilliseconds: Int) throws -> CandidateSet {
        if isPast { return try past(scan == nil ? nil : .exact, timeoutMilliseconds) }
        guard let scan else { return try withinLimit(nil, timeoutMilliseconds) }
        if scan == .exact { return try exact(timeoutMilliseconds, instead: nil) }
        var found = try withinLimit(.approximate, timeoutMilliseconds)
        let wanted = min(values.query.vectorLimit, SearchSQL.armLimit)
        guard found.isGenerationServed, found.vectorCount < wanted, !found.isVectorExact else { return found }
        // Where nothing is left out there are no more than these, or few are seen of what the graph led to.
        let isEnough = leavesOut && found.vectorCount >= values.query.vectorEnough
        found.isVectorBounded = isEnough
        // What no word leads to could only be looked through as a whole.
        if isEnough, !values.isNarrow { return found }
        if scan == .automatic { return try exact(timeoutMilliseconds, instead: found) }
        found.isVectorArmShort = true
        return found
    }

    func run(
        _ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int, exactlyWithin bound: Int? = nil,
        endsWithin limit: Int? = nil, _ bounds: SearchBounds? = nil
    ) throws -> CandidateSet {
        var batch = PostgresBatch()
        batch.add(ActForTenant(tenant: values.query.filter.scope.tenant))
        if vector == .approximate {
            let ef = try candidatesKept(timeoutMilliseconds)
            let goesOn = !leavesOut
            if ef != store.graphCandidates.ofSession || !goesOn { batch.add(KeepCandidates(ef: ef, goesOn: goesOn)) }
        }
        if let bound {
            batch.add(PlanWithValues(isByValues: vector == .exact || isPast, statementMilliseconds: bound))
        }
        if let limit { batch.add(BoundStatements(milliseconds: limit)) }
        let slot = batch.add(
            SearchStatement(parts: parts(vector, bounds ?? store.bounds), model: model, values: values))
        let rows = try store.connection.run(batch, timeoutMilliseconds: timeoutMilliseconds) {
            results throws(PostgresError) in try results.rows(slot)
        }
        return try set(rows, vector, timeoutMilliseconds)
    }

    /// Twice as many where filters leave some of them out. Behind these the graph leads on to passages that are nearer and farther
    /// without much order: where too few of them pass, it says so, and they are looked for in another way.
    private func candidatesKept(_ timeoutMilliseconds: Int) throws(IndexError) -> Int {
        if let ef = values.query.ef { return ef }
        let tenant = values.query.filter.scope.tenant
        let usual = try store.graphCandidates.usual(of: tenant) { () throws(IndexError) in
            try store.run(CountShownPassages(tenant: tenant), for: tenant, timeoutMilliseconds).first ?? nil
        }
        return !leavesOut ? usual : min(max(2 * usual, Self.filteredMin), SearchLimits.efMax)
    }

    /// - Parameter known: what the graph led to, which is taken where it is enough and very many passages may pass.
    private func exact(_ timeoutMilliseconds: Int, instead known: CandidateSet?) throws -> CandidateSet {
        let deadline = SystemClock.monotonicNanoseconds() + Int64(max(1, timeoutMilliseconds)) * 1_000_000
        return try ending(within: timeoutMilliseconds) { bound, limit in
            if values.isNarrow {
                let found = try run(.approximate, limit, exactlyWithin: bound, store.bounds.widened)
                if found.isVectorExact || !found.isGenerationServed { return found }
                if let known, known.isVectorBounded { return known }
                if values.query.isGraphEnough { throw SearchBoundReached(milliseconds: 0) }
            }
            let left = Int((deadline - SystemClock.monotonicNanoseconds()) / 1_000_000)
            guard left > 0 else { throw SearchBoundReached(milliseconds: bound) }
            return try run(.exact, left + SearchStore.exactMarginMilliseconds, exactlyWithin: left)
        }
    }

    /// All rows that were visible at a moment of the past.
    private func past(_ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int) throws -> CandidateSet {
        try ending(within: timeoutMilliseconds) { bound, limit in try run(vector, limit, exactlyWithin: bound) }
    }

    /// Ended by the server where the limit is a client's own.
    func withinLimit(
        _ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        guard values.query.hasShortLimit else { return try run(vector, timeoutMilliseconds) }
        return try ending(within: timeoutMilliseconds) { bound, limit in try run(vector, limit, endsWithin: bound) }
    }

    private func ending(
        within timeoutMilliseconds: Int, _ run: (_ bound: Int, _ limit: Int) throws -> CandidateSet
    ) throws -> CandidateSet {
        let bound = max(1, timeoutMilliseconds)
        do {
            // The server's limit is to come first: the connection then stays as it is.
            return try run(bound, bound + SearchStore.exactMarginMilliseconds)
        } catch let error as IndexError {
            guard error.underlying?.isStatementCancelled == true || error.underlying?.kind == .timeout else {
                throw error
            }
            throw SearchBoundReached(milliseconds: bound)
        }
    }

    private func set(
        _ rows: [SearchRow], _ vector: SearchSQL.VectorArm?, _ timeoutMilliseconds: Int
    ) throws -> CandidateSet {
        guard let first = rows.first else {
            return CandidateSet(candidates: [], generation: 0, indexVersion: 0, isGenerationServed: false)
        }
        if wantsVector, first.model > 0, first.model != model {
            throw try store.mismatch(
                first.generation, first.model, asked: modelName, timeoutMilliseconds: timeoutMilliseconds)
        }
        if let wanted = values.query.indexVersion, wanted < first.oldestVersion {
            throw IndexVersionGone(version: wanted, oldest: first.oldestVersion)
        }
        let candidates = rows.compactMap(\.candidate)
        // What is behind the fetched ones; one that should be among them and is not was not to be seen.
        let fetched = rows.lastIndex { $0.candidate != nil }.map { $0 + 1 } ?? 0
        var set = CandidateSet(
            candidates: try store.meant(candidates, values.words), generation: first.generation,
            indexVersion: first.indexVersion, vectorCount: Int(first.vectorCount),
            isLexicalBounded: first.isLexicalBounded || values.words.isCut,
            areWordsComplete: first.areWordsComplete)
        set.isVectorExact = first.isVectorExact || vector == .exact
        set.isWaitingCut = first.isWaitingCut
        (set.counts, set.statistics) = (first.counts, first.statistics)
        if values.words.isCut { set.counts?.isCut = true }
        set.isPhraseCut =
            wantsLexical && !values.words.phrases.isEmpty
            && candidates.count { $0.lexical != nil } >= min(values.query.lexicalLimit, lexicalMax)
        if let limit = values.query.documentLimit {
            set.rest = rows.dropFirst(max(fetched, limit)).compactMap(\.place)
        }
        return set
    }
}
