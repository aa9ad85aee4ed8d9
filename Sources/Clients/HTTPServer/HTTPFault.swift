import Bytes

/// A request that cannot be served, as the client shall see it. Handlers throw it; the server makes it for what is
/// wrong on the wire.
package struct HTTPFault: Error, Sendable, CustomStringConvertible {
    package var status: Int
    /// A word for programs, for example `not_found`; stable.
    package var type: String
    /// Where the fault lies: `["header", "content-length"]`, `["body", "top_k"]`, `["path"]`.
    package var loc: [String]
    /// A sentence for people.
    package var message: String
    /// Sent along, for example `Allow` or `Retry-After`.
    package var headers: HTTPHeaders

    package init(
        status: Int, type: String, loc: [String] = [], message: String, headers: HTTPHeaders = [:]
    ) {
        self.status = status
        self.type = type
        self.loc = loc
        self.message = message
        self.headers = headers
    }

    package var description: String {
        "\(status) \(type)\(loc.isEmpty ? "" : " at " + loc.joined(separator: ".")): \(message)"
    }

    /// The reply of the default shape: `{"error":{"type":…,"loc":[…],"msg":…}}`.
    package var response: HTTPResponse {
        var json = JSONWriter()
        json.beginObject()
        json.key("error")
        json.beginObject()
        json.key("type")
        json.string(type)
        json.key("loc")
        json.beginArray()
        for part in loc { json.string(part) }
        json.endArray()
        json.key("msg")
        json.string(message)
        json.endObject()
        json.endObject()
        var response = HTTPResponse.json(json.bytes, status: status)
        for field in headers.fields { response.headers.add(field.name, field.value) }
        return response
    }

    static func badRequest(_ message: String, _ loc: String...) -> HTTPFault {
        HTTPFault(status: 400, type: "bad_request", loc: loc, message: message)
    }

    static func badHeader(_ name: String, _ message: String) -> HTTPFault {
        HTTPFault(status: 400, type: "bad_request", loc: ["header", name], message: message)
    }
}

/// Shapes the reply to a fault; the request is absent where it could not be read. Status and headers of the result are
/// sent as they are.
package typealias HTTPFaultShaper = @Sendable (_ fault: HTTPFault, _ request: HTTPRequest?) -> HTTPResponse
