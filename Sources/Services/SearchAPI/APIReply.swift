import Bytes
package import Retrieval

/// A request as the handlers see it, whatever carried it.
package struct APIRequest: Sendable {
    /// Parameters of the query string in order, percent-decoded.
    package var query: [(name: String, value: String)]
    package var body: [UInt8]
    /// Values of the route's placeholders, percent-decoded.
    package var pathParameters: [String: String]

    package init(
        query: [(name: String, value: String)] = [], body: [UInt8] = [], pathParameters: [String: String] = [:]
    ) {
        self.query = query
        self.body = body
        self.pathParameters = pathParameters
    }
}

/// A reply, whatever carries it.
package struct APIReply: Sendable {
    package var status: Int
    package var contentType: String
    /// Further header fields.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(status: Int, contentType: String, headers: [(name: String, value: String)] = [], body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }

    /// A JSON reply. Never cached: what the index says now is not what it says next.
    package static func json(_ body: [UInt8], status: Int = 200) -> APIReply {
        APIReply(
            status: status, contentType: "application/json",
            headers: [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")], body: body)
    }
}

/// What is said when a request is not served. One JSON shape for all:
/// `{"error": {"type", "message", "detail": [{"type", "loc", "msg", "input"}]}}`.
package struct APIError: Error, CustomStringConvertible {
    package var status: Int
    /// A word for programs.
    package var type: String
    /// A sentence for people.
    package var message: String
    /// The fields that are wrong; empty where no field is.
    package var faults: [FieldFault]

    package init(status: Int, type: String, message: String, faults: [FieldFault] = []) {
        self.status = status
        self.type = type
        self.message = message
        self.faults = faults
    }

    /// One or more fields are wrong.
    package static func invalid(_ faults: [FieldFault]) -> APIError {
        let count = faults.count == 1 ? "1 field is" : "\(faults.count) fields are"
        return APIError(status: 422, type: "validation", message: "\(count) wrong; see detail", faults: faults)
    }

    /// Something the request needs cannot be reached now.
    package static func unavailable(_ what: String, _ why: String) -> APIError {
        APIError(status: 503, type: "unavailable", message: "\(what) is not available: \(why)")
    }

    /// The time limit of the request passed.
    package static func timeout(_ what: String, milliseconds: Int) -> APIError {
        APIError(
            status: 504, type: "timeout",
            message: "\(what) took longer than the \(milliseconds) ms that a request may take (REQUEST_TIMEOUT_SEC)")
    }

    package var description: String { "\(status) \(type): \(message)" }

    /// The error as a reply.
    package var reply: APIReply {
        var reply = APIReply.json(Self.body(type: type, message: message, faults: faults), status: status)
        if status == 503 { reply.headers.append(("Retry-After", "1")) }
        return reply
    }

    /// The body for an error that the HTTP server found itself (no such route, body too large, bad framing).
    package static func body(status: Int, message: String) -> [UInt8] {
        let type =
            switch status {
            case 400: "bad_request"
            case 404: "not_found"
            case 405: "method_not_allowed"
            case 408: "timeout"
            case 411: "length_required"
            case 413: "body_too_large"
            case 414: "uri_too_long"
            case 415: "unsupported_media_type"
            case 417: "expectation_failed"
            case 431: "headers_too_large"
            case 501: "not_implemented"
            case 503: "unavailable"
            case 505: "http_version"
            default: status < 500 ? "bad_request" : "internal"
            }
        return body(type: type, message: message, faults: [])
    }

    private static func body(type: String, message: String, faults: [FieldFault]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("error")
        writer.beginObject()
        writer.key("type")
        writer.string(type)
        writer.key("message")
        writer.string(message)
        writer.key("detail")
        writer.beginArray()
        for fault in faults { writer.fault(fault) }
        writer.endArray()
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func fault(_ fault: FieldFault) {
        beginObject()
        key("type")
        string(fault.type)
        key("loc")
        beginArray()
        for step in fault.location {
            switch step {
            case .name(let name): string(name)
            case .index(let index): integer(index)
            }
        }
        endArray()
        key("msg")
        string(fault.message)
        key("input")
        if let input = fault.inputJSON { raw(input) } else { null() }
        endObject()
    }

    /// A time as RFC 3339 or null.
    mutating func time(_ epochMilliseconds: Int64?) {
        if let epochMilliseconds { string(CivilTime.rfc3339(epochMilliseconds)) } else { null() }
    }

    /// A text or null.
    mutating func optional(_ text: String?) {
        if let text { string(text) } else { null() }
    }

    /// A number or null.
    mutating func optional(_ number: Double?) {
        if let number { double(number) } else { null() }
    }

    /// An integer or null.
    mutating func optional(_ number: Int64?) {
        if let number { integer(number) } else { null() }
    }

    /// Milliseconds with three decimals.
    mutating func milliseconds(nanoseconds: Int64) {
        double(Double(nanoseconds / 1_000) / 1_000)
    }
}
