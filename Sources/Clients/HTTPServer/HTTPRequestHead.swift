import Glibc

/// A request's line and header fields, and how its body is framed.
struct HTTPRequestHead: Sendable {
    enum Framing: Sendable, Equatable {
        case none
        /// Bytes, above 0.
        case length(Int)
        case chunked
    }

    var method: HTTPMethod
    var rawTarget = ""
    var rawPath = ""
    var path = ""
    /// The minor version of HTTP/1.
    var minorVersion = 1
    var headers = HTTPHeaders()
    var framing = Framing.none
    var isKeptAlive = true
    var expectsContinue = false
}

/// Sizes beyond which a request is refused.
struct HTTPParserLimits: Sendable {
    var headBytesMax: Int
    var targetBytesMax: Int
    var headerCountMax: Int
}

/// Reads the head of a request, strictly after RFC 9112: whatever two readers could take differently is refused
/// (bare LF, white space before the colon, folded lines, doubled or malformed Content-Length, Transfer-Encoding
/// beside it or other than `chunked`, missing or doubled Host).
struct HTTPHeadParser {
    let limits: HTTPParserLimits
    /// How far earlier calls have looked, so that a head that comes byte by byte is scanned once.
    private var scanned = 0
    private var lineStart = 0
    private var hasRequestLine = false
    private var emptyLines = 0
    private static let emptyLinesMax = 4

    init(limits: HTTPParserLimits) {
        self.limits = limits
    }

    /// Takes a head off the front of `bytes`, which start where the last head or body ended.
    /// - Returns: the head and its length in bytes; nil while it is not all there.
    mutating func parse(_ bytes: UnsafeRawBufferPointer) throws(HTTPFault) -> (head: HTTPRequestHead, count: Int)? {
        guard let base = bytes.baseAddress else { return nil }
        while scanned < bytes.count, let found = memchr(base + scanned, 0x0A, bytes.count - scanned) {
            let end = UnsafeRawPointer(found) - base
            guard end > 0, bytes[end - 1] == 0x0D else { throw .badRequest("a line ends in LF without CR", "head") }
            scanned = end + 1
            let isEmpty = end - lineStart == 1
            lineStart = scanned
            guard scanned <= limits.headBytesMax else { throw tooLarge(bytes) }
            if !isEmpty {
                hasRequestLine = true
            } else if hasRequestLine {
                let count = scanned
                (scanned, lineStart, hasRequestLine, emptyLines) = (0, 0, false, 0)
                return (try readHead(UnsafeRawBufferPointer(rebasing: bytes[..<count])), count)
            } else {
                // Ignored before a request (RFC 9112, section 2.2), but not for ever.
                emptyLines += 1
                guard emptyLines <= Self.emptyLinesMax else {
                    throw .badRequest("empty lines in place of a request", "head")
                }
            }
        }
        scanned = bytes.count
        guard bytes.count <= limits.headBytesMax else { throw tooLarge(bytes) }
        return nil
    }

    private func tooLarge(_ bytes: UnsafeRawBufferPointer) -> HTTPFault {
        if bytes.prefix(limits.targetBytesMax + 32).contains(0x0A) {
            return HTTPFault(
                status: 431, type: "header_too_large", loc: ["header"],
                message: "the head of a request may have \(limits.headBytesMax) bytes")
        }
        return targetTooLong
    }

    private var targetTooLong: HTTPFault {
        HTTPFault(
            status: 414, type: "target_too_long", loc: ["path"],
            message: "a request target may have \(limits.targetBytesMax) bytes")
    }

    /// `bytes` is one whole head, each line ending in CRLF, the last one empty.
    private func readHead(_ bytes: UnsafeRawBufferPointer) throws(HTTPFault) -> HTTPRequestHead {
        var position = 0
        // Ends, because one line is not empty.
        while bytes[position] == 0x0D, bytes[position + 1] == 0x0A { position += 2 }
        var head = try readRequestLine(bytes, &position)
        var fields: [HTTPHeaders.Field] = []
        fields.reserveCapacity(8)
        var framing = FramingFields()
        while bytes[position] != 0x0D {
            guard fields.count < limits.headerCountMax else {
                throw HTTPFault(
                    status: 431, type: "header_too_large", loc: ["header"],
                    message: "a request may have \(limits.headerCountMax) header fields")
            }
            let field = try readField(bytes, &position)
            try framing.note(field)
            fields.append(field)
        }
        guard bytes[position + 1] == 0x0A else { throw .badRequest("a CR without LF", "head") }
        head.headers = HTTPHeaders(fields: fields)
        try framing.apply(to: &head)
        return head
    }

    private func readRequestLine(
        _ bytes: UnsafeRawBufferPointer, _ position: inout Int
    ) throws(HTTPFault) -> HTTPRequestHead {
        let methodStart = position
        while isToken(bytes[position]) { position += 1 }
        guard position > methodStart, position - methodStart <= 32, bytes[position] == 0x20 else {
            throw .badRequest("the request line does not start with a method and one space", "method")
        }
        let method = string(bytes, methodStart, position)
        position += 1
        let targetStart = position
        // Visible ASCII only; `#` would start a fragment, which is never sent.
        while bytes[position] > 0x20, bytes[position] < 0x7F, bytes[position] != UInt8(ascii: "#") { position += 1 }
        let targetEnd = position
        guard targetEnd > targetStart, bytes[position] == 0x20 else {
            throw .badRequest("the request target is empty or has a character that must be encoded", "path")
        }
        guard targetEnd - targetStart <= limits.targetBytesMax else { throw targetTooLong }
        position += 1
        var head = HTTPRequestHead(method: HTTPMethod(method))
        head.minorVersion = try readVersion(bytes, &position)
        try readTarget(UnsafeRawBufferPointer(rebasing: bytes[targetStart..<targetEnd]), into: &head)
        return head
    }

