import Concurrency
import HTTPEndpoints
import Retrieval

/// Both arms' candidates, and how the vector arm's were found.
struct FoundCandidates: Sendable {
    var set: CandidateSet
    var vectorPart: VectorPart
    /// Whether the vector arm found all that the filters leave.
    var isComplete: Bool
}

extension Search {
    /// Both arms' candidates.
    ///
    /// A search through the vector index is quick, and bounded by itself. Filters may leave it too few candidates; it is then
    /// done exactly, over all rows that pass them, which may be many. That has a time limit of its own and runs on the lanes
    /// of filtered searches, as the search before it does where there are filters: ordinary searches never wait for it. What
    /// the index search found is the answer where the time is not enough.
    ///
    /// - Parameter part: how the page before was found, so that this one continues its ranking; nil for a first page.
    /// - Throws: ``APIError`` with 503 where a page cannot be found as those before were.
    func candidates(
        for query: CandidateQuery, continuing part: VectorPart?, deadline: Deadline
    ) async throws -> FoundCandidates {
        switch part {
        case nil: return try await firstCandidates(for: query, deadline: deadline)
        case .exact: return try await exactCandidates(for: query, deadline: deadline)
        case .index, .absent:
            let query = query.scanning(.approximate)
            let pool = query.filter.takesAll ? stores : filteredStores
            let found = try await pool.run(deadline: deadline) { store, timeout in
                try store.candidates(for: query, timeoutMilliseconds: timeout)
            }
            let isAsked = query.vector != nil
            return FoundCandidates(
                set: found, vectorPart: isAsked ? .index : .absent, isComplete: !isAsked || !found.isVectorArmShort)
        }
    }

    private func firstCandidates(for query: CandidateQuery, deadline: Deadline) async throws -> FoundCandidates {
        let first = query.scanning(.approximate)
        let exact = query.scanning(.exact)
        let exactMax = exactMillisecondsMax
        let isAsked = query.vector != nil
        let whole: @Sendable (CandidateSet) -> FoundCandidates = {
            FoundCandidates(set: $0, vectorPart: isAsked ? .index : .absent, isComplete: true)
        }
        if !query.filter.takesAll {
            return try await filteredStores.run(deadline: deadline) { store, timeout in
                let found = try store.candidates(for: first, timeoutMilliseconds: timeout)
                guard isAsked, found.isVectorArmShort else { return whole(found) }
                return try Self.exactly(
                    exact, instead: found, store, timeoutMilliseconds: min(exactMax, deadline.leftMilliseconds))
            }
        }
        let found = try await stores.run(deadline: deadline) { store, timeout in
            try store.candidates(for: first, timeoutMilliseconds: timeout)
        }
        guard isAsked, found.isVectorArmShort else { return whole(found) }
        do {
            return try await filteredStores.run(
                deadline: deadline, waitMillisecondsMax: exactWaitMillisecondsMax
            ) { store, timeout in
                try Self.exactly(exact, instead: found, store, timeoutMilliseconds: min(exactMax, timeout))
            }
        } catch is WaitError {
            return FoundCandidates(set: found, vectorPart: .index, isComplete: false)
        }
    }

    /// As the page before was found, or not at all.
    private func exactCandidates(for query: CandidateQuery, deadline: Deadline) async throws -> FoundCandidates {
        let exact = query.scanning(.exact)
        let exactMax = exactMillisecondsMax
        let found = try await filteredStores.run(deadline: deadline) { store, timeout in
            try Self.exactly(exact, store, timeoutMilliseconds: min(exactMax, timeout))
        }
        guard let found else {
            throw APIError.unavailable(
                "the exact search that this page continues",
                "it did not end within \(exactMax) ms; try again later, or search anew without the cursor")
        }
        return FoundCandidates(set: found, vectorPart: .exact, isComplete: true)
    }

    /// An exact search, or what is known already where the time is not enough.
    private static func exactly(
        _ query: CandidateQuery, instead known: CandidateSet, _ store: any RetrievalStore, timeoutMilliseconds: Int
    ) throws -> FoundCandidates {
        guard let found = try exactly(query, store, timeoutMilliseconds: timeoutMilliseconds) else {
            return FoundCandidates(set: known, vectorPart: .index, isComplete: false)
        }
        return FoundCandidates(set: found, vectorPart: .exact, isComplete: true)
    }

    /// An exact search; nil where the time is not enough.
    private static func exactly(
        _ query: CandidateQuery, _ store: any RetrievalStore, timeoutMilliseconds: Int
    ) throws -> CandidateSet? {
        // Room for the reply itself.
        let timeout = timeoutMilliseconds * 9 / 10
        guard timeout > 0 else { return nil }
        do {
            return try store.candidates(for: query, timeoutMilliseconds: timeout)
        } catch is SearchBoundReached {
            return nil
        }
    }
}

extension CandidateQuery {
    fileprivate func scanning(_ scan: VectorScan) -> CandidateQuery {
        var query = self
        query.vectorScan = scan
        return query
    }
}
