package import Bytes

/// A request method, a token of RFC 9110; any token is accepted, the router decides.
package struct HTTPMethod: Hashable, Sendable, CustomStringConvertible {
    /// As on the wire, case-sensitive.
    package let name: String

    package init(_ name: String) {
        self.name = name
    }

    /// Reads; also serves HEAD.
    package static let get = HTTPMethod("GET")
    /// Reads the head only.
    package static let head = HTTPMethod("HEAD")
    /// Asks for work with a body.
    package static let post = HTTPMethod("POST")
    /// Replaces what is at the path.
    package static let put = HTTPMethod("PUT")
    /// Changes a part of what is at the path.
    package static let patch = HTTPMethod("PATCH")
    /// Removes what is at the path.
    package static let delete = HTTPMethod("DELETE")
    /// Asks what the path takes; answered by the router itself.
    package static let options = HTTPMethod("OPTIONS")

    package var description: String { name }
}

/// Header fields in their order; names are compared without regard to case.
package struct HTTPHeaders: Sendable, Equatable, ExpressibleByDictionaryLiteral {
    package struct Field: Sendable, Equatable {
        /// Lower case where it came from a request.
        package let name: String
        package let value: String
    }

    /// All of them, in order.
    package private(set) var fields: [Field]

    package init() {
        fields = []
    }

    /// Repeated names are kept.
    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0, value: $0.1) }
    }

    init(fields: [Field]) {
        self.fields = fields
    }

    /// The first value of `name`; setting replaces all of them.
    package subscript(name: String) -> String? {
        get { fields.first { sameName($0.name, name) }?.value }
        set {
            fields.removeAll { sameName($0.name, name) }
            if let newValue { add(name, newValue) }
        }
    }

    /// Every value of `name`, in order.
    package func values(_ name: String) -> [String] {
        fields.lazy.filter { sameName($0.name, name) }.map(\.value)
    }

    /// How often `name` is given.
    package func count(of name: String) -> Int { fields.count { sameName($0.name, name) } }

    /// Appends one more field, also when the name is there already.
    package mutating func add(_ name: String, _ value: String) {
        fields.append(Field(name: name, value: value))
    }
}

private func sameName(_ left: String, _ right: String) -> Bool {
    let (left, right) = (left.utf8, right.utf8)
    return left.count == right.count && left.elementsEqual(right) { lowered($0) == lowered($1) }
}

@inline(__always)
func lowered(_ byte: UInt8) -> UInt8 {
    byte &- UInt8(ascii: "A") < 26 ? byte | 0x20 : byte
}

/// One whole request.
package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// Percent-decoded, without the query; starts with `/`, or is `*` for `OPTIONS *`.
    package var path: String
    /// The target as it was sent.
    package var rawTarget: String
    package var headers: HTTPHeaders
    /// Without any transfer coding.
    package var body: [UInt8]
    /// The peer's address and port.
    package var peer: String
    /// Who asks: the peer, or whom a trusted proxy names; nil where the peer's address is not known.
    package var client: IPAddress?
    /// Whether a trusted proxy sent it, so that `client` is whom that names.
    package var isForwarded = false
    /// Whether it is one of HTTP/1.0, as proxies send it that were not told better; browsers and today's programs do not.
    package var isOfHTTP10 = false
    /// Names this request in logs and replies; empty where the server gives no ids.
    package var id = ""
    /// The values of the route's `{names}`, percent-decoded.
    package var pathParameters: [String: String] = [:]
    /// The path before decoding, on which routes are matched, so that `%2F` does not split a segment.
    var rawPath: String

    /// A request without a socket, for tests of handlers and routers.
    /// - Parameter target: path and query, encoded; an origin-form target of RFC 9112.
    package init(
        method: HTTPMethod = .get, target: String, headers: HTTPHeaders = [:], body: [UInt8] = [], peer: String = "-",
        client: IPAddress? = nil
    ) {
        self.client = client
        self.method = method
        rawTarget = target
        rawPath = String(target.prefix { $0 != "?" })
        path = PercentCoding.decode(rawPath.utf8) ?? rawPath
        self.headers = headers
        self.body = body
        self.peer = peer
    }

    init(head: HTTPRequestHead, body: [UInt8], peer: String, client: IPAddress?) {
        self.client = client
        isOfHTTP10 = head.minorVersion == 0
        method = head.method
        path = head.path
        rawPath = head.rawPath
        rawTarget = head.rawTarget
        headers = head.headers
        self.body = body
        self.peer = peer
    }

    /// The query's names and values in order, decoded as `application/x-www-form-urlencoded`; a name without `=` has
    /// an empty value. Taken apart at each call.
    package var query: [(String, String)] {
        guard let mark = rawTarget.utf8.firstIndex(of: UInt8(ascii: "?")) else { return [] }
        return rawTarget.utf8[rawTarget.utf8.index(after: mark)...].split(separator: UInt8(ascii: "&")).map { pair in
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? PercentCoding.decodeForm(parts[1]) : ""
            return (PercentCoding.decodeForm(parts[0]), value)
        }
    }
}

/// One whole reply. The server adds `Date`, `Content-Length` and `Connection`; those given here are dropped.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var headers: HTTPHeaders
    package var body: [UInt8]

    package init(status: Int = 200, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A reply with `Content-Type: application/json`.
    package static func json(_ body: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["Content-Type": "application/json"], body: body)
    }

    /// A reply with `Content-Type: text/plain; charset=utf-8`, or another one.
    package static func text(
        _ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        HTTPResponse(status: status, headers: ["Content-Type": contentType], body: Array(text.utf8))
    }
}

/// Percent-encoding, RFC 3986 section 2.1.
package enum PercentCoding {
    /// The decoded text, or nil where an escape is malformed, names NUL, or the whole is not UTF-8.
    package static func decode(_ text: some Sequence<UInt8>) -> String? {
        guard let bytes = bytes(text, plusIsSpace: false), !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// A text as one segment of a path: all but letters, digits, `-`, `_`, `.` and `~` (section 2.3) is escaped.
    package static func segment(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            let isPlain = isDigit(byte) || lowered(byte) &- UInt8(ascii: "a") < 26 || "-_.~".utf8.contains(byte)
            if isPlain {
                bytes.append(byte)
            } else {
                bytes.append(UInt8(ascii: "%"))
                Hex.append([byte], to: &bytes)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The decoded text of a form field; what is not UTF-8 or a proper escape is repaired or kept.
    static func decodeForm(_ text: some Sequence<UInt8>) -> String {
        let bytes = bytes(text, plusIsSpace: true) ?? Array(text)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func bytes(_ text: some Sequence<UInt8>, plusIsSpace: Bool) -> [UInt8]? {
        var result: [UInt8] = []
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next().flatMap(hexValue), let low = iterator.next().flatMap(hexValue) else {
                    return nil
                }
                result.append(high << 4 | low)
            } else {
                result.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return result
    }
}

/// The value of one hexadecimal digit.
func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
