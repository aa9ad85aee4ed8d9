import HTTPEndpoints
import HTTPServer

extension SearchAPI {
    /// `GET /stream`
    func stream(_ input: StreamInput, _ request: HTTPRequest, to writer: HTTPStreamWriter) async throws {
        guard let hub = dependencies.events else {
            throw APIError.unavailable("the stream", "this process does not follow the Gold topic")
        }
        try await hub.serve(EventFilter(input), after: input.lastEventID, to: writer) { [access] in
            access.isWelcome(request.headers)
        }
    }
}
