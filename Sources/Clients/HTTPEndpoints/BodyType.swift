import Forms
import HTTPServer
import JSONScan

/// The types that a body may be sent with.
enum BodyType {
    /// Refuses a body whose type is another one, or is not said: a page of a foreign origin may send a body without a
    /// type, as plain text or as a form without asking first (the Fetch standard's simple requests), but not as JSON.
    ///
    /// - Parameters:
    ///   - head: may be a request whose body is still to come.
    ///   - types: those that are taken, one at least.
    /// - Throws: 415.
    static func check(_ head: HTTPRequest, among types: [String]) throws(EndpointError) {
        let type = head.headers["content-type"]
        // Most requests say exactly that.
        if type == types.first, head.headers.count(of: "content-type") == 1 { return }
        guard let type else {
            guard hasBody(head) else { return }
            throw refusal("is missing; a body needs Content-Type: \(types[0])", types, input: nil)
        }
        guard head.headers.count(of: "content-type") == 1 else {
            throw refusal("is given more than once", types, input: .string(type))
        }
        guard types.contains(MediaType.essence(of: type)) else {
            throw refusal("must be \(types.joined(separator: " or "))", types, input: .string(type))
        }
        guard isUTF8(type) else { throw refusal("must have no charset but utf-8", types, input: .string(type)) }
    }

    private static func refusal(_ message: String, _ types: [String], input: JSONValue?) -> EndpointError {
        EndpointError(
            status: 415, type: "unsupported_media_type",
            message: "the body must be sent with Content-Type: \(types.joined(separator: " or "))",
            faults: [
                InputFault(
                    type: "unsupported_media_type", location: [.name("header"), .name("content-type")],
                    message: message, input: input)
            ], headers: ["Accept-Post": "\(types.joined(separator: ", "))"])
    }

    private static func hasBody(_ head: HTTPRequest) -> Bool {
        if !head.body.isEmpty || head.headers["transfer-encoding"] != nil { return true }
        guard let length = head.headers["content-length"] else { return false }
        return length.utf8.contains { $0 != UInt8(ascii: "0") }
    }

    /// RFC 8259, section 8.1: JSON that is exchanged is UTF-8. Other parameters say nothing about the bytes.
    private static func isUTF8(_ type: String) -> Bool {
        type.utf8.split(separator: UInt8(ascii: ";")).dropFirst().allSatisfy { part in
            let parameter = MediaType.essence(of: String(Substring(part)))
            guard parameter.hasPrefix("charset=") else { return true }
            return ["utf-8", "\"utf-8\"", "utf8"].contains(String(parameter.dropFirst(8)))
        }
    }
}
