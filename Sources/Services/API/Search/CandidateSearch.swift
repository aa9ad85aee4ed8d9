import Bytes
import Concurrency
import HTTPEndpoints
import Retrieval
import Store

/// Both arms' candidates.
struct FoundCandidates: Sendable {
    var set: CandidateSet
    /// Whether the vector arm found all that the filters leave.
    var isComplete: Bool
}

extension Search {
    /// Both arms' candidates.
    ///
    /// A search through the vector index is quick, and bounded by itself; where a filter leaves few passages, it looks at these
    /// instead. Filters that leave many may still leave the graph too few candidates; the search is then
    /// done exactly, over all rows that pass them, as it is where that was asked for. That has a time limit of its own and runs on
    /// the lanes of filtered searches, as the search before it does where there are filters: ordinary searches never wait for it.
    /// What the index search found is the answer where the time is not enough.
    func candidates(for query: CandidateQuery, deadline: Deadline) async throws -> FoundCandidates {
        if query.past != nil { return try await pastCandidates(for: query, deadline: deadline) }
        let first = query.scanning(.approximate)
        let exact = query.scanning(.exact)
        let exactMax = exactMillisecondsMax
        let isAsked = query.vector != nil
        if isAsked, query.vectorScan == .exact {
            return try await filteredStores.run(deadline: deadline) { store, timeout in
                try Self.exactly(exact, otherwise: first, store, timeoutMilliseconds: timeout, exactMax: exactMax)
            }
        }
        if query.isCostly {
            return try await filteredStores.run(deadline: deadline) { store, timeout in
                let found = try store.candidates(for: first, timeoutMilliseconds: timeout)
                guard isAsked, found.isVectorArmShort else {
                    if !found.isVectorExact { recall.offer(first) }
                    return FoundCandidates(set: found, isComplete: true)
                }
                return try Self.exactly(
                    exact, instead: found, store, timeoutMilliseconds: min(exactMax, deadline.leftMilliseconds))
            }
        }
        let found = try await ordinary(first, deadline)
        guard isAsked, found.isVectorArmShort else {
            if !found.isVectorExact { recall.offer(first) }
            return FoundCandidates(set: found, isComplete: true)
        }
        do {
            return try await filteredStores.run(
                deadline: deadline, waitMillisecondsMax: exactWaitMillisecondsMax
            ) { store, timeout in
                try Self.exactly(exact, instead: found, store, timeoutMilliseconds: min(exactMax, timeout))
            }
        } catch is WaitError {
            return FoundCandidates(set: found, isComplete: false)
        }
    }

    /// A search that is bounded by itself: in memory at once, else by a store.
    private func ordinary(_ query: CandidateQuery, _ deadline: Deadline) async throws -> CandidateSet {
        let search: @Sendable (any RetrievalStore, Int) throws -> CandidateSet = { store, timeout in
            try store.candidates(for: query, timeoutMilliseconds: timeout)
        }
        guard let reader = armsReader, reader.mayAnswer(query) else {
            return try await stores.run(deadline: deadline, search)
        }
        // A lane's thread would take longer to wake than this takes.
        return try await stores.run(deadline: deadline, inPlace: { reader.candidates(for: query) }, else: search)
    }

    /// An exact search, or what is known already where the time is not enough.
    private static func exactly(
        _ query: CandidateQuery, instead known: CandidateSet, _ store: any RetrievalStore, timeoutMilliseconds: Int
    ) throws -> FoundCandidates {
        // Room for the reply itself.
        let timeout = timeoutMilliseconds * 9 / 10
        guard timeout > 0 else { return FoundCandidates(set: known, isComplete: known.isVectorBounded) }
        var query = query
        query.isGraphEnough = known.isVectorBounded
        do {
            return FoundCandidates(
                set: try store.candidates(for: query, timeoutMilliseconds: timeout), isComplete: true)
        } catch is SearchBoundReached {
            return FoundCandidates(set: known, isComplete: known.isVectorBounded)
        }
    }
}

extension Search {
    /// An exact search that was asked for; where the time for it is not enough, what a search through the index finds.
    private static func exactly(
        _ query: CandidateQuery, otherwise other: CandidateQuery, _ store: any RetrievalStore, timeoutMilliseconds: Int,
        exactMax: Int
    ) throws -> FoundCandidates {
        let start = SystemClock.monotonicNanoseconds()
        do {
            return FoundCandidates(
                set: try store.candidates(
                    for: query, timeoutMilliseconds: max(1, min(exactMax, timeoutMilliseconds / 2))), isComplete: true)
        } catch is SearchBoundReached {
            // Nobody waits for it any more.
            if store.interruption?.isRequested() == true { throw CancellationError() }
            let spent = Int((SystemClock.monotonicNanoseconds() - start) / 1_000_000)
            let found = try store.candidates(for: other, timeoutMilliseconds: max(1, timeoutMilliseconds - spent))
            return FoundCandidates(set: found, isComplete: found.isVectorExact)
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
