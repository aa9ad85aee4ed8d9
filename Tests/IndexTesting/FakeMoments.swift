package import Records
package import Retrieval

extension FakeStore {
    /// Of versions and answers; times are those of the documents.
    package func moment(_ asOf: AsOf, tenant: TenantID, timeoutMilliseconds: Int) throws -> PastMoment {
        try enter(timeoutMilliseconds: timeoutMilliseconds)
        return try index.state.withLock { state in
            func time(of version: Int64) -> Int64? {
                state.documents.last { $0.indexVersion <= version }?.indexedAtMilliseconds
            }
            func moment(_ version: Int64, _ reference: Int64? = nil, _ basis: AnswerBasis? = nil) throws -> PastMoment {
                guard version <= state.indexVersion else { throw MomentFault.ahead(newest: state.indexVersion) }
                return PastMoment(
                    generation: state.generation, indexVersion: version, timeMilliseconds: time(of: version),
                    referenceMilliseconds: basis?.referenceMilliseconds ?? reference ?? time(of: version) ?? 0,
                    statistics: basis?.statistics)
            }
            switch asOf {
            case .version(let version): return try moment(version)
            case .time(let time):
                let shown = state.documents.last { $0.indexedAtMilliseconds <= time }
                return try moment(shown?.indexVersion ?? 0, time)
            case .answer(let id):
                guard let answer = state.answers.first(where: { $0.id == id && $0.tenant == tenant }) else {
                    throw MomentFault.unknownAnswer
                }
                return try moment(
                    answer.indexVersion, answer.createdAtMilliseconds, answer.basisJSON.map { AnswerBasis(json: $0) })
            }
        }
    }
}
