package import Records
package import Retrieval

extension SearchStore {
    /// Keeps an answer; a second one with the same id is an error (a unique violation).
    package func save(_ answer: StoredAnswer, timeoutMilliseconds: Int) throws {
        _ = try run(SaveAnswer(answer: answer), for: answer.tenant, timeoutMilliseconds)
    }

    /// The tenant's answer of that id, or nil.
    package func answer(
        id: String, tenant: TenantID = .standard, timeoutMilliseconds: Int
    ) throws(IndexError) -> StoredAnswer? {
        try run(ReadAnswer(id: id, tenant: tenant), for: tenant, timeoutMilliseconds).first?.answer
    }

    /// See ``RetrievalStore``.
    ///
    /// - Throws: ``ErasedAnswer``; ``IndexError``.
    package func givenAnswer(id: String, tenant: TenantID, timeoutMilliseconds: Int) throws -> GivenAnswer? {
        guard let found = try run(ReadAnswer(id: id, tenant: tenant), for: tenant, timeoutMilliseconds).first else {
            let erased = try run(FindErasedAnswer(id: id, tenant: tenant), for: tenant, timeoutMilliseconds).first
            if let erased { throw erased }
            return nil
        }
        let feedback = try run(ReadFeedback(id: id, tenant: tenant), for: tenant, timeoutMilliseconds)
        let suppressed = try run(FindSuppressedOfAnswer(id: id), for: tenant, timeoutMilliseconds)
        return GivenAnswer(answer: found.answer, feedback: feedback, hits: found.hits, suppressed: suppressed)
    }

    /// See ``RetrievalStore``.
    package func count(
        _ hits: [AnswerHitCount], of tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> Set<String> {
        Set(try run(CountHits(tenant: tenant, hits: hits), for: tenant, timeoutMilliseconds))
    }

    /// See ``RetrievalStore``.
    package func givenAnswers(
        _ query: AnswerListQuery, timeoutMilliseconds: Int
    ) throws(IndexError) -> [AnswerSummary] {
        try query.citedDocID == nil
            ? run(ListAnswers(query: query), for: query.tenant, timeoutMilliseconds)
            : run(ListCitingAnswers(query: query), for: query.tenant, timeoutMilliseconds)
    }

    /// See ``RetrievalStore``.
    package func save(
        _ feedback: AnswerFeedback, of id: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> AnswerFeedback.Keeping {
        let rows = try run(SaveFeedback(id: id, tenant: tenant, feedback: feedback), for: tenant, timeoutMilliseconds)
        return rows.first.map { $0 ? .kept : .full } ?? .unknownAnswer
    }

    /// The newest answers that were made of a document.
    package func answers(
        of docID: String, collection: String, tenant: TenantID, timeoutMilliseconds: Int
    ) throws(IndexError) -> [AnswerOfDocument] {
        try run(
            FindAnswersOf(docID: docID, collection: collection, tenant: tenant), for: tenant, timeoutMilliseconds)
    }

    /// The passages of a document in a generation (nil: the active one), by number; empty where it is not there.
    ///
    /// - Parameters:
    ///   - collection: nil for all, each of which may have a document of that id: theirs then come one behind the other.
    ///   - tenant: whose documents are looked at.
    package func document(
        id: String, collection: String? = nil, tenant: TenantID = .standard, generation: Int64? = nil,
        timeoutMilliseconds: Int
    ) throws(IndexError) -> [TraceRow] {
        // Postgres' text cannot hold U+0000, so no document has such an id.
        guard !id.utf8.contains(0) else { return [] }
        return try run(
            ReadDocument(docID: id, collection: collection, tenant: tenant, generation: generation), for: tenant,
            timeoutMilliseconds)
    }
}
