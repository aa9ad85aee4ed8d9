import Bytes
import Concurrency
import Forms
import HTTPEndpoints
import HTTPServer
import JSONScan
import Retrieval

/// The body of `POST /search/batch`.
struct BatchInput: Sendable {
    /// Each as it was read, or what is wrong with it.
    var searches: [Result<SearchInput, EndpointError>] = []

    /// Searches of one request.
    static let countMax = 50
    /// Hits that they ask for together.
    static let hitsMax = 1_000

    static let form = Form<BatchInput>.object(
        BatchInput(),
        [
            Field(
                "searches", \.searches, searchesForm, "Bodies of `POST /search`, each judged on its own.",
                isRequired: true)
        ]
    ).named("BatchRequest")

    /// What is wrong with one search is not the others' fault: it is kept with it.
    private static var searchesForm: Form<[Result<SearchInput, EndpointError>]> {
        var schema = Schema.array(of: .anyObject("A `SearchRequest`."))
        schema["minItems"] = .integer(1)
        schema["maxItems"] = .integer(Int64(countMax))
        return Form(
            schema: schema, json: { _ in .array([]) },
            read: { value, reading in
                guard case .array(let elements) = value else {
                    reading.fault("list_type", "must be a list", input: value)
                    return nil
                }
                guard (1...countMax).contains(elements.count) else {
                    reading.fault(
                        elements.isEmpty ? "too_short" : "too_long",
                        "must hold 1 to \(countMax) searches, has \(elements.count)")
                    return nil
                }
                for (index, element) in elements.enumerated() {
                    if case .object = element { continue }
                    reading.fault("object_type", "must be an object", at: [.index(index)], input: element)
                }
                let searches = elements.map(search)
                let hits = searches.reduce(0) { $0 + ((try? $1.get().topK) ?? 0) }
                if hits > hitsMax {
                    reading.fault(
                        "hits_too_many", "must ask for at most \(hitsMax) hits together (top_k), ask for \(hits)")
                }
                return searches
            })
    }

    private static func search(_ element: JSONValue) -> Result<SearchInput, EndpointError> {
        var reading = InputReading()
        let input = reading.at(.name("body")) { SearchInput.form.read(element, &$0) }
        guard let input, reading.faults.isEmpty else { return .failure(.invalid(reading.faults)) }
        return .success(input)
    }
}

extension Search {
    /// Searches of one batch that run at once: a batch takes no lane from others that two requests would not.
    private static let atOnceMax = 2

    /// What became of one search of a batch: what `POST /search` would have replied.
    private struct Outcome: Sendable {
        let status: Int
        let body: [UInt8]
    }

    /// `POST /search/batch`
    func batch(_ input: BatchInput, _ request: HTTPRequest) async throws -> HTTPResponse {
        let start = SystemClock.monotonicNanoseconds()
        let declared = try scope.declared(for: request)
        let limit = Deadline(milliseconds: turns.limitMilliseconds)
        let stages = StageTimes()
        let searches = input.searches
        var outcomes = [Outcome?](repeating: nil, count: searches.count)
        try await withThrowingTaskGroup(of: (Int, Outcome).self) { group in
            for place in searches.indices {
                if place >= Self.atOnceMax, let (done, outcome) = try await group.next() { outcomes[done] = outcome }
                group.addTask {
                    (place, try await outcome(of: searches[place], at: place, declared, request, limit, stages))
                }
            }
            while let (done, outcome) = try await group.next() { outcomes[done] = outcome }
        }
        let rendering = StageTimes.now()
        var writer = JSONWriter(capacity: outcomes.reduce(256) { $0 + ($1?.body.count ?? 0) + 32 })
        writer.beginObject()
        writer.key("replies")
        writer.beginArray()
        for outcome in outcomes.compactMap(\.self) {
            writer.beginObject()
            writer.integer("status", outcome.status)
            writer.key("body")
            writer.raw(outcome.body)
            writer.endObject()
        }
        writer.endArray()
        writer.key("latency_ms")
        writer.milliseconds(nanoseconds: SystemClock.monotonicNanoseconds() - start)
        writer.endObject()
        stages.add(.render, since: rendering)
        var response = HTTPResponse.fresh(writer.bytes)
        response.headers.add("Server-Timing", stages.header)
        return response
    }

    /// - Throws: `CancellationError` alone; what else goes wrong is the search's outcome.
    private func outcome(
        of input: Result<SearchInput, EndpointError>, at place: Int, _ declared: DeclaredAttributes,
        _ request: HTTPRequest, _ limit: Deadline, _ stages: StageTimes
    ) async throws -> Outcome {
        do {
            // The first one is paid for: it is the request.
            if place > 0 { try turns.access.countAgain(request) }
            let body = try await reply(to: input.get(), declared, request, limit, stages)
            return Outcome(status: 200, body: body)
        } catch let error as CancellationError {
            throw error
        } catch {
            let reply = faults.reply(to: error, Contract.searchBatch.path, request)
            return Outcome(status: reply.status, body: reply.body)
        }
    }
}
