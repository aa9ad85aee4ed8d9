import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Telemetry

/// `GET /trace/{doc_id}` and `GET /answers/{answer_id}/trace`: from a document or an answer back to the raw event.
struct Traces: Sendable {
    let sources: LanePool<any TraceSource>
    /// For what lies in the object storage or the broker: who waits for that holds up nobody else.
    let distant: LanePool<any TraceSource>
    let access: AccessGuard
    let turns: RequestTurns
    let logger: Logger

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.trace, async: { input, request in try await trace(input, request) })
        set.add(Contract.answerTrace, async: { input, request in try await trace(input, request) })
    }

    /// `GET /trace/{doc_id}`
    func trace(_ input: TraceInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let (docID, generation) = (input.docID, input.generation.map(Int64.init))
        let collection = input.collection
        let found: Trace?
        do {
            found = try await look(request, isShort: \.isShort) { source, reach, timeout in
                try source.trace(
                    docID: docID, collection: collection, tenant: tenant, generation: generation, reach: reach,
                    timeoutMilliseconds: timeout)
            }
        } catch let error as AmbiguousDocument {
            throw EndpointError.invalid([
                InputFault(
                    type: "ambiguous", location: [.name("query"), .name("collection")],
                    message:
                        "must say which document is meant: \(error.collections.joined(separator: ", ")) have one of "
                        + "this doc_id")
            ])
        }
        guard var found else {
            throw APIError(
                status: 404, type: "not_found", message: "no document with this doc_id is in the index",
                faults: [
                    InputFault(
                        type: "not_found", location: [.name("path"), .name("doc_id")], message: "names no document",
                        input: .string(docID))
                ])
        }
        try show(&found, request, Contract.trace.path)
        return .fresh(TraceReply.body(of: found))
    }

    /// `GET /answers/{answer_id}/trace`
    private func trace(_ input: AnswerIDInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let (id, tenant) = (input.id, try access.tenant(of: request))
        let found = try await look(request, isShort: \.isShort) { source, reach, timeout in
            try source.trace(answerID: id, tenant: tenant, reach: reach, timeoutMilliseconds: timeout)
        }
        guard var found else { throw GivenAnswers.unknown(id) }
        // One that still has some of its events is shown with what is missing.
        if !found.citations.isEmpty, found.citations.allSatisfy({ $0.trace.expiry != nil }) {
            throw Self.gone(found.citations.compactMap(\.trace.expiry).first ?? "")
        }
        for index in found.citations.indices {
            found.citations[index].trace.expiry = nil
            try show(&found.citations[index].trace, request, Contract.answerTrace.path)
        }
        return .fresh(TraceReply.body(of: found))
    }

    /// Looks at what is near, and where that does not do, again at what is far: without the caller's turn, since waiting is no
    /// work.
    private func look<Found: Sendable>(
        _ request: HTTPRequest, isShort: @Sendable (Found) -> Bool,
        _ body: @escaping @Sendable (any TraceSource, TraceReach, _ timeoutMilliseconds: Int) throws -> Found?
    ) async throws -> Found? {
        let deadline = turns.deadline
        let near = try await turns.run(.trace, request, deadline: deadline) {
            try await sources.run(deadline: deadline) { source, timeout in try body(source, .near, timeout) }
        }
        guard near.map(isShort) == true else { return near }
        return try await turns.wait(request) {
            try await distant.run(deadline: deadline) { source, timeout in try body(source, .far, timeout) }
        }
    }

    /// Causes go to the log and to administrators alone.
    ///
    /// - Throws: ``APIError`` with 410 where retention gave its events up.
    private func show(_ trace: inout Trace, _ request: HTTPRequest, _ path: String) throws {
        if let expiry = trace.expiry { throw Self.gone(expiry) }
        for cause in trace.causes { logger.requestFailed(cause, path, requestID: request.id) }
        if access.isPlatformAdmin(request) { trace.problems += trace.causes }
    }

    private static func gone(_ expiry: String) -> APIError {
        APIError(status: 410, type: "expired", message: "the raw event is gone for good: \(expiry)")
    }
}

extension Trace {
    /// Whether every step was found and every hash is right.
    package var isComplete: Bool {
        gold != nil && silver != nil && !bronze.isEmpty && problems.isEmpty && bronze.allSatisfy(\.isHashRight)
    }
}

extension AnswerTrace {
    /// See ``Trace/isShort``.
    var isShort: Bool { citations.contains { $0.trace.isShort } }

    /// Whether every citation leads to its event. An answer that cites nothing, such as a refusal, has nothing to lead to one.
    package var isComplete: Bool { problems.isEmpty && citations.allSatisfy(\.trace.isComplete) }
}