    private func readVersion(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) throws(HTTPFault) -> Int {
        // The head ends in an empty line, so at least ten bytes are not there only if the line is cut short.
        guard position + 10 <= bytes.count else { throw .badRequest("the request line has no HTTP version", "version") }
        let name: StaticString = "HTTP/"
        let major = bytes[position + 5]
        let minor = bytes[position + 7]
        guard let start = bytes.baseAddress, memcmp(start + position, name.utf8Start, 5) == 0,
            bytes[position + 6] == UInt8(ascii: "."), isDigit(major), isDigit(minor),
            bytes[position + 8] == 0x0D, bytes[position + 9] == 0x0A
        else { throw .badRequest("the request line does not end in an HTTP version", "version") }
        guard major == UInt8(ascii: "1") else {
            throw HTTPFault(
                status: 505, type: "version_not_supported", loc: ["version"], message: "this server speaks HTTP/1.1")
        }
        position += 10
        return minor == UInt8(ascii: "0") ? 0 : 1
    }

    /// Origin-form, absolute-form and `*` of RFC 9112, section 3.2.
    private func readTarget(_ target: UnsafeRawBufferPointer, into head: inout HTTPRequestHead) throws(HTTPFault) {
        head.rawTarget = String(decoding: target, as: UTF8.self)
        var pathStart = 0
        if target[0] != UInt8(ascii: "/") {
            if target.count == 1, target[0] == UInt8(ascii: "*"), head.method == .options {
                (head.rawPath, head.path) = ("*", "*")
                return
            }
            guard let start = Self.pathStart(ofAbsolute: target) else {
                throw .badRequest("the request target is neither a path nor an http URL", "path")
            }
            pathStart = start
        }
        var pathEnd = pathStart
        var isEncoded = false
        while pathEnd < target.count, target[pathEnd] != UInt8(ascii: "?") {
            if target[pathEnd] == UInt8(ascii: "%") { isEncoded = true }
            pathEnd += 1
        }
        let isWhole = pathStart == 0 && pathEnd == target.count
        head.rawPath = isWhole ? head.rawTarget : string(target, pathStart, pathEnd)
        if head.rawPath.isEmpty { head.rawPath = "/" }
        guard isEncoded else {
            head.path = head.rawPath
            return
        }
        guard let path = PercentCoding.decode(head.rawPath.utf8) else {
            throw .badRequest("the path has a malformed escape, or decodes to NUL or to something not UTF-8", "path")
        }
        head.path = path
    }

    private static func pathStart(ofAbsolute target: UnsafeRawBufferPointer) -> Int? {
        for scheme in ["http://", "https://"] {
            let length = scheme.utf8.count
            guard target.count > length, zip(target, scheme.utf8).allSatisfy({ lowered($0) == $1 }) else { continue }
            var end = length
            while end < target.count, target[end] != UInt8(ascii: "/"), target[end] != UInt8(ascii: "?") { end += 1 }
            return end > length ? end : nil
        }
        return nil
    }

    /// One field line of `bytes` from `position`, which is moved behind it. Also used for trailers.
    private func readField(
        _ bytes: UnsafeRawBufferPointer, _ position: inout Int
    ) throws(HTTPFault) -> HTTPHeaders.Field {
        let nameStart = position
        while isToken(bytes[position]) { position += 1 }
        guard position > nameStart, bytes[position] == UInt8(ascii: ":") else {
            throw .badRequest(
                bytes[nameStart] == 0x20 || bytes[nameStart] == 0x09
                    ? "a header field is folded over two lines" : "a header field has no proper name and colon",
                "header")
        }
        let length = position - nameStart
        let name = String(unsafeUninitializedCapacity: length) { space in
            for index in 0..<length { space[index] = lowered(bytes[nameStart + index]) }
            return length
        }
        position += 1
        while isBlank(bytes[position]) { position += 1 }
        let valueStart = position
        while isFieldByte(bytes[position]) { position += 1 }
        var valueEnd = position
        guard bytes[position] == 0x0D, bytes[position + 1] == 0x0A else {
            throw .badRequest("the header field \(name) has a control character", "header", name)
        }
        position += 2
        while valueEnd > valueStart, isBlank(bytes[valueEnd - 1]) { valueEnd -= 1 }
        return HTTPHeaders.Field(name: name, value: string(bytes, valueStart, valueEnd))
    }

    private func string(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> String {
        UnsafeRawBufferPointer(rebasing: bytes[start..<end]).withMemoryRebound(to: UInt8.self) {
            String(decoding: $0, as: UTF8.self)
        }
    }
}

// MARK: Characters

func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

/// A tab, or anything from space on but DEL (RFC 9110, section 5.5).
@inline(__always)
func isFieldByte(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || byte == 0x09 }

/// `tchar` of RFC 9110, section 5.6.2, as two bit masks over ASCII.
@inline(__always)
func isToken(_ byte: UInt8) -> Bool {
    // !#$%&'*+-. 0-9, then A-Z ^_` a-z |~
    let mask: UInt64 = byte < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
    return byte < 128 && mask >> UInt64(byte & 63) & 1 == 1
}
