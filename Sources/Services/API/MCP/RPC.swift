import Bytes
import Forms
import HTTPEndpoints
package import JSONScan

/// One message of JSON-RPC 2.0 (https://www.jsonrpc.org/specification), as a client of the Model Context Protocol sends it.
package enum RPCMessage {
    case request(id: JSONValue, method: String, params: JSONValue)
    /// Wants no reply.
    case notification
    /// To a request of ours, and we make none.
    case response
    /// What is wrong with it; the id is null where none could be read.
    case invalid(id: JSONValue, RPCError)

    package init(_ value: JSONValue) {
        guard case .object = value else {
            self = .invalid(id: .null, RPCError(.invalidRequest, "a message must be an object"))
            return
        }
        let id = Self.id(of: value)
        guard value["jsonrpc"]?.string == "2.0" else {
            self = .invalid(id: id, RPCError(.invalidRequest, "jsonrpc must be \"2.0\""))
            return
        }
        guard let method = value["method"] else {
            let isResponse = value["result"] != nil || value["error"] != nil
            self = isResponse ? .response : .invalid(id: id, RPCError(.invalidRequest, "method is missing"))
            return
        }
        guard let name = method.string else {
            self = .invalid(id: id, RPCError(.invalidRequest, "method must be a string"))
            return
        }
        switch value["id"] {
        case nil: self = .notification
        // The protocol takes strings and whole numbers; null would be nobody's.
        case .string?, .integer?:
            self = .request(id: id, method: name, params: value["params"] ?? .object([]))
        case .some: self = .invalid(id: .null, RPCError(.invalidRequest, "id must be a string or a whole number"))
        }
    }

    /// The id of a message, whatever else is wrong with it; null where it has none of the protocol's kinds.
    static func id(of message: JSONValue) -> JSONValue {
        switch message["id"] {
        case .string(let id)?: .string(id)
        case .integer(let id)?: .integer(id)
        default: .null
        }
    }
}

/// What JSON-RPC says of a request that was not served.
package struct RPCError: Error {
    /// Of section 5.1 of the specification, and one of the protocol's own.
    package enum Code: Int, Sendable {
        case parseError = -32_700
        case invalidRequest = -32_600
        case methodNotFound = -32_601
        case invalidParams = -32_602
        case internalError = -32_603
        case unsupportedVersion = -32_022
    }

    private let code: Code
    private let message: String
    private let data: JSONValue?

    package init(_ code: Code, _ message: String, data: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.data = data
    }

    /// What refuses a whole request, such as a key that is missing: told along with an HTTP status.
    init(_ error: APIError) {
        let code: Code =
            error.type == "json_invalid" ? .parseError : error.status < 500 ? .invalidRequest : .internalError
        self.init(
            code, ContextTool.text(of: error),
            data: .object([("type", .string(error.type)), ("status", .integer(Int64(error.status)))]))
    }

    /// - Parameter id: the request's; null where it could not be read.
    package func reply(to id: JSONValue) -> [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.string("jsonrpc", "2.0")
        json.key("id")
        json.value(id)
        json.key("error")
        json.beginObject()
        json.integer("code", code.rawValue)
        json.string("message", message)
        if let data {
            json.key("data")
            json.value(data)
        }
        json.endObject()
        json.endObject()
        return json.bytes
    }

    /// The schema of that reply.
    static let schema = Schema.object([
        .init("jsonrpc", .choice(["2.0"])), .init("id", .anything("The request's; null where it could not be read.")),
        .init(
            "error",
            .object([
                .init("code", .integer()), .init("message", .string()), .init("data", .anything(), isRequired: false),
            ])),
    ]).named("RPCError")
}
