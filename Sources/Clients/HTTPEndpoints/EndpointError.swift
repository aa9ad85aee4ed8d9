import Bytes
package import Forms
package import HTTPServer
import JSONScan

/// A request that is not served, in one JSON shape for all:
/// `{"error": {"type", "message", "detail": [{"type", "loc", "msg", "input"}], "request_id"}}`.
package struct EndpointError: Error, Sendable, CustomStringConvertible {
    package var status: Int
    /// A word for programs.
    package var type: String
    /// A sentence for people.
    package var message: String
    /// The values that are wrong; empty where none is.
    package var faults: [InputFault]
    /// Sent along, such as `Retry-After`.
    package var headers: HTTPHeaders

    package init(
        status: Int, type: String, message: String, faults: [InputFault] = [], headers: HTTPHeaders = [:]
    ) {
        self.status = status
        self.type = type
        self.message = message
        self.faults = faults
        self.headers = headers
    }

    /// A fault that the server found itself.
    package init(_ fault: HTTPFault) {
        self.init(status: fault.status, type: fault.type, message: fault.message, headers: fault.headers)
        if !fault.loc.isEmpty {
            faults = [InputFault(type: fault.type, location: fault.loc.map(InputStep.name), message: fault.message)]
        }
    }

    /// One or more values are wrong.
    package static func invalid(_ faults: [InputFault]) -> EndpointError {
        let count = faults.count == 1 ? "1 field is" : "\(faults.count) fields are"
        return EndpointError(status: 422, type: "validation", message: "\(count) wrong; see detail", faults: faults)
    }

    package var description: String { "\(status) \(type): \(message)" }

    /// The reply, without a request's id.
    package var response: HTTPResponse { response(requestID: "") }

    /// The reply; with the request's id where there is one.
    package func response(requestID: String) -> HTTPResponse {
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
        if !requestID.isEmpty {
            writer.key("request_id")
            writer.string(requestID)
        }
        writer.endObject()
        writer.endObject()
        var response = HTTPResponse.json(writer.bytes, status: status)
        response.headers.add("Cache-Control", "no-store")
        for field in headers.fields { response.headers.add(field.name, field.value) }
        return response
    }

    /// The schema of that reply.
    package static let schema = Schema.object([
        .init(
            "error",
            Schema.object([
                .init("type", .string("A word for programs.")), .init("message", .string("A sentence for people.")),
                .init(
                    "detail",
                    .array(
                        of: Schema.object([
                            .init("type", .string("Such as `missing`, `string_too_long`.")),
                            .init(
                                "loc", .array(of: .anyOf([.string(), .integer()])),
                                "`body`, `query`, `path` or `header`, then names and indices."),
                            .init("msg", .string()), .init("input", .anything("What was given, cut; null if nothing.")),
                        ]).named("Fault"))),
                .init("request_id", .string("As in `X-Request-Id`, for whoever reads the log."), isRequired: false),
            ]))
    ]).named("Error")
}

extension JSONWriter {
    fileprivate mutating func fault(_ fault: InputFault) {
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
        value(fault.input ?? .null)
        endObject()
    }
}
