import Concurrency
import Forms
import HTTPEndpoints
import Retrieval
import Text

extension Search {
    /// What the document is like that hits are to be like.
    ///
    /// - Throws: 404 where the tenant sees no such document or passage, 422 where several collections have one.
    func likeness(of target: LikeTarget, deadline: Deadline, stages: StageTimes) async throws -> Likeness {
        let start = StageTimes.now()
        let found = try await stores.run(deadline: deadline) { store, timeout in
            try store.likenesses(of: target, timeoutMilliseconds: timeout)
        }
        stages.add(.like, since: start)
        guard let first = found.first else {
            throw APIError(
                status: 404, type: "not_found", message: "no such document, or passage of it, is in the index",
                faults: [
                    InputFault(
                        type: "not_found", location: [.name("body"), .name("like")], message: "names no document",
                        input: .string(target.docID))
                ])
        }
        guard found.count == 1 else {
            let collections = found.map(\.collection).joined(separator: ", ")
            throw EndpointError.invalid([
                InputFault(
                    type: "ambiguous", location: [.name("body"), .name("like"), .name("collection")],
                    message: "must say which document is meant: \(collections) have one of this doc_id")
            ])
        }
        return first
    }
}

extension CandidateQuery {
    /// Looks for what is like a document, as of when that was read, and not for itself.
    mutating func take(_ likeness: Likeness) {
        text = likeness.text
        (vector, vectorModel) = (likeness.vector, likeness.vectorModel)
        languages = likeness.languages
        excludedDocument = likeness.documentID
        generation = likeness.generation
        indexVersion = likeness.indexVersion
    }
}

extension Likeness {
    /// Its words as a query.
    var text: String { words.joined(separator: " ") }
    /// Those whose stems its words are looked up by.
    var languages: [String] { StemLanguages.ofDocument(language) }
}
