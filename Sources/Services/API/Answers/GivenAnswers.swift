import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Records
import Retrieval

/// `/answers`: answers that were given, and what people say of them.
struct GivenAnswers: Sendable {
    let access: AccessGuard
    let stores: StoreLanes
    let turns: RequestTurns

    static let listDefault = 50

    func endpoints(in set: inout EndpointSet) {
        set.add(Contract.answersGiven, async: { input, request in try await list(input, request) })
        set.add(Contract.answerGiven, async: { input, request in try await show(input, request) })
        set.add(Contract.answerFeedback, async: { input, request in try await say(input, request) })
    }

    /// `GET /answers`, the newest first.
    private func list(_ input: AnswerListInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        var query = AnswerListQuery(tenant: try access.tenant(of: request), limit: input.limit + 1)
        query.sinceMilliseconds = input.since
        query.beforeMilliseconds = input.until
        query.isRefused = input.isRefused
        query.citedDocID = input.cites
        query.citedCollection = input.collection
        query.after = input.cursor?.place
        let wanted = query
        var found = try await turns.run(.feed, request) { deadline in
            try await stores.run(deadline: deadline) { store, timeout in
                try store.givenAnswers(wanted, timeoutMilliseconds: timeout)
            }
        }
        let hasMore = found.count > input.limit
        if hasMore { found.removeLast(found.count - input.limit) }
        var writer = JSONWriter(capacity: 300 * (found.count + 1))
        writer.beginObject()
        writer.key("answers")
        writer.beginArray()
        for answer in found { writer.summary(answer) }
        writer.endArray()
        writer.key("next_cursor")
        writer.optional(hasMore ? found.last.map { AnswerCursor(place: $0.place).text } : nil)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    /// `GET /answers/{answer_id}`
    private func show(_ input: AnswerIDInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let found = try await turns.run(.feed, request) { deadline in
            try await stores.run(deadline: deadline) { store, timeout in
                try store.givenAnswer(id: input.id, tenant: tenant, timeoutMilliseconds: timeout)
            }
        }
        guard let found else { throw Self.unknown(input.id) }
        return .fresh(Self.body(of: found))
    }

    /// `POST /answers/{answer_id}/feedback`
    private func say(_ input: FeedbackInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let tenant = try access.tenant(of: request)
        let feedback = AnswerFeedback(
            verdict: input.said.verdict, note: input.said.note, keyID: access.names(request.headers).key ?? "",
            givenAtMilliseconds: SystemClock.epochMilliseconds())
        let keeping = try await turns.run(.feed, request) { deadline in
            try await stores.run(deadline: deadline) { store, timeout in
                try store.save(feedback, of: input.id, tenant: tenant, timeoutMilliseconds: timeout)
            }
        }
        switch keeping {
        case .kept: break
        case .unknownAnswer: throw Self.unknown(input.id)
        case .full:
            throw APIError(
                status: 409, type: "enough_feedback",
                message: "\(AnswerFeedback.keptMax) keys have said what they think of this answer, and no more are kept"
            )
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.string("answer_id", input.id)
        writer.string("verdict", feedback.verdict.rawValue)
        writer.endObject()
        return .fresh(writer.bytes)
    }

    static func unknown(_ id: String) -> APIError {
        APIError(
            status: 404, type: "not_found", message: "no answer with this id is kept",
            faults: [
                InputFault(
                    type: "not_found", location: [.name("path"), .name("answer_id")],
                    message: "names no answer that is kept", input: .string(id))
            ])
    }

    private static func body(of given: GivenAnswer) -> [UInt8] {
        let answer = given.answer
        var writer = JSONWriter(capacity: answer.replyJSON.count + answer.retrievedJSON.count + 2_048)
        writer.beginObject()
        writer.string("answer_id", answer.id)
        writer.string("question", answer.question)
        writer.key("created_at")
        writer.time(answer.createdAtMilliseconds)
        writer.key("refused")
        writer.bool(answer.isRefused)
        writer.integer("generation", answer.generation)
        writer.integer("index_version", answer.indexVersion)
        let shown = WithheldAnswer(given)
        // As they were kept, but for what is suppressed: each is one JSON object or array, which the database has looked at.
        for (name, json) in [
            ("request", answer.requestJSON), ("reply", shown.replyJSON), ("retrieved", shown.retrievedJSON),
        ] {
            writer.key(dynamic: name)
            writer.raw(json)
        }
        writer.integer("withheld", Int64(given.suppressed.count))
        writer.integer("hits", given.hits)
        writer.key("feedback")
        writer.beginArray()
        for one in given.feedback {
            writer.beginObject()
            writer.string("verdict", one.verdict.rawValue)
            writer.string("note", one.note)
            writer.key("key")
            writer.optional(one.keyID.isEmpty ? nil : one.keyID)
            writer.key("given_at")
            writer.time(one.givenAtMilliseconds)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func summary(_ answer: AnswerSummary) {
        beginObject()
        string("answer_id", answer.id)
        string("question", answer.question)
        key("created_at")
        time(answer.createdAtMilliseconds)
        key("refused")
        bool(answer.isRefused)
        integer("generation", answer.generation)
        integer("index_version", answer.indexVersion)
        integer("up", answer.up)
        integer("down", answer.down)
        integer("hits", answer.hits)
        endObject()
    }
}
