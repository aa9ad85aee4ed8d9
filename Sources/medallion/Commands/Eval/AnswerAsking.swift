import Bytes
import Concurrency
import Console
import Evaluation
import HTTPClient
import JSONScan
import Synchronization
import Telemetry

/// Asks a platform labelled questions, some at once.
final class AnswerAsking: Sendable {
    private let api: PatientAPI
    private let questions: [LabelledQuestion]
    private let atOnce: Int
    private let state: Mutex<State>

    private struct State: Sendable {
        var next = 0
        var outcomes: [AnswerEvaluation.Outcome?]
    }

    /// - Parameters:
    ///   - atOnce: requests under way.
    ///   - secondsMax: for all of it.
    init(api: APIClient, questions: [LabelledQuestion], atOnce: Int, secondsMax: Int) {
        self.api = PatientAPI(client: api, secondsMax: secondsMax, asked: "all \(questions.count) questions")
        self.questions = questions
        self.atOnce = atOnce
        state = Mutex(State(outcomes: questions.map { _ in nil }))
    }

    /// - Throws: ``Failure`` where a question is not answered, nobody answers, or the time is over.
    func run() async throws -> AnswerEvaluation {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<atOnce {
                group.addTask { [self] in
                    let lane = Lane(name: "eval-\(number)")
                    while let place = nextOne() { try await ask(place, on: lane) }
                }
            }
            try await group.waitForAll()
        }
        return AnswerEvaluation(state.withLock { $0.outcomes.compactMap(\.self) })
    }

    private func nextOne() -> Int? {
        state.withLock { state in
            guard state.next < questions.count else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func ask(_ place: Int, on lane: Lane) async throws {
        let question = questions[place]
        var json = JSONWriter()
        json.beginObject()
        json.string("query", question.text)
        if let collection = question.collection { json.string("collection", collection) }
        json.endObject()
        let response = try await api.response(
            HTTPClientRequest(
                method: "POST", url: api.base + "/answer", headers: [("Content-Type", "application/json")],
                body: json.bytes), on: lane)
        guard response.status == 200 else {
            let failure = APIClient.failure(response)
            throw Failure("question \(LogText.escaped(question.id)): \(failure.description)", code: failure.code)
        }
        let outcome = try Self.outcome(of: question, try JSONValue.parse(response.body, maxDepth: 64))
        state.withLock { $0.outcomes[place] = outcome }
    }

    private static func outcome(
        of question: LabelledQuestion, _ reply: JSONValue
    ) throws -> AnswerEvaluation.Outcome {
        guard let isRefused = reply["refused"]?.bool, let sentences = reply["sentences"]?.array,
            let citations = reply["citations"]?.array
        else { throw Failure("question \(LogText.escaped(question.id)): the reply is no answer") }
        var documents: [Int64: String] = [:]
        for citation in citations {
            guard let number = citation["n"]?.integer, let document = citation["doc_id"]?.string else { continue }
            documents[number] = document
        }
        let numbers = sentences.flatMap { ($0["citations"]?.array ?? []).compactMap(\.integer) }
        return AnswerEvaluation.Outcome(
            question: question, isRefused: isRefused, cited: numbers.compactMap { documents[$0] },
            text: sentences.compactMap { $0["text"]?.string }.joined(separator: " "))
    }
}
