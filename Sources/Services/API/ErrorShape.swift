import Bytes
import HTTPEndpoints
import HTTPServer

/// How an error is written: the API's own way, or as the clients of a foreign protocol read it.
enum ErrorShape {
    case own
    /// `{"error": {"message", "type", "param", "code"}}`, as OpenAI's API has it.
    case openAI
    /// An error object of JSON-RPC 2.0 without the id of a request.
    case jsonRPC

    /// - Parameter path: the request's.
    init(path: String) {
        if path.utf8.starts(with: "/v1/".utf8) {
            self = .openAI
        } else if path == Contract.context.path {
            self = .jsonRPC
        } else {
            self = .own
        }
    }

    /// The reply, with the error's own headers.
    func response(_ error: APIError, requestID: String) -> HTTPResponse {
        let own = error.response(requestID: requestID)
        let body: [UInt8]
        switch self {
        case .own: return own
        case .openAI: body = ChatReplies.body(of: error)
        case .jsonRPC: body = RPCError(error).reply(to: .null)
        }
        return HTTPResponse(status: own.status, headers: own.headers, body: body)
    }
}
