import HTTPEndpoints
import HTTPServer

extension SearchAPI {
    /// `GET /stream`
    func stream(_ input: StreamInput, _ request: HTTPRequest, to writer: HTTPStreamWriter) async throws {
        guard let hub = dependencies.events else {
            throw APIError.unavailable("the stream", "this process does not follow the Gold topic")
        }
        // A stream has no end: without a bound they could hold every connection.
        let open = openStreams.wrappingAdd(1, ordering: .relaxed).newValue
        defer { openStreams.wrappingSubtract(1, ordering: .relaxed) }
        guard open <= configuration.streamsMax else {
            throw APIError.unavailable("the stream", "it has \(configuration.streamsMax) clients, as many as may be")
        }
        try await hub.serve(EventFilter(input), after: input.lastEventID, to: writer) { [access] in
            access.isWelcome(request.headers)
        }
    }
}
