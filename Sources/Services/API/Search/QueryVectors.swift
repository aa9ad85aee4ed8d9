import Bytes
import Concurrency
import Records
import Retrieval
import Store
import Text

/// How searches come to their vectors, and to those of the generation that is served.
///
/// A vector says which model it is of, and the index compares that with the model of the generation that the search's own snapshot
/// serves. So the vectors of two models never meet, whenever another generation is promoted; a search that came too late is done again.
extension Search {
    /// The fused ranking of a request.
    ///
    /// - Parameter documentLimit: documents that are fetched of it, each with its best passage, and of each group the first; nil for
    ///   all passages.
    /// - Parameter isKept: whether what comes of it is to be checked later.
    func find(
        _ request: SearchRequest, documentLimit: Int? = nil, deadline: Deadline, stages: StageTimes = StageTimes(),
        isKept: Bool = false
    ) async throws -> SearchResult {
        metrics.count(request.interpretation)
        var model: String?
        for _ in 0..<Self.modelsMax {
            do {
                return try await find(
                    request, by: model, documentLimit: documentLimit, deadline: deadline, stages: stages, isKept: isKept
                )
            } catch let mismatch as ModelMismatch {
                let isServed = request.generation == nil && request.past == nil
                guard let embedder, mismatch.model != model,
                    try await embedder.have(mismatch.model, isServed: isServed, deadline: deadline)
                else { throw mismatch }
                model = mismatch.model
            }
        }
        return try await find(
            request, by: model, documentLimit: documentLimit, deadline: deadline, stages: stages, isKept: isKept)
    }

    /// Models that one search tries: each time another generation was promoted in between.
    private static let modelsMax = 3

    /// The query's vector; nil where there is none and words are enough, as half an answer that says so is better than none.
    func vector(
        of request: SearchRequest, by model: String?, orWords areWordsEnough: Bool, deadline: Deadline,
        _ stages: StageTimes
    ) async throws -> QueryEmbedder.Vector? {
        let start = StageTimes.now()
        defer { stages.add(.embed, since: start) }
        // Of a time that a client chose a half is left for the words.
        let isShort = request.timeoutMilliseconds != nil && areWordsEnough
        let patience = isShort ? Deadline(milliseconds: deadline.leftMilliseconds / 2) : deadline
        do {
            // Operators and what is excluded are nothing that a model should see.
            let syntax = QuerySyntax(request.query, fields: CandidateQuery.fields)
            return try await queryVector(syntax.plainText, by: model, deadline: patience)
        } catch  where areWordsEnough && !deadline.hasPassed && !(error is CancellationError) {
            metrics.degraded.increment()
            logger.warning("searching without vectors", ["error": "\(error)"])
            return nil
        }
    }

    private func queryVector(
        _ text: String, by model: String?, deadline: Deadline
    ) async throws -> QueryEmbedder.Vector {
        guard let embedder else {
            throw APIError.unavailable("the vector arm", "embedding is switched off (EMBED_ENABLED)")
        }
        let start = SystemClock.monotonicNanoseconds()
        let vector = try await embedder.vector(of: text, by: model, deadline: deadline)
        metrics.embedSeconds.observe(Double(SystemClock.monotonicNanoseconds() - start) / 1e9)
        return vector
    }
}
