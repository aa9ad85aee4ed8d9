import Bytes

/// Writes status lines and header fields into one buffer that is used again for every reply of a loop.
struct HTTPResponseEncoder {
    enum Length {
        case bytes(Int)
        case chunked
        /// The end of the connection is the end of the body.
        case untilClose
        /// Neither a body nor a length: 204, 304.
        case none
    }

    enum Persistence {
        case close
        /// HTTP/1.1's default, which needs no field.
        case implied
        /// Told to an HTTP/1.0 client that asked for it.
        case keepAlive
    }

    private(set) var bytes: [UInt8] = []
    private var dateLine: [UInt8] = []
    private var dateSecond: Int64 = -1
    /// A monotonic moment until which `dateLine` needs no look at the clock.
    private var dateCheckedMilliseconds = Int64.min
    /// How late the `Date` field may be.
    private static let dateSlackMilliseconds: Int64 = 100

    init() {
        bytes.reserveCapacity(4_096)
    }

    /// Replaces the buffer's content by a reply's head.
    mutating func encodeHead(
        status: Int, headers: HTTPHeaders, length: Length, persistence: Persistence, nowMilliseconds: Int64,
        fixedLines: [UInt8] = [], requestID: String = "", corsOrigin: String? = nil
    ) {
        bytes.removeAll(keepingCapacity: true)
        append("HTTP/1.1 ")
        Decimal.append(Int64(status), to: &bytes)
        bytes.append(0x20)
        append(reasonPhrase(status))
        append("\r\n")
        refreshDate(nowMilliseconds)
        bytes.append(contentsOf: dateLine)
        bytes.append(contentsOf: fixedLines)
        if !requestID.isEmpty {
            append("X-Request-Id: ")
            appendClean(requestID)
            append("\r\n")
        }
        if let corsOrigin {
            append("Access-Control-Allow-Origin: ")
            appendClean(corsOrigin)
            append("\r\nAccess-Control-Expose-Headers: X-Request-Id, Retry-After, ETag\r\nVary: Origin\r\n")
        }
        for field in headers.fields where !Self.isOwn(field.name) {
            appendClean(field.name)
            append(": ")
            appendClean(field.value)
            append("\r\n")
        }
        switch length {
        case .bytes(let count):
            append("Content-Length: ")
            Decimal.append(Int64(count), to: &bytes)
            append("\r\n")
        case .chunked: append("Transfer-Encoding: chunked\r\n")
        case .untilClose, .none: break
        }
        switch persistence {
        case .close: append("Connection: close\r\n")
        case .keepAlive: append("Connection: keep-alive\r\n")
        case .implied: break
        }
        append("\r\n")
    }

    mutating func append(body: [UInt8]) {
        bytes.append(contentsOf: body)
    }

    /// Replaces the buffer's content by one chunk of the chunked coding; `chunk` must not be empty.
    mutating func encodeChunk(_ chunk: [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        var digits: [UInt8] = []
        var rest = chunk.count
        repeat {
            digits.append(Hex.digits[rest & 15])
            rest >>= 4
        } while rest > 0
        bytes.append(contentsOf: digits.reversed())
        append("\r\n")
        bytes.append(contentsOf: chunk)
        append("\r\n")
    }

    @inline(__always)
    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A value must not be able to end its line: control characters become spaces.
    private mutating func appendClean(_ text: String) {
        let start = bytes.count
        bytes.append(contentsOf: text.utf8)
        for index in start..<bytes.count where bytes[index] < 0x20 || bytes[index] == 0x7F { bytes[index] = 0x20 }
    }

    /// Whether the server alone writes this field.
    private static func isOwn(_ name: String) -> Bool {
        let length = name.utf8.count
        guard length == 4 || length == 10 || length == 14 || length == 17 else { return false }
        return ["date", "connection", "content-length", "transfer-encoding"].contains { own in
            own.utf8.count == length && zip(own.utf8, name.utf8).allSatisfy { $0 == lowered($1) }
        }
    }

    private mutating func refreshDate(_ now: Int64) {
        guard now > dateCheckedMilliseconds else { return }
        dateCheckedMilliseconds = now + Self.dateSlackMilliseconds
        let second = SystemClock.epochMilliseconds() / 1_000
        guard second != dateSecond else { return }
        dateSecond = second
        dateLine = Array("Date: \(httpDate(second))\r\n".utf8)
    }
}

/// IMF-fixdate of RFC 9110, section 5.6.7, for example `Sun, 06 Nov 1994 08:49:37 GMT`.
func httpDate(_ epochSeconds: Int64) -> String {
    let time = CivilTime(epochMilliseconds: epochSeconds * 1_000)
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let day = days[Int(epochSeconds / 86_400 % 7)]
    var text: [UInt8] = Array("\(day), ".utf8)
    Decimal.append(Int64(time.day), width: 2, to: &text)
    text.append(contentsOf: " \(months[time.month - 1]) ".utf8)
    Decimal.append(Int64(time.year), width: 4, to: &text)
    for (mark, value) in zip(" ::".utf8, [time.hour, time.minute, time.second]) {
        text.append(mark)
        Decimal.append(Int64(value), width: 2, to: &text)
    }
    text.append(contentsOf: " GMT".utf8)
    return String(decoding: text, as: UTF8.self)
}

/// RFC 9110, section 15; empty for a status that is not listed here.
func reasonPhrase(_ status: Int) -> StaticString {
    switch status {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 206: "Partial Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 303: "See Other"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 410: "Gone"
    case 412: "Precondition Failed"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 416: "Range Not Satisfiable"
    case 417: "Expectation Failed"
    case 422: "Unprocessable Content"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    default: ""
    }
}
