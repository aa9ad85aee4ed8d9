import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import Records
import Retrieval

/// `GET /impact`: from an event to the documents, answers and kept replies that came of it.
struct Impacts: Sendable {
    let sources: LanePool<any TraceSource>
    /// Nil where nothing is kept.
    let caches: ReplyCaches?
    let access: AccessGuard
    let turns: RequestTurns

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.impact, async: { input, request in try await find(input, request) })
    }

    private func find(_ input: ImpactInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let (tenant, limit) = (try access.tenant(of: request), input.limit)
        let target = try input.target()
        // A key that may suppress and lift sees what is suppressed.
        let mayWrite = try access.mayWrite(request)
        let found = try await turns.run(.trace, request) { deadline in
            try await sources.run(deadline: deadline) { source, timeout in
                try source.impact(
                    of: target, tenant: tenant, limit: limit, showsSuppressed: mayWrite, timeoutMilliseconds: timeout)
            }
        }
        guard !found.isEmpty else {
            throw APIError(
                status: 404, type: "not_found",
                message: "nothing that is in the index or among the kept answers came of it")
        }
        return .fresh(body(of: found, shared: await caches?.shared(found, tenant)))
    }

    /// Kept replies that show something of it. Those whose passages are not known are kept for a second at most, and not counted.
    private func cached(_ found: Impact) -> (searches: Int, answers: Int) {
        guard let caches else { return (0, 0) }
        let passages = Set(found.documents.flatMap(\.passageIDs))
        let answers = Set(found.answers.map(\.id))
        return (
            caches.searches.count { _, shown in shown.map { !$0.isDisjoint(with: passages) } ?? false },
            caches.answers.count { answer, shown in
                answers.contains(answer.id) || (shown.map { !$0.isDisjoint(with: passages) } ?? false)
            }
        )
    }

    private func body(of found: Impact, shared: (searches: Int, answers: Int)?) -> [UInt8] {
        var writer = JSONWriter(capacity: 512 * (found.documents.count + found.answers.count + 1))
        writer.beginObject()
        writer.key("generations")
        writer.beginArray()
        for (generation, documents) in Dictionary(grouping: found.documents, by: \.generation).sorted(by: {
            $0.key < $1.key
        }) {
            writer.beginObject()
            writer.integer("generation", generation)
            writer.integer("documents", documents.count)
            writer.integer("shown", documents.count { $0.toVersion == nil })
            writer.integer("passages", documents.reduce(0) { $0 + $1.passageIDs.count })
            writer.endObject()
        }
        writer.endArray()
        writer.key("documents")
        writer.beginArray()
        for document in found.documents { writer.document(document) }
        writer.endArray()
        writer.key("answers")
        writer.beginArray()
        for answer in found.answers { writer.answer(answer) }
        writer.endArray()
        let cached = cached(found)
        writer.key("cached")
        writer.beginObject()
        writer.integer("searches", cached.searches)
        writer.integer("answers", cached.answers)
        writer.key("shared")
        if let shared {
            writer.beginObject()
            writer.integer("searches", shared.searches)
            writer.integer("answers", shared.answers)
            writer.endObject()
        } else {
            writer.null()
        }
        writer.endObject()
        writer.bool("truncated", found.areDocumentsCut || found.areAnswersCut)
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func document(_ document: ImpactDocument) {
        beginObject()
        string("doc_id", document.docID)
        string("collection", document.collection)
        string("title", document.title)
        string("content_hash", document.contentHash)
        integer("generation", document.generation)
        integer("version", document.version)
        integer("from_version", document.fromVersion)
        key("to_version")
        optional(document.toVersion)
        string("topic", document.source.topic)
        integer("partition", Int64(document.source.partition))
        integer("offset", document.sourceOffset)
        integer("passages", document.passageIDs.count)
        bool("suppressed", document.isSuppressed)
        endObject()
    }

    fileprivate mutating func answer(_ answer: ImpactAnswer) {
        beginObject()
        string("answer_id", answer.id)
        string("question", answer.question)
        key("created_at")
        time(answer.createdAtMilliseconds)
        integer("generation", answer.generation)
        integer("hits", answer.hits)
        string("doc_id", answer.docID)
        string("collection", answer.collection)
        bool("cited", answer.isCited)
        bool("exact", answer.isExact)
        endObject()
    }
}
